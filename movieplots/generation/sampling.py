"""Writing plots with a trained generator: genres, titles and openings in, samples out.

`PlotGenerator` knows prompts and markup; a decoder (see `decoders`) only continues token ids. What a sample's draws are
depends on its own seed alone, so a sample stays the same whichever others are written with it.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput
from movieplots.generation.decoders import Decoder, Request, load_decoder
from movieplots.generation.markup import MarkupTokenizer
from movieplots.genres import check_genres, promptable
from movieplots.texts import as_names, as_text

TEMPERATURE = 0.8
TOP_P = 0.9
MIN_P = 0.05  # without it most plots at temperature 1.3 never come to an end
TITLE_TOKENS = 48
GO_ON_TOKENS = 12  # at least, where a plot is to go on


@dataclass(frozen=True)
class Sample:
    """One generated plot.

    `genre` is the prompt (`horror` or `horror, comedy`), `title` the one given or invented ("" without titles), `plot`
    the text on one line, with the opening. `temperature`, `top_p` (0 means off) and `seed` are what it was drawn with.
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
class Options:
    """How wildly to draw, and what not to repeat. Raises BadInput for a value out of range.

    `temperature`, above 0 and at most 5, divides the scores: the lower, the more often the likeliest tokens come.
    `top_p` keeps the likeliest tokens up to this share of the probability (0 or 1: all; Holtzman et al. 2020), `min_p`
    those at least this fraction as likely as the likeliest (0: all; below 1; Nguyen et al. 2024). `repetition_penalty`,
    from 1 (off) to 10, lowers the scores of tokens that stand in prompt or text already (Keskar et al. 2019), and no
    `no_repeat_ngram` tokens in a row, 2 to 100, come twice (0: off).
    """

    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    min_p: float = MIN_P
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 5:
            raise BadInput(f"The temperature must be above 0 and at most 5, not {self.temperature:g}.")
        if not 0 <= self.top_p <= 1:
            raise BadInput(f"Top-p must be between 0 (off) and 1, not {self.top_p:g}.")
        if not 0 <= self.min_p < 1:
            raise BadInput(f"Min-p must be at least 0 (off) and below 1, not {self.min_p:g}.")
        if not 1 <= self.repetition_penalty <= 10:
            raise BadInput(f"The repetition penalty must be between 1 (off) and 10, not {self.repetition_penalty:g}.")
        if self.no_repeat_ngram != 0 and not 2 <= self.no_repeat_ngram <= 100:
            raise BadInput(f"The n-grams not to repeat must have 2 to 100 tokens (0: off), not {self.no_repeat_ngram}.")


@dataclass(frozen=True)
class Task:
    """One plot to write: its `genre` as in a prompt, and how it is drawn, by its `options` (see `Options`).

    `draws` names the random draws: equal names draw alike. `seed` is only what the sample records.
    """

    genre: str
    options: Options
    draws: str
    seed: int


class PlotGenerator:
    """Writes plots in given genres, with or without a given title and opening words.

    `from_pretrained` makes one. `info` is what the model's `movieplots.json` holds, `tokenizer` turns its markup into
    tokens, `decoder` continues them.
    """

    def __init__(self, decoder: Decoder, tokenizer: MarkupTokenizer, info: dict[str, Any]) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.info = info

    @classmethod
    def from_pretrained(cls, path: str | Path, decoder: str = "auto") -> "PlotGenerator":
        """Load the folder `path` that `train_generator` wrote.

        `decoder` is `transformers`, `llama.cpp` or `auto`: transformers on a GPU, else llama.cpp where it is installed;
        or the address of an OpenAI-compatible server that has the model, such as `http://localhost:8000/v1`. Raises
        BadInput where the folder is none, or where the decoder cannot be had here; a server that fails later, while it
        writes, raises `movieplots.generation.decoders.DecoderFailed`.
        """
        return cls(*load_decoder(path, decoder))

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
        min_p: float = MIN_P,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
    ) -> list[Sample]:
        """Write `n` plots, a `Sample` each.

        All `genres` that are named stand in the prompt of each plot; without any, each plot's genre is drawn as often
        as it stands in the training plots. `title`, best in the IMDb form (`Salt (2009)`), needs a model trained with
        titles, which otherwise invents one. The plot begins with the words of `opening`. `max_tokens` bounds the tokens
        that are written after these (default: what all but the longest training plots needed, title and plot together).
        `temperature`, `top_p`, `min_p`, `repetition_penalty` and `no_repeat_ngram` are those of `Options`.

        The same arguments give the same samples on the same machine, up to rounding; a sample's draws depend on `seed`
        and its number alone. Raises BadInput for a number or an option out of range, an unknown genre, a title for a
        model trained without, a title or opening that is no text, and both where they are too long for the model.
        """
        check_count(n)
        options = Options(temperature, top_p, min_p, repetition_penalty, no_repeat_ngram)
        tasks = self._tasks(genres, n, options, seed)
        with contextlib.closing(self.write(tasks, title, opening, max_tokens)) as written:
            samples = {i: sample for i, sample, _ in written}
        return [samples[i] for i in range(n)]

    def stream(
        self,
        genres: Sequence[str] | None = None,
        title: str | None = None,
        opening: str = "",
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        seed: int = 0,
        max_tokens: int | None = None,
        min_p: float = MIN_P,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        number: int = 0,
        go_on: bool = False,
    ) -> Iterator[Sample]:
        """Write one plot and yield it, as a `Sample`, each time it grows by a token; arguments as for `generate`.

        It becomes plot `number` (from 0) of those that `generate` writes; the last one yielded is the whole. With
        `go_on` the opening is taken for a plot that is to go on: it does not end before 12 more tokens. Leaving the
        iterator early stops the decoder. Raises BadInput as `generate` does, when the first is asked for.
        """
        options = Options(temperature, top_p, min_p, repetition_penalty, no_repeat_ngram)
        tasks = self._tasks(genres, number + 1, options, seed)
        (prepared,) = self._prepare(tasks[number:], title, opening, max_tokens)
        request, ids = prepared.request, []
        parts = [request]
        if go_on:
            least = min(GO_ON_TOKENS, request.max_new_tokens)
            parts.insert(0, replace(request, max_new_tokens=least, suppressed=(*request.suppressed, request.stop)))
        for part in parts:
            if ids:
                most = request.max_new_tokens - len(ids)
                part = replace(part, prompt=[*part.prompt, *ids], max_new_tokens=most, seed=part.seed ^ 1)
            if part.max_new_tokens < 1:
                break
            with contextlib.closing(self.decoder.stream(part)) as tokens:
                for token in tokens:
                    ids.append(token)
                    yield self._sample(prepared, ids)

    def check(self, genres: Sequence[str] | None = None, title: str | None = None, opening: str = "") -> None:
        """Raise BadInput where a plot cannot be asked for like that; arguments as for `generate`."""
        title, opening = _words(title, "title") or None, _words(opening, "opening")
        check_asked(self.info, genres, title)
        (task,) = self._tasks(genres, 1, Options(), 0)
        self._request(task, title, opening, self.tokenizer.end, (), 1, "")

    def write(
        self, tasks: Sequence[Task], title: str | None = None, opening: str = "", max_tokens: int | None = None
    ) -> Iterator[tuple[int, Sample, int]]:
        """Yield (index of the task, its `Sample`, number of its tokens) as each plot is finished, in any order.

        `tasks`, a `Task` each, say what a plot is drawn with, so that one batch can hold several genres and
        temperatures; other arguments as for `generate`. Raises BadInput as `generate` does, when the first is asked
        for.
        """
        prepared = self._prepare(tasks, title, opening, max_tokens)
        with contextlib.closing(self.decoder.decode([each.request for each in prepared])) as finished:
            for i, ids in finished:
                yield i, self._sample(prepared[i], ids), len(ids)

    def _tasks(self, genres: Sequence[str] | None, n: int, options: Options, seed: int) -> list[Task]:
        counts = self.info["genre_counts"]
        genres = _names(genres)
        if genres:
            names = [", ".join(check_genres(genres, promptable(counts)))] * n
        else:
            names = random.Random(seed).choices(list(counts), weights=list(counts.values()), k=n)
        return [Task(name, options, f"{seed}-{i}", seed) for i, name in enumerate(names)]

    def _prepare(
        self, tasks: Sequence[Task], title: str | None, opening: str, max_tokens: int | None
    ) -> list["_Prepared"]:
        """The requests; where an opening follows a title that is not given, the titles are written here first."""
        if max_tokens is not None and max_tokens < 1:
            raise BadInput(f"The number of tokens must be at least 1, not {max_tokens}.")
        most = max_tokens or self.info["max_tokens"]
        title, opening = _words(title, "title") or None, _words(opening, "opening")
        end_of_title = self.tokenizer.end_of_title
        check_asked(self.info, None, title)
        heads = [title] * len(tasks)
        suppressed = tuple(self.tokenizer.suppressed)
        if end_of_title is not None and title is None and opening:
            no_end = (*suppressed, self.tokenizer.end)
            requests = [self._request(task, None, "", end_of_title, no_end, TITLE_TOKENS, "title-") for task in tasks]
            for i, ids in self.decoder.decode(requests):
                heads[i] = self.tokenizer.read(ids, has_title=False)[0]
        return [
            _Prepared(task, head, opening, self._request(task, head, opening, self.tokenizer.end, suppressed, most, ""))
            for task, head in zip(tasks, heads, strict=True)
        ]

    def _request(
        self, task: Task, title: str | None, opening: str, stop: int, suppressed: tuple[int, ...], most: int, what: str
    ) -> Request:
        prompt = self.tokenizer.prompt(task.genre, title, opening)
        room = self.decoder.context - len(prompt)
        if room < 1:
            raise BadInput(f"Title and opening are too long for this model by {1 - room} tokens: shorten the opening.")
        options = task.options
        return Request(
            prompt=prompt,
            stop=stop,
            max_new_tokens=min(most, room),
            suppressed=suppressed,
            temperature=options.temperature,
            top_p=options.top_p,
            min_p=options.min_p,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram=options.no_repeat_ngram,
            seed=random.Random(what + task.draws).getrandbits(31),
        )

    def _sample(self, prepared: "_Prepared", ids: list[int]) -> Sample:
        # The opening is decoded together with what follows, because a token may carry the blank before its word.
        ids = [*self.tokenizer.encode(prepared.opening), *ids]
        written, plot, finished = self.tokenizer.read(ids, has_title=prepared.title is not None)
        task = prepared.task
        title = prepared.title or written
        return Sample(task.genre, title, plot, task.options.temperature, task.options.top_p, task.seed, finished)


@dataclass(frozen=True)
class _Prepared:
    """A task with the title and opening that stand in its prompt."""

    task: Task
    title: str | None
    opening: str
    request: Request


def check_count(n: int) -> None:
    """Raise BadInput for a number of plots below 1."""
    if n < 1:
        raise BadInput(f"The number of plots must be at least 1, not {n}.")


def check_asked(info: dict[str, Any], genres: Sequence[str] | None, title: str | None) -> None:
    """Raise BadInput where a generator cannot be asked for these genres or a title; its model need not be loaded.

    `info` is what its `movieplots.json` holds.
    """
    if genres := _names(genres):
        check_genres(genres, promptable(info["genre_counts"]))
    if info["markup"] != "with-titles" and _words(title, "title"):
        raise BadInput("This model was trained without titles: leave out the title, or use one trained with titles.")


def _names(genres: Sequence[str] | None) -> list[str]:
    return [] if genres is None else as_names(genres)


def _words(text: str | None, what: str) -> str:
    """The text on one line with single blanks, as the model knows titles and plots; empty where there is none."""
    return "" if text is None else " ".join(as_text(text, what).split())
