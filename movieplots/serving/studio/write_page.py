"""Write: genres, a title and first words in, three ideas side by side out, each of which can be taken further."""

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
from movieplots.serving.client import TEXT_CHARACTERS, Trouble
from movieplots.serving.history import Idea, as_json, as_markdown
from movieplots.serving.studio.shared import (
    api,
    genre_names,
    history,
    look_into,
    models_note,
    nearness,
    restore,
    writer,
)
from movieplots.settings import Json

PRESETS = {"Steady": (0.6, 0.9), "Balanced": (0.8, 0.9), "Wild": (1.1, 0.95)}
SLOTS = 3
TEXT_HEIGHT = 260  # pixels, reserved so that nothing jumps while words come in
EDITOR_HEIGHT = 300  # of the field for a plot: with title and buttons about as much as an idea takes
BETWEEN_WORDS = 0.08  # seconds: what comes sooner is shown with the next words
PATIENCE = 60.0  # seconds for a model to be loaded
KEPT = 10  # ideas on a page of the history
FORM = "genres", "title", "opening", "preset"
PLACEHOLDER = "A lighthouse keeper finds"


@dataclass
class Slot:
    """A place for an idea; `asked` is what is still to be written for it, `missing` why something is unknown."""

    idea: Idea | None = None
    asked: dict[str, Json] | None = None
    editing: bool = False
    trouble: str = ""
    missing: str = ""


def show() -> None:
    """The page."""
    restore(*FORM)
    st.session_state.setdefault("preset", "Balanced")
    if "slots" not in st.session_state:
        st.session_state.slots = [Slot() for _ in range(SLOTS)]
    models_note()
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        _form()
    with right:
        _board()
        _past()


def _form() -> None:
    st.pills(
        "Genres", genre_names(), selection_mode="multi", key="genres", wrap=True,
        help="Up to five. Without one, the model decides.",
    )  # fmt: skip
    st.text_input("Title (optional)", key="title", placeholder="Salt (2009)", max_chars=200)
    st.text_area("First words (optional)", key="opening", placeholder=PLACEHOLDER, height=90, max_chars=TEXT_CHARACTERS)
    st.segmented_control(
        "How wild", list(PRESETS), key="preset", required=True,
        help="A higher temperature takes unlikelier words; top-p leaves out the unlikeliest.",
    )  # fmt: skip
    temperature, top_p = PRESETS[st.session_state.preset or "Balanced"]
    st.caption(f"Temperature {temperature:g} · top-p {top_p:g}")
    with st.container(horizontal=True):
        st.button(
            "Write three ideas", type="primary", icon=":material/auto_awesome:", on_click=_write,
            shortcut="Ctrl+Enter",
        )  # fmt: skip
        st.button("Surprise me", icon=":material/casino:", on_click=_surprise, shortcut="Ctrl+J")
    if len(st.session_state.get("genres") or []) > 5:
        st.warning("More than five genres: the first five count.", icon=":material/info:")


def _asked() -> dict[str, Json]:
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
        slot.idea, slot.editing, slot.trouble = None, False, ""
        slot.asked = _asked() | {"seed": seed + number}


def _surprise() -> None:
    names = genre_names()
    st.session_state.genres = random.sample(names, k=min(len(names), random.choice((1, 2))))
    st.session_state.title = st.session_state.opening = ""
    _write()


def _board() -> None:
    slots = st.session_state.slots
    if not any(slot.idea or slot.asked for slot in slots):
        with st.container(border=True, height=TEXT_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
            st.html('<p class="idea-faint idea-empty">Choose a genre, or none, and press <b>Write three ideas</b>.</p>')
        return
    for number, column in enumerate(st.columns(SLOTS)):
        with column:
            _card(number)


@st.fragment(parallel=True)
def _card(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    with st.container(border=True, key=f"card-{number}"):
        if slot.editing and slot.idea and not slot.asked:
            return _editor(number, slot.idea)
        with st.container(height=TEXT_HEIGHT, border=False, autoscroll=True):
            words = st.empty()
        with st.container(key=f"notes-{number}"):
            notes = st.empty()
        buttons = st.container(horizontal=True, gap="xsmall", key=f"buttons-{number}")
        if slot.asked:
            _stream(slot, words, notes)
        if slot.idea:
            words.html(_text(slot.idea))
            with notes.container(gap="xsmall"):
                _notes(slot.idea)
                if slot.missing:
                    st.html(f'<p class="idea-faint">{html.escape(slot.missing)}</p>')
        if slot.trouble:
            notes.error(slot.trouble, icon=":material/error:")
        with buttons:
            st.button("Another", key=f"again-{number}", icon=":material/refresh:", on_click=_again, args=(number,))
            if slot.idea:
                st.button(
                    "Go on", key=f"on-{number}", icon=":material/arrow_forward:", on_click=_continue, args=(number,)
                )
                st.button("Edit", key=f"edit-{number}", icon=":material/edit:", on_click=_edit, args=(number, True))
                if st.button("Poster", key=f"poster-{number}", icon=":material/image:"):
                    st.session_state.poster_idea = slot.idea
                    st.rerun()


def _editor(number: int, idea: Idea) -> None:
    # In a form nothing runs before Save. Else to leave one field would draw the other one anew, over what was just
    # typed there; nothing empties this place first either, as where ideas grow.
    with st.form(f"editor-{number}", border=False):
        st.text_input("Title", idea.title, key=f"edit-title-{number}", max_chars=200)
        st.text_area("Plot", idea.plot, key=f"edit-plot-{number}", height=EDITOR_HEIGHT, max_chars=TEXT_CHARACTERS)
        with st.container(horizontal=True, gap="xsmall"):
            st.form_submit_button("Save", type="primary", on_click=_save, args=(number,))
            st.form_submit_button("Cancel", on_click=_edit, args=(number, False))


def _stream(slot: Slot, words: Any, notes: Any) -> None:
    """Write what was asked for, showing it as it grows."""
    asked = slot.asked or {}
    idea = Idea(
        list(asked["genres"]), asked["title"], asked["opening"], asked["temperature"], asked["top_p"], asked["seed"],
        opening=asked["opening"], asked_title=asked["title"], finished=False,
    )  # fmt: skip
    words.html(_text(idea, growing=True))
    text, shown = "", 0.0
    try:
        for event, data in _events(asked, notes):
            if event == "title":
                idea.title = data["title"]
            elif event == "text":
                text += data["text"]
                idea.plot = text
            elif event == "plot":
                idea.title, idea.plot, idea.finished = data["title"], data["plot"], data["finished"]
                idea.genres = data["genre"].split(", ")
            if time.monotonic() - shown > BETWEEN_WORDS:
                words.html(_text(idea, growing=True))
                shown = time.monotonic()
    except Trouble as trouble:
        slot.trouble = str(trouble)
    slot.asked = None
    if text or idea.finished:
        slot.idea = idea
        history().keep(writer(), idea)
        words.html(_text(idea))
        notes.html('<p class="idea-faint">Looking into it …</p>')
        slot.missing = look_into(idea)
        history().keep(writer(), idea)
    if not any(each.asked for each in st.session_state.slots):
        st.rerun()  # nothing is growing any more: bring the history up to date


def _events(asked: dict[str, Json], notes: Any) -> Iterator[tuple[str, dict[str, Json]]]:
    """What the API streams; a model that is still being loaded is waited for."""
    until, begun = time.monotonic() + PATIENCE, False
    while True:
        try:
            for event in api().stream(**asked):
                begun = True
                yield event
            return
        except Trouble as trouble:
            if begun or not trouble.loading or time.monotonic() > until:
                raise
            notes.progress(0.5, "Waking up …")
            time.sleep(0.5)


def _text(idea: Idea, growing: bool = False) -> str:
    caret = " caret" if growing else ""
    end = "" if growing or idea.finished else " …"
    title = html.escape(idea.title) or ("…" if growing else "Untitled")
    return f'<p class="idea-title">{title}</p><p class="idea-plot{caret}">{html.escape(idea.plot)}{end}</p>'


def _notes(idea: Idea) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        for genre in idea.found_genres:
            st.badge(f"{genre['genre']} {percent(genre['probability'])}", color="primary")
    if idea.keywords:
        st.html(f'<p class="idea-faint">{html.escape(" · ".join(idea.keywords))}</p>')
    near = nearness(idea.nearest)
    if idea.nearest and idea.nearest["copied"]:
        st.warning(re.sub(r"([*_$`\[\]\\~:])", r"\\\1", near), icon=":material/content_copy:")
    elif near:
        st.html(f'<p class="idea-faint">{html.escape(near)}</p>')


def _again(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    slot.trouble = ""
    slot.asked = _asked() | {"seed": random.randrange(2**31)}


def _continue(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    idea = slot.idea
    assert idea is not None  # without one there is no such button
    slot.trouble = ""
    slot.asked = _asked() | {
        "genres": idea.genres, "title": idea.title, "opening": idea.plot, "go_on": True,
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
        slot.trouble = "An idea needs some words: nothing was changed."
        return
    idea = slot.idea
    assert idea is not None  # without one there is no such button
    slot.trouble = ""
    idea.title, idea.plot, idea.edited, idea.finished = title, plot, True, True
    slot.missing = look_into(idea)
    history().keep(writer(), idea)


def _past() -> None:
    ideas = history().of(writer())
    if not ideas:
        return
    with st.expander(f"Your ideas ({len(ideas)})", icon=":material/history:"):
        with st.container(horizontal=True):
            st.download_button(
                "Markdown", partial(as_markdown, ideas), "ideas.md", "text/markdown",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
            st.download_button(
                "JSON", partial(as_json, ideas), "ideas.json", "application/json",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
        st.caption("They belong to this page's address: bookmark it, and keep it to yourself.")
        pages = -(-len(ideas) // KEPT)
        page = st.pagination(pages, key="past-page") if pages > 1 else 1
        for idea in ideas[(page - 1) * KEPT : page * KEPT]:
            st.html(_text(idea))
            with st.container(horizontal=True):
                st.caption(", ".join(idea.genres))
                st.button("Take up", key=f"open-{idea.id}", on_click=_take_up, args=(idea,), type="tertiary")
                st.button("Forget", key=f"forget-{idea.id}", on_click=_forget, args=(idea,), type="tertiary")


def _take_up(idea: Idea) -> None:
    slots = st.session_state.slots
    free = next((slot for slot in slots if slot.idea is None and not slot.asked), slots[-1])
    free.idea, free.asked, free.editing, free.trouble, free.missing = idea, None, False, "", ""


def _forget(idea: Idea) -> None:
    history().forget(writer(), idea)
