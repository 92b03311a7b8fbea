"""MPST: long movie synopses with tags (Kar et al. 2018, "MPST: A Corpus of Movie Plot Synopses with Tags").

The corpus is a CSV file, `imdb_id,title,plot_synopsis,tags,split,synopsis_source`. Each row keeps the split of the
corpus (train, val or test), which `prepare(..., own_splits=True)` uses.
"""

from pathlib import Path

from movieplots.sources.corpus import KaggleFile, RawCorpus, RawPlot, Source, catalogue_title, find_file, read_table

FILE = "mpst_full_data.csv"
COLUMNS = ["imdb_id", "title", "plot_synopsis", "tags", "split"]
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read_mpst(path: Path) -> RawCorpus:
    """Read the file, or a folder that contains it; a row with an unknown split is broken."""
    corpus = RawCorpus()
    for row in read_table(find_file(path, (FILE,), "MPST file"), COLUMNS, corpus):
        split = _SPLITS.get(row["split"].strip())
        if split is None:
            corpus.reject(f"the split {row['split'].strip()[:40]!r} is not one of {', '.join(_SPLITS)}")
            continue
        published = " ".join(row["title"].split())
        corpus.rows.append(
            RawPlot(
                id=corpus.row_id("mpst", "imdb_id", row["imdb_id"], published, row["plot_synopsis"]),
                published=published,
                title=catalogue_title(published, None),
                plot=row["plot_synopsis"],
                tags=[tag.strip() for tag in row["tags"].split(",") if tag.strip()],
                split=split,
            )
        )
    return corpus


SOURCE = Source(
    name="mpst",
    what="long synopses of movies with tags for genre, mood and theme",
    size="14,828 synopses",
    license="research use; see the page of the dataset",
    read=read_mpst,
    kaggle=(KaggleFile("cryptexcode/mpst-movie-plot-synopses-with-tags", FILE),),
)
