"""Wikipedia Movie Plots: plots with genres in free text (`comedy, drama`, `sci-fi thriller`).

The corpus is a CSV file, `Release Year,Title,Origin/Ethnicity,Director,Cast,Genre,Wiki Page,Plot`. Copies of it contain
thousands of blank rows. A genre is split into the phrases in `genre_maps/wikipedia.csv`.
"""

import re
from pathlib import Path

from movieplots.genres import genre_map, split_free_text
from movieplots.sources.corpus import (
    KaggleFile,
    RawCorpus,
    RawPlot,
    Source,
    catalogue_title,
    find_file,
    read_table,
)
from movieplots.texts import clean_text

FILE = "wiki_movie_plots_deduped.csv"
COLUMNS = ["Release Year", "Title", "Genre", "Plot"]
# `[1]`, `[citation needed]`; a letter only at the end of a word or after punctuation, so that `[t]he end` is kept.
_REFERENCE = re.compile(r"\[(?:\d+|note \d+|citation needed)\]|(?<=[\w.,;:!?\])])\[[a-z]\](?!\w)")


def read_wikipedia(path: Path) -> RawCorpus:
    """Read the file, or a folder that contains it."""
    corpus = RawCorpus()
    known = genre_map("wikipedia")
    for row in read_table(find_file(path, (FILE,), "Wikipedia plots"), COLUMNS, corpus):
        published = " ".join(_REFERENCE.sub("", row["Title"]).split())
        plot, references = _REFERENCE.subn("", row["Plot"])
        corpus.repaired["reference"] += references > 0
        corpus.rows.append(
            RawPlot(
                id=corpus.text_id("wikipedia", row["Release Year"], published, plot),
                published=published,
                title=catalogue_title(published, corpus.year("Release Year", row["Release Year"])),
                plot=plot,
                tags=split_free_text(clean_text(row["Genre"]), known),
            )
        )
    return corpus


SOURCE = Source(
    name="wikipedia",
    what="plots of movies from many countries, with genres as free text",
    size="34,886 plots",
    license="CC BY-SA",
    read=read_wikipedia,
    kaggle=(KaggleFile("jrobischon/wikipedia-movie-plots", FILE),),
)
