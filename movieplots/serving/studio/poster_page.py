"""The page Poster: a poster from a title, genres and keywords."""

import random

import streamlit as st

from movieplots.serving.client import ApiError
from movieplots.serving.history import Idea
from movieplots.serving.studio.shared import api, genre_names, history, models_note, served, writer


def show() -> None:
    """Show the page."""
    models_note()
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        ideas = history().ideas_of(writer())
        chosen = st.session_state.pop("poster_idea", None)
        if chosen:
            _fill(chosen)
        if ideas:
            labels = {idea.id: f"{idea.title or 'Untitled'} · {idea.plot[:50]} …" for idea in ideas}
            st.selectbox(
                "Start from one of your ideas", list(labels), index=None, key="poster_from", on_change=_from_history,
                format_func=labels.get, placeholder="Choose an idea, or fill in the fields below",
            )  # fmt: skip
        st.text_input("Title", key="poster_title", placeholder="Salt (2009)", max_chars=200)
        st.multiselect("Genres, the most important first", genre_names(), key="poster_genres", max_selections=5)
        st.text_input("Keywords, separated by commas", key="poster_keywords", max_chars=300)
        st.selectbox(
            "Poster made by", _available_providers(), key="poster_provider", help=_provider_help(),
            format_func=lambda name: "typographic (built in)" if name == "typographic" else name,
        )  # fmt: skip
        with st.container(horizontal=True):
            st.button("Make a poster", type="primary", icon=":material/image:", on_click=_make, shortcut="Ctrl+Enter")
            st.button(
                "Another version", icon=":material/refresh:", on_click=_make, args=(True,),
                help="Keep the words, and change the random details of the picture.",
            )  # fmt: skip
    with right:
        _poster()


def _poster() -> None:
    """Show the requested poster. It is made only once, because a poster of an external provider may cost money."""
    state = st.session_state
    request = state.get("poster_request")
    if not request:
        st.html('<p class="idea-faint">Your poster will appear here. Press <b>Make a poster</b>.</p>')
        return
    if not (state.get("poster_image") or state.get("poster_error")):
        try:
            with st.spinner("Making a poster …"):
                state.poster_image = api().poster(**request)
        except ApiError as error:
            state.poster_error = str(error)
    if state.get("poster_error"):
        st.error(state.poster_error, icon=":material/error:")
        return
    st.image(state.poster_image, width=420, alt=f"Poster of {request['title'] or 'an untitled idea'}")
    kind = {b"\xff\xd8": "jpg", b"RI": "webp"}.get(state.poster_image[:2], "png")
    st.download_button("Download", state.poster_image, f"poster.{kind}", icon=":material/download:", on_click="ignore")


def _available_providers() -> list[str]:
    try:
        return [provider["name"] for provider in served()["poster_providers"] if provider["available"]]
    except ApiError:
        return ["typographic"]


def _provider_help() -> str | None:
    """Return what the other providers require."""
    try:
        others = [provider for provider in served()["poster_providers"] if not provider["available"]]
    except ApiError:
        return None
    lines = "\n".join(f"- {provider['name']}: {provider['requires']}" for provider in others)
    return f"Other providers need a setup of the API:\n\n{lines}" if others else None


def _fill(idea: Idea) -> None:
    st.session_state.poster_title = idea.title
    known = set(genre_names())
    found = [genre["genre"] for genre in idea.found_genres] or idea.genres
    st.session_state.poster_genres = [genre for genre in found if genre in known][:5]
    st.session_state.poster_keywords = ", ".join(idea.keywords)
    _make()


def _from_history() -> None:
    chosen = [idea for idea in history().ideas_of(writer()) if idea.id == st.session_state.poster_from]
    if chosen:
        _fill(chosen[0])


def _make(new_seed: bool = False) -> None:
    state = st.session_state
    keywords = [word.strip()[:60] for word in (state.get("poster_keywords") or "").split(",") if word.strip()][:10]
    seed = random.randrange(2**31) if new_seed else state.get("poster_request", {}).get("seed", 0)
    state.poster_request = {
        "title": state.get("poster_title") or "", "genres": list(state.get("poster_genres") or []),
        "keywords": keywords, "seed": seed, "provider": state.get("poster_provider") or "typographic",
    }  # fmt: skip
    state.poster_image = state.poster_error = None
