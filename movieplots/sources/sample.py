"""The bundled corpus: original plots written for this project, in the IMDb layout."""

from pathlib import Path

from movieplots.files import brought
from movieplots.sources.corpus import RawCorpus, Source
from movieplots.sources.imdb import read_imdb_table

FOLDER = brought("sample", "data/sample")
FILE = FOLDER / "movies_genres.csv"
DIRTY_FILE = FOLDER / "dirty.csv"


def read_sample(path: Path) -> RawCorpus:
    """Read the bundled corpus, or another file of its layout."""
    return read_imdb_table(path / FILE.name if path.is_dir() else path, prefix="sample")


SOURCE = Source(
    name="sample",
    what="original plots of movies, series and episodes, written for this project",
    size="420 plots, 30 to 90 words each",
    licence="CC0",
    read=read_sample,
    default_path=FILE,
)
