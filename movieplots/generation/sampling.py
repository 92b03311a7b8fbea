"""Writing plots with a trained generator: genres, titles and openings in, samples out.

`PlotGenerator` knows prompts; a backend (see `backends`) only continues token ids. What is drawn for a sample depends
on its own seed alone, so a sample stays the same whichever others are written with it.

No special token that cannot stand there is ever part of a text. A backend is told which ones not to draw, for a whole
request. The token that ends the title has to be drawn once where the title is invented with the plot: where it comes
again, the text is cut there and continued in a second request, which forbids it.
"""

import contextlib
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.generation.backends.base import Backend, Decoded, Request, Tokens
from movieplots.generation.backends.loading import load_backend
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.sampling_settings import GenerateSettings, PlotSettings, Sampling, StreamSettings
from movieplots.genres import check_genres, promptable
from movieplots.settings import method_takes
from movieplots.texts import as_text

TITLE_TOKENS = 48
CONTINUED_TOKENS = 12  # for which there must be room after an opening, and which follow one that is continued


@dataclass(frozen=True)
class Sample:
    """One generated plot.

    `genre` is the prompt (`horror` or `horror, comedy`), `title` the one given or invented ("" without titles), `plot`
    the text on one line, with the opening. `temperature`, `top_p` (0 means off) and `seed` are what it was drawn with.
    `truncated` is True where the model was cut off before it ended the text itself.
    """

    genre: str
    title: str
    plot: str
    temperature: float
    top_p: float
    seed: int
    truncated: bool


@dataclass(frozen=True)
class SampleRequest:
    """One plot to write: its `genre` as in a prompt, and the `sampling`, how it is drawn.

    `random_stream` names the random draws: equal names draw alike. `seed` is only what the sample records.
    """

    genre: str
    sampling: Sampling
    random_stream: str
    seed: int


class PlotGenerator:
    """Writes plots in given genres, with or without a given title and opening words.

    `from_pretrained` makes one. `info` is what the model's `movieplots.json` holds, `tokenizer` turns prompts into
    tokens, `backend` continues them.
    """

    def __init__(self, backend: Backend, tokenizer: PromptTokenizer, info: GeneratorInfo) -> None:
        self.backend = backend
        self.tokenizer = tokenizer
        self.info = info

    @classmethod
    def from_pretrained(cls, path: str | Path, backend: str = "auto") -> "PlotGenerator":
        """Load the folder `path` that `train_generator` wrote.

        `backend` is `transformers`, `llama.cpp` or `auto`: transformers on a GPU, else llama.cpp where it is installed;
        or the address of an OpenAI-compatible server that has the model, such as `http://localhost:8000/v1`. Raises
        BadInput where the folder is none, or where the backend cannot be had here; a server that fails later, while it
        writes, raises `movieplots.generation.backends.base.BackendFailed`.
        """
        return cls(*load_backend(path, backend))

    @method_takes(GenerateSettings)
    def generate(self, settings: GenerateSettings) -> list[Sample]:
        """Write `n` plots, a `Sample` each.

        All `genres` that are named stand in the prompt of each plot. `title` needs a model trained with titles, which
        otherwise invents one. `max_tokens` bounds the tokens that are written after the `opening`.

        The same arguments give the same samples on the same machine, up to rounding; what is drawn for a sample depends
        on `seed` and its number alone.

        Raises
        ------
        BadInput
            For an option out of range, an unknown genre, a title for a model trained without, a title or opening that
            is no text, and both where they are too long for the model.

        Notes
        -----
        Sampling: top-p of Holtzman et al. 2020, min-p of Nguyen et al. 2024, the repetition penalty of Keskar et al.
        2019.
        """
        requests = self._requests(settings, settings.n)
        written = self.write(requests, settings.title, settings.opening, settings.max_tokens)
        with contextlib.closing(written):
            samples = {i: sample for i, sample, _ in written}
        return [samples[i] for i in range(settings.n)]

    @method_takes(StreamSettings)
    def stream(self, settings: StreamSettings) -> Generator[Sample, None, None]:
        """Write one plot and yield it, as a `Sample`, each time it grows by a token.

        The last one yielded is the whole. Leaving the iterator early stops the backend.

        Raises
        ------
        BadInput
            As `generate` does.
        """
        requests = self._requests(settings, settings.number + 1)[settings.number :]
        (prepared,) = self._prepare(requests, settings.title, settings.opening, settings.max_tokens)
        request = prepared.request
        ids: list[int] = []
        parts = [request]
        if settings.continue_opening:
            least = min(CONTINUED_TOKENS, request.max_new_tokens)
            parts.insert(0, replace(request, max_new_tokens=least, suppressed=(*request.suppressed, request.stop)))
        for part in parts:
            if ids:
                part = self._continued(part, ids)
            if part.max_new_tokens < 1:
                break
            with contextlib.closing(self._stream(part)) as tokens:
                for token in tokens:
                    ids.append(token)
                    yield self._sample(prepared, ids)

    @method_takes(PlotSettings)
    def check(self, settings: PlotSettings) -> None:
        """Raise BadInput where a plot cannot be asked for like that."""
        title, opening = _words(settings.title, "title") or None, _words(settings.opening, "opening")
        check_asked(self.info, None, title)
        (request,) = self._requests(settings, 1)
        self._prompt(request.genre, title, opening, settings.max_tokens or self.info.max_tokens)

    def write(
        self,
        requests: Sequence[SampleRequest],
        title: str | None = None,
        opening: str = "",
        max_tokens: int | None = None,
    ) -> Generator[tuple[int, Sample, int], None, None]:
        """Yield (index of the request, its `Sample`, number of its tokens) as each plot is finished, in any order.

        Each of the `requests` says what its plot is drawn with, so that one batch can hold several genres and
        temperatures; other arguments as for `generate`. Raises BadInput as `generate` does, when the first is asked
        for.
        """
        prepared = self._prepare(requests, title, opening, max_tokens)
        with contextlib.closing(self._decode([each.request for each in prepared])) as finished:
            for i, ids in finished:
                yield i, self._sample(prepared[i], ids), len(ids)

    def _stream(self, request: Request) -> Tokens:
        """The backend's tokens, among them one end of the title at most."""
        ids: list[int] = []
        with contextlib.closing(self.backend.stream(request)) as tokens:
            for token in tokens:
                if token == self.tokenizer.end_of_title and token in ids:
                    break
                ids.append(token)
                yield token
            else:
                return
        with contextlib.closing(self.backend.stream(self._continued(request, ids))) as tokens:
            yield from tokens

    def _decode(self, requests: Sequence[Request]) -> Decoded:
        """What the backend decodes, with one end of the title at most in each: the same as `_stream` gives."""
        end, cut = self.tokenizer.end_of_title, []
        with contextlib.closing(self.backend.decode(requests)) as finished:
            for i, ids in finished:
                if end is not None and ids.count(end) > 1:
                    cut.append((i, ids[: ids.index(end, ids.index(end) + 1)]))
                else:
                    yield i, ids
        if not cut:
            return
        rest = [self._continued(requests[i], ids) for i, ids in cut]
        with contextlib.closing(self.backend.decode(rest)) as finished:
            for n, ids in finished:
                i, before = cut[n]
                yield i, [*before, *ids]

    def _continued(self, request: Request, ids: list[int]) -> Request:
        """The request for what follows `ids`, which have been written for `request`."""
        end_of_title = self.tokenizer.end_of_title
        return replace(
            request,
            prompt=[*request.prompt, *ids],
            max_new_tokens=request.max_new_tokens - len(ids),
            suppressed=(*request.suppressed, *(token for token in ids if token == end_of_title)),
            seed=request.seed ^ 1,
        )

    def _requests(self, settings: PlotSettings, n: int) -> list[SampleRequest]:
        counts = self.info.genre_counts
        if settings.genres:
            names = [", ".join(check_genres(settings.genres, promptable(counts)))] * n
        else:
            names = random.Random(settings.seed).choices(list(counts), weights=list(counts.values()), k=n)
        return [SampleRequest(name, settings, f"{settings.seed}-{i}", settings.seed) for i, name in enumerate(names)]

    def _prepare(
        self, requests: Sequence[SampleRequest], title: str | None, opening: str, max_tokens: int | None
    ) -> list["_Prepared"]:
        """The requests; where an opening follows a title that is not given, the titles are written here first."""
        most = max_tokens or self.info.max_tokens
        title, opening = _words(title, "title") or None, _words(opening, "opening")
        end_of_title = self.tokenizer.end_of_title
        check_asked(self.info, None, title)
        heads = [title] * len(requests)
        suppressed, in_plot = tuple(self.tokenizer.suppressed), tuple(self.tokenizer.suppressed_in_plot)
        if end_of_title is not None and title is None and opening:
            for genre in {each.genre for each in requests}:
                self._prompt(genre, title, opening, most)
            no_end = (*suppressed, self.tokenizer.end)
            titles = [self._request(each, None, "", end_of_title, no_end, TITLE_TOKENS, "title-") for each in requests]
            for i, ids in self.backend.decode(titles):
                heads[i] = self.tokenizer.read(ids, has_title=False)[0]
        prepared = []
        for each, head in zip(requests, heads, strict=True):
            never = suppressed if head is None else in_plot
            request = self._request(each, head, opening, self.tokenizer.end, never, most, "")
            prepared.append(_Prepared(each, head, opening, request))
        return prepared

    def _request(
        self, asked: SampleRequest, title: str | None, opening: str, stop: int, suppressed: tuple[int, ...], most: int,
        what: str,
    ) -> Request:  # fmt: skip
        prompt = self._prompt(asked.genre, title, opening, most)
        sampling = asked.sampling
        return Request(
            prompt=prompt,
            stop=stop,
            max_new_tokens=min(most, self.backend.context - len(prompt)),
            suppressed=suppressed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            no_repeat_ngram_size=sampling.no_repeat_ngram_size,
            seed=random.Random(what + asked.random_stream).getrandbits(31),
        )

    def _prompt(self, genre: str, title: str | None, opening: str, most: int) -> list[int]:
        """The prompt for at most so many tokens. Raises BadInput where it leaves no room for the first few of them.

        Before an opening there must also be room for a title, where that is still to be written.
        """
        prompt = self.tokenizer.prompt(genre, title, opening)
        unwritten = TITLE_TOKENS if self.tokenizer.end_of_title is not None and title is None and opening else 0
        excess = len(prompt) + unwritten + min(most, CONTINUED_TOKENS) - self.backend.context
        if excess > 0:
            lengths = {text: len(self.tokenizer.encode(text)) for text in (opening, title or "")}
            text = max(lengths, key=lambda text: lengths[text])
            what, tokens, words = "opening" if text == opening else "title", lengths[text], len(text.split())
            room = max(tokens - excess, 0)
            raise BadInput(
                f"The {what} has {tokens:,} tokens ({words:,} words), and this model has room for {room:,} "
                f"(about {room * words // max(tokens, 1):,} words): shorten the {what}."
            )
        return prompt

    def _sample(self, prepared: "_Prepared", ids: list[int]) -> Sample:
        # The opening is decoded together with what follows, because a token may carry the blank before its word.
        ids = [*self.tokenizer.encode(prepared.opening), *ids]
        written, plot, truncated = self.tokenizer.read(ids, has_title=prepared.title is not None)
        asked, title = prepared.asked, prepared.title or written
        sampling = asked.sampling
        return Sample(asked.genre, title, plot, sampling.temperature, sampling.top_p, asked.seed, truncated)


@dataclass(frozen=True)
class _Prepared:
    """What was asked for, with the title and opening that stand in its prompt."""

    asked: SampleRequest
    title: str | None
    opening: str
    request: Request


def check_asked(info: GeneratorInfo, genres: Sequence[str] | None, title: str | None) -> None:
    """Raise BadInput where a generator cannot be asked for these genres or a title; its model need not be loaded."""
    if genres:
        check_genres(genres, promptable(info.genre_counts))
    if not info.titles and _words(title, "title"):
        raise BadInput("This model was trained without titles: leave out the title, or use one trained with titles.")


def _words(text: str | None, what: str) -> str:
    """The text on one line with single blanks, as the model knows titles and plots; empty where there is none."""
    return "" if text is None else " ".join(as_text(text, what).split())
