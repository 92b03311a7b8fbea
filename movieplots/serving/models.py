"""The models of the server, loaded once in the background."""

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
from movieplots.measures.novelty_index import NearestPlot, NoveltyIndex, load_comparison
from movieplots.runs.folder import read_info

BACKEND_TIMEOUT = 60.0  # seconds to wait for an OpenAI-compatible server to start
CONTEXT = 640  # tokens of a prompt and its plot: llama.cpp allocates memory for this number per slot

Comparison = Callable[[Sequence[str]], list[NearestPlot]]


class ModelUnavailable(Exception):
    """A model is still loading (`loading` is True), could not be loaded, or is not served."""

    def __init__(self, message: str, loading: bool) -> None:
        super().__init__(message)
        self.loading = loading


@dataclass
class ServedModel:
    """A model of the server: its folder, the metadata of the folder, and the model itself once it is loaded."""

    name: str
    folder: Path
    info: GeneratorInfo | ClassifierInfo | None
    load: Callable[[Path], Any]
    model: Any = None
    error: str = ""
    loaded: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> Literal["loading", "ready", "failed"]:
        """Whether the model can be used."""
        if not self.loaded.is_set():
            return "loading"
        return "failed" if self.error else "ready"

    def check(self) -> None:
        """Raise ModelUnavailable unless the model is ready."""
        if self.state == "failed":
            raise ModelUnavailable(f"The model {self.name} could not be loaded: {self.error}", loading=False)
        if self.state == "loading":
            raise ModelUnavailable(f"The model {self.name} is still loading.", loading=True)


def generator_name(info: GeneratorInfo) -> str:
    """Return the name of a generator in the API."""
    return "with-titles" if info.titles else "without-titles"


class Models:
    """The generators (at most one with and one without titles), the classifier and the novelty index, by name.

    `backend` is that of `PlotGenerator.from_pretrained`. The constructor raises BadInput if a folder holds no such
    model, or if two generators have the same name.
    """

    def __init__(
        self, generators: list[Path], classifier: Path | None, novelty: Path | None = None, backend: str = "auto"
    ) -> None:
        self.served: dict[str, ServedModel] = {}
        check_backend(backend)
        if is_address(backend) and len(generators) > 1:
            raise BadInput(f"The backend server {backend} has one model: give one generator.")
        for folder in generators:
            info = read_info(folder, GeneratorInfo)
            name = generator_name(info)
            if name in self.served:
                raise BadInput(
                    f"{self.served[name].folder} and {folder} are both generators {name.replace('-', ' ')}: "
                    "give one of them."
                )
            self.served[name] = ServedModel(name, folder, info, partial(_load_generator, backend=backend))
        if classifier is not None:
            known = read_info(classifier, ClassifierInfo)
            self.served["classifier"] = ServedModel("classifier", classifier, known, GenreClassifier.from_pretrained)
        if novelty is not None:
            if not novelty.is_file():
                raise BadInput(f"The novelty index {novelty} does not exist: create it with `movieplots novelty`.")
            NoveltyIndex.plots_of(novelty)  # raises BadInput if the file is not an index
            self.served["novelty"] = ServedModel("novelty", novelty, None, load_comparison)

    def load(self) -> None:
        """Start to load all models in a thread, one after another: torch does not load two at the same time safely."""
        threading.Thread(target=_load, args=(list(self.served.values()),), daemon=True, name="load models").start()

    def generator(self, title: str | None, name: str | None = None) -> PlotGenerator:
        """Return the generator of this name, or by default the one that suits the title.

        Raises BadInput if no generator of this name is served, and ModelUnavailable if it is not loaded.
        """
        names = [name] if name else ["with-titles", "without-titles"] if title else ["without-titles", "with-titles"]
        for known in names:
            if known in self.served:
                return self._get(known)
        if name:
            raise BadInput(f"This server has no generator {name}: leave out the model, or see /v1/models.")
        raise ModelUnavailable("This server has no generator: start it with --generator.", loading=False)

    def classifier(self) -> GenreClassifier:
        """Return the classifier; raise ModelUnavailable if it is not loaded."""
        if "classifier" not in self.served:
            raise ModelUnavailable("This server has no classifier: start it with --classifier.", loading=False)
        return self._get("classifier")

    def novelty(self) -> Comparison:
        """Return a function that finds the nearest training plots; raise ModelUnavailable if it is not loaded."""
        if "novelty" not in self.served:
            raise ModelUnavailable("This server has no novelty index: start it with --novelty.", loading=False)
        return self._get("novelty")

    def _get(self, name: str) -> Any:
        served = self.served[name]
        served.check()
        return served.model


def _load(every: list[ServedModel]) -> None:
    for served in every:
        try:
            served.model = served.load(served.folder)
        except ModuleNotFoundError as error:
            served.error = (
                f"it needs {error.name}, which is not installed. Quantize the classifier, or load the generator once "
                f"on a machine that has {error.name}."
            )
        except Exception as error:  # requests for the model report it
            served.error = str(error) or type(error).__name__
        finally:
            served.loaded.set()


def _load_generator(folder: Path, backend: str) -> PlotGenerator:
    generator = _from_server(folder, backend) if is_address(backend) else PlotGenerator.from_pretrained(folder, backend)
    generator.backend.context = min(generator.backend.context, CONTEXT)
    counts = generator.info.genre_counts
    most_frequent = max(counts, key=lambda genre: counts[genre])
    for _ in generator.stream([most_frequent], max_tokens=1):  # the backend starts with its first plot
        pass
    return generator


def _from_server(folder: Path, address: str) -> PlotGenerator:
    """Return a generator with a server as its backend; wait for the server to start."""
    deadline = time.monotonic() + BACKEND_TIMEOUT
    while True:
        try:
            return PlotGenerator.from_pretrained(folder, address)
        except BadInput:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
