"""The report: metrics put into words, figures and a table of all samples on one page that needs nothing beside it."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from movieplots.evaluation.answers import (
    answers,
    classifier_card,
    introduction,
    learning_card,
)
from movieplots.evaluation.metrics import Metrics
from movieplots.evaluation.pipeline import measure
from movieplots.evaluation.settings import EvaluateSettings
from movieplots.files import atomic_folder, check_folder, write_json, write_text
from movieplots.formatting import SPACE, number, percent, top_p_words
from movieplots.measures.novelty_index import COPIED_WORDS
from movieplots.reporting.evaluation import Drawn, draw_figures
from movieplots.reporting.evaluation_tables import confusion_table, copies_table, measures_table
from movieplots.settings import takes
from movieplots.texts import OPENING_WORDS, opening
from movieplots.words import split_words, word_spans

_MARKED_WORDS = 8  # a shared run from this length is marked in the sample: shorter ones are everyday phrases
_WIDE = (
    "similarity", "by_setting", "training_curve", "genre_probability", "genre_confusion", "genre_similarity",
    "classifier_f1",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What `evaluate` found: the `path` of report.html, the `metrics` and all `samples`.

    `metrics` are exactly what metrics.json holds. `samples` is the table of samples.csv: a row a sample with its
    measures, which `movieplots.evaluation.summaries.measure_samples` names; its column `model` says whose it is.
    """

    path: str
    metrics: Metrics
    samples: pd.DataFrame


@takes(EvaluateSettings)
def evaluate(settings: EvaluateSettings) -> Report:
    """Measure samples against the training plots, beside real plots and shuffled words, and write a report.

    `data` is best the table that the generator learned from. The folder then holds `report.html`, `metrics.json`,
    `samples.csv` and three more tables, and the folder `figures`. Of several dumps, those that cannot be read are left
    out, which a message and the report say.

    Measured are verbatim copies and new n-grams (McCoy et al. 2023), the nearest training plot by words (Jaccard 1912)
    and by meaning (sentence embeddings: Reimers and Gurevych 2019), diversity (distinct-n: Li et al. 2016; self-BLEU:
    Zhu et al. 2018), the likeness to real plots as a whole (MAUVE: Pillutla et al. 2021), titles, and genre control.
    Real plots are drawn in the genres that the dumps, taken together, were prompted with, as far as there are plots.

    Returns
    -------
    Report
        The numbers, and the measures of each sample.

    Raises
    ------
    BadInput
        Where no dump can be read, or the data, the classifier or the embedder cannot be used; nothing is written.
    """
    out = Path(settings.output_dir)
    check_folder(out)
    found = measure(settings)
    metrics, table = found.metrics, found.samples
    with atomic_folder(out) as folder:
        figures = draw_figures(metrics, table, folder / "figures")
        write_json(folder / "metrics.json", msgspec.to_builtins(metrics))
        for name, tidy in {
            "samples": table,
            "measures": measures_table(metrics),
            "genres": confusion_table(metrics),
            "copies": copies_table(table),
        }.items():
            write_text(folder / f"{name}.csv", tidy.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        write_text(folder / "report.html", render_report(metrics, table, found.training, figures))
    return Report(path=str(out / "report.html"), metrics=metrics, samples=table)


@dataclass(frozen=True)
class FigureBlock:
    """A figure with its heading and how to read it; images are data URIs."""

    title: str
    caption: str
    light: str
    dark: str
    wide: bool


def render_report(metrics: Metrics, table: pd.DataFrame, training: pd.DataFrame, figures: dict[str, Drawn]) -> str:
    """The whole page as HTML. `table` has a row a sample (see samples.csv), `training` the rows of the Plot table."""
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"percent": percent, "setting": top_p_words, "number": number}
    samples = sample_rows(table[table["model"].isin(metrics.models)], training)
    return environment.get_template("report.html.j2").render(
        intro=introduction(metrics),
        cards={name: answers(metrics, name) for name in metrics.models},
        learning={name: learning_card(metrics, name) for name in metrics.models},
        judge=classifier_card(metrics),
        figures=[_figure(name, drawn, metrics) for name, drawn in figures.items()],
        metrics=metrics,
        copied_words=COPIED_WORDS,
        # In a script only `</` could end it early.
        samples=Markup(json.dumps(samples, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")),
    )


_FIGURES = {
    "similarity": (
        "How near to the training plots?",
        "For each sample the training plot that shares the largest part of its words (left) and the one nearest in "
        "meaning (right). Samples that stand further right than real plots lean on the training plots; further left, "
        "they have wandered off.",
    ),
    "verbatim_spans": (
        "How much is copied?",
        "For each sample the longest run of words that stands in some training plot. Where the bars stand in the "
        "outline of real plots, samples share no more with the training plots than new plots by people do.",
    ),
    "novel_ngrams": (
        "From how many words on is it new?",
        "The share of single words, pairs, triples and so on that no training plot has. A line below that of real "
        "plots repeats the training plots; one far above it puts words together as nobody does.",
    ),
    "by_setting": (
        "What temperature and top-p do",
        "Each bar is one setting. The dashed line is what as many real plots get, the dotted one shuffled words; the "
        f"thin lines are 95{SPACE}% intervals, and bars "
        "whose lines overlap may not differ.",
    ),
    "genre_accuracy": (
        "Which genres are obeyed?",
        "The share of the samples prompted with a genre in which the classifier sees it; the upright marks say how "
        "often it sees the genre in real plots that carry it. Genres that few plots carry are hard to learn, for a "
        "generator and for a classifier.",
    ),
    "titles": (
        "Are the titles titles?",
        "A title exists if a training plot has it. Different titles are counted among as many samples for each row.",
    ),
    "training_curve": (
        "How the training went",
        "Each step shows the model a few plots. Both lines should fall; where the held-out line turns upwards while "
        "the training line still falls, the model has begun to learn its plots by heart. Where guidance is taught, the "
        "lower panel shows how far the model is from what guidance would write, and the held-out loss rises a little.",
    ),
    "genre_probability": (
        "Prompted genre and the classifier's probabilities",
        "Each row is one prompted genre, each column how likely the classifier finds a genre in those samples, on "
        "average. Ideally the framed cells are the darkest of their rows; dark cells beside them are genres that "
        "go together or are confused.",
    ),
    "genre_confusion": (
        "Which genre is seen first?",
        "The same with each sample counted once, under its likeliest genre: a column that is dark all the way down "
        "is a genre into which the others fall.",
    ),
    "genre_similarity": (
        "Which training plots are they near to?",
        "How much nearer in meaning the samples of a genre (rows) are to the training plots of a genre (columns) than "
        "samples of all genres are. No classifier is involved: framed cells that stand out of their column mean that "
        "the prompt steers the text.",
    ),
    "classifier_f1": (
        "The classifier, genre by genre",
        "F1 weighs genres missed against genres invented, on real plots; 1 is perfect. Trust the judgement of genres "
        "with long bars, and compare the solid line (this classifier) with the dashed one (baseline).",
    ),
}

_OF_TRAINING = ("similarity", "verbatim_spans", "novel_ngrams", "by_setting", "titles", "genre_similarity")


def _figure(name: str, drawn: Drawn, metrics: Metrics) -> FigureBlock:
    key = next(key for key in _FIGURES if name == key or name.removeprefix(key).lstrip("_").isdecimal())
    title, caption = _FIGURES[key]
    if drawn.of and len(metrics.models) > 1:
        title = f"{title} ({drawn.of})"
    if key in _OF_TRAINING and any(not model.trained_on_this_data for model in metrics.models.values()):
        caption += " Training plots are those given here, which need not be those that a generator learned from."
    return FigureBlock(title, caption, _data_uri(drawn.light), _data_uri(drawn.dark), wide=key in _WIDE)


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def sample_rows(table: pd.DataFrame, training: pd.DataFrame) -> list[dict[str, object]]:
    """The samples as the page's script shows them; the plot in the parts of `mark_run`, training plots by opening."""
    openings = dict(zip(training["id"], training["plot"], strict=True))
    rows = []
    for row in table.to_dict("records"):
        copied = row["longest_verbatim_span"] >= _MARKED_WORDS
        rows.append(
            {
                "model": row["model"],
                "genre": row["genre"],
                "temperature": f"{row['temperature']:g}",
                "top_p": top_p_words(row["top_p"]),
                "title": row["title"],
                "plot": mark_run(
                    row["plot"], row["verbatim_span_start"], row["longest_verbatim_span"] if copied else 0
                ),
                "truncated": bool(row["truncated"]),
                "seen": row.get("genres_predicted"),
                "copied": int(row["longest_verbatim_span"]),
                "copied_title": row["copied_from_title"] if copied else "",
                "words": int(row["words"]),
            }
            | {
                kind: None
                if pd.isna(row[f"plot_{kind}"])
                else [
                    round(float(row[f"plot_{kind}"]), 2),
                    row[f"plot_{kind}_title"],
                    opening(openings.get(row[f"plot_{kind}_id"], "")),
                ]
                for kind in ("jaccard", "cosine")
            }
        )
    return rows


def mark_run(text: str, at: int, length: int) -> tuple[str, str, str]:
    """The text before, in and after the run of `length` words from word `at` on; all is before it for length 0.

    Of a run that counts as copied only the first words are shown: the rest is the training plot's text.
    """
    spans = word_spans(text)
    if len(spans) != len(split_words(text)):  # lower-casing splits a word in a few scripts: count in the lower case
        text = text.lower()
        spans = word_spans(text)
    if not length:
        return text, "", ""
    start, end = spans[at][0], spans[at + length - 1][1]
    marked = text[start:end]
    if length > COPIED_WORDS:
        shown = text[start : spans[at + OPENING_WORDS - 1][1]]
        marked = f"{shown} [… {length - OPENING_WORDS} more copied words left out]"
    return text[:start], marked, text[end:]
