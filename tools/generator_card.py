"""Write the card of a generator: training and test loss from its `movieplots.json`, and the results of an evaluation.

    movieplots dump --model models/generator --samples-per-genre 11 --output-dir data/dump
    movieplots evaluate --dump data/dump --data data/streaming --classifier models/classifier --output-dir data/report
    python tools/generator_card.py models/generator data/dump data/report

The report must be of this dump only, with a classifier. The card also gets the rates that `tools/control_rates.py`
saved in the folder of the report, if any. Without dump and report, the results in the card are kept. The
sections from `## Limits` are written by hand and are always kept.
"""

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from movieplots.errors import BadInput, sentences
from movieplots.evaluation.control_rates import FILE_NAME as RATES
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.files import fingerprint, read_json, write_text
from movieplots.formatting import interval, markdown_table, percent, plural, top_p_words
from movieplots.generation.card import model_card
from movieplots.generation.info import GeneratorInfo
from movieplots.intervals import Estimate
from movieplots.runs.folder import read_info, to_json

FREQUENT = 100  # training plots of a genre for which generator and classifier are reliable
SHARES = {
    "truncated": "truncated",
    "repetition_rate": "repetition rate",
    "copied_more_than_20": "longest verbatim span over 20 words",
    "exact_copy": "exact copy of a training plot",
}


def main(model: Path, dump: Path | None = None, report: Path | None = None) -> None:
    """Write `model/README.md`, with the results of the report if there is one."""
    info, card = read_info(model, GeneratorInfo), model / "README.md"
    old = card.read_text(encoding="utf-8") if card.is_file() else ""
    if dump is None or report is None:
        kept = re.search(r"### Samples\n.*?(?=^### Test loss)", old, flags=re.MULTILINE | re.DOTALL)
        results = kept[0] if kept else ""
    else:
        results = _results(info, dump, report)
    new = model_card(info).replace("## Results\n\n", f"## Results\n\n{results}", 1)
    _, by_hand, text = old.partition("## Limits\n")
    if by_hand:
        new = new.partition("## Limits\n")[0] + by_hand + text
    write_text(card, new)


def _results(info: GeneratorInfo, dump: Path, report: Path) -> str:
    settings = read_json(dump / "dump.json", "name a folder that `movieplots dump` wrote").get("settings", {})
    if settings.get("model") != fingerprint(to_json(info)):
        raise BadInput(f"{dump} is a dump of another generator: sample one from this generator.")
    for file in (report / "measures.csv", report / "samples.csv"):
        if not file.is_file():
            raise BadInput(f"{file} does not exist: name a folder that `movieplots evaluate` wrote.")
    measures, samples = (
        pd.read_csv(report / name, keep_default_na=False, na_values=[""])  # a dump may have the name `NA`
        for name in ("measures.csv", "samples.csv")
    )
    of_model = measures[~measures["model"].isin([REAL, SHUFFLED])]
    if set(of_model["model"]) != {dump.name} or "genre_accuracy" not in set(of_model["measure"]):
        raise BadInput(f"{report} must be a report on {dump.name} only, with a classifier: evaluate this dump alone.")
    frequent = [name for name, count in info.genre_counts.items() if count >= FREQUENT]
    of_frequent = samples[samples["genre"].isin(frequent)].groupby(["temperature", "top_p"])["genre_accuracy"].mean()
    real = measures[measures["model"] == REAL]
    rates = report / RATES
    phrases = read_json(report / "metrics.json", "evaluate the dump again")["models"][dump.name]["stock_phrases"]
    return (
        section(of_model, real, dict(of_frequent), info.genre_counts, settings["min_p"])
        + (_controls(read_json(rates, "measure them again")) if rates.is_file() else "")
        + _stock_phrases(phrases)
    )


def _controls(rates: dict[str, Any]) -> str:
    """Return the card's subsection on keywords and length."""
    named = {"the keyword": rates["keyword"], "the length": rates["length"]}
    named |= {f"- {name}": rate for name, rate in rates["by_length"].items()}
    rows = [
        (name, *(interval(Estimate(**rate[kind]), percent) for kind in ("controlled", "uncontrolled")))
        for name, rate in named.items()
    ]
    return f"""### Keywords and length

Share of single samples at the default sampling options that have what the prompt asks for, and of samples from the
same prompts without it. The prompts name one genre and one content word of a test plot, or one length.

{markdown_table(("asked for", "with it in the prompt", "without"), rows)}

"""


def _stock_phrases(phrases: list[dict[str, Any]]) -> str:
    """Return the card's subsection on stock phrases."""
    rows = [
        (each["phrase"], each["samples"], percent(each["share"]), percent(each["training_share"])) for each in phrases
    ]
    if not rows:
        return ""
    head = ("phrase", "samples with it", "share of samples", "share of training plots")
    return f"""### Stock phrases

Phrases that are far more frequent in the samples than in training plots of the same genres. `--avoid "PHRASE"` keeps
one out of new plots.

{markdown_table(head, rows)}

"""


def section(
    of_model: pd.DataFrame,
    real: pd.DataFrame,
    of_frequent: dict[tuple[float, float], float],
    genre_counts: dict[str, int],
    min_p: float,
) -> str:
    """Return the card's subsection on the samples.

    `of_model` and `real` are rows of `measures.csv`; `of_frequent` is the genre accuracy of frequent genres by
    temperature and top-p.
    """
    of_all = _rows(of_model, "all")
    samples = int(of_all.loc["truncated", "of"])
    shares = [(name, interval(_estimate(of_all.loc[key]), percent)) for key, name in SHARES.items()]
    cells = of_model[of_model["grouping"] == "by_cell"]
    accuracy, mauve = (cells[cells["measure"] == name] for name in ("genre_accuracy", "mauve"))
    grid = [
        (
            f"{row.temperature:g}", top_p_words(row.top_p), interval(_estimate(row), percent),
            percent(of_frequent[row.temperature, row.top_p]), interval(_estimate(similarity)),
        )
        for row, similarity in zip(accuracy.itertuples(), mauve.itertuples(), strict=True)
    ]  # fmt: skip
    of_genres = of_model[(of_model["grouping"] == "by_genre") & (of_model["measure"] == "genre_accuracy")]
    of_genres = of_genres.set_index("genre")["value"].sort_values(ascending=False, kind="stable")
    genres = [(name, percent(value), genre_counts[name]) for name, value in of_genres.items()]
    recall = interval(_estimate(_rows(real, "all").loc["genre_accuracy"]), percent)
    of_real = interval(_estimate(_rows(real, "by_cell").loc["mauve"]))
    frequent = plural(sum(count >= FREQUENT for count in genre_counts.values()), "frequent genre")
    head = ("temperature", "top-p", "genre accuracy", f"genre accuracy, {frequent}", "MAUVE")
    return f"""### Samples

Measured on {samples:,} samples over a grid of genres, temperatures and top-p values, with min-p {min_p:g}. Ranges in
parentheses are 95 % confidence intervals.

{markdown_table(head, grid)}

- Genre accuracy: share of samples for which the project's classifier predicts the prompted genre. For comparison, its
  recall on real test plots, averaged over the genres, is {recall}.
- Frequent genres: those with at least {FREQUENT} training plots.
- MAUVE (Pillutla et al. 2021): similarity, from 0 to 1, of the distributions of samples and of real plots of the same
  genres. Two sets of real plots reach {of_real}.

{markdown_table(("", "share of samples"), shares)}

- Truncated: the sample reached the length limit.
- Repetition rate: some 4-gram of words occurs at least three times in the sample.
- Longest verbatim span: longest sequence of words that also occurs in a training plot.

Genre accuracy by genre, over all temperatures and top-p values:

{markdown_table(("genre", "genre accuracy", "training plots"), genres)}

"""


def _rows(measures: pd.DataFrame, grouping: str) -> pd.DataFrame:
    rows = measures[measures["grouping"] == grouping]
    return rows.drop_duplicates("measure").set_index("measure")


def _estimate(row: Any) -> Estimate:
    return Estimate(row.value, row.low, row.high, row.of)


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) not in (2, 4):
            raise BadInput(
                "Give the folder of the generator, or the folders of the generator, its dump and the report."
            )
        main(*(Path(argument) for argument in sys.argv[1:]))
