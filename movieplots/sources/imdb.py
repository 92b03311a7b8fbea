"""IMDb plots with genres, in two layouts.

One is a tab-separated table with `title`, `plot` and a column of 0/1 per genre (`Action`, `Game-Show`, …). The other is
a pair of IMDb's frozen plain-text lists in Latin-1, `plot.list` and `genres.list`. In the lists, a title may have
several plots, each of which is a row, and an episode without genres has those of its series.

In both, plots refer to titles and names as `_Low Tide (1999)_ (qv)` and `'Ida Brandt (I)' (qv)`. These are replaced by
the title or the name.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.genres import GENRES
from movieplots.sources.corpus import FLAGS, Download, RawCorpus, RawPlot, Source, find_file, open_text, read_table
from movieplots.titles import Title, parse_title

TABLE = "movies_genres.csv"
PLOTS, TAGS = "plot.list", "genres.list"
_LISTS = "ftp://ftp.fu-berlin.de/pub/misc/movies/database/frozendata"
# A title, the name of a character or the name of a person, each with `(qv)`; last a `(qv)` alone. In the name of a
# person an apostrophe follows a letter (O'Toole), so one after a blank starts the reference. The lengths are limited,
# so that the time is linear.
_REFERENCE = re.compile(
    r"_(?P<title>[^_]{1,300})_\s{0,3}\(qv\)"
    r"|#\s{0,3}(?P<character>[^#\s](?:[^#]{0,100}[^#\s])??)\s{0,3}#?\s{0,3}\(qv\)"
    r"|(?<![^\W_])'(?P<name>(?:[^'(]|(?<=\w)'|\((?!qv\))){1,100}?)(?:\s{0,3}\([IVXLC]+\s?\))?'\s{0,3}\(qv\)"
    r"|\s?\(qv\)"
)


def read_imdb(path: Path) -> RawCorpus:
    """Read the table or the two lists, from a file or a folder; if a folder has both, the table is read."""
    file = find_file(path, (TABLE, PLOTS), "IMDb plots")
    if file.name.startswith(TAGS):
        file = find_file(file.parent, (PLOTS,), "plots for these genres")
    if not file.name.startswith(PLOTS):
        return read_imdb_table(file, prefix="imdb")
    return read_imdb_lists(file, find_file(file.parent, (TAGS,), "genres for these plots"))


def read_imdb_table(path: Path, prefix: str) -> RawCorpus:
    """Read a file in the table layout.

    A column that is not a known genre is a tag as well, so that it is reported. A column without a name is the row
    number that pandas writes.
    """
    corpus = RawCorpus()
    tags: dict[str, str] = {}  # column -> tag
    for row in read_table(path, ["title", "plot"], corpus, tabs=True):
        if not tags:
            tags = {name: name.lower() for name in row if name and name not in ("title", "plot")}
            if not set(tags.values()) & set(GENRES):
                raise BadInput(
                    f"{path} has no genre columns: it needs title, plot and a column of 0/1 per genre (Action, …)."
                )
        flags = [FLAGS.get(row[name].strip().lower()) for name in tags]
        if None in flags:
            name = list(tags)[flags.index(None)]
            corpus.reject(f"the column {name} has {row[name].strip()[:40]!r} instead of 0 or 1")
            continue
        published, plot = row["title"].strip(), row["plot"]
        found = [tag for tag, flag in zip(tags.values(), flags, strict=True) if flag]
        corpus.rows.append(_raw_plot(prefix, published, plot, found, corpus))
    return corpus


def _raw_plot(prefix: str, published: str, plot: str, tags: list[str], corpus: RawCorpus) -> RawPlot:
    number = corpus.text_id(prefix, published, plot)  # of the unchanged plot
    if "(qv)" in plot:
        corpus.repaired["qv"] += 1
        plot = _REFERENCE.sub(lambda found: found["title"] or found["character"] or found["name"] or "", plot)
    return RawPlot(number, published, parse_title(published), plot, tags)


def read_imdb_lists(plots: Path, tags: Path) -> RawCorpus:
    """Read `plot.list` and `genres.list`. Raises BadInput if one of them is not such a list."""
    corpus = RawCorpus()
    texts = list(_plots(plots, corpus))
    if not texts:
        raise BadInput(f"{plots} contains no plots: it needs lines that start with `MV:` and `PL:`.")
    wanted = {name for title, _ in texts for name in (title, _series_of(title))}
    genres: dict[str, list[str]] = {}
    for title, tag in _tags(tags, corpus):
        if title in wanted:
            genres.setdefault(title, []).append(tag)
    for title, plot in texts:
        found = genres.get(title) or genres.get(_series_of(title), [])
        corpus.rows.append(_raw_plot("imdb", title, plot, found, corpus))
    return corpus


def _series_of(title: str) -> str:
    """Return the title of an episode's series as in the lists; return any other title unchanged."""
    parsed = parse_title(title)
    if parsed.kind != "episode":
        return title
    return str(Title(parsed.primary, year=parsed.year, kind="series", numeral=parsed.numeral, medium=parsed.medium))


def _plots(path: Path, corpus: RawCorpus) -> Iterator[tuple[str, str]]:
    """Yield title and plot of each plot.

    The list has lines `MV: title`, followed for each plot by lines `PL: text` and a line `BY: contributor`. A title
    without a plot is a broken row, and so is any other line below the first title.
    """
    title, lines, begun = "", [], 0  # `begun` is the line number of a title without a plot so far
    with open_text(path, "latin-1") as file:
        for number, line in enumerate(file, 1):
            prefix, text = line[:3], line[3:].replace("\0", "").strip()
            if prefix == "PL:":
                lines.append(text)
                begun = 0
            elif lines and prefix in ("BY:", "MV:", "---"):
                yield title, " ".join(lines)
                lines = []
            if prefix == "MV:":
                _without_plot(path, begun, title, corpus)
                title, begun = text, number
            elif title and prefix not in ("PL:", "BY:", "---") and line.strip():
                corpus.add_broken(path, number, "the line does not start with MV:, PL: or BY:", line.replace("\0", ""))
    if lines:
        yield title, " ".join(lines)
    _without_plot(path, begun, title, corpus)


def _without_plot(path: Path, line: int, title: str, corpus: RawCorpus) -> None:
    if line:
        corpus.add_broken(path, line, "the title has no plot", f"MV: {title}")


def _tags(path: Path, corpus: RawCorpus) -> Iterator[tuple[str, str]]:
    """Yield title and genre of each line below the heading `THE GENRES LIST`; other lines are broken rows."""
    with open_text(path, "latin-1") as file:
        lines = enumerate(file, 1)
        if not any("THE GENRES LIST" in line for _, line in lines):
            raise BadInput(f"{path} is not a genres list: it does not have the heading THE GENRES LIST.")
        for number, line in lines:
            title, *tag = [part.strip() for part in line.replace("\0", "").split("\t") if part.strip()] or [""]
            if len(tag) == 1:
                yield title, tag[0]
            elif title.strip("=-"):
                corpus.add_broken(path, number, "the line is not a title, tabs and a genre", line.replace("\0", ""))


SOURCE = Source(
    name="imdb",
    what="plots of movies, series and episodes with one to nine genres each",
    size="117,352 plots in the table; more in the lists",
    license="IMDb's terms: personal and non-commercial use",
    read=read_imdb,
    downloads=(
        Download(
            "https://github.com/davidsbatista/text-classification/raw/master/movies_genres.csv.bz2", f"{TABLE}.bz2"
        ),
        Download(f"{_LISTS}/{PLOTS}.gz", f"{PLOTS}.gz", extra=True),
        Download(f"{_LISTS}/{TAGS}.gz", f"{TAGS}.gz", extra=True),
    ),
)
