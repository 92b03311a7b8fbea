"""The report of an evaluation: answers, figures, tables and all samples in one self-contained HTML page."""

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
from movieplots.reporting.metric_definitions import METRICS, TERMS
from movieplots.settings import takes
from movieplots.texts import OPENING_WORDS, opening
from movieplots.words import split_words, word_spans

_MARKED_WORDS = 8  # minimum length of a highlighted verbatim span: shorter ones are common phrases
_WIDE = (
    "similarity", "by_setting", "training_curve", "genre_probability", "genre_confusion", "genre_similarity",
    "classifier_f1",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """Result of `evaluate`.

    Attributes
    ----------
    path : str
        Path of report.html.
    metrics : Metrics
        All metrics, as in metrics.json.
    samples : pandas.DataFrame
        All samples and reference texts with their metrics, one row each, as in samples.csv. The column `model` is the
        name of the dump or of the reference.
    """

    path: str
    metrics: Metrics
    samples: pd.DataFrame

    def __str__(self) -> str:
        """Return the path and the number of samples of each dump; `repr` has all fields."""
        dumps = ", ".join(f"{model.samples.samples:,} of {name}" for name, model in self.metrics.models.items())
        return f"{self.path}: samples compared: {dumps}"


@takes(EvaluateSettings)
def evaluate(settings: EvaluateSettings) -> Report:
    """Evaluate the samples of one or several dumps, and write a report.

    Samples are compared with the training plots, with real test plots, and with test plots whose words are shuffled, a
    reference for noise. `data` should be the data that the generator was trained on: otherwise copying cannot be
    detected.

    Returns
    -------
    Report
        The metrics, and the table of all samples.

    Raises
    ------
    BadInput
        If no dump can be read, or if the data, the classifier or the embedder cannot be used. Nothing is written then.

    Notes
    -----
    The output folder contains report.html, metrics.json, the folder figures, and four tables: samples.csv,
    measures.csv, genres.csv and copies.csv. If only some of several dumps cannot be read, they are left out, and the
    report lists them.

    - Copying: verbatim spans and novel n-grams
      (`McCoy et al. (2023) <https://arxiv.org/abs/2111.09509>`_), and the nearest training plot by the Jaccard
      similarity of words and by the cosine similarity of sentence embeddings
      (`Reimers and Gurevych (2019) <https://arxiv.org/abs/1908.10084>`_).
    - Repetition rate: the share of samples in which a sequence of four words occurs at least three times.
    - Diversity: distinct-n, the number of different n-grams divided by the number of words
      (`Li et al. (2016) <https://arxiv.org/abs/1510.03055>`_), and self-BLEU, the BLEU-4 of each text against all
      others (0 to 1, lower is more diverse, `Zhu et al. (2018) <https://arxiv.org/abs/1802.01886>`_).
    - Similarity to real plots: MAUVE compares the distributions of text embeddings (0 to 1, higher is more similar). It
      reflects topics, not whether sentences make sense (`Pillutla et al. (2021) <https://arxiv.org/abs/2102.01454>`_).
    - Genre control: genre accuracy, the share of samples for which the classifier predicts the prompted genres, if a
      classifier is given.

    Real plots are sampled from the test split, if possible in the proportions of the prompted genres.

    Examples
    --------
    >>> from movieplots import evaluate, prepare, sample_dump
    >>> from movieplots.pretrained import shipped
    >>> _ = prepare("sample", "runs/plots")
    >>> _ = sample_dump(shipped.GENERATOR, "runs/dump", genres=["horror"], samples_per_genre=2)  # doctest: +SKIP
    >>> report = evaluate("runs/dump", "runs/plots", "runs/report")  # doctest: +SKIP
    >>> report.metrics.models["dump"].samples.repetition_rate.value  # doctest: +SKIP
    0.0
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
    """A figure of the page with its heading and caption; images are data URIs."""

    title: str
    caption: str
    light: str
    dark: str
    wide: bool


def render_report(metrics: Metrics, table: pd.DataFrame, training: pd.DataFrame, figures: dict[str, Drawn]) -> str:
    """Return the page as HTML. `table` has one row per sample (see samples.csv), `training` the training plots."""
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"percent": percent, "setting": top_p_words, "number": number}
    samples = sample_rows(table[table["model"].isin(metrics.models)], training)
    return environment.get_template("report.html.j2").render(
        intro=introduction(metrics),
        cards={name: answers(metrics, name) for name in metrics.models},
        learning={name: learning_card(metrics, name) for name in metrics.models},
        classifier=classifier_card(metrics),
        figures=[_figure(name, drawn, metrics) for name, drawn in figures.items()],
        metrics=metrics,
        definitions=METRICS,
        terms=TERMS,
        copied_words=COPIED_WORDS,
        marked_words=_MARKED_WORDS,
        opening_words=OPENING_WORDS,
        # Only `</` could close the script element.
        samples=Markup(json.dumps(samples, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")),
    )


_FIGURES = {
    "similarity": (
        "Similarity to the nearest training plot",
        "Left: Jaccard similarity of word sets. Right: cosine similarity of embeddings. If samples are further to the "
        "right than real test plots, they are closer to the training plots than new plots by people are.",
    ),
    "verbatim_spans": (
        "Longest verbatim spans",
        "Length of the longest word sequence that each text shares with a training plot. If the distribution is the "
        "same as for real test plots, samples copy no more than new plots by people do.",
    ),
    "novel_ngrams": (
        "Novel n-grams",
        f"Share of the n-grams (sequences of n words) that occur in no training plot; bands are 95{SPACE}% CIs. Lower "
        "values than those of real test plots indicate copying, much higher values indicate unnatural word sequences.",
    ),
    "by_setting": (
        "Metrics by temperature and top-p",
        f"One bar per sampling setting; thin lines are 95{SPACE}% CIs. If the CIs of two bars overlap, the difference "
        "may be due to chance. Dashed lines: real test plots. Dotted lines: shuffled words. Both are computed from as "
        "many texts as a bar.",
    ),
    "genre_accuracy": (
        "Genre accuracy by prompted genre",
        f"Lines are 95{SPACE}% CIs. Rare genres are hard to learn for generators and classifiers.",
    ),
    "titles": (
        "Properties of the titles",
        f"Share of the samples with each property; thin lines are 95{SPACE}% CIs. Well-formed titles follow the IMDb "
        "format; known titles occur in the training plots. The shares of different titles and plots are computed from "
        "the same number of texts for all.",
    ),
    "training_curve": (
        "Training and validation loss",
        "Cross-entropy by training step (lower is better). If the validation loss rises while the training loss falls, "
        "the model overfits. For training with guidance, the lower panel shows the KL divergence from the guided "
        "predictions; the validation loss then rises slightly.",
    ),
    "genre_probability": (
        "Predicted probabilities by prompted genre",
        "Mean probability that the classifier gives a genre (columns) for the samples of each prompted genre (rows). "
        "Frames mark the prompted genre. High values outside the frames are genres that co-occur or are confused.",
    ),
    "genre_confusion": (
        "Most probable genre by prompted genre",
        "Confusion matrix: share of the samples of each prompted genre (rows) for which the classifier finds a genre "
        "(columns) most probable. Frames mark the prompted genre. A dark column is a genre predicted for many prompts.",
    ),
    "genre_similarity": (
        "Similarity to the training plots of each genre",
        "Mean cosine similarity between the samples of a prompted genre (rows) and the training plots of a genre "
        "(columns), minus the mean of the column, times 100. No classifier is involved. High values in the frames mean "
        "that the prompt controls the genre.",
    ),
    "classifier_f1": (
        "F1 of the genre classifier by genre",
        "F1 (harmonic mean of precision and recall, 1 is perfect) on test plots. Genre accuracy is more reliable for "
        "genres with a high F1.",
    ),
}


def _figure(name: str, drawn: Drawn, metrics: Metrics) -> FigureBlock:
    key = next(key for key in _FIGURES if name == key or name.removeprefix(key).lstrip("_").isdecimal())
    title, caption = _FIGURES[key]
    if drawn.of and len(metrics.models) > 1:
        title = f"{title} ({drawn.of})"
    if key == "genre_accuracy" and metrics.judge:
        caption += " Vertical marks: recall of the classifier for the genre on test plots."
    return FigureBlock(title, caption, _data_uri(drawn.light), _data_uri(drawn.dark), wide=key in _WIDE)


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def sample_rows(table: pd.DataFrame, training: pd.DataFrame) -> list[dict[str, object]]:
    """Return the samples for the script of the page, with plots split by `split_at_span`."""
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
                "plot": split_at_span(
                    row["plot"], row["verbatim_span_start"], row["longest_verbatim_span"] if copied else 0
                ),
                "truncated": bool(row["truncated"]),
                "predicted": row.get("genres_predicted"),
                "span": int(row["longest_verbatim_span"]),
                "span_title": row["copied_from_title"] if copied else "",
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


def split_at_span(text: str, at: int, length: int) -> tuple[str, str, str]:
    """Split a text at the span of `length` words that starts at word `at`.

    Returns
    -------
    before, span, after : str
        For length 0, the whole text is in `before`. A span that counts as copied is shortened to its first words,
        because the rest is text of the training plot.
    """
    spans = word_spans(text)
    if len(spans) != len(
        split_words(text)
    ):  # lower-casing splits a word in a few scripts: use the same text as the metrics
        text = text.lower()
        spans = word_spans(text)
    if not length:
        return text, "", ""
    start, end = spans[at][0], spans[at + length - 1][1]
    marked = text[start:end]
    if length > COPIED_WORDS:
        shown = text[start : spans[at + OPENING_WORDS - 1][1]]
        marked = f"{shown} [… {length - OPENING_WORDS} more copied words omitted]"
    return text[:start], marked, text[end:]
