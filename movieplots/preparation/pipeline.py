"""Prepare corpora: read, clean, map genres, select languages, drop duplicates, group, split.

Every row is either kept or counted under one reason, so `read == kept + sum(dropped)`. Dropped rows with a text are
written to a separate table, broken rows as in the file. All files are written at the end.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, cast

import msgspec
import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, read_json, remove_folder, write_json, write_text
from movieplots.genres import coarsen, map_tags, read_genre_map
from movieplots.plots import FILE_NAME, SPLITS, data_fingerprint, load_plots, save_plots
from movieplots.preparation.boilerplate import is_placeholder, remove_boilerplate
from movieplots.preparation.card import dataset_card, is_card
from movieplots.preparation.cleaning import clean_plot, count_words, truncate_at_sentence
from movieplots.preparation.duplicates import exact_duplicates, near_duplicates
from movieplots.preparation.export import check_export, is_dataset, save_dataset
from movieplots.preparation.language import detect_languages, get_detector
from movieplots.preparation.report import ColumnCounts, Preparation, PreparedWith, SourceCounts
from movieplots.preparation.settings import PrepareSettings
from movieplots.preparation.splits import assign_splits, group_name, group_of
from movieplots.progress import notify, track, working
from movieplots.settings import takes
from movieplots.sources import get_source
from movieplots.sources.corpus import RawCorpus, RawPlot, Source
from movieplots.texts import clean_text
from movieplots.titles import Title, parse_title
from movieplots.words import number_words

DROPPED_FILE, REPORT_FILE, CARD_FILE, DATASET_FOLDER = "dropped.parquet", "report.json", "README.md", "dataset"
_SHOWN_TAGS = 25  # unknown tags in a message; TMDB has fewer ids
SHOWN_ROWS = 3  # broken rows in messages; all are in the file of dropped rows


@takes(PrepareSettings)
def prepare(settings: PrepareSettings) -> Preparation:
    """Clean one or several corpora and split them into train, validation and test.

    The folder `output_dir` then has the Plot table `plots.parquet` (see `load_plots`), `dropped.parquet` (dropped rows
    with a text and the reason), `report.json`, the dataset card `README.md`, and with `export` the folder `dataset`.

    Returns
    -------
    Preparation
        The counts of kept and dropped rows, as in `report.json`.

    Raises
    ------
    BadInput
        If a source is unknown or its files are missing, an option is out of range, `output_dir` contains another
        `README.md` or `dataset`, no plot is left, or too few plots are left to split. Nothing is written then.

    Notes
    -----
    A group (a series with its episodes, a title with its sequels) is always in one split. The shares of the splits are
    80 : 10 : 10, roughly stratified by genre: each genre has about these shares, too. A group is assigned at random,
    except if a genre would then be too far from its shares (minimization, `Pocock and Simon 1975
    <https://doi.org/10.2307/2529712>`_).

    If `output_dir` has a table with the same seed, its groups keep their splits even if rows are added, unless
    `overwrite` is True. With `own_splits`, plots keep the splits of their source. If a source puts plots of one group
    into several splits, the whole group goes to test if one of them is in test, otherwise to validation.

    Candidates for near duplicates are found by MinHash (`Broder 1997 <https://doi.org/10.1109/SEQUEN.1997.666900>`_);
    their Jaccard similarity is then computed exactly.

    Examples
    --------
    >>> from movieplots import prepare
    >>> preparation = prepare("sample", "runs/plots")
    >>> preparation.kept, preparation.splits
    (420, {'train': 330, 'validation': 48, 'test': 42})
    """
    out, names, wanted = Path(settings.output_dir), settings.names, set(settings.languages)
    locations = _locations(names, settings.path)
    get_detector(settings.detector)
    if settings.export:
        check_export()
    _check_out(out)
    extra = read_genre_map(settings.genre_map) if settings.genre_map is not None else {}
    if settings.splits_from is not None:
        earlier = _splits_of(settings.splits_from)
    else:
        earlier = {} if settings.overwrite else _splits_here(out, settings.seed)
    count = count_words if settings.tokenizer is None else _token_counter(settings.tokenizer)

    rows = _Rows(settings, extra, count)
    for name, location in locations.items():
        notify(f"Reading {location} …")
        corpus = _read(get_source(name), location, settings.columns)
        _report_unreadable(corpus)
        rows.add(name, corpus)
    plots = rows.take_kept()
    if plots.empty:
        raise BadInput(f"No plot can be used ({_reasons(rows.counts) or 'there are no rows'}){rows.unknown_hint()}.")
    own = rows.own_splits() if settings.own_splits else {}
    plots["language"] = detect_languages(plots["plot"].tolist(), settings.detector)
    found = plots["language"].value_counts()
    if "all" not in wanted:
        plots = rows.keep(plots, plots["language"].isin(wanted), "other_language", plots["language"])
    with working("Looking for duplicates …"):
        plots = _without_duplicates(plots, settings.dedup_threshold, rows)
    with working("Splitting …"):
        new = assign_splits(rows.groups, rows.genres, settings.seed, own)
        splits = assign_splits(rows.groups, rows.genres, settings.seed, earlier | own) if earlier else new
    plots["split"] = plots["group"].map(splits)
    _check_splits(plots, rows.unknown_hint())
    kept_splits = sum(splits[group] != new[group] for group in plots["group"].unique())
    if kept_splits:
        titles = "1 title keeps its split" if kept_splits == 1 else f"{kept_splits:,} titles keep their splits"
        notify(f"{titles} from the earlier preparation; use --overwrite to assign new ones.")

    result = Preparation(
        path=str(out / FILE_NAME),
        sources=names,
        settings=PreparedWith(
            seed=settings.seed,
            languages=sorted(wanted),
            detector=settings.detector,
            min_length=settings.min_length,
            max_length=settings.max_length,
            too_long=settings.too_long,
            length_in="words" if settings.tokenizer is None else f"tokens of {settings.tokenizer}",
            genre_map={tag: list(genres) for tag, genres in extra.items()},
            coarse_genres=settings.coarse_genres,
            dedup_threshold=settings.dedup_threshold,
            paths={name: str(location) for name, location in locations.items()},
            columns=dict(settings.columns or {}),
            own_splits=settings.own_splits,
            splits_from=None if settings.splits_from is None else str(settings.splits_from),
        ),
        read=rows.read.total(),
        kept=len(plots),
        dropped=dict(rows.counts),
        by_source={name: SourceCounts(rows.read[name], int((plots["source"] == name).sum())) for name in names},
        repaired=dict(rows.repaired.most_common()),
        boilerplate=dict(rows.boilerplate.most_common()),
        truncated=int(plots["id"].isin(rows.truncated).sum()),
        languages={str(language): int(n) for language, n in found.items()},
        tags={kind: rows.tags[kind] for kind in ("mapped", "ignored", "unknown")},
        unknown_tags=dict(rows.unknown.most_common()),
        columns=rows.columns,
        lengths=_quantiles(plots["length"]),
        groups=int(plots["group"].nunique()),
        kept_splits=kept_splits,
        groups_across_splits=sum(len(found) > 1 for found in rows.own.values()) if settings.own_splits else 0,
        splits={split: int((plots["split"] == split).sum()) for split in SPLITS},
        genres={str(genre): int(n) for genre, n in plots["genres"].explode().value_counts().items()},
        genres_by_split=_genres_by_split(plots),
        fingerprint=data_fingerprint(plots),
    )
    with atomic_folder(out) as folder:
        save_plots(plots, folder / FILE_NAME)
        rows.dropped_table().to_parquet(folder / DROPPED_FILE, index=False, compression="zstd")
        write_json(folder / REPORT_FILE, msgspec.to_builtins(result))
        write_text(folder / CARD_FILE, dataset_card(result, [get_source(name) for name in names]))
        if settings.export:
            save_dataset(plots, folder / DATASET_FOLDER, result.fingerprint)
    if not settings.export:  # an earlier export would have other plots than the table
        remove_folder(out / DATASET_FOLDER)
    return result


class _Row(TypedDict, total=False):
    """A row in progress: the columns of the Plot table, and fields used until it is kept or dropped."""

    id: str
    source: str
    title: str
    plot: str
    genres: list[str]
    tags: list[str]
    group: str
    primary: str
    secondary: str
    year: int | None
    season: int | None
    episode: int | None
    air_date: str | None
    kind: str
    length: int
    was: str  # the original text, if the plot is empty after cleaning
    empty: str  # the reason for this


class _Rows:
    """The rows of all sources, kept or dropped with a reason, and their counts."""

    def __init__(
        self, settings: PrepareSettings, extra: Mapping[str, tuple[str, ...]], count: Callable[[str], int]
    ) -> None:
        self.settings, self.extra, self.count = settings, extra, count
        self.kept: list[_Row] = []
        self.dropped: list[tuple[str, str, str, str, list[str], str, str]] = []
        self.counts: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.boilerplate: Counter[str] = Counter()
        self.truncated: set[str] = set()  # ids
        self.tags: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.columns: dict[str, dict[str, ColumnCounts]] = {}
        # Rows that are dropped later take part in splitting too. Otherwise rows added to a corpus could move plots to
        # another split, by making a row a duplicate.
        self.groups: list[str] = []
        self.genres: list[list[str]] = []
        self.own: dict[str, set[str]] = {}
        self._ids: dict[str, int] = {}  # ids in use, and the last number appended to each

    def add(self, source: str, corpus: RawCorpus) -> None:
        """Clean the rows of a source and drop unusable ones; the corpus is emptied."""
        self.read[source] = len(corpus.rows) + corpus.broken + corpus.blank
        for broken in corpus.broken_rows:
            self._drop({"source": source, "plot": broken.text}, "broken_row", str(broken))
        if corpus.blank:
            self.counts["blank_row"] += corpus.blank
        self.columns[source] = {
            name: ColumnCounts(column.rows, column.empty, column.unreadable, column.example)
            for name, column in corpus.columns.items()
        }
        self.repaired.update(corpus.repaired)
        corpus.rows.reverse()
        cleaned = [self._clean_row(source, corpus.rows.pop()) for _ in track(range(len(corpus.rows)), "Cleaning")]
        rows = [row for row in cleaned if row is not None]
        titles = [group_name(row["title"]) for row in rows]  # so editions of one title count once
        shorter, removed = remove_boilerplate(titles, [row["plot"] for row in rows], self.settings.min_length)
        self.boilerplate += removed
        if shorter:
            self.repaired["boilerplate"] += len(shorter)
        for number, row in enumerate(rows):
            row["plot"] = shorter.get(number, row["plot"])
            self._keep_or_drop(row)

    def _clean_row(self, source: str, raw: RawPlot) -> "_Row | None":
        """Return the row with clean title and plot and mapped genres, or None if it is blank."""
        if not raw.published.strip() and not raw.plot.strip() and not raw.tags:
            self.counts["blank_row"] += 1
            return None
        tags = map_tags(source, raw.tags, self.extra)
        self.tags.update(mapped=len(tags.mapped), ignored=len(tags.ignored), unknown=len(tags.unknown))
        self.unknown.update(tags.unknown)
        genres = coarsen(tags.genres) if self.settings.coarse_genres else tags.genres
        cleaned = clean_plot(raw.plot)
        self.repaired.update(cleaned.changes)
        title = _clean_title(raw.title)
        row: _Row = {
            "id": self._free_id(raw.id),
            "source": source,
            "title": clean_text(raw.published),
            "plot": cleaned.text,
            "genres": genres,
            "tags": raw.tags,
            "group": group_of(title),
            "primary": title.primary,
            "secondary": title.secondary,
            "year": title.year,
            "season": title.season,
            "episode": title.episode,
            "air_date": title.air_date,
            "kind": title.kind,
        }
        if row["title"]:
            self.groups.append(row["group"])
            self.genres.append(genres)
            if raw.split:
                self.own.setdefault(row["group"], set()).add(raw.split)
        if not cleaned.text:
            row |= {"was": raw.plot, "empty": "stub" if "stub" in cleaned.changes else "no_plot"}
        return row

    def _keep_or_drop(self, row: "_Row") -> None:
        if row["plot"] and is_placeholder(row["plot"]):
            row |= {"plot": "", "was": row["plot"], "empty": "no_plot"}
        reason = self._reason(row)
        if reason is None:
            self.kept.append(row)
        else:
            detail = ", ".join(row["tags"]) if reason == "no_genre" else ""
            self._drop(row | {"plot": row["plot"] or row["was"]}, reason, detail)

    def _free_id(self, wanted: str) -> str:
        """Return the id, with a number appended if it is in use."""
        name = wanted
        while name in self._ids:
            self._ids[wanted] += 1
            name = f"{wanted}-{self._ids[wanted]}"
        self._ids[name] = 1
        return name

    def _reason(self, row: "_Row") -> str | None:
        """Return the reason to drop the row, or None; truncate a plot that is too long."""
        if not row["title"]:
            return "no_title"
        if not row["plot"]:
            return row["empty"]
        length, least, most = self.count(row["plot"]), self.settings.min_length, self.settings.max_length
        if length < least:
            return "too_short"
        if length > most:
            truncate = self.settings.too_long == "truncate"
            shorter = truncate_at_sentence(row["plot"], most, self.count) if truncate else ""
            length = self.count(shorter)
            if length < least:
                return "too_long"
            row["plot"] = shorter
            self.truncated.add(row["id"])
        row["length"] = length
        return None if row["genres"] else "no_genre"

    def keep(self, plots: pd.DataFrame, mask: pd.Series, reason: str, details: pd.Series) -> pd.DataFrame:
        """Return the plots of the mask; drop the others for the reason, each with its detail."""
        for row, detail in zip(plots[~mask].to_dict("records"), details[~mask], strict=True):
            self._drop(cast(_Row, row), reason, detail)
        if not mask.any():
            raise BadInput(f"No plot is left after dropping: {_reasons(self.counts)}{self.unknown_hint()}.")
        return plots[mask].reset_index(drop=True)

    def _drop(self, row: "_Row", reason: str, detail: str = "") -> None:
        self.counts[reason] += 1
        title, genres = row.get("title", ""), row.get("genres", [])
        self.dropped.append((row.get("id", ""), row["source"], title, row["plot"], genres, reason, detail))

    def take_kept(self) -> pd.DataFrame:
        """Return the kept rows as a DataFrame and release them."""
        for row in self.kept:
            del row["tags"]
        plots = pd.DataFrame(self.kept)
        self.kept = []
        return plots

    def dropped_table(self) -> pd.DataFrame:
        """Return the dropped rows; `detail` is the language, the plot kept instead, the tags, or the error."""
        return pd.DataFrame(self.dropped, columns=["id", "source", "title", "plot", "genres", "reason", "detail"])

    def unknown_hint(self) -> str:
        """Return the most frequent unknown tags as the end of a message, if plots were dropped without a genre."""
        if not (self.unknown and self.counts["no_genre"]):
            return ""
        tags = ", ".join(f"{tag[:60]!r} ({n:,})" for tag, n in self.unknown.most_common(_SHOWN_TAGS))
        more = f" and {len(self.unknown) - _SHOWN_TAGS:,} more" if len(self.unknown) > _SHOWN_TAGS else ""
        return (
            f"; no genre mapping contains the tags {tags}{more}: map them in a CSV file with the columns tag,genres "
            "and pass it as --genre-map"
        )

    def own_splits(self) -> dict[str, str]:
        """Return the split of each group in its source; a group that crosses splits gets test, or else validation."""
        if not self.own:
            raise BadInput("None of these sources has its own splits: leave out --own-splits.")
        return {
            group: "test" if "test" in found else "validation" if "validation" in found else "train"
            for group, found in self.own.items()
        }


def _locations(names: list[str], path: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    """Return the file or folder of each source."""
    sources = [get_source(name) for name in names]
    if isinstance(path, (str, Path)):
        if len(names) > 1:
            raise BadInput(f"With several sources, each path needs its source: --path {names[0]}={path}.")
        paths = {names[0]: path} if str(path) else {}
    else:
        paths = dict(path or {})
    if stray := [name for name in paths if name not in names]:
        raise BadInput(f"There is a path for {', '.join(stray)}, which is not among the sources: add the source.")
    locations = {}
    for source in sources:
        location = Path(paths[source.name]) if source.name in paths else source.default_path or source.folder
        if not location.exists():
            if source.name not in paths:
                raise BadInput(f"The source {source.name!r} is not in {location}: {source.how_to_get}, or use --path.")
            raise BadInput(
                f"{location} does not exist: check --path, or see `movieplots sources` for how to get {source.name!r}."
            )
        locations[source.name] = location
    return locations


def _read(source: Source, location: Path, columns: Mapping[str, str] | None) -> RawCorpus:
    return source.read(location, columns) if source.name == "table" else source.read(location)


def _report_unreadable(corpus: RawCorpus) -> None:
    """Print the first broken rows and the columns with unreadable values."""
    for broken in corpus.broken_rows[:SHOWN_ROWS]:
        notify(f"Broken row in {broken}")
    if (more := corpus.broken - SHOWN_ROWS) > 0:
        notify(f"… and {more:,} more broken rows, see {DROPPED_FILE}")
    for name, column in corpus.columns.items():
        if column.unreadable:
            values = f"{column.unreadable:,} of {column.rows - column.empty:,} values"
            notify(f"{name}: {values} could not be read, such as {column.example!r}")
        if column.needed and column.empty:
            notify(f"{name}: {column.empty:,} of {column.rows:,} rows have no value; their ids are hashes of the texts")


def _splits_of(table: str | Path) -> dict[str, str]:
    earlier = load_plots(table)
    return dict(zip(earlier["group"], earlier["split"], strict=True))


def _check_out(out: Path) -> None:
    """Raise BadInput if `out` is not writable or has a card or dataset that `prepare` did not write."""
    check_folder(out)
    card, dataset = out / CARD_FILE, out / DATASET_FOLDER
    foreign = [card] if card.exists() and not is_card(card) else []
    foreign += [dataset] if dataset.exists() and not is_dataset(dataset) else []
    if foreign:
        raise BadInput(
            f"{foreign[0]} was not written by `movieplots prepare` and would be lost: choose another --output-dir."
        )


def _splits_here(out: Path, seed: int) -> dict[str, str]:
    """Return the splits of the table in `out`, if there is a complete one with this seed."""
    if not (out / REPORT_FILE).exists():
        return {}
    try:
        before = read_json(out / REPORT_FILE, "prepare it again")["settings"]["seed"]
        if before == seed:
            return _splits_of(out)
        notify(f"{out} was prepared with seed {before}: new splits are assigned with seed {seed}.")
    except (BadInput, LookupError, TypeError):
        notify(f"The table in {out} is damaged: it is replaced, with new splits.")
    return {}


def _token_counter(name: str) -> Callable[[str], int]:
    from movieplots.pretrained.base_models import load_tokenizer

    tokenizer = load_tokenizer(name)
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _clean_title(title: Title) -> Title:
    if title.bare:  # perhaps only because of an invisible character
        return parse_title(clean_text(title.primary))
    return replace(title, primary=clean_text(title.primary), secondary=clean_text(title.secondary))


def _without_duplicates(plots: pd.DataFrame, threshold: float, rows: _Rows) -> pd.DataFrame:
    numbered, lengths = number_words(plots["plot"].tolist(), {}), plots["plot"].str.len().to_numpy()
    representatives = exact_duplicates(numbered, lengths)
    unique = np.flatnonzero(representatives == np.arange(len(plots)))
    plots = _keep_representatives(plots, representatives, "duplicate", rows)
    if threshold < 1:
        representatives = near_duplicates(numbered.select(unique), lengths[unique], threshold)
        plots = _keep_representatives(plots, representatives, "near_duplicate", rows)
    return plots


def _keep_representatives(plots: pd.DataFrame, representatives: np.ndarray, reason: str, rows: _Rows) -> pd.DataFrame:
    instead = plots["id"].iloc[representatives].set_axis(plots.index)
    kept = pd.Series(representatives == np.arange(len(plots)), index=plots.index)
    return rows.keep(plots, kept, reason, instead)


def _check_splits(plots: pd.DataFrame, unknown_hint: str) -> None:
    empty = [split for split in SPLITS if not (plots["split"] == split).any()]
    if empty:
        raise BadInput(
            f"The corpus is too small to split: with {len(plots)} plots in {plots['group'].nunique()} groups, "
            f"{' and '.join(empty)} would be empty"
            f"{unknown_hint or '; add plots (50 with different titles are usually enough)'}."
        )


def _genres_by_split(plots: pd.DataFrame) -> dict[str, dict[str, int]]:
    pairs = plots[["genres", "split"]].explode("genres")
    table = pd.crosstab(pairs["genres"], pairs["split"]).reindex(columns=list(SPLITS), fill_value=0)
    return {str(genre): {str(split): int(n) for split, n in row.items()} for genre, row in table.iterrows()}


def _quantiles(lengths: pd.Series) -> dict[str, int]:
    return {f"{share:.0%}": int(lengths.quantile(share)) for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)}


def _reasons(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in dropped.items())
