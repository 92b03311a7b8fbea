"""What `prepare` returns and writes as `report.json`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceCounts:
    """Rows of one source that were `read`, and plots of it that were `kept`."""

    read: int
    kept: int


@dataclass(frozen=True)
class ColumnCounts:
    """Of the `rows` of a column, how many values are `empty` and how many `unreadable`, with the first as `example`."""

    rows: int
    empty: int
    unreadable: int
    example: str


@dataclass(frozen=True)
class PreparedWith:
    """The options that decided the result, arguments as for `prepare`.

    Instead of the tokenizer stands the unit `length_in`, instead of a path of its file the `genre_map` itself (genres
    by tag), and `paths` says of each source where it was read.
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
    """What `prepare` did, as it stands in `report.json`.

    `path` is the Plot table's, `sources` are the names that were given, `settings` the options that decide the result.
    `read` is `kept` plus the sum of `dropped` (rows per reason), and `by_source` has `read` and `kept` of each source.
    `repaired` counts plots per repair, `boilerplate` how often each sentence was removed that stands under many titles,
    and `truncated` counts the plots that were cut to length. `languages` counts what was detected before
    other languages were dropped. `tags` says how many of the sources' genre names were `mapped`, `ignored` on purpose
    or `unknown`, and `unknown_tags` how often each of these came, the commonest first. `columns` says of each source
    and each of its columns that may be unreadable (a year, an id, genres) how its values were read.

    Of the kept plots, `lengths` has quantiles of their lengths, from `0%` to `100%`, in the unit of the settings.
    `groups` is the number of groups (a title with its parts and episodes, which are never split), `kept_splits` of
    those that stand where an earlier preparation put them and a fresh one would not. `groups_across_splits` is the
    number that a source's own division had torn apart. `splits` counts plots per split, `genres` per genre,
    `genres_by_split` per genre and split. `fingerprint` is a hash of all that a model can learn from, which stands
    in the card of each model that was trained on it.
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
