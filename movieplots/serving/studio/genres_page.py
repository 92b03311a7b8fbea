"""The page Genres: the genres of a plot, and the words that suggest them."""

import random

import streamlit as st

from movieplots.formatting import plural
from movieplots.serving.client import MAX_TEXT_CHARACTERS, ApiError
from movieplots.serving.studio.shared import api, bars, highlighted, models_note, restore_form

FORM = ("plot",)
HINT = (
    "Each bar shows how probable a genre is. The line in the bar marks the probability that a genre must reach to be "
    "detected: detected genres are bold."
)
WORDS_PER_TOKEN = 0.75  # of English text, about


def show() -> None:
    """Show the page."""
    restore_form(*FORM)
    models_note()
    left, right = st.columns(2, gap="large")
    with left:
        st.text_area(
            "Plot to analyze", key="plot", height=220, max_chars=MAX_TEXT_CHARACTERS,
            placeholder="Paste a plot here, or press Random plot.",
        )  # fmt: skip
        with st.container(horizontal=True):
            st.button("Detect genres", type="primary", icon=":material/label:", shortcut="Ctrl+Enter")
            st.button(
                "Random plot", icon=":material/casino:", on_click=_random, help="Fill in one of the example plots."
            )
    plot = (st.session_state.get("plot") or "").strip()
    with right:
        if not plot:
            st.html(f'<p class="idea-faint">{HINT}</p>')
            return
        try:
            with st.spinner("Detecting genres …"):
                found = api().genres(plot, explain=True)
        except ApiError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.html(f'{bars(found["genres"], 8)}<p class="idea-faint">{HINT}</p>')
        if found["truncated_tokens"]:
            words = max(1, round(WORDS_PER_TOKEN * found["truncated_tokens"]))
            st.caption(f"The plot is too long for the model, so its end (about {plural(words, 'word')}) was ignored.")
        effects = found["word_effects"] or {}
        if effects:
            genre = st.segmented_control(
                "Words that suggest", list(effects), default=next(iter(effects)), required=True,
                help="The stronger a word is colored, the more it raises the probability of the genre.",
            )  # fmt: skip
            st.html(highlighted(plot, effects[genre]))


def _random() -> None:
    st.session_state.plot = random.choice(_plots())


@st.cache_data(show_spinner=False)
def _plots() -> list[str]:
    """Return the example plots of the package, which were written for it."""
    from movieplots.sources.sample import FILE, LOGLINES, read_sample

    if not FILE.is_file():
        return list(LOGLINES.values())
    return [" ".join(row.plot.split()) for row in read_sample(FILE).rows]
