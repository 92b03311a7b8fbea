"""The models that are served: loaded once, in the background; the server can say from the start how far it is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.generation.decoders import check_decoder, is_address
from movieplots.generation.sampling import PlotGenerator
from movieplots.model_folder import read_info
from movieplots.novelty_index import NoveltyIndex, load_comparison

PATIENCE = 60.0  # seconds for a server that writes the plots to be there
CONTEXT = 640  # tokens of a prompt and its plot: each place of llama.cpp takes memory for so many


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
    info: dict[str, Any]
    load: Callable[[Path], Any]
    model: Any = None
    error: str = ""
    loaded: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> str:
        """`loading`, `ready` or `failed`."""
        if not self.loaded.is_set():
            return "loading"
        return "failed" if self.error else "ready"

    def check(self) -> None:
        """Raise NotReady where it is not ready."""
        if self.state == "failed":
            raise NotReady(f"The model {self.name} could not be loaded: {self.error}", loading=False)
        if self.state == "loading":
            raise NotReady(f"The model {self.name} is still being loaded.", loading=True)


class Models:
    """Generators (one a markup: `with-titles`, `without-titles`) and one classifier, by name.

    `decoder` is what writes the plots, see `PlotGenerator.from_pretrained`. Raises BadInput at once where a folder
    holds no such model, or where two generators have the same markup.
    """

    def __init__(
        self, generators: list[Path], classifier: Path | None, novelty: Path | None = None, decoder: str = "auto"
    ) -> None:
        self.served: dict[str, Served] = {}
        check_decoder(decoder)
        if is_address(decoder) and len(generators) > 1:
            raise BadInput(f"The server at {decoder} writes with one model: give one generator.")
        for folder in generators:
            info = read_info(folder, "generation")
            name = info["markup"]
            if name in self.served:
                raise BadInput(
                    f"{self.served[name].folder} and {folder} are both generators {name.replace('-', ' ')}: give one."
                )
            self.served[name] = Served(name, folder, info, partial(_load_generator, decoder=decoder))
        if classifier is not None:
            info = read_info(classifier, "classification")
            self.served["classifier"] = Served("classifier", classifier, info, GenreClassifier.from_pretrained)
        if novelty is not None:
            if not novelty.is_file():
                raise BadInput(f"There is no index {novelty}: make it with `movieplots novelty`.")
            NoveltyIndex.plots_of(novelty)  # says where the file is none
            self.served["novelty"] = Served("novelty", novelty, {}, load_comparison)

    def load(self) -> None:
        """Load all in a thread; returns at once. One after another: two at a time disturb each other inside torch."""
        every = list(self.served.values())
        threading.Thread(target=lambda: [_load(served) for served in every], daemon=True, name="load models").start()

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

    def novelty(self) -> Any:
        """A function from plots to how near each is to the training plots."""
        if "novelty" not in self.served:
            raise NotReady("No index of training plots is served here: start the server with --novelty.", loading=False)
        return self._get("novelty")

    def _get(self, name: str) -> Any:
        served = self.served[name]
        served.check()
        return served.model


def _load(served: Served) -> None:
    try:
        served.model = served.load(served.folder)
    except ModuleNotFoundError as error:
        served.error = (
            f"it needs {error.name}, which is not installed here: compress the classifier, or convert the generator "
            "where it is."
        )
    except Exception as error:  # told to whoever asks for the model
        served.error = str(error) or type(error).__name__
    finally:
        served.loaded.set()


def _load_generator(folder: Path, decoder: str) -> PlotGenerator:
    generator = _from_server(folder, decoder) if is_address(decoder) else PlotGenerator.from_pretrained(folder, decoder)
    generator.decoder.context = min(generator.decoder.context, CONTEXT)
    genre = max(generator.info["genre_counts"], key=generator.info["genre_counts"].get)
    for _ in generator.stream([genre], max_tokens=1):  # starts what is started with the first plot
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
