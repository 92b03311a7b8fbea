"""The studio, a web app for writers, which `movieplots studio` runs."""

import streamlit as st

from movieplots.errors import BadInput
from movieplots.serving.studio import explore_page, genres_page, poster_page, write_page
from movieplots.serving.studio.shared import add_style, identify_writer, remember_form

PAGES = {
    "Write": (write_page, "edit_note"),
    "Genres": (genres_page, "label"),
    "Explore": (explore_page, "travel_explore"),
    "Poster": (poster_page, "image"),
}

st.set_page_config("movieplots", "🎬", layout="wide")
add_style()
identify_writer()
# On every page: after a change, a click on a link can be faster, and then the page of the change never sees it.
remember_form(*write_page.FORM, *genres_page.FORM)
links = {
    title: st.Page(
        module.show, title=title, icon=f":material/{icon}:", url_path=title.lower(), default=title == "Write"
    )
    for title, (module, icon) in PAGES.items()
}
page = st.navigation(list(links.values()), position="top")
if "poster_idea" in st.session_state and page.title != "Poster":
    st.switch_page(links["Poster"])
# Not `page.run()`: at a click on a link, the browser sends the state of the widgets of this script only, without those
# of a page. So each page has its own container. CSS hides old contents of the others until Streamlit removes them.
others = ", ".join(f".st-key-page-{title.lower()}" for title in PAGES if title != page.title)
st.html(f"<style>{others} {{ display: none; }}</style>")
containers = {title: st.container(key=f"page-{title.lower()}") for title in PAGES}
with containers[page.title]:
    try:
        PAGES[page.title][0].show()
    except BadInput as error:
        st.error(str(error), icon=":material/error:")
