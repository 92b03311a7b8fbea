"""Poster: an image for an idea from its title, genres and keywords."""

import random

import streamlit as st

from movieplots.serving.client import Trouble
from movieplots.serving.history import Idea
from movieplots.serving.studio.shared import api, genre_names, history, models_note, served, writer


def show() -> None:
    """The page."""
    models_note()
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        ideas = history().of(writer())
        chosen = st.session_state.pop("poster_idea", None)
        if chosen:
            _fill(chosen)
        if ideas:
            labels = {idea.id: f"{idea.title or 'Untitled'} · {idea.plot[:50]} …" for idea in ideas}
            st.selectbox(
                "One of your ideas", list(labels), index=None, key="poster_from", on_change=_from_history,
                format_func=labels.get, placeholder="or fill in below",
            )  # fmt: skip
        st.text_input("Title", key="poster_title", placeholder="Salt (2009)", max_chars=200)
        st.multiselect("Genres, the most important first", genre_names(), key="poster_genres", max_selections=5)
        st.text_input("Keywords, separated by commas", key="poster_keywords", max_chars=300)
        st.selectbox("Made by", _makers(), key="poster_provider", help=_others())
        with st.container(horizontal=True):
            st.button("Make a poster", type="primary", icon=":material/image:", on_click=_make, shortcut="Ctrl+Enter")
            st.button("Another", icon=":material/refresh:", on_click=_make, args=(True,))
    with right:
        _poster()


def _poster() -> None:
    """Make what was asked for, once, and show it: a poster that is painted elsewhere may cost money."""
    state = st.session_state
    asked = state.get("poster_asked")
    if not asked:
        st.html('<p class="idea-faint">A poster appears here.</p>')
        return
    if not (state.get("poster_image") or state.get("poster_trouble")):
        try:
            with st.spinner("Making a poster …"):
                state.poster_image = api().poster(**asked)
        except Trouble as trouble:
            state.poster_trouble = str(trouble)
    if state.get("poster_trouble"):
        st.error(state.poster_trouble, icon=":material/error:")
        return
    st.image(state.poster_image, width=420, alt=f"Poster of {asked['title'] or 'an untitled idea'}")
    kind = {b"\xff\xd8": "jpg", b"RI": "webp"}.get(state.poster_image[:2], "png")
    st.download_button("Save", state.poster_image, f"poster.{kind}", icon=":material/download:", on_click="ignore")


def _makers() -> list[str]:
    try:
        return [maker["name"] for maker in served()["posters"] if maker["available"]]
    except Trouble:
        return ["typographic"]


def _others() -> str | None:
    """What has to be set for the makers that are not available."""
    try:
        missing = [f"{maker['name']}: {maker['needs']}" for maker in served()["posters"] if not maker["available"]]
    except Trouble:
        return None
    return "More, if the API is started with:\n\n" + "\n".join(f"- {line}" for line in missing) if missing else None


def _fill(idea: Idea) -> None:
    st.session_state.poster_title = idea.title
    known = set(genre_names())
    found = [genre["genre"] for genre in idea.found_genres] or idea.genres
    st.session_state.poster_genres = [genre for genre in found if genre in known][:5]
    st.session_state.poster_keywords = ", ".join(idea.keywords)
    _make()


def _from_history() -> None:
    chosen = [idea for idea in history().of(writer()) if idea.id == st.session_state.poster_from]
    if chosen:
        _fill(chosen[0])


def _make(another: bool = False) -> None:
    state = st.session_state
    keywords = [word.strip()[:60] for word in (state.get("poster_keywords") or "").split(",") if word.strip()][:10]
    seed = random.randrange(2**31) if another else state.get("poster_asked", {}).get("seed", 0)
    state.poster_asked = {
        "title": state.get("poster_title") or "", "genres": list(state.get("poster_genres") or []),
        "keywords": keywords, "seed": seed, "provider": state.get("poster_provider") or "typographic",
    }  # fmt: skip
    state.poster_image = state.poster_trouble = None
