"""From a corpus to the Plot table: read, clean, map genres, keep one language, drop duplicates, group, split.

Every row that is read is either kept or counted under one reason, so `read == kept + sum(dropped)`.
"""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import write_json
from movieplots.genres import map_tags
from movieplots.plots import FILE_NAME, SPLITS, data_fingerprint, save_plots
from movieplots.preparation.cleaning import clean_text, count_words
from movieplots.preparation.duplicates import near_duplicates, normalise
from movieplots.preparation.language import detect_languages
from movieplots.preparation.splits import assign_splits, group_name
from movieplots.progress import say
from movieplots.sources import get_source
from movieplots.titles import Title, parse_title

LANGUAGE = "en"
MIN_WORDS = 3


@dataclass(frozen=True)
class Preparation:
    """What `prepare` did: where the table is, how many rows were read, kept and dropped, and what is in it."""

    path: str
    source: str
    read: int
    kept: int
    dropped: dict[str, int]
    splits: dict[str, int]
    groups: int
    genres: dict[str, int]
    unknown_tags: dict[str, int]
    fingerprint: str


def prepare(source: str, out: str | Path, path: str | Path | None = None, seed: int = 0) -> Preparation:
    """Prepare a corpus: writes `plots.parquet` and `report.json` into the folder `out`.

    `source` is a name from the registry, `path` its file or folder (not needed for the bundled corpus).
    Raises BadInput, and writes nothing, where the input cannot be used.
    """
    known = get_source(source)
    location = Path(path) if path is not None else known.default_path
    if location is None:
        raise BadInput(f"The source {source!r} needs --path: {known.how_to_get}.")
    if not location.exists():
        raise BadInput(
            f"{location} does not exist: check --path, or see `movieplots sources` for how to get {source!r}."
        )
    say(f"Reading {location} …")
    corpus = known.read(location)
    read = len(corpus.rows) + corpus.broken
    dropped: Counter[str] = Counter({"broken_row": corpus.broken} if corpus.broken else {})
    unknown: Counter[str] = Counter()
    rows = []
    for raw in corpus.rows:
        genres, unmapped = map_tags(source, raw.tags)
        unknown.update(unmapped)
        plot, published = clean_text(raw.plot), clean_text(raw.published)
        if not published:
            dropped["no_title"] += 1
        elif not plot:
            dropped["no_plot"] += 1
        elif count_words(plot) < MIN_WORDS:
            dropped["too_short"] += 1
        elif not genres:
            dropped["no_genre"] += 1
        else:
            title = asdict(_clean_title(raw.title))
            columns = ("primary", "secondary", "year", "season", "episode", "air_date", "kind")
            rows.append(
                {"id": raw.id, "source": source, "title": published, "plot": plot, "genres": genres}
                | {name: title[name] for name in columns}
            )
    if not rows:
        raise BadInput(f"No plot of {location} can be used ({_reasons(dropped) or 'it holds no rows'}).")
    plots = pd.DataFrame(rows)
    plots["language"] = detect_languages(plots["plot"].tolist())
    plots = _keep(plots, plots["language"] == LANGUAGE, "other_language", dropped)
    plots = _keep(plots, ~plots["plot"].map(normalise).duplicated(), "duplicate", dropped)
    plots = _keep(plots, near_duplicates(plots["plot"].tolist()) == plots.index, "near_duplicate", dropped)
    plots["group"] = plots["primary"].map(group_name)
    plots["split"] = assign_splits(plots["group"], seed)

    file = Path(out) / FILE_NAME
    save_plots(plots, file)
    counts = plots["split"].value_counts()
    result = Preparation(
        path=str(file),
        source=source,
        read=read,
        kept=len(plots),
        dropped=dict(dropped),
        splits={name: int(counts[name]) for name in SPLITS},
        groups=int(plots["group"].nunique()),
        genres={genre: int(n) for genre, n in plots["genres"].explode().value_counts().items()},
        unknown_tags=dict(unknown.most_common()),
        fingerprint=data_fingerprint(plots),
    )
    write_json(Path(out) / "report.json", asdict(result))
    return result


def _clean_title(title: Title) -> Title:
    if title.bare:  # perhaps only for an invisible character
        return parse_title(clean_text(title.primary))
    return replace(title, primary=clean_text(title.primary), secondary=clean_text(title.secondary))


def _keep(plots: pd.DataFrame, mask: pd.Series, reason: str, dropped: Counter[str]) -> pd.DataFrame:
    if not mask.all():
        dropped[reason] += int((~mask).sum())
    if not mask.any():
        raise BadInput(f"No plot is left after dropping: {_reasons(dropped)}.")
    return plots[mask].reset_index(drop=True)


def _reasons(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in dropped.items())
