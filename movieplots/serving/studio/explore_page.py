"""Explore: the figures of an evaluation, and the samples it was made of."""

import html
import os
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from movieplots.serving.launch import REPORT
from movieplots.settings import Json

ROWS = 20
COPIED = 8  # words in a row from which a sample's source is named
REPORT_HEIGHT = 1400  # pixels
TEXTS = ("genre", "title", "plot", "genres_predicted", "plot_cosine_title", "copied_from_title")


def show() -> None:
    """The page."""
    given = os.environ[REPORT]
    folder = Path(given)
    if not given or not (folder / "samples.csv").is_file():
        st.info(
            (f"There is no evaluation in {folder} yet" if given else "No evaluation is shown here yet")
            + ": run `movieplots evaluate … --output-dir FOLDER`, and start the studio with `--report FOLDER`.",
            icon=":material/travel_explore:",
        )
        return
    samples, report = st.tabs(["Samples", "Figures"])
    with samples:
        _samples(folder)
    with report:
        st.iframe(folder / "report.html", height=REPORT_HEIGHT, alt="The report of the evaluation")


def _samples(folder: Path) -> None:
    table = _read(str(folder / "samples.csv"), (folder / "samples.csv").stat().st_mtime)
    if "truncated" not in table:
        st.info(
            f"{folder} is of an earlier version: run `movieplots evaluate` again.", icon=":material/travel_explore:"
        )
        return
    with st.container(horizontal=True):
        chosen = {
            "genre": st.selectbox("Genre", ["all", *sorted(table["genre"].unique())]),
            "temperature": st.selectbox("Temperature", ["all", *sorted(table["temperature"].unique())]),
            "top_p": st.selectbox("Top-p", ["all", *sorted(table["top_p"].unique())], format_func=_top_p),
        }
    for column, value in chosen.items():
        if value != "all":
            table = table[table[column] == value]
    pages = max(1, -(-len(table) // ROWS))
    with st.container(horizontal=True, vertical_alignment="center"):
        page = st.pagination(pages, key="samples-page") if pages > 1 else 1
        st.caption(f"{len(table):,} plots")
    rows = table.iloc[(page - 1) * ROWS : page * ROWS].to_dict("records")
    for first in range(0, len(rows), 2):
        for column, row in zip(st.columns(2), rows[first : first + 2], strict=False):
            with column, st.container(border=True):
                st.html(_sample(row))


def _sample(row: Mapping[Hashable, Json]) -> str:
    """One sample as HTML."""
    seen = row.get("genres_predicted", "").replace(",", ", ").replace("  ", " ")
    facts = [
        f"asked for {row['genre']}" + (f", seen: {seen}" if seen else ""),
        f"temperature {row['temperature']:g}, top-p {_top_p(row['top_p'])}",
    ]
    if row["plot_cosine_title"]:
        facts.append(f"nearest training plot “{row['plot_cosine_title']}” ({row['plot_cosine']:.2f})")
    if row["longest_verbatim_span"] >= COPIED:
        facts.append(f"{row['longest_verbatim_span']} words in a row as in “{row['copied_from_title']}”")
    title = f'<p class="idea-title">{html.escape(row["title"])}</p>' if row["title"] else ""
    plot = html.escape(row["plot"]) + (" …" if row["truncated"] else "")
    return f'{title}<p class="idea-plot">{plot}</p><p class="idea-faint">{html.escape(" · ".join(facts))}</p>'


def _top_p(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}" if value else "off"


@st.cache_data(show_spinner=False)
def _read(file: str, _: float) -> pd.DataFrame:
    """The samples that a model wrote; those of people and of shuffled words have no temperature."""
    # By itself pandas takes `None` and `NA` for missing, and `1917` for a number.
    table = pd.read_csv(file, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    table = table[table["temperature"].notna()]
    return table.assign(**{column: table[column].fillna("") for column in TEXTS if column in table})
