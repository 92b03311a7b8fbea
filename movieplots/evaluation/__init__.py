"""Evaluation: from dumps to a report. What is here is imported when it is first used, since that is slow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from movieplots.evaluation.pipeline import Report as Report
    from movieplots.evaluation.pipeline import evaluate as evaluate
    from movieplots.evaluation.pipeline import name_dumps as name_dumps


def __getattr__(name: str) -> Any:
    if name not in ("Report", "evaluate", "name_dumps"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from movieplots.evaluation import pipeline

    return getattr(pipeline, name)
