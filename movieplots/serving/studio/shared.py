"""What all pages of the studio use: the API, the history, who is writing, and how things look."""

import html
import os
import re
import secrets
from collections.abc import Sequence

import streamlit as st

from movieplots.formatting import percent
from movieplots.serving.client import Client, Genre, Nearest, Trouble, Word
from movieplots.serving.history import History, Idea
from movieplots.serving.launch import API, HISTORY
from movieplots.settings import Json

SHOWN_GENRES = 6
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
.bar-name.given { font-weight: 700; }
.bar { position: relative; height: 0.8rem; border-radius: 0.4rem; }
.bar { background: color-mix(in srgb, currentColor 12%, transparent); }
.bar-fill { position: absolute; inset: 0 auto 0 0; border-radius: 0.4rem; }
.bar-fill { background: color-mix(in srgb, currentColor 35%, transparent); }
.bar-fill.given { background: #c8553d; }
.bar-mark { position: absolute; top: -0.2rem; bottom: -0.2rem; width: 2px; background: currentColor; opacity: 0.75; }
.bar-number { text-align: right; font-variant-numeric: tabular-nums; opacity: 0.8; }
.words { line-height: 2; overflow-wrap: anywhere; }
.words mark { color: inherit; border-radius: 0.25rem; padding: 0.1rem 0.15rem; }
@media (prefers-reduced-motion: reduce) { .caret::after { animation: none; } }
</style>"""


def style() -> None:
    """The rules that Streamlit's theme has no setting for."""
    st.html(STYLE)


@st.cache_resource
def api() -> Client:
    """The connection to the API."""
    return Client(os.environ[API])


@st.cache_resource
def history() -> History:
    """The ideas of all writers."""
    return History(os.environ[HISTORY])


def remember_writer() -> None:
    """Give each browser a secret of its own, in the address: whoever reloads or bookmarks it has the same history."""
    asked = st.query_params.get("writer", "")
    known = asked if re.fullmatch(r"[\w-]{12}", asked) else st.session_state.get("writer")
    writer = known or secrets.token_urlsafe(9)
    st.session_state.writer = writer
    if st.query_params.get("writer") != writer:
        st.query_params["writer"] = writer


def note(*keys: str) -> None:
    """Note what is filled in for these keys, for `restore`; Streamlit forgets what is not on the page."""
    noted = st.session_state.setdefault("noted", {})
    noted.update({key: st.session_state[key] for key in keys if key in st.session_state})


def restore(*keys: str) -> None:
    """Fill in again what was noted; to be called before the widgets with these keys are made."""
    for key in keys:
        if key not in st.session_state and key in st.session_state.noted:
            st.session_state[key] = st.session_state.noted[key]


def writer() -> str:
    """Who is writing."""
    return st.session_state.writer


@st.cache_data(ttl=5, show_spinner=False)
def served() -> dict[str, list[dict[str, Json]]]:
    """The models that the API serves, asked at most every five seconds. Raises Trouble."""
    return api().models()


def models_note() -> None:
    """Say how far the models are, where they are not ready."""
    try:
        models = served()["models"]
    except Trouble as trouble:
        st.info(str(trouble), icon=":material/hourglass_top:")
        _wake_up()
        return
    loading = [model["name"] for model in models if model["state"] == "loading"]
    failed = [f"{model['name']} ({model['error']})" for model in models if model["state"] == "failed"]
    if failed:
        st.error(f"Not available: {'; '.join(failed)}", icon=":material/error:")
    if loading:
        _wake_up()


@st.fragment(run_every=1.0)
def _wake_up() -> None:
    try:
        served.clear()
        loading = [model["name"] for model in served()["models"] if model["state"] == "loading"]
    except Trouble:
        loading = ["the writing engine"]
    if not loading:
        st.rerun()
    st.progress(0.5, f"Waking up: {', '.join(loading)}. You can fill in the page meanwhile.")


def genre_names(task: str = "generation") -> list[str]:
    """The genres that can be asked for."""
    try:
        found = {genre for model in served()["models"] if model["task"] == task for genre in model["genres"]}
    except Trouble:
        found = set()
    return sorted(found)


def look_into(idea: Idea) -> str:
    """Find genres, keywords and the nearest training plot; returns a sentence where something is not available."""
    missing = []
    for name, find in (
        ("found_genres", lambda: [genre for genre in api().genres(idea.plot)["genres"] if genre["given"]]),
        ("keywords", lambda: api().keywords(idea.plot)),
        ("nearest", lambda: api().novelty(idea.plot)),
    ):
        try:
            setattr(idea, name, find())
        except Trouble as trouble:
            missing.append(str(trouble))
    return missing[0] if missing else ""


def bars(genres: Sequence[Genre], most: int = SHOWN_GENRES) -> str:
    """The likeliest genres as bars with their thresholds marked, as HTML."""
    rows = []
    given = [genre for genre in genres if genre["given"]]
    for genre in genres[: max(most, len(given))]:
        share, mark = genre["probability"], genre["threshold"]
        on = " given" if genre["given"] else ""
        rows.append(
            f'<div class="bar-row"><span class="bar-name{on}">{html.escape(genre["genre"])}</span>'
            f'<span class="bar" role="img" aria-label="{share:.0%}, threshold {mark:.0%}">'
            f'<span class="bar-fill{on}" style="width:{share:.1%}"></span>'
            f'<span class="bar-mark" style="left:{mark:.1%}"></span></span>'
            f'<span class="bar-number">{percent(share)}</span></div>'
        )
    return "".join(rows)


def marked(plot: str, words: Sequence[Word]) -> str:
    """The plot with the words that speak for a genre coloured, as HTML; the stronger the word, the stronger."""
    strongest = max((word["effect"] for word in words), default=0.0)
    parts, at = [], 0
    for word in sorted(words, key=lambda word: word["start"]):
        share = max(0.0, word["effect"]) / strongest if strongest > 0 else 0.0
        parts.append(html.escape(plot[at : word["start"]]))
        text = html.escape(plot[word["start"] : word["end"]])
        colour = f"rgba(200, 85, 61, {share * 0.75:.2f})"
        parts.append(f'<mark style="background:{colour}">{text}</mark>' if share > 0.1 else text)
        at = word["end"]
    return f'<p class="words">{"".join(parts)}{html.escape(plot[at:])}</p>'


def nearness(nearest: Nearest | None) -> str:
    """How near an idea is to what the model read, as a sentence; empty where that is not known."""
    if not nearest or not nearest["similarity"]:  # a plot without words is near to none
        return ""
    if nearest["copied"]:
        return f"Copies {nearest['run']} words in a row from “{nearest['run_title']}”."
    far = (
        "Like" if nearest["similarity"] > 0.75 else "Some likeness to" if nearest["similarity"] > 0.5 else "Little like"
    )
    return f"{far} “{nearest['title']}” ({nearest['similarity']:.2f}), the nearest plot it was trained on."
