"""The CMU Book Summary Dataset (Bamman and Smith 2013): summaries of books from Wikipedia.

Tab-separated without a header: Wikipedia id, Freebase id, title, author, date, genres as a JSON object or empty,
summary.
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
    parse_year,
)

FILE = "booksummaries.txt"
_COLUMNS = 7


def read_cmu_books(path: Path) -> RawCorpus:
    """Read the file, or a folder that holds it. Raises BadInput where no line of it is a book."""
    corpus = RawCorpus()
    file = find_file(path, (FILE,), "book summaries")
    with open_text(file) as lines:
        for line in lines:
            fields = line.replace("\0", "").rstrip("\r\n").split("\t")
            if not line.strip():
                corpus.blank += 1
            elif (row := _raw_plot(fields)) is None:
                corpus.broken += 1
            else:
                corpus.rows.append(row)
    if not corpus.rows:
        raise BadInput(f"{file} holds no book summaries: it needs lines of {_COLUMNS} fields with tabs between them.")
    return corpus


def _raw_plot(fields: list[str]) -> RawPlot | None:
    if len(fields) != _COLUMNS or not fields[0].strip().isdecimal():
        return None
    number, _, title, _, date, genres, summary = fields
    try:
        tags = list(json.loads(genres).values()) if genres.strip() else []
    except (ValueError, AttributeError, RecursionError):
        return None
    published = " ".join(title.split())
    return RawPlot(
        id=f"cmu-books-{number.strip()}",
        published=published,
        title=catalogue_title(published, parse_year(date), "book"),
        plot=summary,
        tags=[str(tag) for tag in tags],
    )


SOURCE = Source(
    name="cmu-books",
    what="summaries of books with Freebase genres",
    size="16,559 summaries",
    licence="CC BY-SA",
    read=read_cmu_books,
    downloads=(
        Download(
            "https://www.cs.cmu.edu/~dbamman/data/booksummaries.tar.gz",
            "booksummaries.tar.gz",
            md5="89cc751b972da7bb19d4ded26fe5684b",
            member=f"booksummaries/{FILE}",
        ),
    ),
)
