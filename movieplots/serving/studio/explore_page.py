"""The page Explore: the report of an evaluation, and its samples."""

import html
import os
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from movieplots.serving.launch import REPORT
from movieplots.settings import Json

ROWS = 20
MIN_SPAN = 8  # words: the copied plot is named for spans of at least this length
REPORT_HEIGHT = 1400  # pixels
TEXTS = ("genre", "title", "plot", "genres_predicted", "plot_cosine_title", "copied_from_title")


def show() -> None:
    """Show the page."""
    report_folder = os.environ[REPORT]
    folder = Path(report_folder)
    if not report_folder or not (folder / "samples.csv").is_file():
        st.info(
            (f"The folder {folder} has no evaluation." if report_folder else "There is no evaluation to explore yet.")
            + " Run `movieplots evaluate … --output-dir FOLDER`, then start the studio with `--report FOLDER`.",
            icon=":material/travel_explore:",
        )
        return
    samples, report = st.tabs(["Samples", "Figures"])
    with samples:
        _samples(folder)
    with report:
        st.iframe(folder / "report.html", height=REPORT_HEIGHT, alt="Report of the evaluation")


def _samples(folder: Path) -> None:
    table = _read(str(folder / "samples.csv"), (folder / "samples.csv").stat().st_mtime)
    if "truncated" not in table:
        st.info(
            f"The evaluation in {folder} is from an earlier version: run `movieplots evaluate` again.",
            icon=":material/travel_explore:",
        )
        return
    with st.container(horizontal=True):
        chosen = {
            "genre": st.selectbox(
                "Genre", ["all", *sorted(table["genre"].unique())], help="The genre that the model was asked for."
            ),
            "temperature": st.selectbox(
                "Temperature", ["all", *sorted(table["temperature"].unique())],
                help="How random the choice of words was: at 0.7 probable words prevail, at 1.3 many are surprising.",
            ),
            "top_p": st.selectbox(
                "Top-p", ["all", *sorted(table["top_p"].unique())], format_func=_top_p,
                help="The model chose only from the most probable words, up to this share of the probability.",
            ),
        }  # fmt: skip
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
    """Return one sample as HTML."""
    predicted = row.get("genres_predicted", "").replace(",", ", ").replace("  ", " ")
    facts = [
        f"asked for {row['genre']}" + (f", detected: {predicted}" if predicted else ""),
        f"temperature {row['temperature']:g}, top-p {_top_p(row['top_p'])}",
    ]
    if row["plot_cosine_title"]:
        facts.append(f"most similar training plot “{row['plot_cosine_title']}” (similarity {row['plot_cosine']:.2f})")
    if row["longest_verbatim_span"] >= MIN_SPAN:
        facts.append(f"{row['longest_verbatim_span']} consecutive words as in “{row['copied_from_title']}”")
    title = f'<p class="idea-title">{html.escape(row["title"])}</p>' if row["title"] else ""
    plot = html.escape(row["plot"]) + (" …" if row["truncated"] else "")
    return f'{title}<p class="idea-plot">{plot}</p><p class="idea-faint">{html.escape(" · ".join(facts))}</p>'


def _top_p(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}" if value else "off"


@st.cache_data(show_spinner=False)
def _read(file: str, _: float) -> pd.DataFrame:
    """Return the samples of the model; reference texts, which have no temperature, are left out."""
    # By default, pandas reads `None` and `NA` as missing values, and `1917` as a number.
    table = pd.read_csv(file, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    table = table[table["temperature"].notna()]
    return table.assign(**{column: table[column].fillna("") for column in TEXTS if column in table})
