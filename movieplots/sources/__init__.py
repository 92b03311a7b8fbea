"""The corpora that `prepare` can read: one module each, and the registry that names them."""

from collections.abc import Iterable

from movieplots.errors import BadInput
from movieplots.sources import cmu_books, cmu_movies, imdb, mpst, sample, streaming, table, wikipedia
from movieplots.sources.corpus import Source

SOURCES: dict[str, Source] = {
    module.SOURCE.name: module.SOURCE
    for module in (sample, streaming, imdb, mpst, cmu_books, cmu_movies, wikipedia, table)
}


def get_source(name: str) -> Source:
    """The source of that name; raises BadInput listing the names there are."""
    if name not in SOURCES:
        raise BadInput(f"Unknown source {name!r}: choose from {', '.join(SOURCES)}.")
    return SOURCES[name]


def licences(names: Iterable[str]) -> str:
    """Under which licences these sources are, in words for a model card."""
    return "; ".join(f"`{name}`: {SOURCES[name].licence}" for name in names if name in SOURCES)
