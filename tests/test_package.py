"""`import movieplots`: the public names, and what `help` shows of them."""

import pydoc
import subprocess
import sys

import movieplots
from tests.pages import ROOT


def test_the_docstring_lists_every_public_name():
    table = movieplots.__doc__.split("\n\n")[2].splitlines()[1:-1]
    assert sorted(row.split()[0] for row in table) == movieplots.__all__
    assert all(len(row.split(maxsplit=1)[1]) > 20 for row in table)


def test_help_shows_every_public_name():
    page = pydoc.plain(pydoc.render_doc(movieplots))
    listed = {line.split("(")[0].strip().removeprefix("class ") for line in page.splitlines() if "(" in line}
    assert set(movieplots.__all__) <= listed


def test_help_works_without_the_extras():
    program = """
import importlib.machinery, pydoc
absent = {"torch", "pandas", "pyarrow", "transformers", "scipy", "sklearn"}
found = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *rest: None if name in absent else found(name, *rest)
import movieplots
page = pydoc.plain(pydoc.render_doc(movieplots))
assert "class PlotGenerator(" in page and "parse_title(" in page and "train_generator    " in page
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
