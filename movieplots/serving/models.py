"""The models that are served: loaded once, in the background; the server can say from the start how far it is."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from movieplots.classification.info import ClassifierInfo
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.sampling import PlotGenerator
from movieplots.generation.sampling_settings import check_backend, is_address
from movieplots.measures.novelty_index import Likeness, NoveltyIndex, load_comparison
from movieplots.runs.folder import read_info

PATIENCE = 60.0  # seconds for a server that writes the plots to be there
CONTEXT = 640  # tokens of a prompt and its plot: each place of llama.cpp takes memory for so many

Comparison = Callable[[Sequence[str]], list[Likeness]]


class NotReady(Exception):
    """A model is still being loaded, or could not be loaded, or is not served here; `loading` says which."""

    def __init__(self, message: str, loading: bool) -> None:
        super().__init__(message)
        self.loading = loading


@dataclass
class Served:
    """One model: where it lies, what its folder says of it, and the model itself once it is loaded."""

    name: str
    folder: Path
    info: GeneratorInfo | ClassifierInfo | None
    load: Callable[[Path], Any]
    model: Any = None
    error: str = ""
    loaded: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> Literal["loading", "ready", "failed"]:
        """How far it is."""
        if not self.loaded.is_set():
            return "loading"
        return "failed" if self.error else "ready"

    def check(self) -> None:
        """Raise NotReady where it is not ready."""
        if self.state == "failed":
            raise NotReady(f"The model {self.name} could not be loaded: {self.error}", loading=False)
        if self.state == "loading":
            raise NotReady(f"The model {self.name} is still being loaded.", loading=True)


def generator_name(info: GeneratorInfo) -> str:
    """What a generator is called here."""
    return "with-titles" if info.titles else "without-titles"


class Models:
    """Generators (one `with-titles`, one `without-titles`) and one classifier, by name.

    `backend` is what writes the plots, see `PlotGenerator.from_pretrained`. Raises BadInput at once where a folder
    holds no such model, or where two generators have the same name.
    """

    def __init__(
        self, generators: list[Path], classifier: Path | None, novelty: Path | None = None, backend: str = "auto"
    ) -> None:
        self.served: dict[str, Served] = {}
        check_backend(backend)
        if is_address(backend) and len(generators) > 1:
            raise BadInput(f"The server at {backend} writes with one model: give one generator.")
        for folder in generators:
            info = read_info(folder, GeneratorInfo)
            name = generator_name(info)
            if name in self.served:
                raise BadInput(
                    f"{self.served[name].folder} and {folder} are both generators {name.replace('-', ' ')}: give one."
                )
            self.served[name] = Served(name, folder, info, partial(_load_generator, backend=backend))
        if classifier is not None:
            known = read_info(classifier, ClassifierInfo)
            self.served["classifier"] = Served("classifier", classifier, known, GenreClassifier.from_pretrained)
        if novelty is not None:
            if not novelty.is_file():
                raise BadInput(f"There is no index {novelty}: make it with `movieplots novelty`.")
            NoveltyIndex.plots_of(novelty)  # says where the file is none
            self.served["novelty"] = Served("novelty", novelty, None, load_comparison)

    def load(self) -> None:
        """Load all in a thread; returns at once. One after another: two at a time disturb each other inside torch."""
        threading.Thread(target=_load, args=(list(self.served.values()),), daemon=True, name="load models").start()

    def generator(self, title: str | None, name: str | None = None) -> PlotGenerator:
        """The generator of this name; without one, that with titles for a given title, else rather the other.

        Raises BadInput where none of this name is served, NotReady where it is not loaded.
        """
        names = [name] if name else ["with-titles", "without-titles"] if title else ["without-titles", "with-titles"]
        for known in names:
            if known in self.served:
                return self._get(known)
        if name:
            raise BadInput(f"No generator {name} is served here: leave it out, or see /v1/models.")
        raise NotReady("No generator is served here: start the server with --generator.", loading=False)

    def classifier(self) -> GenreClassifier:
        """The classifier."""
        if "classifier" not in self.served:
            raise NotReady("No classifier is served here: start the server with --classifier.", loading=False)
        return self._get("classifier")

    def novelty(self) -> Comparison:
        """A function from plots to how near each is to the training plots."""
        if "novelty" not in self.served:
            raise NotReady("No index of training plots is served here: start the server with --novelty.", loading=False)
        return self._get("novelty")

    def _get(self, name: str) -> Any:
        served = self.served[name]
        served.check()
        return served.model


def _load(every: list[Served]) -> None:
    for served in every:
        try:
            served.model = served.load(served.folder)
        except ModuleNotFoundError as error:
            served.error = (
                f"it needs {error.name}, which is not installed here: quantize the classifier, or convert the "
                "generator where it is."
            )
        except Exception as error:  # told to whoever asks for the model
            served.error = str(error) or type(error).__name__
        finally:
            served.loaded.set()


def _load_generator(folder: Path, backend: str) -> PlotGenerator:
    generator = _from_server(folder, backend) if is_address(backend) else PlotGenerator.from_pretrained(folder, backend)
    generator.backend.context = min(generator.backend.context, CONTEXT)
    counts = generator.info.genre_counts
    commonest = max(counts, key=lambda genre: counts[genre])
    for _ in generator.stream([commonest], max_tokens=1):  # starts what is started with the first plot
        pass
    return generator


def _from_server(folder: Path, address: str) -> PlotGenerator:
    """The same from a server, which may be starting as well."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return PlotGenerator.from_pretrained(folder, address)
        except BadInput:
            if time.monotonic() > until:
                raise
            time.sleep(1)
