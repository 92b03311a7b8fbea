"""Explore: the figures of an evaluation, and the samples it was made of."""

import os
from pathlib import Path

import pandas as pd
import streamlit as st

REPORT = "MOVIEPLOTS_REPORT"  # environment: a folder that `movieplots evaluate` wrote
ROWS = 20


def show() -> None:
    """The page."""
    folder = Path(os.environ.get(REPORT, "data/demo/report"))
    if not (folder / "samples.csv").is_file():
        st.info(
            f"There is no evaluation in {folder} yet: run `movieplots evaluate … --out {folder}`, or start the studio "
            "with --report.",
            icon=":material/travel_explore:",
        )
        return
    samples, figures = st.tabs(["Samples", "Figures"])
    with samples:
        _samples(folder)
    with figures:
        for file in sorted((folder / "figures").glob("*.png")):
            st.image(str(file), alt=file.stem.replace("_", " "), width="stretch")


def _samples(folder: Path) -> None:
    table = _read(str(folder / "samples.csv"), (folder / "samples.csv").stat().st_mtime)
    with st.container(horizontal=True):
        genre = st.selectbox("Genre", ["all", *sorted(table["genre"].unique())])
        temperature = st.selectbox("Temperature", ["all", *sorted(table["temperature"].unique())])
        top_p = st.selectbox(
            "Top-p", ["all", *sorted(table["top_p"].unique())], format_func=lambda p: "off" if p == 0 else p
        )
    for column, chosen in (("genre", genre), ("temperature", temperature), ("top_p", top_p)):
        if chosen != "all":
            table = table[table[column] == chosen]
    pages = max(1, -(-len(table) // ROWS))
    st.caption(f"{len(table):,} plots")
    page = st.pagination(pages, key="samples-page") if pages > 1 else 1
    for row in table.iloc[(page - 1) * ROWS : page * ROWS].to_dict("records"):
        with st.container(border=True):
            st.markdown(f"**{row.get('title') or 'Untitled'}** · {row['genre']} · {row['temperature']:g}")
            st.write(row["plot"])


@st.cache_data(show_spinner=False)
def _read(file: str, _: float) -> pd.DataFrame:
    return pd.read_csv(file, keep_default_na=False)
