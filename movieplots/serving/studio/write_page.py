"""The page Write: three ideas side by side, from genres, a title and first words; each can be continued and edited."""

import html
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from movieplots.formatting import percent
from movieplots.serving.client import MAX_TEXT_CHARACTERS, ApiError
from movieplots.serving.history import Idea, as_json, as_markdown
from movieplots.serving.studio.shared import (
    analyze,
    api,
    genre_names,
    history,
    models_note,
    restore_form,
    similarity_note,
    writer,
)
from movieplots.settings import Json

PRESETS = {"Low": (0.6, 0.9), "Balanced": (0.8, 0.9), "High": (1.1, 0.95)}  # (temperature, top-p)
EFFECTS = {
    "Low": "Probable words: coherent, but more predictable.",
    "Balanced": "A balance of coherence and surprise.",
    "High": "Unusual words: more surprising, but less coherent.",
}
SLOTS = 3
TEXT_HEIGHT = 260  # pixels, fixed so that the layout does not move while text arrives
EDITOR_HEIGHT = 300  # pixels of the field for a plot: with title and buttons about as high as an idea
UPDATE_SECONDS = 0.08  # minimum time between two updates of a growing text
LOADING_SECONDS = 60.0  # maximum time to wait for a model to load
IDEAS_PER_PAGE = 10  # of the history
FORM = "genres", "title", "opening", "preset"
PLACEHOLDER = "A lighthouse keeper finds"


@dataclass
class Slot:
    """A place for an idea; `request` is still to be sent, `error` and `missing` are messages.

    `missing` tells why the analysis of the idea is incomplete.
    """

    idea: Idea | None = None
    request: dict[str, Json] | None = None
    editing: bool = False
    error: str = ""
    missing: str = ""


def show() -> None:
    """Show the page."""
    restore_form(*FORM)
    st.session_state.setdefault("preset", "Balanced")
    if "slots" not in st.session_state:
        st.session_state.slots = [Slot() for _ in range(SLOTS)]
    models_note()
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        _form()
    with right:
        _board()
        _history()


def _form() -> None:
    st.pills(
        "Genres", genre_names(), selection_mode="multi", key="genres", wrap=True,
        help="Choose up to five genres for the ideas. If you choose none, each idea gets a random genre.",
    )  # fmt: skip
    st.text_input(
        "Title (optional)", key="title", placeholder="Salt (2009)", max_chars=200,
        help="Title of the movie, with a year if you like. If you leave it empty, the model may invent one.",
    )  # fmt: skip
    st.text_area(
        "First words (optional)", key="opening", placeholder=PLACEHOLDER, height=90, max_chars=MAX_TEXT_CHARACTERS,
        help="Each idea starts with these words.",
    )  # fmt: skip
    values = "; ".join(f"{name}: {temperature:g} and {top_p:g}" for name, (temperature, top_p) in PRESETS.items())
    st.segmented_control(
        "Creativity", list(PRESETS), key="preset", required=True,
        help=f"How surprising the words are. It sets the model's temperature and top-p ({values}).",
    )  # fmt: skip
    st.caption(EFFECTS[st.session_state.preset or "Balanced"])
    # No `help` here: Streamlit then renders a button twice, and its shortcut with it.
    with st.container(horizontal=True):
        st.button(
            "Write three ideas", type="primary", icon=":material/auto_awesome:", on_click=_write,
            shortcut="Ctrl+Enter",
        )  # fmt: skip
        st.button("Surprise me", icon=":material/casino:", on_click=_surprise, shortcut="Ctrl+J")
    st.caption("Surprise me clears the form and chooses one or two genres at random.")
    if len(st.session_state.get("genres") or []) > 5:
        st.warning("You chose more than five genres. Only the first five are used.", icon=":material/info:")


def _request() -> dict[str, Json]:
    state = st.session_state
    temperature, top_p = PRESETS[state.get("preset") or "Balanced"]
    return {
        "genres": list(state.get("genres") or [])[:5],
        "title": (state.get("title") or "").strip(),
        "opening": (state.get("opening") or "").strip(),
        "temperature": temperature,
        "top_p": top_p,
    }


def _write() -> None:
    seed = random.randrange(2**31)
    for number, slot in enumerate(st.session_state.slots):
        slot.idea, slot.editing, slot.error = None, False, ""
        slot.request = _request() | {"seed": seed + number}


def _surprise() -> None:
    names = genre_names()
    st.session_state.genres = random.sample(names, k=min(len(names), random.choice((1, 2))))
    st.session_state.title = st.session_state.opening = ""
    _write()


def _board() -> None:
    slots = st.session_state.slots
    if not any(slot.idea or slot.request for slot in slots):
        with st.container(border=True, height=TEXT_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
            st.html('<p class="idea-faint idea-empty">Choose genres, or none, and press <b>Write three ideas</b>.</p>')
        return
    for number, column in enumerate(st.columns(SLOTS)):
        with column:
            _card(number)


@st.fragment(parallel=True)
def _card(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    with st.container(border=True, key=f"card-{number}"):
        if slot.editing and slot.idea and not slot.request:
            return _editor(number, slot.idea)
        with st.container(height=TEXT_HEIGHT, border=False, autoscroll=True):
            words = st.empty()
        with st.container(key=f"notes-{number}"):
            notes = st.empty()
        buttons = st.container(horizontal=True, gap="xsmall", key=f"buttons-{number}")
        if slot.request:
            _stream(slot, words, notes)
        if slot.idea:
            words.html(_text(slot.idea))
            with notes.container(gap="xsmall"):
                _notes(slot.idea)
                if slot.missing:
                    st.html(f'<p class="idea-faint">{html.escape(slot.missing)}</p>')
        if slot.error:
            notes.error(slot.error, icon=":material/error:")
        with buttons:
            st.button(
                "Try again", key=f"again-{number}", icon=":material/refresh:", on_click=_again, args=(number,),
                help="Replace this idea with a new one, using the form on the left.",
            )  # fmt: skip
            if slot.idea:
                st.button(
                    "Continue", key=f"continue-{number}", icon=":material/arrow_forward:", on_click=_continue,
                    args=(number,), help="Add more text at the end of this plot.",
                )  # fmt: skip
                st.button(
                    "Edit", key=f"edit-{number}", icon=":material/edit:", on_click=_edit, args=(number, True),
                    help="Change the title and the text.",
                )  # fmt: skip
                help_ = "Make a poster with the title, genres and keywords of this idea."
                if st.button("Poster", key=f"poster-{number}", icon=":material/image:", help=help_):
                    st.session_state.poster_idea = slot.idea
                    st.rerun()


def _editor(number: int, idea: Idea) -> None:
    # In a form, no script runs before Save. Otherwise leaving one field would redraw the other one over new text.
    with st.form(f"editor-{number}", border=False):
        st.text_input("Title", idea.title, key=f"edit-title-{number}", max_chars=200)
        st.text_area("Plot", idea.plot, key=f"edit-plot-{number}", height=EDITOR_HEIGHT, max_chars=MAX_TEXT_CHARACTERS)
        with st.container(horizontal=True, gap="xsmall"):
            st.form_submit_button("Save", type="primary", on_click=_save, args=(number,))
            st.form_submit_button("Cancel", on_click=_edit, args=(number, False))


def _stream(slot: Slot, words: Any, notes: Any) -> None:
    """Send the request of the slot, and show the idea while it grows."""
    request = slot.request or {}
    idea = Idea(
        list(request["genres"]), request["title"], request["opening"], request["temperature"], request["top_p"],
        request["seed"], opening=request["opening"], asked_title=request["title"], finished=False,
    )  # fmt: skip
    words.html(_text(idea, growing=True))
    text, shown = "", 0.0
    try:
        for event, data in _events(request, notes):
            if event == "title":
                idea.title = data["title"]
            elif event == "text":
                text += data["text"]
                idea.plot = text
            elif event == "plot":
                idea.title, idea.plot = data["title"], data["plot"]
                idea.finished = data["finish_reason"] == "stop"
                idea.genres = data["genre"].split(", ")
            if time.monotonic() - shown > UPDATE_SECONDS:
                words.html(_text(idea, growing=True))
                shown = time.monotonic()
    except ApiError as error:
        slot.error = str(error)
    slot.request = None
    if text or idea.finished:
        slot.idea = idea
        history().save(writer(), idea)
        words.html(_text(idea))
        notes.html('<p class="idea-faint">Finding its genres, its keywords and similar plots …</p>')
        slot.missing = analyze(idea)
        history().save(writer(), idea)
    if not any(each.request for each in st.session_state.slots):
        st.rerun()  # all ideas are complete: update the history


def _events(request: dict[str, Json], notes: Any) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the events of the API; wait for a model that is loading."""
    deadline, started = time.monotonic() + LOADING_SECONDS, False
    while True:
        try:
            for event in api().stream(**request):
                started = True
                yield event
            return
        except ApiError as error:
            if started or not error.loading or time.monotonic() > deadline:
                raise
            notes.progress(0.5, "Loading the model …")
            time.sleep(0.5)


def _text(idea: Idea, growing: bool = False) -> str:
    caret = " caret" if growing else ""
    end = "" if growing or idea.finished else " …"
    title = html.escape(idea.title) or ("…" if growing else "Untitled")
    return f'<p class="idea-title">{title}</p><p class="idea-plot{caret}">{html.escape(idea.plot)}{end}</p>'


def _notes(idea: Idea) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        for genre in idea.found_genres:
            share = percent(genre["probability"])
            st.badge(
                f"{genre['genre']} {share}", color="primary",
                help=f"The genre detection finds {genre['genre']} in this plot, with a probability of {share}.",
            )  # fmt: skip
    if idea.keywords:
        st.html(f'<p class="idea-faint">Keywords: {html.escape(" · ".join(idea.keywords))}</p>')
    note = similarity_note(idea.nearest)
    if idea.nearest and idea.nearest["copied"]:
        st.warning(re.sub(r"([*_$`\[\]\\~:])", r"\\\1", note), icon=":material/content_copy:")
    elif note:
        st.html(f'<p class="idea-faint">{html.escape(note)}</p>')


def _again(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    slot.error = ""
    slot.request = _request() | {"seed": random.randrange(2**31)}


def _continue(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    idea = slot.idea
    assert idea is not None  # otherwise there is no such button
    slot.error = ""
    slot.request = _request() | {
        "genres": idea.genres, "title": idea.title, "opening": idea.plot, "continue_opening": True,
        "seed": random.randrange(2**31),
    }  # fmt: skip


def _edit(number: int, on: bool) -> None:
    st.session_state.slots[number].editing = on


def _save(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    title = " ".join(st.session_state[f"edit-title-{number}"].split())
    plot = " ".join(st.session_state[f"edit-plot-{number}"].split())
    slot.editing = False
    if not plot:
        slot.error = "The plot is empty, so nothing was changed."
        return
    idea = slot.idea
    assert idea is not None  # otherwise there is no such button
    slot.error = ""
    idea.title, idea.plot, idea.edited, idea.finished = title, plot, True, True
    slot.missing = analyze(idea)
    history().save(writer(), idea)


def _history() -> None:
    ideas = history().ideas_of(writer())
    if not ideas:
        return
    with st.expander(f"Your ideas ({len(ideas)})", icon=":material/history:"):
        with st.container(horizontal=True):
            st.download_button(
                "Download as Markdown", partial(as_markdown, ideas), "ideas.md", "text/markdown",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
            st.download_button(
                "Download as JSON", partial(as_json, ideas), "ideas.json", "application/json",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
        st.caption(
            "Your ideas are saved under the address of this page: bookmark it to find them again. Anyone who has the "
            "address can read and change them."
        )
        pages = -(-len(ideas) // IDEAS_PER_PAGE)
        page = st.pagination(pages, key="history-page") if pages > 1 else 1
        for idea in ideas[(page - 1) * IDEAS_PER_PAGE : page * IDEAS_PER_PAGE]:
            st.html(_text(idea))
            with st.container(horizontal=True):
                st.caption(", ".join(idea.genres))
                st.button("Open", key=f"open-{idea.id}", on_click=_open, args=(idea,), type="tertiary")
                st.button("Delete", key=f"delete-{idea.id}", on_click=_delete, args=(idea,), type="tertiary")


def _open(idea: Idea) -> None:
    slots = st.session_state.slots
    free = next((slot for slot in slots if slot.idea is None and not slot.request), slots[-1])
    free.idea, free.request, free.editing, free.error, free.missing = idea, None, False, "", ""


def _delete(idea: Idea) -> None:
    history().delete(writer(), idea)
