"""Write what an evaluation found into the card of a generator, as its section `## Results`.

    python docs/generator_card.py models/generator data/report

The report must be of this generator's dump, with a classifier. Numbers have 95 % intervals.
"""

import re
import sys
from pathlib import Path

import pandas as pd

from movieplots.errors import BadInput, sentences
from movieplots.files import write_text
from movieplots.model_folder import read_info

REAL = "real plots, held out"
SHARES = {
    "unfinished": "not ended by itself",
    "looping": "going round in circles",
    "copied_more_than_20": "more than 20 words in a row as in a training plot",
    "exact_copy": "a training plot, word for word",
}
FEW = 100  # training plots


def main(model: Path, report: Path) -> None:
    """Put the section into `model/README.md`, in place of the one that stands there."""
    info = read_info(model, "generation")
    file = report / "measures.csv"
    if not file.is_file():
        raise BadInput(f"There is no {file}: name the folder that `movieplots evaluate` wrote.")
    card = model / "README.md"
    text = re.sub(r"## Results\n.*?(?=^## )", "", card.read_text(), flags=re.MULTILINE | re.DOTALL)
    write_text(card, text.replace("## Limits", section(pd.read_csv(file), info["genre_counts"]) + "## Limits", 1))


def section(measures: pd.DataFrame, genre_counts: dict[str, int]) -> str:
    """The section, from the rows of `measures.csv` of one generator and the references."""
    of_model = measures[~measures["model"].isin([REAL, "shuffled words"])]
    of_all = _rows(of_model, "all")
    samples = int(of_all.loc["unfinished", "of"])
    shares = "\n".join(f"| {name} | {_interval(of_all.loc[key], '.2%')} |" for key, name in SHARES.items())
    cells = of_model[of_model["grouping"] == "by_cell"]
    hits, likeness = (cells[cells["measure"] == name] for name in ("genre_hit", "mauve"))
    grid = "\n".join(
        f"| {hit.temperature:g} | {f'{hit.top_p:g}' if hit.top_p else 'off'} | {_interval(hit, '.0%')} "
        f"| {_interval(mauve, '.2f')} |"
        for hit, mauve in zip(hits.itertuples(), likeness.itertuples(), strict=True)
    )
    real = measures[measures["model"] == REAL]
    ceiling = _rows(real, "by_cell").loc["mauve"]
    of_genres = of_model[(of_model["grouping"] == "by_genre") & (of_model["measure"] == "genre_hit")]
    of_genres = of_genres.set_index("genre")["value"].sort_values(ascending=False)
    genres = ", ".join(f"{genre} {value:.0%}" for genre, value in of_genres.items())
    of_real = _interval(_rows(real, "all").loc["genre_hit"], ".0%")
    few = ", ".join(genre for genre, count in genre_counts.items() if count < FEW)
    return f"""## Results

Of {samples:,} samples over a grid of genres, temperatures and top-p, with 95 % intervals:

| | |
|---|---|
{shares}

| temperature | top-p | of the prompted genre | MAUVE |
|---|---|---|---|
{grid}

Genres are those that the project's classifier finds; of the genres that real, held-out plots carry it finds {of_real}.
MAUVE (Pillutla et al. 2021) is the likeness to real plots, which for other real plots is {_interval(ceiling, ".2f")}.
Of the prompted genre, all temperatures together: {genres}.
Genres with fewer than {FEW} training plots: {few or "none"}.

"""


def _rows(measures: pd.DataFrame, grouping: str) -> pd.DataFrame:
    rows = measures[measures["grouping"] == grouping]
    return rows.drop_duplicates("measure").set_index("measure")


def _interval(row: pd.Series, form: str) -> str:
    return f"{row.value:{form}} ({row.low:{form}} to {row.high:{form}})"


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) != 3:
            raise BadInput("Two folders are wanted: the generator's, and that of the report on its dump.")
        main(Path(sys.argv[1]), Path(sys.argv[2]))
