"""The Plot table: one row a plot, the one format that every stage reads.

Columns: `id` (stable across runs), `source`, `title` (as published), `primary`, `secondary`, `year`, `season`,
`episode`, `air_date`, `kind` (movie | series | episode | book), `plot`, `genres` (list), `language`, `group` (what must
not be split: a series, a title), `split` (train | validation | test).

Mind that `df.plot` is a method of every DataFrame: write `df["plot"]`.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.lib
import pyarrow.parquet as pq

from movieplots.errors import BadInput
from movieplots.files import atomic_path, fingerprint
from movieplots.titles import Title, parse_title

SPLITS = ("train", "validation", "test")
FILE_NAME = "plots.parquet"
_VERSION = "v2-"  # of `data_fingerprint`
_NOT_LEARNED = ("source", "language")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("title", pa.string()),
        ("primary", pa.string()),
        ("secondary", pa.string()),
        ("year", pa.int32()),
        ("season", pa.int32()),
        ("episode", pa.int32()),
        ("air_date", pa.string()),
        ("kind", pa.string()),
        ("plot", pa.string()),
        ("genres", pa.list_(pa.string())),
        ("language", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
    ]
)


def plot_table(plots: pd.DataFrame) -> pa.Table:
    """The rows as an Arrow table of the schema, without pandas' own notes."""
    return pa.Table.from_pandas(plots[SCHEMA.names], schema=SCHEMA, preserve_index=False).replace_schema_metadata()


def save_plots(plots: pd.DataFrame, path: str | Path) -> None:
    """Write the Plot table as Parquet, atomically. The same rows give the same bytes."""
    with atomic_path(path) as temporary:
        pq.write_table(plot_table(plots), temporary, compression="zstd")


def load_plots(path: str | Path, split: str | None = None) -> pd.DataFrame:
    """Read the Plot table at `path`: the file, or the folder that `movieplots prepare` wrote.

    `split` keeps the rows of one split, `train`, `validation` or `test`. The table has one row a plot and the columns
    `id`, `source`, `title` (as published), its parts `primary`, `secondary`, `year`, `season`, `episode`, `air_date`
    and `kind` as in `Title`, `plot`, `genres` (a list of names), `language` (ISO 639-1), `group` (rows that share it
    are never split) and `split`. Where a title has no year, season or episode, these are NaN. `df.plot` is a method of
    every DataFrame: write `df["plot"]`.

    Raises BadInput where there is no such table or split, or where a column is missing.
    """
    if split is not None and split not in SPLITS:
        raise BadInput(f"The split must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, not {split!r}.")
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise BadInput(f"No Plot table at {file}: run `movieplots prepare SOURCE --output-dir {path}` first.")
    try:
        table = pq.read_table(file)
    except pyarrow.lib.ArrowInvalid:
        raise BadInput(f"{file} is not a Parquet file: run `movieplots prepare` again to write it anew.") from None
    missing = [name for name in SCHEMA.names if name not in table.schema.names]
    if missing:
        raise BadInput(f"{file} has no column {', '.join(missing)}: run `movieplots prepare` again to write it anew.")
    plots = table.select(SCHEMA.names).to_pandas()
    plots["genres"] = [list(genres) for genres in plots["genres"]]
    return plots if split is None else plots[plots["split"] == split].reset_index(drop=True)


def imdb_title(row: pd.Series) -> str:
    """The title of a row by the IMDb naming rules, whatever its source: `Alien: Covenant (2017)`, `"Dark" (2017)`."""

    def number(name: str) -> int | None:
        return None if pd.isna(row[name]) else int(row[name])

    published = parse_title(row["title"])
    if not published.bare and published.kind == row["kind"]:  # it already follows the rules, numerals and all
        return str(row["title"])
    primary, secondary = row["primary"], "" if pd.isna(row["secondary"]) else row["secondary"]
    if secondary and row["kind"] in ("movie", "book"):  # a table prepared when such a name was taken apart at its colon
        primary, secondary = f"{primary}: {secondary}", ""
    return str(
        Title(
            primary=primary,
            secondary=secondary,
            year=number("year"),
            season=number("season"),
            episode=number("episode"),
            air_date=None if pd.isna(row["air_date"]) else row["air_date"],
            kind=row["kind"],
        )
    )


def data_fingerprint(plots: pd.DataFrame) -> str:
    """A hash of what a model can learn from: ids, groups, splits, titles, genres and plots in order.

    It begins with the version of what is hashed (see `comparable`).
    """
    table = plot_table(plots)
    return _VERSION + fingerprint(*(table[name].to_pylist() for name in SCHEMA.names if name not in _NOT_LEARNED))


def comparable(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same things, so that other ones mean other data.

    The first version, which had no name, left out titles and groups.
    """
    return one.startswith(_VERSION) == other.startswith(_VERSION)
