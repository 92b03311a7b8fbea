"""The studio: a web app in which a writer gets past the blank page. Run by `movieplots studio`."""

import streamlit as st

from movieplots.errors import BadInput
from movieplots.serving.studio import explore_page, genres_page, poster_page, write_page
from movieplots.serving.studio.shared import note, remember_writer, style

PAGES = {
    "Write": (write_page, "edit_note"),
    "Genres": (genres_page, "label"),
    "Explore": (explore_page, "travel_explore"),
    "Poster": (poster_page, "image"),
}

st.set_page_config("movieplots", "🎬", layout="wide")
style()
remember_writer()
# On every page, since a click on a link can overtake the change made just before it, which its own page then misses.
note(*write_page.FORM, *genres_page.FORM)
links = {
    title: st.Page(
        module.show, title=title, icon=f":material/{icon}:", url_path=title.lower(), default=title == "Write"
    )
    for title, (module, icon) in PAGES.items()
}
page = st.navigation(list(links.values()), position="top")
if "poster_idea" in st.session_state and page.title != "Poster":
    st.switch_page(links["Poster"])
# Not `page.run()`: with a click on a link the browser sends only what this script has made, nothing that a page has. So
# each page has a place of its own, and what the one before has left in its place is hidden until Streamlit removes it.
left = ", ".join(f".st-key-page-{title.lower()}" for title in PAGES if title != page.title)
st.html(f"<style>{left} {{ display: none; }}</style>")
places = {title: st.container(key=f"page-{title.lower()}") for title in PAGES}
with places[page.title]:
    try:
        PAGES[page.title][0].show()
    except BadInput as error:
        st.error(str(error), icon=":material/error:")
