"""The CMU Book Summary Dataset (Bamman and Smith 2013): summaries of books from Wikipedia.

The file is tab-separated, without a header: Wikipedia id, Freebase id, title, author, date, genres (a JSON object, or
empty) and summary.
"""

import json
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.sources.corpus import (
    Download,
    RawCorpus,
    RawPlot,
    Source,
    catalogue_title,
    find_file,
    open_text,
)

FILE = "booksummaries.txt"
_COLUMNS = 7


def read_cmu_books(path: Path) -> RawCorpus:
    """Read the file, or a folder that contains it. Raises BadInput if no line of it is a book."""
    corpus = RawCorpus()
    file = find_file(path, (FILE,), "book summaries")
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            text = line.replace("\0", "").rstrip("\r\n")
            if not line.strip():
                corpus.blank += 1
            elif isinstance(row := _raw_plot(text.split("\t"), corpus), str):
                corpus.add_broken(file, number, row, text)
            else:
                corpus.rows.append(row)
    if not corpus.rows:
        raise BadInput(f"{file} contains no book summaries: it needs lines with {_COLUMNS} fields separated by tabs.")
    return corpus


def _raw_plot(fields: list[str], corpus: RawCorpus) -> RawPlot | str:
    """Return the row, or why the line cannot be read."""
    if len(fields) != _COLUMNS:
        return f"{len(fields)} fields instead of {_COLUMNS}"
    number, _, title, _, published_on, genres, summary = fields
    if not number.strip().isdecimal():
        return f"the id {number.strip()[:40]!r} is not a number"
    tags = named_values(genres)
    if tags is None:
        return "the genres are not a JSON object of names"
    published = " ".join(title.split())
    return RawPlot(
        id=f"cmu-books-{number.strip()}",
        published=published,
        title=catalogue_title(published, corpus.year("date", published_on), "book"),
        plot=summary,
        tags=tags,
    )


def named_values(text: str) -> list[str] | None:
    """Return the names in a JSON object of Freebase ids and names; None if the text is not such an object."""
    try:
        return [str(name) for name in json.loads(text).values()] if text.strip() else []
    except (ValueError, AttributeError, RecursionError):
        return None


SOURCE = Source(
    name="cmu-books",
    what="summaries of books, genres from the Freebase database",
    size="16,559 summaries",
    license="CC BY-SA",
    read=read_cmu_books,
    downloads=(
        Download(
            "https://www.cs.cmu.edu/~dbamman/data/booksummaries.tar.gz",
            "booksummaries.tar.gz",
            md5="89cc751b972da7bb19d4ded26fe5684b",
            members=(f"booksummaries/{FILE}",),
        ),
    ),
)
