"""Preparation: from corpora to the Plot table. What is here is imported when it is first used, since that is slow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from movieplots.preparation.pipeline import DROPPED_FILE as DROPPED_FILE
    from movieplots.preparation.pipeline import prepare as prepare
    from movieplots.preparation.report import Preparation as Preparation


def __getattr__(name: str) -> Any:
    if name not in ("DROPPED_FILE", "Preparation", "prepare"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from movieplots.preparation import pipeline

    return getattr(pipeline, name)
