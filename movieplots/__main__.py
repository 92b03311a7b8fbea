"""Run the command line: `python -m movieplots`."""

from movieplots.cli import main

main()
