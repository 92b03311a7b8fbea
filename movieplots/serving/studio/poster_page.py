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
            st.selectbox(
                "One of your ideas", ideas, index=None, key="poster_from", on_change=_from_history,
                format_func=lambda idea: idea.title or idea.plot[:60], placeholder="or fill in below",
            )  # fmt: skip
        st.text_input("Title", key="poster_title", placeholder="Salt (2009)", max_chars=200)
        st.multiselect("Genres, the most important first", genre_names(), key="poster_genres", max_selections=5)
        st.text_input("Keywords, separated by commas", key="poster_keywords", max_chars=300)
        provider = st.selectbox("Made by", _makers(), key="poster_provider")
        with st.container(horizontal=True):
            st.button("Make a poster", type="primary", icon=":material/image:", on_click=_make, shortcut="Ctrl+Enter")
            st.button("Another", icon=":material/refresh:", on_click=_make, args=(True,))
    with right:
        if not st.session_state.get("poster_seed_set"):
            st.html('<p class="idea-faint">A poster appears here.</p>')
            return
        keywords = [word.strip()[:60] for word in st.session_state.poster_keywords.split(",") if word.strip()][:10]
        try:
            with st.spinner("Making a poster …"):
                image = api().poster(
                    title=st.session_state.poster_title, genres=st.session_state.poster_genres, keywords=keywords,
                    seed=st.session_state.poster_seed, provider=provider,
                )  # fmt: skip
        except Trouble as trouble:
            st.error(str(trouble), icon=":material/error:")
            return
        st.image(image, width=420, alt=f"Poster of {st.session_state.poster_title or 'an untitled idea'}")
        st.download_button("Save", image, "poster.png", icon=":material/download:", on_click="ignore")


def _makers() -> list[str]:
    try:
        return [maker["name"] for maker in served()["posters"] if maker["available"]]
    except Trouble:
        return ["typographic"]


def _fill(idea: Idea) -> None:
    st.session_state.poster_title = idea.title
    known = set(genre_names())
    found = [genre["genre"] for genre in idea.found_genres] or idea.genres
    st.session_state.poster_genres = [genre for genre in found if genre in known][:5]
    st.session_state.poster_keywords = ", ".join(idea.keywords)
    _make()


def _from_history() -> None:
    if st.session_state.poster_from:
        _fill(st.session_state.poster_from)


def _make(another: bool = False) -> None:
    st.session_state.poster_seed = random.randrange(2**31) if another else st.session_state.get("poster_seed", 0)
    st.session_state.poster_seed_set = True
