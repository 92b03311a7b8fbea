"""The report: metrics put into words, figures and a table of samples on one page that needs nothing beside it."""

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from movieplots.evaluation.figures import Drawn
from movieplots.evaluation.novelty import COPIED_WORDS
from movieplots.words import split_words, word_spans

SHOWN_SAMPLES = 60
OPENING_WORDS = 8  # of a training plot, which is somebody's text: enough to recognise it by
_MARKED_WORDS = 8  # a shared run from this length is marked in the sample: shorter ones are everyday phrases


@dataclass(frozen=True)
class Card:
    """One question of the first screen: a short verdict, the figure that carries it, and the rest in sentences."""

    question: str
    verdict: str
    number: str
    sentences: list[str]


@dataclass(frozen=True)
class FigureBlock:
    """A figure with its heading and how to read it; images are data URIs."""

    title: str
    caption: str
    light: str
    dark: str
    wide: bool


def render_report(
    metrics: dict[str, Any], table: pd.DataFrame, training: pd.DataFrame, figures: dict[str, Drawn]
) -> str:
    """The whole page as HTML. `table` has a row a sample (see samples.csv), `training` the rows of the Plot table."""
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"percent": percent, "setting": top_p_words, "number": number}
    return environment.get_template("report.html.j2").render(
        intro=introduction(metrics),
        cards=[
            learning_card(metrics),
            novelty_card(metrics),
            genre_card(metrics),
            readability_card(metrics),
            classifier_card(metrics),
        ],
        figures=[_figure(name, drawn, metrics) for name, drawn in figures.items()],
        metrics=metrics,
        samples=sample_rows(table, training),
        total=len(table),
    )


def introduction(metrics: dict[str, Any]) -> list[str]:
    """What was evaluated, in sentences."""
    seen = metrics["evaluated"]
    settings = len(metrics["by_cell"])
    grid = (
        f"temperature {_listed(f'{value:g}' for value in seen['temperatures'])} "
        f"and top-p {_listed(top_p_words(value) for value in seen['top_ps'])}"
    )
    model = (
        f"the generator fine-tuned from {seen['base']}" if seen["base"] else "a generator (its base is not recorded)"
    )
    sentences = [
        f"{plural(seen['samples'], 'sample')} written by {model} {'was' if seen['samples'] == 1 else 'were'} compared "
        f"with the {plural(seen['training_plots'], 'training plot')}.",
        f"The samples come from {plural(len(seen['prompts']), 'genre prompt')} and "
        f"{plural(settings, 'sampling setting')}: {grid}.",
    ]
    if seen["generator_trained_on_this_data"] is False:
        sentences.append(
            "Mind: the generator was trained on other data than the plots given here, so copies of its own training "
            "plots may go unnoticed."
        )
    return sentences


def learning_card(metrics: dict[str, Any]) -> Card:
    """Did it learn? Held-out loss and perplexity before and after training."""
    question, learning = "Did it learn?", metrics["learning"]
    if learning is None:
        return Card(
            question, "Not recorded", "–", ["The dump does not say what the loss was before and after training."]
        )
    before, after = learning["loss_before"], learning["loss_after"]
    sentences = [
        f"Loss on held-out plots, before and after training, in nats per token ({learning['split']} split). A token is "
        "a word or a piece of one; lower means that the model foresees unseen plots better.",
        f"Perplexity {number(learning['perplexity_before'])} → {number(learning['perplexity_after'])}: among about how "
        "many equally likely next tokens the model has to choose.",
    ]
    if learning["train_tokens"] and learning["steps"]:
        sentences.append(f"Trained on {learning['train_tokens']:,} tokens in {plural(learning['steps'], 'step')}.")
    return Card(question, "Yes" if after < before else "No", f"{before:.2f} → {after:.2f}", sentences)


def novelty_card(metrics: dict[str, Any]) -> Card:
    """Is it new? Longest copied runs and exact copies, beside what real plots share with each other."""
    samples, real = metrics["samples"], metrics["real_plots"]
    copied = samples["copied_more_than_20"]
    like_real = real is None or samples["copied_words_median"] <= 2 * real["copied_words_median"]
    clean = copied["share"] == 0 and like_real
    verdict = "Yes" if clean else "Mostly" if copied["share"] < 0.05 else "Not always"
    sentences = [
        "is the median longest run of words that a sample shares with any training plot"
        + (f"; for real plots that were held out it is {real['copied_words_median']:g}." if real else ".")
        + f" The longest of all is {plural(samples['copied_words_max'], 'word')}.",
        f"{interval(copied)} copy more than {COPIED_WORDS} words in a row"
        + (f" (real held-out plots: {percent(real['copied_more_than_20']['share'])})." if real else "."),
        f"Exact copies of a whole training plot: {samples['exact_copies'] or 'none'} of {samples['samples']:,}.",
    ]
    return Card("Is it new?", verdict, plural(samples["copied_words_median"], "word"), sentences)


def genre_card(metrics: dict[str, Any]) -> Card:
    """Does it obey the genre? Share of samples on genre, against chance, and the best sampling setting."""
    question, control, hit = "Does it obey the genre?", metrics["genre_control"], metrics["samples"].get("genre_hit")
    if control is None:
        return Card(question, "Not measured", "–", ["No genre classifier was given to judge the samples."])
    unknown = (
        [f"Left out, because the classifier does not know them: {', '.join(control['unknown_genres'])}."]
        if control["unknown_genres"]
        else []
    )
    if hit is None:
        return Card(question, "Not measured", "–", unknown)
    chance = control["chance"] or 0.0
    verdict = "No" if hit["low"] <= chance else "Yes" if hit["share"] >= 0.5 else "Partly"
    sentences = [f"of the samples carry the prompted genre in the eyes of the classifier ({bounds(hit)})."]
    if control["chance"] is not None:
        sentences.append(f"Samples of other prompts are given that genre in {percent(chance)} of cases.")
    cells = [cell for cell in metrics["by_cell"] if cell["genre_hit"]]
    if len(cells) > 1:
        best = max(cells, key=lambda cell: cell["genre_hit"]["share"])
        sentences.append(
            f"Best at temperature {best['temperature']:g}, top-p {top_p_words(best['top_p'])}: "
            f"{percent(best['genre_hit']['share'])} ({bounds(best['genre_hit'])})."
        )
    return Card(question, verdict, percent(hit["share"]), sentences + unknown)


def readability_card(metrics: dict[str, Any]) -> Card:
    """Is it readable, or does it loop? Loops, unfinished samples, length and distinct word pairs."""
    samples, real = metrics["samples"], metrics["real_plots"]
    looping = samples["looping"]
    verdict = "It reads on" if looping["share"] < 0.02 else "Some loop" if looping["share"] < 0.2 else "It loops"
    sentences = [f"of the samples loop, repeating some four words in a row three times or more ({bounds(looping)})."]
    if "unfinished" in samples:
        sentences.append(f"{percent(samples['unfinished']['share'])} stop unfinished, at the length limit.")
    sentences.append(
        f"Median length {plural(samples['words_median'], 'word')}"
        + (f"; real plots {real['words_median']:g}." if real else ".")
    )
    sentences.append(
        f"Distinct-2, the number of different word pairs for each word written, is {samples['distinct_2']:.2f}"
        + (f"; real plots {real['distinct_2']:.2f}." if real else ".")
        + " Higher is more varied."
    )
    return Card("Is it readable, or does it loop?", verdict, percent(looping["share"]), sentences)


def classifier_card(metrics: dict[str, Any]) -> Card:
    """How good is the classifier that judged the genres, beside its baseline?"""
    question, quality = "How good is the judge of genres?", metrics["classifier"]
    if quality is None:
        return Card(question, "Not measured", "–", ["No genre classifier was given."])
    if "skipped" in quality:
        return Card(question, "Not measured", "–", [quality["skipped"]])
    own, baseline = quality["classifier"], quality["baseline"]
    sentences = [
        f"Micro-F1 on {plural(quality['test_plots'], 'held-out real plot')}: 1 means that every genre is found and "
        f"none is invented. Averaged over genres (macro-F1): {own['macro_f1']:.2f}."
    ]
    if not baseline or baseline.get("micro_f1") is None:
        return Card(question, "Measured", f"F1 {own['micro_f1']:.2f}", [*sentences, "No baseline is stored with it."])
    better = own["micro_f1"] > baseline["micro_f1"]
    sentences.append(
        "The baseline, logistic regression on word counts (TF-IDF), reaches "
        f"{baseline['micro_f1']:.2f}"
        + (f" and {baseline['macro_f1']:.2f}." if baseline.get("macro_f1") is not None else ".")
    )
    verdict = "Better than its baseline" if better else "No better than its baseline"
    return Card(question, verdict, f"F1 {own['micro_f1']:.2f}", sentences)


_FIGURES = {
    "training_curve": (
        "How the training went",
        "Each step shows the model a few plots. Both lines should fall; where the held-out line turns upwards while "
        "the training line still falls, the model has begun to learn its plots by heart.",
    ),
    "copied_runs": (
        "How much is copied",
        "Each bar is the share of samples whose longest copied run has that many words. Where the bars stand in the "
        "outline of real plots, samples share no more with the training plots than new plots by people do.",
    ),
    "genre_control": (
        "Genre by sampling setting",
        "Taller is more obedient; the thin lines are 95\N{NO-BREAK SPACE}% intervals, and bars whose lines overlap may "
        "not differ. Temperature and top-p set how far the generator strays from the likeliest words. The dashed line "
        "is how often samples of other prompts are given the genre.",
    ),
    "genre_heatmap": (
        "Prompted and predicted genres",
        "Each row is one prompted genre, each column how likely the classifier finds a genre in those samples, on "
        "average. Ideally the framed cells are the brightest of their rows; bright cells beside them are genres that "
        "go together or are confused.",
    ),
    "classifier_f1": (
        "The classifier, genre by genre",
        "F1 weighs genres missed against genres invented, on real plots; 1 is perfect. Trust the judgement of genres "
        "with long bars, and compare the solid line (this classifier) with the dashed one (baseline).",
    ),
}


def _figure(name: str, drawn: Drawn, metrics: dict[str, Any]) -> FigureBlock:
    title, caption = _FIGURES[name]
    if name == "copied_runs" and not metrics["real_plots"]:
        caption = caption.split(". ")[0] + "."
    return FigureBlock(
        title, caption, _data_uri(drawn.light), _data_uri(drawn.dark), wide=name in ("genre_heatmap", "classifier_f1")
    )


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def sample_rows(table: pd.DataFrame, training: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the sample table: at most SHOWN_SAMPLES, spread over settings and genres, ordered by genre."""
    openings = dict(zip(training["id"], training["plot"], strict=True))
    shown = table.loc[spread(table, SHOWN_SAMPLES)].sort_values(["genre", "temperature", "top_p"], kind="stable")
    rows = []
    for row in shown.to_dict("records"):
        copied = row["copied_words"] >= _MARKED_WORDS
        rows.append(
            {
                "genre": row["genre"],
                "temperature": f"{row['temperature']:g}",
                "top_p": top_p_words(row["top_p"]),
                "title": row["title"],
                "plot": mark_run(row["plot"], row["copied_at"], row["copied_words"] if copied else 0),
                "finished": bool(row.get("finished", True)),
                "predicted": row.get("genres_predicted"),
                "nearest_title": row["nearest_title"],
                "nearest_opening": opening(openings.get(row["nearest_id"], "")),
                "copied_words": int(row["copied_words"]),
                "copied_title": row["copied_from_title"] if copied else "",
            }
        )
    return rows


def spread(table: pd.DataFrame, most: int) -> list[int]:
    """Index labels of at most `most` rows that take settings and genres in turn, rarest so far first."""
    left = [(index, (t, p), genre) for index, t, p, genre in table[["temperature", "top_p", "genre"]].itertuples()]
    cells: Counter[tuple[float, float]] = Counter()
    genres: Counter[str] = Counter()
    both: Counter[Any] = Counter()
    chosen = []
    while left and len(chosen) < most:
        best = min(left, key=lambda row: (both[row[1:]], cells[row[1]] + genres[row[2]], row[0]))
        left.remove(best)
        chosen.append(best[0])
        cells[best[1]] += 1
        genres[best[2]] += 1
        both[best[1:]] += 1
    return chosen


def opening(plot: str) -> str:
    """The first words of a training plot, for recognising it; never more of it is shown."""
    words = plot.split()
    return " ".join(words[:OPENING_WORDS]) + (" …" if len(words) > OPENING_WORDS else "")


def mark_run(text: str, at: int, length: int) -> Markup:
    """The text, escaped, with `length` words from word `at` on in a `<mark>`; nothing is marked for length 0.

    Of a run that counts as copied only the first words are shown: the rest is the training plot's text.
    """
    spans = word_spans(text)
    if len(spans) != len(split_words(text)):  # lower-casing splits a word in a few scripts: count in the lower case
        text = text.lower()
        spans = word_spans(text)
    if not length:
        return escape(text)
    start, end = spans[at][0], spans[at + length - 1][1]
    marked = escape(text[start:end])
    if length > COPIED_WORDS:
        left_out = f" [… {length - OPENING_WORDS} more copied words left out]"
        marked = escape(text[start : spans[at + OPENING_WORDS - 1][1]] + left_out)
    return escape(text[:start]) + Markup("<mark>") + marked + Markup("</mark>") + escape(text[end:])


def percent(value: float | None) -> str:
    """A share as a percentage: whole, or with one digit below 10 %."""
    if value is None:
        return "–"
    digits = 1 if 0 < value < 0.0995 else 0
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def bounds(share: dict[str, Any]) -> str:
    """The interval of a share in words."""
    return f"95\N{NO-BREAK SPACE}% interval {percent(share['low'])} to {percent(share['high'])}"


def interval(share: dict[str, Any]) -> str:
    """A share with its interval in words."""
    return f"{percent(share['share'])} ({bounds(share)})"


def number(value: float | None) -> str:
    """A number with about three digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plural(count: float, noun: str) -> str:
    """`1 word`, `2 words`, `1,200 words`."""
    text = f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"
    return f"{text} {noun}{'' if count == 1 else 's'}"


def top_p_words(value: float) -> str:
    """Top-p as text; 0 stands for off."""
    return f"{value:g}" if value else "off"


def _listed(items: Any) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
