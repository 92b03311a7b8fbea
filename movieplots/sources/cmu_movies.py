"""The CMU Movie Summary Corpus: plot summaries of movies from Wikipedia, with genres from Freebase.

Bamman, O'Connor and Smith 2013, "Learning Latent Personas of Film Characters". The corpus has two tab-separated files
without headers: `plot_summaries.txt` (Wikipedia id, summary) and `movie.metadata.tsv` (Wikipedia id, Freebase id, name,
release date, revenue, runtime, and languages, countries and genres as JSON objects of Freebase ids and names).
"""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.sources.cmu_books import named_values
from movieplots.sources.corpus import Download, RawCorpus, RawPlot, Source, catalogue_title, find_file, open_text

PLOTS, METADATA = "plot_summaries.txt", "movie.metadata.tsv"
_COLUMNS = 9


def read_cmu_movies(path: Path) -> RawCorpus:
    """Read both files, given their folder or one of them.

    A summary without metadata is a broken row. Metadata without a summary is ignored. Raises BadInput if a file is
    missing or has no valid line.
    """
    file = find_file(path, (PLOTS,), "movie summaries")
    if file.name.startswith(METADATA):
        file = find_file(file.parent, (PLOTS,), "summaries for this metadata")
    corpus = RawCorpus()
    movies = _metadata(find_file(file.parent, (METADATA,), "metadata for these summaries"), corpus)
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            text = line.replace("\0", "").rstrip("\r\n")
            wikipedia_id, tab, summary = text.partition("\t")
            wikipedia_id = wikipedia_id.strip()
            if not text.strip():
                corpus.blank += 1
            elif not tab or not wikipedia_id.isdecimal():
                corpus.add_broken(file, number, "the line is not a number, a tab and a summary", text)
            elif wikipedia_id not in movies:
                corpus.add_broken(file, number, f"{METADATA} has no readable line for {wikipedia_id}", text)
            else:
                corpus.rows.append(_raw_plot(wikipedia_id, summary, *movies[wikipedia_id], corpus))
    if not corpus.rows:
        raise BadInput(
            f"{file} contains no summaries of movies in {METADATA}: it needs lines with a Wikipedia id, a tab and a "
            "summary."
        )
    return corpus


def _metadata(file: Path, corpus: RawCorpus) -> dict[str, tuple[str, str, list[str]]]:
    """Return the name, release date and genres of each Wikipedia id."""
    movies: dict[str, tuple[str, str, list[str]]] = {}
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            text = line.replace("\0", "").rstrip("\r\n")
            fields = text.split("\t")
            if not text.strip():
                continue
            if len(fields) != _COLUMNS:
                corpus.add_broken(file, number, f"{len(fields)} fields instead of {_COLUMNS}", text)
            elif (tags := named_values(fields[8])) is None:
                corpus.add_broken(file, number, "the genres are not a JSON object of names", text)
            else:
                movies.setdefault(fields[0].strip(), (fields[2], fields[3], tags))
    if not movies:
        raise BadInput(
            f"{file} contains no metadata of movies: it needs lines with {_COLUMNS} fields separated by tabs."
        )
    return movies


def _raw_plot(wikipedia_id: str, summary: str, name: str, released: str, tags: list[str], corpus: RawCorpus) -> RawPlot:
    published = " ".join(name.split())
    return RawPlot(
        id=f"cmu-movies-{wikipedia_id}",
        published=published,
        title=catalogue_title(published, corpus.year("release date", released)),
        plot=summary,
        tags=tags,
    )


SOURCE = Source(
    name="cmu-movies",
    what="plots of movies from Wikipedia, genres from the Freebase database",
    size="42,306 summaries",
    license="CC BY-SA",
    read=read_cmu_movies,
    downloads=(
        Download(
            "http://www.cs.cmu.edu/~ark/personas/data/MovieSummaries.tar.gz",
            "MovieSummaries.tar.gz",
            members=(f"MovieSummaries/{PLOTS}", f"MovieSummaries/{METADATA}"),
        ),
    ),
)
