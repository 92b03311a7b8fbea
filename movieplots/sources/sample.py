"""The bundled corpus: original plots written for this project, in the IMDb layout."""

from pathlib import Path

from movieplots.files import included_folder
from movieplots.sources.corpus import RawCorpus, Source
from movieplots.sources.imdb import read_imdb_table

FOLDER = included_folder("sample", "data/sample")
FILE = FOLDER / "movies_genres.csv"
DIRTY_FILE = FOLDER / "dirty.csv"


def read_sample(path: Path) -> RawCorpus:
    """Read the bundled corpus, or another file in the same layout."""
    return read_imdb_table(path / FILE.name if path.is_dir() else path, prefix="sample")


SOURCE = Source(
    name="sample",
    what="original plots of movies, series and episodes, written for this project",
    size="420 plots, 30 to 90 words each",
    license="CC0",
    read=read_sample,
    default_path=FILE,
)

# Five well-known films in a sentence: a trained classifier should predict their genres.
LOGLINES = {
    "politician and dancer": "A rising politician falls for a modern dancer, and the agents of fate do all they can to "
    "keep the two apart.",
    "bachelor party": "Three friends wake up in Las Vegas after a bachelor party that they cannot remember, and the "
    "groom is gone.",
    "life is a show": "A cheerful insurance salesman finds out that his whole life is a television show and that "
    "everyone he knows is an actor.",
    "girl wakes up thirty": "After a humiliating birthday party a girl of thirteen makes a wish and wakes up thirty "
    "years old.",
    "hacker and reality": "A hacker is told by mysterious rebels what reality is made of, and joins their war against "
    "those who control it.",
}
