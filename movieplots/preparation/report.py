"""The result of `prepare`, which it also writes as `report.json`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceCounts:
    """The numbers of rows of one source.

    Attributes
    ----------
    read : int
        Rows read.
    kept : int
        Plots kept.
    """

    read: int
    kept: int


@dataclass(frozen=True)
class ColumnCounts:
    """The numbers of values in one column of a source.

    Attributes
    ----------
    rows : int
        Rows of the source.
    empty : int
        Rows without a value in the column.
    unreadable : int
        Values that could not be read.
    example : str
        The first unreadable value, '' if there is none.
    """

    rows: int
    empty: int
    unreadable: int
    example: str


@dataclass(frozen=True)
class PreparedWith:
    """The options of `prepare` that affect the result.

    Attributes
    ----------
    seed : int
        Seed of the splits.
    languages : list of str
        Languages that were kept, sorted, as ISO 639-1 codes or `all`.
    detector : {'fast', 'langdetect'}
        Language detector.
    min_length, max_length : int
        Bounds of the length of a plot, in units of `length_in`.
    too_long : {'truncate', 'drop'}
        What happened to longer plots.
    length_in : str
        Unit of lengths: `words`, or `tokens of` a base model.
    genre_map : dict of str to list of str
        Genres by tag, from the file given as `genre_map`; empty without one.
    coarse_genres : bool
        Whether genres were mapped to the nine coarse ones.
    dedup_threshold : float
        Jaccard similarity from which two plots are near duplicates, above 0 and at most 1.
    paths : dict of str to str
        File or folder of each source.
    columns : dict of str to str
        Column names given for the source `table`; empty for the default names.
    own_splits : bool
        Whether the splits of the source were used.
    splits_from : str or None
        Folder whose splits were kept, if one was given.
    """

    seed: int
    languages: list[str]
    detector: str
    min_length: int
    max_length: int
    too_long: str
    length_in: str
    genre_map: dict[str, list[str]]
    coarse_genres: bool
    dedup_threshold: float
    paths: dict[str, str]
    columns: dict[str, str]
    own_splits: bool
    splits_from: str | None


@dataclass(frozen=True)
class Preparation:
    """The counts of a preparation, as in `report.json`.

    Attributes
    ----------
    path : str
        The Plot table, `plots.parquet`.
    sources : list of str
        Names of the sources.
    settings : PreparedWith
        The options that affect the result.
    read : int
        Rows read: `kept` plus the sum of `dropped`.
    kept : int
        Plots kept.
    dropped : dict of str to int
        Rows dropped by reason, such as `near_duplicate`.
    by_source : dict of str to SourceCounts
        Rows read and plots kept by source.
    repaired : dict of str to int
        Plots by repair, such as `html`; the most frequent first.
    boilerplate : dict of str to int
        How often each boilerplate sentence was removed; the most frequent first.
    truncated : int
        Kept plots that were truncated to the maximal length.
    languages : dict of str to int
        Plots by detected language, before other languages were dropped.
    tags : dict of str to int
        Number of the sources' genre names by outcome: `mapped`, `ignored` on purpose, or `unknown`.
    unknown_tags : dict of str to int
        How often each unknown genre name occurs; the most frequent first.
    columns : dict of str to dict of str to ColumnCounts
        Counts of readable and unreadable values by source and column (years, ids, genres).
    lengths : dict of str to int
        Quantiles of the lengths of kept plots, from `0%` to `100%`, in units of `settings.length_in`.
    groups : int
        Groups of kept plots: a series with its episodes, a title with its sequels. No group crosses splits.
    kept_splits : int
        Groups kept in the split of an earlier preparation that would be in another split otherwise.
    groups_across_splits : int
        Groups that crossed the splits of their source; 0 without `own_splits`.
    splits : dict of str to int
        Kept plots by split.
    genres : dict of str to int
        Kept plots by genre; the most frequent first.
    genres_by_split : dict of str to dict of str to int
        Kept plots by genre and split.
    fingerprint : str
        Hash of the training data. The card of each model trained on the table contains it.
    """

    path: str
    sources: list[str]
    settings: PreparedWith
    read: int
    kept: int
    dropped: dict[str, int]
    by_source: dict[str, SourceCounts]
    repaired: dict[str, int]
    boilerplate: dict[str, int]
    truncated: int
    languages: dict[str, int]
    tags: dict[str, int]
    unknown_tags: dict[str, int]
    columns: dict[str, dict[str, ColumnCounts]]
    lengths: dict[str, int]
    groups: int
    kept_splits: int
    groups_across_splits: int
    splits: dict[str, int]
    genres: dict[str, int]
    genres_by_split: dict[str, dict[str, int]]
    fingerprint: str

    def __str__(self) -> str:
        """Return the path and the counts of rows and plots; `repr` has all fields."""
        splits = ", ".join(f"{plots:,} {split}" for split, plots in self.splits.items())
        return f"{self.path}: {self.kept:,} of {self.read:,} rows kept ({splits})"
