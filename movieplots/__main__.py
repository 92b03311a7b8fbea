"""`python -m movieplots` is the command line."""

from movieplots.cli import main

main()
