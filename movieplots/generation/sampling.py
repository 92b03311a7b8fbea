"""Writing plots with a trained generator: prompts in, samples out, always in batches.

The decoder is a seam: `PlotGenerator` knows prompts and markup, a decoder only continues token ids. Here stands the
reference decoder, `transformers`; a lighter one for CPUs fits behind the same two methods.
"""

import queue
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from movieplots.errors import BadInput
from movieplots.generation.markup import MarkupTokenizer
from movieplots.generation.model import load_generator
from movieplots.genres import check_genres, promptable

BATCH = 32
TEMPERATURE = 0.8
TOP_P = 0.9
TITLE_TOKENS = 48


@dataclass(frozen=True)
class Sample:
    """One generated plot. `genre` is the prompt (`horror` or `horror, comedy`), `top_p` 0 means off.

    `finished` is False where the model was cut off before it ended the text itself.
    """

    genre: str
    title: str
    plot: str
    temperature: float
    top_p: float
    seed: int
    finished: bool


@dataclass(frozen=True)
class Settings:
    """How a decoder continues: `stop` ends a sequence and is part of the result, `suppressed` ids are never sampled."""

    stop: int
    suppressed: list[int]
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int


class Decoder(Protocol):
    """Continues prompts of token ids."""

    def decode(self, prompts: Sequence[list[int]], settings: Settings) -> list[list[int]]:
        """The new ids of each prompt, up to and including `stop`; all prompts are decoded as one batch."""

    def stream(self, prompt: list[int], settings: Settings) -> Iterator[int]:
        """The new ids of one prompt, one by one."""


class TransformersDecoder:
    """The reference decoder: `generate` of transformers, left-padded batches, on the GPU where there is one."""

    def __init__(self, model: Any) -> None:
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def decode(self, prompts: Sequence[list[int]], settings: Settings) -> list[list[int]]:
        ids = self._generate(prompts, settings)
        return [_up_to(row, settings.stop) for row in ids]

    def stream(self, prompt: list[int], settings: Settings) -> Iterator[int]:
        streamer = _Queue()

        def run() -> None:
            try:
                self._generate([prompt], settings, streamer)
            except BaseException as error:  # handed to the reader, who would wait for ever otherwise
                streamer.ids.put(error)

        threading.Thread(target=run, daemon=True).start()
        while (item := streamer.ids.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    @torch.inference_mode()
    def _generate(
        self, prompts: Sequence[list[int]], settings: Settings, streamer: BaseStreamer | None = None
    ) -> list[list[int]]:
        width = max(map(len, prompts))
        padded = [[settings.stop] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        device = self.model.device
        room = self.model.config.max_position_embeddings - width
        if room < 1:
            raise BadInput(f"Title and opening are too long for this model by {1 - room} tokens: shorten the opening.")
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            ids = self.model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                streamer=streamer,
                generation_config=GenerationConfig(
                    do_sample=True,
                    temperature=settings.temperature,
                    top_p=settings.top_p or 1.0,
                    top_k=0,
                    max_new_tokens=min(settings.max_new_tokens, room),
                    suppress_tokens=settings.suppressed or None,
                    eos_token_id=settings.stop,
                    pad_token_id=settings.stop,
                ),
            )
        return [row[width:] for row in ids.tolist()]


class _Queue(BaseStreamer):
    """Passes ids from `generate` to another thread; None is the end. The first put is the prompt."""

    def __init__(self) -> None:
        self.ids: queue.Queue[int | BaseException | None] = queue.Queue()
        self._prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._prompt:
            self._prompt = False
        else:
            for token in value.flatten().tolist():
                self.ids.put(token)

    def end(self) -> None:
        self.ids.put(None)


class PlotGenerator:
    """Writes plots in given genres, with or without a given title and opening words."""

    def __init__(self, decoder: Decoder, tokenizer: MarkupTokenizer, info: dict[str, Any]) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.info = info

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "PlotGenerator":
        """Load a folder that `train_generator` wrote. Raises BadInput where it is none."""
        model, tokenizer, info = load_generator(path)
        return cls(TransformersDecoder(model), tokenizer, info)

    def generate(
        self,
        genres: Sequence[str] | None = None,
        title: str | None = None,
        opening: str = "",
        n: int = 1,
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        seed: int = 0,
        max_tokens: int | None = None,
    ) -> list[Sample]:
        """Write `n` plots.

        Without `genres` each sample's genre is drawn as often as it stands in the training plots. `title` needs a
        model trained with titles, which otherwise invents one. `max_tokens` bounds title and plot together (default:
        what the longest training plots needed). The same arguments give the same samples on the same machine.
        """
        if n < 1:
            raise BadInput(f"The number of plots must be at least 1, not {n}.")
        prompts = self._prompts(genres, n, seed)
        title, opening = _words(title) or None, _words(opening)
        samples: list[Sample] = []
        for start in range(0, n, BATCH):
            settings = self._settings(temperature, top_p, seed, start, max_tokens)
            samples += self._batch(prompts[start : start + BATCH], title, opening, settings, seed)
        return samples

    def stream(
        self,
        genres: Sequence[str] | None = None,
        title: str | None = None,
        opening: str = "",
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        seed: int = 0,
        max_tokens: int | None = None,
    ) -> Iterator[Sample]:
        """Write one plot and yield it again and again as it grows, token by token; arguments as for `generate`."""
        settings = self._settings(temperature, top_p, seed, 0, max_tokens)
        (genre,) = self._prompts(genres, 1, seed)
        title, opening = _words(title) or None, _words(opening)
        (head,) = self._titled([genre], title, opening, settings)
        prompt = self.tokenizer.prompt(genre, head, opening)
        ids: list[int] = []
        for token in self.decoder.stream(prompt, settings):
            ids.append(token)
            yield self._sample(genre, head, opening, ids, settings, seed)

    def write(
        self, genre_prompts: Sequence[str], temperature: float, top_p: float, seed: int, start: int
    ) -> list[Sample]:
        """One sample per prompt (genre names joined by `, `), decoded as one batch.

        `start` is the number of the first sample within its dump: batches of one seed must not draw alike.
        """
        return self._batch(genre_prompts, None, "", self._settings(temperature, top_p, seed, start, None), seed)

    def _settings(self, temperature: float, top_p: float, seed: int, start: int, max_tokens: int | None) -> Settings:
        check_cell(temperature, top_p)
        if max_tokens is not None and max_tokens < 1:
            raise BadInput(f"The number of tokens must be at least 1, not {max_tokens}.")
        return Settings(
            stop=self.tokenizer.end,
            suppressed=self.tokenizer.suppressed,
            max_new_tokens=max_tokens or self.info["max_tokens"],
            temperature=temperature,
            top_p=top_p,
            seed=random.Random(f"{seed}-{start}").getrandbits(32),
        )

    def _prompts(self, genres: Sequence[str] | None, n: int, seed: int) -> list[str]:
        counts = self.info["genre_counts"]
        if genres:
            return [", ".join(check_genres(genres, promptable(counts)))] * n
        return random.Random(seed).choices(list(counts), weights=list(counts.values()), k=n)

    def _batch(
        self, genres: Sequence[str], title: str | None, opening: str, settings: Settings, seed: int
    ) -> list[Sample]:
        heads = self._titled(genres, title, opening, settings)
        prompts = [self.tokenizer.prompt(genre, head, opening) for genre, head in zip(genres, heads, strict=True)]
        answers = self.decoder.decode(prompts, settings)
        return [
            self._sample(genre, head, opening, ids, settings, seed)
            for genre, head, ids in zip(genres, heads, answers, strict=True)
        ]

    def _titled(self, genres: Sequence[str], title: str | None, opening: str, settings: Settings) -> list[str | None]:
        """The title to put into each prompt: the one given, one sampled first where an opening follows it, or None."""
        end_of_title = self.tokenizer.end_of_title
        if end_of_title is None:
            if title is not None:
                raise BadInput(
                    "This model was trained without titles: leave out the title, or use one trained with titles."
                )
            return [None] * len(genres)
        if title is not None or not opening:
            return [title] * len(genres)
        only_title = replace(
            settings, stop=end_of_title, suppressed=[*settings.suppressed, settings.stop], max_new_tokens=TITLE_TOKENS
        )
        answers = self.decoder.decode([self.tokenizer.prompt(genre) for genre in genres], only_title)
        return [self.tokenizer.read(ids, has_title=False)[0] for ids in answers]

    def _sample(
        self, genre: str, title: str | None, opening: str, ids: list[int], settings: Settings, seed: int
    ) -> Sample:
        # The opening is decoded together with what follows, because a token may carry the blank before its word.
        ids = [*self.tokenizer.encode(opening), *ids]
        written, plot, finished = self.tokenizer.read(ids, has_title=title is not None)
        return Sample(genre, title or written, plot, settings.temperature, settings.top_p, seed, finished)


def check_cell(temperature: float, top_p: float) -> None:
    """Raise BadInput for a temperature or top-p out of range."""
    if not 0 < temperature <= 5:
        raise BadInput(f"The temperature must be above 0 and at most 5, not {temperature:g}.")
    if not 0 <= top_p <= 1:
        raise BadInput(f"Top-p must be between 0 (off) and 1, not {top_p:g}.")


def _up_to(ids: list[int], stop: int) -> list[int]:
    return ids[: ids.index(stop) + 1] if stop in ids else ids


def _words(text: str | None) -> str:
    """The text on one line with single blanks, as the model knows titles and plots."""
    return " ".join((text or "").split())
