"""Write what an evaluation found into the card of a generator, as its section `## Results`.

    movieplots dump --model models/generator --samples-per-genre 11 --output-dir data/dump
    movieplots evaluate --dumps data/dump --data data/streaming --classifier models/classifier --output-dir data/report
    python tools/generator_card.py models/generator data/dump data/report

The report is of this dump alone, with a classifier. Numbers have 95 % intervals.
"""

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from movieplots.errors import BadInput, sentences
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.files import fingerprint, read_json, write_text
from movieplots.formatting import interval, markdown_table, percent, plural, top_p_words
from movieplots.generation.info import GeneratorInfo
from movieplots.intervals import Estimate
from movieplots.runs.folder import read_info, to_json

KNOWN = 100  # training plots of a genre, from which on it is well known: to the judge, too
SHARES = {
    "truncated": "not ended by itself",
    "repetition_rate": "going round in circles",
    "copied_more_than_20": "more than 20 words in a row as in a training plot",
    "exact_copy": "a training plot, word for word",
}


def main(model: Path, dump: Path, report: Path) -> None:
    """Put the section into `model/README.md`, in place of the one that stands there."""
    info = read_info(model, GeneratorInfo)
    settings = read_json(dump / "dump.json", "name a folder that `movieplots dump` wrote").get("settings", {})
    if settings.get("model") != fingerprint(to_json(info)):
        raise BadInput(f"{dump} is of another generator: sample one from {model}.")
    for file in (report / "measures.csv", report / "samples.csv"):
        if not file.is_file():
            raise BadInput(f"There is no {file}: name the folder that `movieplots evaluate` wrote.")
    measures, samples = (
        pd.read_csv(report / name, keep_default_na=False, na_values=[""])  # a dump may be called `NA`
        for name in ("measures.csv", "samples.csv")
    )
    of_model = measures[~measures["model"].isin([REAL, SHUFFLED])]
    if set(of_model["model"]) != {dump.name} or "genre_accuracy" not in set(of_model["measure"]):
        raise BadInput(f"{report} is no report on {dump.name} alone with a classifier: make one, see above.")
    card = model / "README.md"
    text = re.sub(r"## Results\n.*?(?=^## )", "", card.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    before, limits, after = text.partition("## Limits")
    if not limits:
        raise BadInput(f"{card} has no section `## Limits`, before which the results stand: train the model again.")
    real = measures[measures["model"] == REAL]
    write_text(card, before + section(of_model, real, samples, info.genre_counts, settings["min_p"]) + limits + after)


def section(
    of_model: pd.DataFrame, real: pd.DataFrame, plots: pd.DataFrame, genre_counts: dict[str, int], min_p: float
) -> str:
    """The section, from the rows of `measures.csv` of the generator and of real plots, and the report's samples."""
    of_all = _rows(of_model, "all")
    samples = int(of_all.loc["truncated", "of"])
    shares = [(name, interval(_estimate(of_all.loc[key]), percent)) for key, name in SHARES.items()]
    cells = of_model[of_model["grouping"] == "by_cell"]
    hits, likeness = (cells[cells["measure"] == name] for name in ("genre_accuracy", "mauve"))
    known = [name for name, count in genre_counts.items() if count >= KNOWN]
    of_known = plots[plots["genre"].isin(known)].groupby(["temperature", "top_p"])["genre_accuracy"].mean()
    grid = [
        (
            f"{hit.temperature:g}", top_p_words(hit.top_p), interval(_estimate(hit), percent),
            percent(of_known[hit.temperature, hit.top_p]), interval(_estimate(mauve)),
        )
        for hit, mauve in zip(hits.itertuples(), likeness.itertuples(), strict=True)
    ]  # fmt: skip
    of_genres = of_model[(of_model["grouping"] == "by_genre") & (of_model["measure"] == "genre_accuracy")]
    of_genres = of_genres.set_index("genre")["value"].sort_values(ascending=False)
    genres = [(name, percent(value), genre_counts[name]) for name, value in of_genres.items()]
    of_real = interval(_estimate(_rows(real, "all").loc["genre_accuracy"]), percent)
    ceiling = interval(_estimate(_rows(real, "by_cell").loc["mauve"]))
    return f"""## Results

Of {samples:,} samples over a grid of genres, temperatures and top-p, with min-p {min_p:g} and 95 % intervals:

{markdown_table(("", ""), shares)}

{markdown_table(("temperature", "top-p", "on genre", f"the same, {plural(len(known), 'genre')}", "MAUVE"), grid)}

A plot is on genre where the project's classifier finds the genre that was asked for; in real, held-out plots it finds a
genre that they carry in {of_real} of cases. The {len(known)} genres are those with at least {KNOWN}
training plots. MAUVE (Pillutla et al. 2021) is the likeness to real plots of these genres, which
for other real plots is {ceiling}. All temperatures together:

{markdown_table(("genre", "on genre", "training plots"), genres)}

"""


def _rows(measures: pd.DataFrame, grouping: str) -> pd.DataFrame:
    rows = measures[measures["grouping"] == grouping]
    return rows.drop_duplicates("measure").set_index("measure")


def _estimate(row: Any) -> Estimate:
    return Estimate(row.value, row.low, row.high, row.of)


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) != 4:
            raise BadInput("Three folders are wanted: the generator's, that of its dump, and that of the report on it.")
        main(*(Path(argument) for argument in sys.argv[1:]))
