"""Write: genres, a title and first words in, three ideas side by side out, each of which can be taken further."""

import html
import random
from dataclasses import dataclass
from typing import Any

import streamlit as st

from movieplots.serving.client import Trouble
from movieplots.serving.history import Idea, as_json, as_markdown
from movieplots.serving.studio.shared import api, genre_names, history, look_into, models_note, nearness, writer

PRESETS = {"Steady": (0.6, 0.9), "Balanced": (0.8, 0.9), "Wild": (1.1, 0.95)}
SLOTS = 3
TEXT_HEIGHT, NOTES_HEIGHT = 260, 150  # pixels, reserved so that nothing jumps while words come in
PLACEHOLDER = "A lighthouse keeper finds"


@dataclass
class Slot:
    """A place for an idea; `asked` is what is still to be written for it."""

    idea: Idea | None = None
    asked: dict[str, Any] | None = None
    editing: bool = False
    trouble: str = ""


def show() -> None:
    """The page."""
    if "slots" not in st.session_state:
        st.session_state.slots = [Slot() for _ in range(SLOTS)]
    ready = models_note()
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        _form(ready)
    with right:
        _board()
        _past()


def _form(ready: bool) -> None:
    st.pills(
        "Genres", genre_names(), selection_mode="multi", key="genres", wrap=True,
        help="Up to five. Without one, the model decides.",
    )  # fmt: skip
    st.text_input("Title (optional)", key="title", placeholder="Salt (2009)", max_chars=200)
    st.text_area("First words (optional)", key="opening", placeholder=PLACEHOLDER, height=90, max_chars=2000)
    st.segmented_control(
        "How wild", list(PRESETS), key="preset", default="Balanced", wrap=True, required=True,
        format_func=lambda name: f"{name} {PRESETS[name][0]:g} · {PRESETS[name][1]:g}",
        help="Temperature and top-p. A higher temperature takes unlikelier words; top-p leaves out the unlikeliest.",
    )  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            "Write three ideas", type="primary", icon=":material/auto_awesome:", on_click=_write, disabled=not ready,
            shortcut="Ctrl+Enter",
        )  # fmt: skip
        st.button("Surprise me", icon=":material/casino:", on_click=_surprise, disabled=not ready, shortcut="Ctrl+J")
    if len(st.session_state.get("genres") or []) > 5:
        st.warning("More than five genres: the first five count.", icon=":material/info:")


def _asked() -> dict[str, Any]:
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
    st.session_state.genres = random.sample(genre_names(), k=random.choice((1, 2)))
    st.session_state.title = st.session_state.opening = ""
    _write()


def _board() -> None:
    slots = st.session_state.slots
    if not any(slot.idea or slot.asked for slot in slots):
        with st.container(border=True, height=TEXT_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
            st.html('<p class="idea-faint">Choose a genre, or none, and press <b>Write three ideas</b>.</p>')
        return
    for number, column in enumerate(st.columns(SLOTS)):
        with column:
            _card(number)


@st.fragment(parallel=True)
def _card(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    with st.container(border=True, key=f"card-{number}"):
        with st.container(height=TEXT_HEIGHT, border=False):
            words = st.empty()
        with st.container(height=NOTES_HEIGHT, border=False):
            notes = st.empty()
        buttons = st.container(horizontal=True, height=90, border=False)
        if slot.asked:
            _stream(slot, words, notes)
        if slot.editing and slot.idea:
            with words.container():
                st.text_input("Title", slot.idea.title, key=f"edit-title-{number}")
                st.text_area("Plot", slot.idea.plot, key=f"edit-plot-{number}", height=150)
            with buttons:
                st.button("Save", key=f"save-{number}", type="primary", on_click=_save, args=(number,))
                st.button("Cancel", key=f"cancel-{number}", on_click=_edit, args=(number, False))
            return
        if slot.idea:
            words.html(_text(slot.idea))
            with notes.container():
                _notes(slot.idea)
        if slot.trouble:
            notes.error(slot.trouble, icon=":material/error:")
        with buttons:
            st.button("Another", key=f"again-{number}", icon=":material/refresh:", on_click=_again, args=(number,))
            if slot.idea:
                st.button("Go on", key=f"on-{number}", icon=":material/arrow_forward:", on_click=_go_on, args=(number,))
                st.button("Edit", key=f"edit-{number}", icon=":material/edit:", on_click=_edit, args=(number, True))
                if st.button("Poster", key=f"poster-{number}", icon=":material/image:"):
                    st.session_state.poster_idea = slot.idea
                    st.rerun()


def _stream(slot: Slot, words: Any, notes: Any) -> None:
    """Write what was asked for, showing it as it grows."""
    asked = slot.asked or {}
    given = {key: value for key, value in asked.items() if key != "seed"}
    idea = Idea(
        list(asked["genres"]), asked["title"], asked["opening"], asked["temperature"], asked["top_p"], asked["seed"],
        opening=asked["opening"], asked_title=asked["title"], finished=False,
    )  # fmt: skip
    words.html(_text(idea, growing=True))
    text = ""
    try:
        for event, data in api().stream(**given, n=1, seed=asked["seed"]):
            if event == "title":
                idea.title = data["title"]
            elif event == "text":
                text += data["text"]
                idea.plot = text
            elif event == "plot":
                idea.title, idea.plot, idea.finished = data["title"], data["plot"], data["finished"]
                idea.genres = data["genre"].split(", ")
            words.html(_text(idea, growing=True))
    except Trouble as trouble:
        slot.trouble = str(trouble)
    slot.asked = None
    if idea.plot:
        slot.idea = idea
        history().keep(writer(), idea)
        words.html(_text(idea))
        notes.html('<p class="idea-faint">Looking into it …</p>')
        look_into(idea)
        history().keep(writer(), idea)


def _text(idea: Idea, growing: bool = False) -> str:
    caret = " caret" if growing else ""
    end = "" if growing or idea.finished else " …"
    title = html.escape(idea.title) or ("…" if growing else "Untitled")
    return f'<p class="idea-title">{title}</p><p class="idea-plot{caret}">{html.escape(idea.plot)}{end}</p>'


def _notes(idea: Idea) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        for genre in idea.found_genres:
            st.badge(f"{genre['genre']} {genre['probability']:.0%}", color="primary")
    if idea.keywords:
        st.html(f'<p class="idea-faint">{html.escape(" · ".join(idea.keywords))}</p>')
    near = nearness(idea.nearest)
    if idea.nearest and idea.nearest["copied"]:
        st.warning(near, icon=":material/content_copy:")
    elif near:
        st.html(f'<p class="idea-faint">{html.escape(near)}</p>')


def _again(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    slot.trouble = ""
    slot.asked = _asked() | {"seed": random.randrange(2**31)}


def _go_on(number: int) -> None:
    slot: Slot = st.session_state.slots[number]
    idea = slot.idea
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
    slot.trouble = ""
    slot.idea.title, slot.idea.plot, slot.idea.edited, slot.idea.finished = title, plot, True, True
    look_into(slot.idea)
    history().keep(writer(), slot.idea)


def _past() -> None:
    ideas = history().of(writer())
    if not ideas:
        return
    with st.expander(f"Your ideas ({len(ideas)})", icon=":material/history:"):
        with st.container(horizontal=True):
            st.download_button(
                "Markdown", lambda: as_markdown(history().of(writer())), "ideas.md", "text/markdown",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
            st.download_button(
                "JSON", lambda: as_json(history().of(writer())), "ideas.json", "application/json",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
        for idea in ideas[:50]:
            st.html(_text(idea))
            with st.container(horizontal=True):
                st.caption(", ".join(idea.genres))
                st.button("Take up", key=f"open-{idea.id}", on_click=_take_up, args=(idea,), type="tertiary")
                st.button("Forget", key=f"forget-{idea.id}", on_click=_forget, args=(idea,), type="tertiary")


def _take_up(idea: Idea) -> None:
    slots = st.session_state.slots
    free = next((slot for slot in slots if slot.idea is None and not slot.asked), slots[-1])
    free.idea, free.asked, free.editing, free.trouble = idea, None, False, ""


def _forget(idea: Idea) -> None:
    history().forget(writer(), idea)
