"""MPST: long movie synopses with tags (Kar et al. 2018, "MPST: A Corpus of Movie Plot Synopses with Tags").

One CSV file, `imdb_id,title,plot_synopsis,tags,split,synopsis_source`; its own division into train, val and test is
kept on each row, and used by `prepare(..., own_splits=True)`.
"""

from pathlib import Path

from movieplots.sources.corpus import KaggleFile, RawCorpus, RawPlot, Source, catalogue_title, find_file, read_table

FILE = "mpst_full_data.csv"
COLUMNS = ["imdb_id", "title", "plot_synopsis", "tags", "split"]
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read_mpst(path: Path) -> RawCorpus:
    """Read the file, or a folder that holds it; a row whose split has no such name is broken."""
    corpus = RawCorpus()
    for row in read_table(find_file(path, (FILE,), "MPST file"), COLUMNS, corpus):
        split = _SPLITS.get(row["split"].strip())
        if split is None:
            corpus.reject(f"the split {row['split'].strip()[:40]!r} is none of {', '.join(_SPLITS)}")
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
    what="long synopses of movies with tags of genre, mood and theme",
    size="14,828 synopses",
    licence="research use; see the dataset's page",
    read=read_mpst,
    kaggle=(KaggleFile("cryptexcode/mpst-movie-plot-synopses-with-tags", FILE),),
)
