"""The corpora that `prepare` can read, one module per corpus, and their registry."""

from collections.abc import Iterable

from movieplots.errors import BadInput
from movieplots.sources import cmu_books, cmu_movies, imdb, mpst, sample, streaming, table, wikipedia
from movieplots.sources.corpus import Source

SOURCES: dict[str, Source] = {
    module.SOURCE.name: module.SOURCE
    for module in (sample, streaming, imdb, mpst, cmu_books, cmu_movies, wikipedia, table)
}


def get_source(name: str) -> Source:
    """Return the source with this name. Raises BadInput with a list of the names for an unknown name."""
    if name not in SOURCES:
        raise BadInput(f"Unknown source {name!r}: choose from {', '.join(SOURCES)}.")
    return SOURCES[name]


def licenses(names: Iterable[str]) -> str:
    """Return the licenses of these sources as text for a model card."""
    return "; ".join(f"`{name}`: {SOURCES[name].license}" for name in names if name in SOURCES)
