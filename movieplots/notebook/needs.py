"""Time, memory and disk space that each notebook needs on a free Colab machine with a T4.

The numbers are those of `benchmarks/notebooks.py`, rounded up; `benchmarks/README.md` explains them.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Needs:
    """The requirements of one notebook.

    Attributes
    ----------
    minutes : int
        Duration in minutes.
    gpu_memory : int
        GPU memory in GB (10**9 bytes); 0 if no GPU is needed.
    drive, disk : float
        Space on Google Drive and on the local disk in GB.
    measured : bool
        Whether its trainings were measured on a T4; all other numbers are estimates.
    """

    minutes: int
    gpu_memory: int
    drive: float
    disk: float
    measured: bool


# By the path of the notebook without `.ipynb`.
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
    """Return a line of Markdown with the requirements of the notebook `name` and the notebook to run before it."""
    needs, kind = NEEDS[name], PurePosixPath(name).name
    parts = [f"about {needs.minutes} minutes"]
    if needs.gpu_memory:
        parts.append(f"{needs.gpu_memory} GB of GPU memory")
    if needs.drive:
        parts.append(f"{needs.drive:g} GB on Google Drive")
    machine = "with a T4" if needs.gpu_memory else "without a GPU"
    origin = "trainings measured, the rest estimated" if needs.measured else "estimated, not measured"
    text = f"**On a free Colab machine {machine}:** {', '.join(parts[:-1])} and {parts[-1]} ({origin})."
    if kind == "Evaluation":
        text += " Run `Training.ipynb` of this folder first."
    elif "DistilGPT-2" in name:
        text += " That includes training the teacher, which is left out if `../GPT-2/Training.ipynb` has run before."
    return text
