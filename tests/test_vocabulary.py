"""Everything that is read says the terms of the field, and none of those in tests/vocabulary.py."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.testing

from tests.command_line import commands
from tests.pages import ROOT
from tests.vocabulary import found

SOURCES = sorted([*(ROOT / "movieplots").rglob("*.py"), *(ROOT / "tools").glob("*.py")])
TEXTS = sorted(
    [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").glob("*.md"), *(ROOT / "models").rglob("README.md"),
     *(ROOT / name / "README.md" for name in ("text_generation", "genre_prediction", "data", "benchmarks")),
     *(ROOT / "movieplots").rglob("*.j2")]
)  # fmt: skip


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def texts_of(source: str) -> Iterator[str]:
    """The docstrings, messages and comments of a module, without short strings such as keys."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value
    comments = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    yield " ".join(t.string.lstrip("# ") for t in comments)


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_docstrings_messages_and_comments(path):
    assert [hit for text in texts_of(path.read_text("utf-8")) for hit in found(text)] == []


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_pages(path):
    text = re.sub(
        r"```.*?```|https?://\S+|## Renamed options.*?(?=\n## )", "", path.read_text("utf-8"), flags=re.DOTALL
    )
    assert found(text) == []


def test_help_pages():
    from movieplots.cli import app

    pages = {}
    for _, words in commands():
        shown = typer.testing.CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "400"})
        assert shown.exit_code == 0
        pages[" ".join(words)] = found(shown.output)
    assert len(pages) > 15
    assert {page: hits for page, hits in pages.items() if hits} == {}


def test_openapi_document():
    from movieplots.serving.api import create_app
    from movieplots.serving.engine import Engine
    from movieplots.serving.metrics import Metrics
    from movieplots.serving.models import Models

    document = create_app(Models([], None), Engine(), Metrics()).openapi()
    assert found(json.dumps(document, ensure_ascii=False)) == []
