"""Four streaming services' catalogues: short descriptions with each service's own genre names.

Layout of each file: `show_id,type,title,…,release_year,…,listed_in,description`.
"""

import re
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.sources.corpus import RawCorpus, RawPlot, Source, read_table, whole_number
from movieplots.titles import Title

CATALOGUES = ("netflix", "amazon_prime", "disney_plus", "hulu")
COLUMNS = ["show_id", "type", "title", "release_year", "listed_in", "description"]
_EDITION = re.compile(
    r"\s*(?:\[[^\[\]]*\]|\((?:4K UHD|HD|[^()]*\b(?:subtitled|subbed|dub|dubbed|audio|version)[^()]*)\))$", re.IGNORECASE
)
_YEAR = re.compile(r"(?P<name>.+) \((?P<year>(?:19|20)\d\d)\)")
# One service's genre name has commas in it; every other comma separates two names.
_SEPARATOR = re.compile(r", (?!Entertainment, and Culture|and Culture)")


def read_streaming(path: Path) -> RawCorpus:
    """Read a folder that holds any of the four catalogues, or one file of that layout."""
    files = sorted(path.glob("*_titles.csv")) if path.is_dir() else [path]
    if not files:
        names = ", ".join(f"{name}_titles.csv" for name in CATALOGUES)
        raise BadInput(f"{path} holds no catalogue: put one or more of {names} there.")
    corpus = RawCorpus()
    for file in files:
        service = file.stem.removesuffix("_titles")
        for row in read_table(file, COLUMNS):
            if row is None:
                corpus.broken += 1
            else:
                corpus.rows.append(_raw_plot(service, row))
    return corpus


def _raw_plot(service: str, row: dict[str, str]) -> RawPlot:
    published = name = " ".join(row["title"].split())
    year = whole_number(row["release_year"])
    while (shorter := _EDITION.sub("", name)) not in (name, ""):
        name = shorter
    if match := _YEAR.fullmatch(name):  # some titles already carry their year
        name, year = match["name"], int(match["year"])
    kind = "series" if row["type"] == "TV Show" else "movie"
    return RawPlot(
        id=f"{service}-{row['show_id']}",
        published=published,
        title=Title(primary=name, year=year, kind=kind),
        plot=row["description"],
        tags=[tag.strip() for tag in _SEPARATOR.split(row["listed_in"]) if tag.strip()],
    )


SOURCE = Source(
    name="streaming",
    what="catalogues of Netflix, Amazon Prime, Disney+ and Hulu: loglines of 4 to 300 words",
    size="22,998 rows in four files",
    licence="CC0",
    how_to_get="download netflix_titles.csv, amazon_prime_titles.csv, disney_plus_titles.csv and hulu_titles.csv from "
    "Kaggle (shivamb/netflix-shows and its three sister sets) into one folder, then --path FOLDER",
    read=read_streaming,
)
