"""Genres: a plot in, its genres and the words that mattered out."""

import random

import streamlit as st

from movieplots.serving.client import TEXT_CHARACTERS, Trouble
from movieplots.serving.studio.shared import api, bars, marked, models_note, restore

FORM = ("plot",)
HINT = "Bars show how likely each genre is; the line in a bar is what it has to reach."


def show() -> None:
    """The page."""
    restore(*FORM)
    models_note()
    left, right = st.columns(2, gap="large")
    with left:
        st.text_area(
            "A plot", key="plot", height=220, max_chars=TEXT_CHARACTERS,
            placeholder="Paste a plot, or take a random one.",
        )  # fmt: skip
        with st.container(horizontal=True):
            st.button("Detect genres", type="primary", icon=":material/label:", shortcut="Ctrl+Enter")
            st.button("Random plot", icon=":material/casino:", on_click=_random)
    plot = (st.session_state.get("plot") or "").strip()
    with right:
        if not plot:
            st.html(f'<p class="idea-faint">{HINT}</p>')
            return
        try:
            with st.spinner("Reading …"):
                found = api().genres(plot, explain=True)
        except Trouble as trouble:
            st.error(str(trouble), icon=":material/error:")
            return
        st.html(bars(found["genres"], 8))
        if found["tokens_unread"]:
            st.caption(f"The plot is long: its last {found['tokens_unread']} tokens were not read.")
        words = found["words"] or {}
        if words:
            genre = st.segmented_control("Words that speak for", list(words), default=next(iter(words)), required=True)
            st.html(marked(plot, words[genre]))


def _random() -> None:
    st.session_state.plot = random.choice(_plots())


@st.cache_data(show_spinner=False)
def _plots() -> list[str]:
    """The plots that come with the project; none of a catalogue's."""
    from movieplots.sources.sample import FILE, LOGLINES, read_sample

    if not FILE.is_file():
        return list(LOGLINES.values())
    return [" ".join(row.plot.split()) for row in read_sample(FILE).rows]
