"""IMDb plots with genres, in two layouts.

A table: tab-separated `title`, `plot` and a column of 0/1 per genre (`Action`, `Game-Show`, …). Or IMDb's frozen
plain-text lists, `plot.list` beside `genres.list`, in Latin-1: there a title may have several plots, each of which is a
row; an episode without genres of its own takes those of its series.
"""

from collections.abc import Iterator
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.genres import GENRES
from movieplots.sources.corpus import Download, RawCorpus, RawPlot, Source, find_file, open_text, read_table
from movieplots.titles import Title, parse_title

TABLE = "movies_genres.csv"
PLOTS, TAGS = "plot.list", "genres.list"
_LISTS = "ftp://ftp.fu-berlin.de/pub/misc/movies/database/frozendata"
_FLAGS = {"1": True, "1.0": True, "0": False, "0.0": False, "": False}


def read_imdb(path: Path) -> RawCorpus:
    """Read the table or the two lists: a file, or a folder with either (the table is preferred)."""
    file = find_file(path, (TABLE, PLOTS), "IMDb plots")
    if file.name.startswith(TAGS):
        file = find_file(file.parent, (PLOTS,), "plots for these genres")
    if not file.name.startswith(PLOTS):
        return read_imdb_table(file, prefix="imdb")
    return read_imdb_lists(file, find_file(file.parent, (TAGS,), "genres for these plots"))


def read_imdb_table(path: Path, prefix: str) -> RawCorpus:
    """Read one file of the table layout.

    A column outside the genre vocabulary counts as a tag like any other, so that it is reported; one without a name is
    the row number that pandas writes.
    """
    corpus = RawCorpus()
    tags: dict[str, str] = {}  # column -> tag
    for row in read_table(path, ["title", "plot"], corpus, tabs=True):
        if not tags:
            tags = {name: name.lower() for name in row if name and name not in ("title", "plot")}
            if not set(tags.values()) & set(GENRES):
                raise BadInput(
                    f"{path} has no genre columns: after title and plot it needs one of 0/1 per genre (Action, …)."
                )
        flags = [_FLAGS.get(row[name].strip()) for name in tags]
        if None in flags:
            corpus.broken += 1
            continue
        published, plot = row["title"].strip(), row["plot"]
        found = [tag for tag, flag in zip(tags.values(), flags, strict=True) if flag]
        corpus.rows.append(
            RawPlot(corpus.text_id(prefix, published, plot), published, parse_title(published), plot, found)
        )
    return corpus


def read_imdb_lists(plots: Path, tags: Path) -> RawCorpus:
    """Read `plot.list` and `genres.list`. Raises BadInput where either is not such a list."""
    corpus = RawCorpus()
    texts = list(_plots(plots, corpus))
    if not texts:
        raise BadInput(f"{plots} holds no plots: it needs lines that begin with `MV:` and `PL:`.")
    wanted = {name for title, _ in texts for name in (title, _series_of(title))}
    genres: dict[str, list[str]] = {}
    for title, tag in _tags(tags, corpus):
        if title in wanted:
            genres.setdefault(title, []).append(tag)
    for title, plot in texts:
        found = genres.get(title) or genres.get(_series_of(title), [])
        corpus.rows.append(RawPlot(corpus.text_id("imdb", title, plot), title, parse_title(title), plot, found))
    return corpus


def _series_of(title: str) -> str:
    """The title of an episode's series as the lists write it; any other title itself."""
    parsed = parse_title(title)
    if parsed.kind != "episode":
        return title
    return str(Title(parsed.primary, year=parsed.year, kind="series", numeral=parsed.numeral, medium=parsed.medium))


def _plots(path: Path, corpus: RawCorpus) -> Iterator[tuple[str, str]]:
    """(title, plot) of each plot: lines `MV: title`, then for each plot lines `PL: text` and a line `BY: contributor`.

    A title without a plot counts as broken, and so does a line of another kind below the first title.
    """
    title, lines, told = "", [], True
    with open_text(path, "latin-1") as file:
        for line in file:
            mark, text = line[:3], line[3:].replace("\0", "").strip()
            if mark == "PL:":
                lines.append(text)
                told = True
            elif lines and mark in ("BY:", "MV:", "---"):
                yield title, " ".join(lines)
                lines = []
            if mark == "MV:":
                corpus.broken += not told
                title, told = text, False
            elif title and mark not in ("PL:", "BY:", "---"):
                corpus.broken += bool(line.strip())
    if lines:
        yield title, " ".join(lines)
    corpus.broken += not told


def _tags(path: Path, corpus: RawCorpus) -> Iterator[tuple[str, str]]:
    """(title, genre) of each line below the heading `THE GENRES LIST`; other lines are counted as broken."""
    with open_text(path, "latin-1") as file:
        if not any("THE GENRES LIST" in line for line in file):
            raise BadInput(f"{path} is no genres list: it lacks the heading THE GENRES LIST.")
        for line in file:
            title, *tag = [part.strip() for part in line.replace("\0", "").split("\t") if part.strip()] or [""]
            if len(tag) == 1:
                yield title, tag[0]
            elif title.strip("=-"):
                corpus.broken += 1


SOURCE = Source(
    name="imdb",
    what="plots of movies, series and episodes with one to nine genres each",
    size="117,352 plots in the table; more in the lists",
    licence="IMDb's terms: personal and non-commercial use",
    read=read_imdb,
    downloads=(
        Download(
            "https://github.com/davidsbatista/text-classification/raw/master/movies_genres.csv.bz2", f"{TABLE}.bz2"
        ),
        Download(f"{_LISTS}/{PLOTS}.gz", f"{PLOTS}.gz", extra=True),
        Download(f"{_LISTS}/{TAGS}.gz", f"{TAGS}.gz", extra=True),
    ),
)
