"""Functions for all pages of the studio: the API, the history, the identity of the writer, and the style."""

import html
import os
import re
import secrets
from collections.abc import Sequence

import streamlit as st

from movieplots.formatting import percent
from movieplots.serving.client import ApiError, Client, Genre, NearestTrainingPlot, WordEffect
from movieplots.serving.history import History, Idea
from movieplots.serving.launch import API, HISTORY
from movieplots.settings import Json

SHOWN_GENRES = 6
SIMILAR, SOMEWHAT_SIMILAR = 0.75, 0.5  # cosine similarities
MODEL_NAMES = {
    "with-titles": "plots with titles",
    "without-titles": "plots without titles",
    "classifier": "genre detection",
}
STYLE = """<style>
.block-container { padding-top: 5rem; padding-bottom: 3rem; max-width: 1400px; }
.idea-title { font-size: 1.15rem; font-weight: 700; line-height: 1.3; margin: 0; overflow-wrap: anywhere; }
.idea-plot { line-height: 1.55; margin: 0.4rem 0 0; overflow-wrap: anywhere; }
.idea-faint { opacity: 0.65; font-size: 0.85rem; line-height: 1.4; margin: 0.4rem 0 0; overflow-wrap: anywhere; }
.idea-empty { text-align: center; }
[class*="st-key-notes-"] { min-height: 13rem; }
[class*="st-key-buttons-"] { min-height: 5rem; }
[class*="st-key-buttons-"] button { min-height: 2.1rem; padding: 0.1rem 0.6rem; }
@media (max-width: 640px) { [class*="st-key-buttons-"] { min-height: 2.5rem; } }
.caret::after { content: "▍"; opacity: 0.6; animation: blink 1s steps(2) infinite; }
@keyframes blink { 50% { opacity: 0; } }
.bar-row { display: grid; grid-template-columns: 6.5rem 1fr 3rem; gap: 0.6rem; align-items: center; margin: 0.3rem 0; }
.bar-name.predicted { font-weight: 700; }
.bar { position: relative; height: 0.8rem; border-radius: 0.4rem; }
.bar { background: color-mix(in srgb, currentColor 12%, transparent); }
.bar-fill { position: absolute; inset: 0 auto 0 0; border-radius: 0.4rem; }
.bar-fill { background: color-mix(in srgb, currentColor 35%, transparent); }
.bar-fill.predicted { background: #c8553d; }
.bar-mark { position: absolute; top: -0.2rem; bottom: -0.2rem; width: 2px; background: currentColor; opacity: 0.75; }
.bar-number { text-align: right; font-variant-numeric: tabular-nums; opacity: 0.8; }
.words { line-height: 2; overflow-wrap: anywhere; }
.words mark { color: inherit; border-radius: 0.25rem; padding: 0.1rem 0.15rem; }
@media (prefers-reduced-motion: reduce) { .caret::after { animation: none; } }
</style>"""


def add_style() -> None:
    """Add the CSS rules that Streamlit's theme has no setting for."""
    st.html(STYLE)


@st.cache_resource
def api() -> Client:
    """Return the connection to the API."""
    return Client(os.environ[API])


@st.cache_resource
def history() -> History:
    """Return the store of ideas."""
    return History(os.environ[HISTORY])


def identify_writer() -> None:
    """Put a secret into the address of the page, so that a reload or a bookmark opens the same history."""
    given = st.query_params.get("writer", "")
    known = given if re.fullmatch(r"[\w-]{12}", given) else st.session_state.get("writer")
    writer = known or secrets.token_urlsafe(9)
    st.session_state.writer = writer
    if st.query_params.get("writer") != writer:
        st.query_params["writer"] = writer


def remember_form(*keys: str) -> None:
    """Store the values of these widgets for `restore_form`; Streamlit drops those of other pages."""
    values = st.session_state.setdefault("form_values", {})
    values.update({key: st.session_state[key] for key in keys if key in st.session_state})


def restore_form(*keys: str) -> None:
    """Restore the stored values of these widgets; call it before they are created."""
    for key in keys:
        if key not in st.session_state and key in st.session_state.form_values:
            st.session_state[key] = st.session_state.form_values[key]


def writer() -> str:
    """Return the id of the writer."""
    return st.session_state.writer


@st.cache_data(ttl=5, show_spinner=False)
def served() -> dict[str, list[dict[str, Json]]]:
    """Return the models and poster providers of the API, at most five seconds old; raise ApiError."""
    return api().models()


def models_note() -> None:
    """Show which models are loading or could not be loaded."""
    try:
        models = served()["models"]
    except ApiError as error:
        st.info(str(error), icon=":material/hourglass_top:")
        _loading_note()
        return
    failed = [f"{_model_name(model)} ({model['error']})" for model in models if model["state"] == "failed"]
    if failed:
        st.error(f"Not available: {'; '.join(failed)}", icon=":material/error:")
    if any(model["state"] == "loading" for model in models):
        _loading_note()


@st.fragment(run_every=1.0)
def _loading_note() -> None:
    try:
        served.clear()
        loading = [_model_name(model) for model in served()["models"] if model["state"] == "loading"]
    except ApiError:
        loading = ["the server"]
    if not loading:
        st.rerun()
    st.progress(0.5, f"Loading {', '.join(loading)} … You can already fill in the page.")


def _model_name(model: dict[str, Json]) -> str:
    name: str = model["name"]
    return MODEL_NAMES.get(name, name)


def genre_names(task: str = "generation") -> list[str]:
    """Return the genres that the models for a task know."""
    try:
        found = {genre for model in served()["models"] if model["task"] == task for genre in model["genres"]}
    except ApiError:
        found = set()
    return sorted(found)


def analyze(idea: Idea) -> str:
    """Add the genres, the keywords and the nearest training plot to an idea; return the first error message, or ""."""
    errors = []
    for name, find in (
        ("found_genres", lambda: [genre for genre in api().genres(idea.plot)["genres"] if genre["predicted"]]),
        ("keywords", lambda: api().keywords(idea.plot)),
        ("nearest", lambda: api().novelty(idea.plot)),
    ):
        try:
            setattr(idea, name, find())
        except ApiError as error:
            errors.append(str(error))
    return errors[0] if errors else ""


def bars(genres: Sequence[Genre], most: int = SHOWN_GENRES) -> str:
    """Return the most probable genres as bars with their thresholds, as HTML."""
    rows = []
    predicted = [genre for genre in genres if genre["predicted"]]
    for genre in genres[: max(most, len(predicted))]:
        share, mark = genre["probability"], genre["threshold"]
        on = " predicted" if genre["predicted"] else ""
        rows.append(
            f'<div class="bar-row"><span class="bar-name{on}">{html.escape(genre["genre"])}</span>'
            f'<span class="bar" role="img" aria-label="{share:.0%}, detected from {mark:.0%}">'
            f'<span class="bar-fill{on}" style="width:{share:.1%}"></span>'
            f'<span class="bar-mark" style="left:{mark:.1%}"></span></span>'
            f'<span class="bar-number">{percent(share)}</span></div>'
        )
    return "".join(rows)


def highlighted(plot: str, words: Sequence[WordEffect]) -> str:
    """Return the plot as HTML, with the words colored that raise the probability of a genre."""
    strongest = max((word["effect"] for word in words), default=0.0)
    parts, at = [], 0
    for word in sorted(words, key=lambda word: word["start"]):
        share = max(0.0, word["effect"]) / strongest if strongest > 0 else 0.0
        parts.append(html.escape(plot[at : word["start"]]))
        text = html.escape(plot[word["start"] : word["end"]])
        color = f"rgba(200, 85, 61, {share * 0.75:.2f})"
        parts.append(f'<mark style="background:{color}">{text}</mark>' if share > 0.1 else text)
        at = word["end"]
    return f'<p class="words">{"".join(parts)}{html.escape(plot[at:])}</p>'


def similarity_note(nearest: NearestTrainingPlot | None) -> str:
    """Return a sentence on the most similar training plot; empty if it is unknown or the idea has no words."""
    if not nearest or not nearest["similarity"]:
        return ""
    if nearest["copied"]:
        words, title = nearest["longest_verbatim_span"], nearest["span_title"]
        return f"Copies {words} consecutive words from “{title}” in the training data."
    similarity = nearest["similarity"]
    degree = "Very" if similarity > SIMILAR else "Somewhat" if similarity > SOMEWHAT_SIMILAR else "Not very"
    return f"{degree} similar to “{nearest['title']}” ({similarity:.2f} of 1), the closest plot in the training data."
