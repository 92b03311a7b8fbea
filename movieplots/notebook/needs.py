"""What each notebook needs on a free Colab machine with a T4: for its first lines, and before it begins.

The numbers are those of `benchmarks/notebooks.py`, rounded up, which says how they come about.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Needs:
    """Of one notebook: `minutes`, and GB (10**9 bytes) of `gpu_memory`, of room on Google `drive` and on the `disk`.

    With no GPU memory it needs no GPU. `measured` tells whether its trainings were measured on a T4: all else is
    estimated.
    """

    minutes: int
    gpu_memory: int
    drive: float
    disk: float
    measured: bool


# By the notebook's path without its ending.
NEEDS: dict[str, Needs] = {
    "DataPreparation": Needs(5, 0, 0.1, 0.6, False),
    "text_generation/with-titles/GPT-2/Training": Needs(15, 3, 0.7, 2.1, False),
    "text_generation/with-titles/GPT-2/Evaluation": Needs(10, 8, 0.1, 1.2, False),
    "text_generation/with-titles/GPT-2-gpt2simple/Training": Needs(15, 3, 0.7, 2.1, False),
    "text_generation/with-titles/GPT-2-gpt2simple/Evaluation": Needs(15, 8, 0.1, 1.2, False),
    "text_generation/without-titles/GPT-2/Training": Needs(15, 3, 0.7, 2.1, False),
    "text_generation/without-titles/GPT-2/Evaluation": Needs(10, 8, 0.1, 1.2, False),
    "text_generation/without-titles/DistilGPT-2/Training": Needs(30, 4, 2.1, 4.4, False),
    "text_generation/without-titles/DistilGPT-2/Evaluation": Needs(10, 8, 0.1, 1.5, False),
    "genre_prediction/MiniLM/Training": Needs(20, 3, 0.9, 1.7, False),
    "genre_prediction/MiniLM/Evaluation": Needs(5, 2, 0.0, 0.6, False),
    "genre_prediction/BERT/Training": Needs(15, 9, 4.5, 6.7, False),
    "genre_prediction/BERT/Evaluation": Needs(5, 3, 0.0, 1.0, False),
    "genre_prediction/RoBERTa/Training": Needs(10, 9, 3.0, 5.5, False),
    "genre_prediction/RoBERTa/Evaluation": Needs(5, 3, 0.0, 1.0, False),
}


def sentence(name: str) -> str:
    """One line of Markdown for the first lines of the notebook `name`: what it needs, and what must have run before."""
    needs, kind = NEEDS[name], PurePosixPath(name).name
    wants = [f"about {needs.minutes} minutes"]
    if needs.gpu_memory:
        wants.append(f"{needs.gpu_memory} GB of GPU memory")
    if needs.drive:
        wants.append(f"{needs.drive:g} GB on Google Drive")
    machine = "with a T4" if needs.gpu_memory else "without a GPU"
    origin = "trainings measured, the rest estimated" if needs.measured else "estimated, not measured"
    text = f"**On a free Colab machine {machine}:** {', '.join(wants[:-1])} and {wants[-1]} ({origin})."
    if kind == "Evaluation":
        text += " Run `Training.ipynb` of this folder first."
    elif "DistilGPT-2" in name:
        text += " That includes training the teacher, which is left out if `../GPT-2/Training.ipynb` has run before."
    return text
