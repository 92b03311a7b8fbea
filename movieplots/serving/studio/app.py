"""The studio: a web app in which a writer gets past the blank page. Run by `movieplots studio`."""

import streamlit as st

from movieplots.errors import BadInput
from movieplots.serving.studio import explore_page, genres_page, poster_page, write_page
from movieplots.serving.studio.shared import note, remember_writer, style

st.set_page_config("movieplots", "🎬", layout="wide")
style()
remember_writer()
# On every page, since a click on a link can overtake the change made just before it, which its own page then misses.
note(*write_page.FORM, *genres_page.FORM)
write = st.Page(write_page.show, title="Write", icon=":material/edit_note:", url_path="write", default=True)
genres = st.Page(genres_page.show, title="Genres", icon=":material/label:", url_path="genres")
explore = st.Page(explore_page.show, title="Explore", icon=":material/travel_explore:", url_path="explore")
poster = st.Page(poster_page.show, title="Poster", icon=":material/image:", url_path="poster")
page = st.navigation([write, genres, explore, poster], position="top")
if "poster_idea" in st.session_state and page.title != "Poster":
    st.switch_page(poster)
# Not `page.run()`: with a click on a link the browser sends only what this script has made, not what a page has.
show = {"Write": write_page, "Genres": genres_page, "Explore": explore_page, "Poster": poster_page}[page.title].show
try:
    show()
except BadInput as error:
    st.error(str(error), icon=":material/error:")
