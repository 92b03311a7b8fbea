"""Catalogues of four streaming services: short descriptions with the genre names of each service.

The layout of each file is `show_id,type,title,…,release_year,…,listed_in,description`.
"""

import re
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.sources.corpus import (
    KaggleFile,
    RawCorpus,
    RawPlot,
    Source,
    catalogue_title,
    read_table,
)

# Each service and its dataset on Kaggle.
CATALOGUES = {
    "netflix": "shivamb/netflix-shows",
    "amazon_prime": "shivamb/amazon-prime-movies-and-tv-shows",
    "disney_plus": "shivamb/disney-movies-and-tv-shows",
    "hulu": "shivamb/hulu-movies-and-tv-shows",
}
COLUMNS = ["show_id", "type", "title", "release_year", "listed_in", "description"]
_EDITION = re.compile(
    r"\s*(?:\[[^\[\]]*\]|\((?:4K UHD|HD|[^()]*\b(?:subtitled|subbed|dub|dubbed|audio|version)[^()]*)\))$", re.IGNORECASE
)
_YEAR = re.compile(r"(?P<name>.+) \((?P<year>(?:19|20)\d\d)\)")
# The genre name of one service contains commas; all other commas separate names.
_SEPARATOR = re.compile(r", (?!Entertainment, and Culture|and Culture)")


def read_streaming(path: Path) -> RawCorpus:
    """Read a folder with one or more of the four catalogues, plain or compressed, or a single file."""
    files = [path]
    if path.is_dir():
        packed = [file for ending in (".gz", ".bz2", "") for file in path.glob(f"*_titles.csv{ending}")]
        files = sorted({_service(file): file for file in packed}.values())
    if not files:
        names = ", ".join(f"{name}_titles.csv" for name in CATALOGUES)
        raise BadInput(f"{path} contains no catalogue: put one or more of {names} there.")
    corpus = RawCorpus()
    for file in files:
        corpus.rows += [_raw_plot(_service(file), row, corpus) for row in read_table(file, COLUMNS, corpus)]
    return corpus


def _service(file: Path) -> str:
    return file.name.partition(".")[0].removesuffix("_titles")


def _raw_plot(service: str, row: dict[str, str], corpus: RawCorpus) -> RawPlot:
    published = name = " ".join(row["title"].split())
    year = corpus.year("release_year", row["release_year"])
    while (shorter := _EDITION.sub("", name)) not in (name, ""):
        name = shorter
    if match := _YEAR.fullmatch(name):  # some titles already have their year
        name, year = match["name"], int(match["year"])
    kind = "series" if row["type"] == "TV Show" else "movie"
    return RawPlot(
        id=corpus.row_id(service, "show_id", row["show_id"], published, row["description"]),
        published=published,
        title=catalogue_title(name, year, kind),
        plot=row["description"],
        tags=[tag.strip() for tag in _SEPARATOR.split(row["listed_in"]) if tag.strip()],
    )


SOURCE = Source(
    name="streaming",
    what="catalogues of Netflix, Amazon Prime, Disney+ and Hulu: short summaries of 4 to 300 words",
    size="22,998 rows in four files",
    license="CC0",
    read=read_streaming,
    kaggle=tuple(KaggleFile(handle, f"{name}_titles.csv") for name, handle in CATALOGUES.items()),
)
