"""The Plot table: one row per plot, the format that every stage reads. `load_plots` documents its columns."""

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
_NOT_HASHED = ("source", "language")  # no model is trained on these columns

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
    """Return the rows as an Arrow table of the schema, without the metadata of pandas."""
    return pa.Table.from_pandas(plots[SCHEMA.names], schema=SCHEMA, preserve_index=False).replace_schema_metadata()


def save_plots(plots: pd.DataFrame, path: str | Path) -> None:
    """Write the Plot table as Parquet, atomically; the same rows give the same bytes."""
    with atomic_path(path) as temporary:
        pq.write_table(plot_table(plots), temporary, compression="zstd")


def load_plots(path: str | Path, split: str | None = None) -> pd.DataFrame:
    """Read prepared plots as a DataFrame.

    Parameters
    ----------
    path : str or Path
        The folder that `prepare` wrote, or its file `plots.parquet`.
    split : {'train', 'validation', 'test'} or None, default None
        Return the rows of this split only.

    Returns
    -------
    pandas.DataFrame
        One row per plot, with the columns:

        - `id`: unique, the same in every preparation of the corpus
        - `source`: name of the source, such as `imdb`
        - `title`: as published
        - `primary`, `secondary`, `year`, `season`, `episode`, `air_date`, `kind`: the parts of the title, see `Title`;
          `year`, `season` and `episode` are NaN if the title has none
        - `plot`: the text
        - `genres`: list of str, sorted
        - `language`: ISO 639-1 code, detected
        - `group`: rows of one group (a series, a title and its sequels) are always in the same split
        - `split`: `train`, `validation` or `test`

    Raises
    ------
    BadInput
        If there is no such table or split, or if the table lacks a column.

    Notes
    -----
    Every DataFrame has a method `plot`, so write `df["plot"]` for the column, not `df.plot`.

    Examples
    --------
    >>> from movieplots import load_plots, prepare
    >>> preparation = prepare("sample", "runs/plots")
    >>> plots = load_plots("runs/plots", split="test")
    >>> plots.shape
    (42, 15)
    >>> plots.loc[0, "title"], plots.loc[0, "genres"]
    ('"Aral Harbour" (2023)', ['action', 'adventure', 'sci-fi'])
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
        raise BadInput(f"{file} is not a Parquet file: run `movieplots prepare` again.") from None
    missing = [name for name in SCHEMA.names if name not in table.schema.names]
    if missing:
        raise BadInput(f"{file} has no column {', '.join(missing)}: run `movieplots prepare` again.")
    plots = table.select(SCHEMA.names).to_pandas()
    plots["genres"] = [list(genres) for genres in plots["genres"]]
    return plots if split is None else plots[plots["split"] == split].reset_index(drop=True)


def imdb_title(row: pd.Series) -> str:
    """Return the title of a row by the IMDb naming rules: `Alien: Covenant (2017)`, `"Dark" (2017)`."""

    def number(name: str) -> int | None:
        return None if pd.isna(row[name]) else int(row[name])

    published = parse_title(row["title"])
    if not published.bare and published.kind == row["kind"]:  # it already follows the rules
        return str(row["title"])
    primary, secondary = row["primary"], "" if pd.isna(row["secondary"]) else row["secondary"]
    if secondary and row["kind"] in ("movie", "book"):  # a table of an earlier version, which split such names
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
    """Return a hash of ids, groups, splits, titles, genres and plots, after its version (see `comparable`)."""
    table = plot_table(plots)
    return _VERSION + fingerprint(*(table[name].to_pylist() for name in SCHEMA.names if name not in _NOT_HASHED))


def comparable(one: str, other: str) -> bool:
    """Return whether two fingerprints have the same version, so that different ones mean different data."""
    # The first version, without a prefix, did not include titles and groups.
    return one.startswith(_VERSION) == other.startswith(_VERSION)
