"""Generate plots with a trained generator from genres, titles and openings.

`PlotGenerator` builds the prompts; a backend (see `backends`) only continues token ids. The random numbers of a sample
depend on its own seed only, so other samples in the same batch do not change it.

Special tokens never appear where they are not allowed: each request lists the tokens that its backend must not sample.
If the model also writes the title, the end-of-title token must be sampled exactly once. If it occurs again, the text is
truncated there and continued with another request that suppresses it. Avoided phrases are treated likewise (see
`movieplots.generation.avoidance`), and so is an end-of-sequence token before the fewest words of the length class.
While a keyword is missing, requests favor it (see `movieplots.generation.keyword_bias`); once it is there, the text is
continued with another request.
"""

import contextlib
import random
import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.generation.avoidance import MAX_REWINDS, Avoidance
from movieplots.generation.backends.base import Backend, Decoded, Request, Tokens
from movieplots.generation.backends.loading import load_backend
from movieplots.generation.controls import LENGTHS, check_keywords, controls_text
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.keyword_bias import KeywordBias
from movieplots.generation.keywords import contains, missing
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.sampling_settings import GenerateSettings, PlotSettings, Sampling, StreamSettings
from movieplots.genres import check_genres, promptable
from movieplots.settings import method_takes
from movieplots.texts import as_text

MAX_TITLE_TOKENS = 48
MIN_NEW_TOKENS = 12  # there must be room for this number of tokens, and at least these follow a continued opening


@dataclass(frozen=True)
class Sample:
    """One generated plot.

    Attributes
    ----------
    genre : str
        The genre prompt, such as `horror` or `horror, comedy`.
    title : str
        The given or generated title; empty for a model without titles.
    plot : str
        The text on one line, including the opening.
    temperature : float
        Sampling temperature.
    top_p : float
        Probability mass of nucleus sampling; 0 is off.
    seed : int
        Seed of the request.
    truncated : bool
        Whether the text reached the length limit before the model sampled the end-of-sequence token.
    keywords : tuple of str
        The keywords in the prompt.
    length : str or None
        The length class in the prompt: `short`, `medium` or `long`.
    not_avoided : tuple of str
        Phrases of `avoid` that title or plot contain nevertheless; nearly always empty.
    """

    genre: str
    title: str
    plot: str
    temperature: float
    top_p: float
    seed: int
    truncated: bool
    keywords: tuple[str, ...] = ()
    length: str | None = None
    not_avoided: tuple[str, ...] = ()

    @property
    def missing_keywords(self) -> list[str]:
        """Keywords of the prompt that the plot does not contain in any inflection."""
        return missing(self.plot, self.keywords)


@dataclass(frozen=True)
class Usage:
    """Tokens that one plot has used so far.

    Attributes
    ----------
    prompt_tokens : int
        Tokens of the prompt: special tokens, genres, length, keywords, title and opening. If a title had to be
        generated before the opening, the prompt of that title counts as well.
    completion_tokens : int
        Generated tokens: title, plot and end-of-sequence token. Tokens that were replaced to avoid a phrase do not
        count.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class SampleRequest:
    """Request for one plot.

    Attributes
    ----------
    genre : str
        The genre prompt, such as `horror` or `horror, comedy`.
    sampling : Sampling
        Sampling options.
    random_stream : str
        Any text: it determines the random numbers, so requests with equal texts use the same ones.
    seed : int
        Seed to record in the sample; it does not change the text.
    keywords : tuple of str, default ()
        Words that the plot should contain.
    length : {'short', 'medium', 'long'}, optional
        Length class of the plot.
    avoid : tuple of str, default ()
        Phrases that must not appear.
    """

    genre: str
    sampling: Sampling
    random_stream: str
    seed: int
    keywords: tuple[str, ...] = ()
    length: str | None = None
    avoid: tuple[str, ...] = ()


class PlotGenerator:
    """Generator of movie plots, prompted with genres, a title and an opening.

    `from_pretrained` loads one from a folder.

    Parameters
    ----------
    backend : Backend
        Continues token ids.
    tokenizer : PromptTokenizer
        Converts prompts to token ids and back.
    info : GeneratorInfo
        Content of the model's `movieplots.json`.

    Examples
    --------
    >>> from movieplots import PlotGenerator
    >>> from movieplots.pretrained import shipped
    >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
    >>> (sample,) = generator.generate(["horror"], opening="The lighthouse", seed=1, max_tokens=40)
    >>> sample.genre, sample.plot.startswith("The lighthouse")
    ('horror', True)
    """

    def __init__(self, backend: Backend, tokenizer: PromptTokenizer, info: GeneratorInfo) -> None:
        self.backend = backend
        self.tokenizer = tokenizer
        self.info = info

    def __repr__(self) -> str:
        """Return the base model, the number of genres, and whether titles are generated."""
        info = self.info
        return f"PlotGenerator(base_model={info.base_model!r}, genres={len(info.genre_counts)}, titles={info.titles})"

    @classmethod
    def from_pretrained(cls, path: str | Path, backend: str = "auto") -> "PlotGenerator":
        """Load a trained generator.

        Parameters
        ----------
        path : str or Path
            Local folder that `train_generator` or `distill` wrote. Base models and names of the Hugging
            Face Hub are not accepted.
        backend : str, default 'auto'
            `transformers`, `llama.cpp`, or the address of an OpenAI-compatible server that has the model, such as
            `http://localhost:8000/v1`. `auto` chooses transformers on a GPU, otherwise llama.cpp if it is installed.

        Returns
        -------
        PlotGenerator
            The generator.

        Raises
        ------
        BadInput
            If the folder is not a trained generator, or the backend is not available.

        Notes
        -----
        If a server fails later, while it generates, the methods raise
        `movieplots.generation.backends.base.BackendFailed`.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.pretrained import shipped
        >>> PlotGenerator.from_pretrained(shipped.GENERATOR, backend="llama.cpp").info.titles
        True
        """
        return cls(*load_backend(path, backend))

    @method_takes(GenerateSettings)
    def generate(self, settings: GenerateSettings) -> list[Sample]:
        """Generate `n` plots.

        The prompt of each plot names all `genres`. A model trained with titles generates one unless `title` is given.
        `max_tokens` counts generated tokens only: the title unless it is given, and the plot after the `opening`.

        Returns
        -------
        list of Sample
            `n` samples, in the order of their indices.

        Raises
        ------
        BadInput
            If an option is out of range, a genre is unknown, a title is given to a model trained without titles,
            keywords or a length are given to a model trained without them, title or opening are not text or too long
            for the model, or a text is both wanted and to be avoided.

        Notes
        -----
        With a `seed`, equal arguments give equal samples on the same machine. The random numbers of a sample depend
        only on the seed and its index, so `n` does not change earlier samples. On another machine, rounding can change
        the text. Without a `seed`, a new one is chosen; each `Sample` has it.

        Sampling methods: nucleus sampling (top-p) by `Holtzman et al. (2020) <https://arxiv.org/abs/1904.09751>`_,
        min-p by `Nguyen et al. (2024) <https://arxiv.org/abs/2407.01082>`_, and the repetition penalty by
        `Keskar et al. (2019) <https://arxiv.org/abs/1909.05858>`_.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.pretrained import shipped
        >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
        >>> samples = generator.generate(["horror", "comedy"], title="Salt (2009)", n=2, seed=1, max_tokens=40)
        >>> len(samples), samples[0].genre, samples[0].title
        (2, 'horror, comedy', 'Salt (2009)')
        >>> samples == generator.generate(["horror", "comedy"], title="Salt (2009)", n=2, seed=1, max_tokens=40)
        True
        """
        requests = self._requests(settings, settings.n)
        written = self.write(requests, settings.title, settings.opening, settings.max_tokens)
        with contextlib.closing(written):
            samples = {i: sample for i, sample, _ in written}
        return [samples[i] for i in range(settings.n)]

    @method_takes(StreamSettings)
    def stream(self, settings: StreamSettings) -> Generator[Sample, None, None]:
        """Generate one plot and yield it after each new token.

        Closing the iterator early stops the generation.

        Yields
        ------
        Sample
            The plot so far; the last one is the complete plot.

        Raises
        ------
        BadInput
            In the cases described for `generate`.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.pretrained import shipped
        >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
        >>> steps = list(generator.stream(["western"], opening="A sheriff", seed=1, max_tokens=20))
        >>> steps[0].plot.startswith("A sheriff"), 1 <= len(steps) <= 20
        (True, True)
        """
        with contextlib.closing(self.stream_with_usage(**vars(settings))) as samples:
            for sample, _ in samples:
                yield sample

    @method_takes(StreamSettings)
    def stream_with_usage(self, settings: StreamSettings) -> Generator[tuple[Sample, Usage], None, None]:
        """Write one plot as `stream` does, and yield each sample with the tokens used so far.

        Yields
        ------
        tuple of (Sample, Usage)
            The plot so far, and its token counts. The last pair is the complete plot.

        Raises
        ------
        BadInput
            In the cases described for `generate`.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.pretrained import shipped
        >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
        >>> *_, (sample, usage) = generator.stream_with_usage(["western"], seed=1, max_tokens=20)
        >>> usage.prompt_tokens > 0, 1 <= usage.completion_tokens <= 20
        (True, True)
        """
        requests = self._requests(settings, settings.number + 1)[settings.number :]
        (prepared,) = self._prepare(requests, settings.title, settings.opening, settings.max_tokens)
        request, given = prepared.request, self.tokenizer.encode(prepared.opening)
        ids: list[int] = []
        parts = [request]
        if settings.continue_opening:
            least = min(MIN_NEW_TOKENS, request.max_new_tokens)
            parts.insert(0, replace(request, max_new_tokens=least, suppressed=(*request.suppressed, request.stop)))
        for part in parts:
            if ids:
                part = self._continued(part, ids)
            if part.max_new_tokens < 1:
                break
            with contextlib.closing(self._stream(self._text(prepared, part, [*given, *ids]))) as tokens:
                for token in tokens:
                    ids.append(token)
                    usage = Usage(
                        prepared.title_usage.prompt_tokens + len(request.prompt),
                        prepared.title_usage.completion_tokens + len(ids),
                    )
                    yield self._sample(prepared, ids), usage

    @method_takes(PlotSettings)
    def check(self, settings: PlotSettings) -> None:
        """Check the arguments of a request without generating a plot.

        Raises
        ------
        BadInput
            In the cases described for `generate`.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.pretrained import shipped
        >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
        >>> generator.check(["horror"])
        >>> generator.check(["horrror"])
        Traceback (most recent call last):
        ...
        movieplots.errors.BadInput: Unknown genre 'horrror'...
        """
        title, opening = _words(settings.title, "title") or None, _words(settings.opening, "opening")
        (request,) = self._requests(settings, 1)
        self._prompt(request, title, opening, settings.max_tokens or self.info.max_tokens)

    def write(
        self,
        requests: Sequence[SampleRequest],
        title: str | None = None,
        opening: str = "",
        max_tokens: int | None = None,
    ) -> Generator[tuple[int, Sample, int], None, None]:
        """Generate one plot per request, in one batch of any genres and sampling options.

        Parameters
        ----------
        requests : sequence of SampleRequest
            Genre, sampling options and random numbers of each plot; `movieplots.generation.sampling.SampleRequest`.
        title : str, optional
            Title of all plots; needs a model trained with titles.
        opening : str, default ''
            First words of all plots.
        max_tokens : int, optional
            Maximum number of tokens after the opening. Default: `info.max_tokens`.

        Yields
        ------
        index : int
            Index of the request. Plots come in the order in which they are finished.
        sample : Sample
            The plot.
        tokens : int
            Number of generated tokens.

        Raises
        ------
        BadInput
            When the first sample is requested, in the cases described for `generate`.

        Examples
        --------
        >>> from movieplots import PlotGenerator
        >>> from movieplots.generation.sampling import SampleRequest
        >>> from movieplots.generation.sampling_settings import Sampling
        >>> from movieplots.pretrained import shipped
        >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
        >>> requests = [
        ...     SampleRequest(genre=genre, sampling=Sampling(temperature=1.0), random_stream=genre, seed=0)
        ...     for genre in ("war", "comedy")
        ... ]
        >>> sorted((index, sample.genre) for index, sample, tokens in generator.write(requests, max_tokens=20))
        [(0, 'war'), (1, 'comedy')]
        """
        prepared = self._prepare(requests, title, opening, max_tokens)
        texts = [self._text(each, each.request, self.tokenizer.encode(each.opening)) for each in prepared]
        with contextlib.closing(self._decode(texts)) as finished:
            for i, ids in finished:
                yield i, self._sample(prepared[i], ids), len(ids)

    def _stream(self, text: "_Text") -> Tokens:
        """Yield the tokens of a text once they can no longer be replaced."""
        yielded = 0
        while not text.finished:
            with contextlib.closing(self.backend.stream(text.next_request())) as tokens:
                for token in tokens:
                    if not text.add(token):
                        break
                    ready = max(yielded, len(text.ids) - text.pending())
                    yield from text.ids[yielded:ready]
                    yielded = ready
                else:
                    text.answered()
        yield from text.ids[yielded:]

    def _decode(self, texts: "Sequence[_Text]") -> Decoded:
        """Yield (index of the text, its tokens), equal to those of `_stream`, whenever a text is finished."""
        waiting = list(enumerate(texts))
        while waiting:
            unfinished = []
            with contextlib.closing(self.backend.decode([text.next_request() for _, text in waiting])) as finished:
                for n, ids in finished:
                    i, text = waiting[n]
                    if all(map(text.add, ids)):
                        text.answered()
                    if text.finished:
                        yield i, text.ids
                    else:
                        unfinished.append((i, text))
            waiting = unfinished

    def _text(self, prepared: "_Prepared", request: Request, given: list[int]) -> "_Text":
        sample, has_title = prepared.sample, prepared.title is not None
        least = LENGTHS[sample.length][0] if sample.length else 0
        bias = KeywordBias(sample.keywords, self.tokenizer) if sample.keywords else None
        return _Text(request, self.tokenizer, prepared.avoidance, given, least, has_title, bias)

    def _continued(self, request: Request, ids: list[int]) -> Request:
        """Return the request that continues after `ids`, the tokens generated for `request` so far."""
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
        seed = secrets.randbits(32) if settings.seed is None else settings.seed
        keywords = check_keywords(settings.keywords)
        if settings.genres:
            names = [", ".join(check_genres(settings.genres, promptable(counts)))] * n
        else:
            names = random.Random(seed).choices(list(counts), weights=list(counts.values()), k=n)
        wanted = tuple(keywords), settings.length, tuple(settings.avoid)
        return [SampleRequest(name, settings, f"{seed}-{i}", seed, *wanted) for i, name in enumerate(names)]

    def _prepare(
        self, requests: Sequence[SampleRequest], title: str | None, opening: str, max_tokens: int | None
    ) -> list["_Prepared"]:
        """Return the requests for the backend; titles are generated first if there is an opening but no title."""
        most = max_tokens or self.info.max_tokens
        title, opening = _words(title, "title") or None, _words(opening, "opening")
        end_of_title = self.tokenizer.end_of_title
        prompt_titles, title_usage = [title] * len(requests), [Usage()] * len(requests)
        suppressed, in_plot = tuple(self.tokenizer.suppressed), tuple(self.tokenizer.suppressed_in_plot)
        avoidances = [Avoidance(each.avoid, self.tokenizer) if each.avoid else None for each in requests]
        if end_of_title is not None and title is None and opening:
            for each in {(each.genre, each.keywords, each.length): each for each in requests}.values():
                self._prompt(each, title, opening, most)
            never = (*suppressed, self.tokenizer.end)
            titles = [
                self._request(each, None, "", end_of_title, never, MAX_TITLE_TOKENS, "title-") for each in requests
            ]
            texts = [_Text(each, self.tokenizer, avoidance) for each, avoidance in zip(titles, avoidances, strict=True)]
            for i, ids in self._decode(texts):
                prompt_titles[i] = self.tokenizer.read(ids, has_title=False)[0]
                title_usage[i] = Usage(len(titles[i].prompt), len(ids))
        prepared = []
        for each, prompt_title, used, avoidance in zip(requests, prompt_titles, title_usage, avoidances, strict=True):
            never = suppressed if prompt_title is None else in_plot
            request = self._request(each, prompt_title, opening, self.tokenizer.end, never, most, "")
            prepared.append(_Prepared(each, prompt_title, opening, request, used, avoidance))
        return prepared

    def _request(
        self, sample: SampleRequest, title: str | None, opening: str, stop: int, suppressed: tuple[int, ...], most: int,
        stream_prefix: str,
    ) -> Request:  # fmt: skip
        prompt = self._prompt(sample, title, opening, most)
        sampling = sample.sampling
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
            seed=random.Random(stream_prefix + sample.random_stream).getrandbits(31),
        )

    def _prompt(self, sample: SampleRequest, title: str | None, opening: str, most: int) -> list[int]:
        """Return a prompt with room for at most `most` new tokens; raises BadInput if the model cannot have it."""
        check_asked(self.info, None, title, sample.keywords, sample.length)
        controls = controls_text(sample.keywords, sample.length)
        prompt = self.tokenizer.prompt(sample.genre + controls, title, opening)
        # Besides the first new tokens, there must be room for a title that has yet to be generated before the opening.
        title_room = MAX_TITLE_TOKENS if self.tokenizer.end_of_title is not None and title is None and opening else 0
        excess = len(prompt) + title_room + min(most, MIN_NEW_TOKENS) - self.backend.context
        if excess > 0:
            lengths = {text: len(self.tokenizer.encode(text)) for text in (opening, title or "")}
            text = max(lengths, key=lambda text: lengths[text])
            what, tokens, words = "opening" if text == opening else "title", lengths[text], len(text.split())
            room = max(tokens - excess, 0)
            raise BadInput(
                f"The {what} has {tokens:,} tokens ({words:,} words), but this model has room for {room:,} "
                f"(about {room * words // max(tokens, 1):,} words): shorten the {what}."
            )
        return prompt

    def _sample(self, prepared: "_Prepared", ids: list[int]) -> Sample:
        # The opening is decoded together with the continuation, because a token can include the space before its word.
        ids = [*self.tokenizer.encode(prepared.opening), *ids]
        generated_title, plot, truncated = self.tokenizer.read(ids, has_title=prepared.title is not None)
        sample, title = prepared.sample, prepared.title or generated_title
        sampling = sample.sampling
        kept = tuple(phrase for phrase in sample.avoid if contains(title, phrase) or contains(plot, phrase))
        return Sample(
            sample.genre, title, plot, sampling.temperature, sampling.top_p, sample.seed, truncated, sample.keywords,
            sample.length, kept,
        )  # fmt: skip


@dataclass(frozen=True)
class _Prepared:
    """A sample request with the title and opening of its prompt, the request for the backend, and the title's usage."""

    sample: SampleRequest
    title: str | None
    opening: str
    request: Request
    title_usage: Usage
    avoidance: Avoidance | None


class _Text:
    """A text in progress: the tokens so far, without those that have to be replaced.

    Parameters
    ----------
    request : Request
        Request for the whole text.
    tokenizer : PromptTokenizer
        Tokenizer of the generator, whose end-of-title token must not occur twice.
    avoidance : Avoidance or None
        Finds phrases that must not occur.
    given : sequence of int, default ()
        Tokens before the text in the same plot, in which an avoided phrase can begin.
    least_words : int, default 0
        Number of words of the plot before which the text must not stop.
    has_title : bool, default False
        Whether the title is in the prompt.
    keyword_bias : KeywordBias, optional
        Finds keywords to favor.
    """

    def __init__(
        self,
        request: Request,
        tokenizer: PromptTokenizer,
        avoidance: Avoidance | None,
        given: Sequence[int] = (),
        least_words: int = 0,
        has_title: bool = False,
        keyword_bias: KeywordBias | None = None,
    ) -> None:
        self.request, self.tokenizer, self.avoidance, self.given = request, tokenizer, avoidance, list(given)
        self.least_words, self.has_title, self.keyword_bias = least_words, has_title, keyword_bias
        self.ids: list[int] = []
        self._requests = self._rewinds = 0
        self._banned: tuple[int, ...] = ()  # for the next token only
        self._banned_everywhere: tuple[int, ...] = ()
        self._favored: list[str] = []  # keywords, in the last request
        self._answered = False

    @property
    def finished(self) -> bool:
        """Whether no more tokens are needed."""
        full = len(self.ids) >= self.request.max_new_tokens
        return self._answered or full or self.ids[-1:] == [self.request.stop]

    def next_request(self) -> Request:
        """Return the request for the next tokens."""
        number, request = self._requests, self.request
        self._requests += 1
        if self.keyword_bias is not None:
            request = self._with_bias(self.keyword_bias)
        if number == 0:
            return request
        titles = [token for token in self.ids if token == self.tokenizer.end_of_title]
        return replace(
            request,
            prompt=[*request.prompt, *self.ids],
            max_new_tokens=1 if self._banned else request.max_new_tokens - len(self.ids),
            suppressed=(*request.suppressed, *titles, *self._banned_everywhere, *self._banned),
            seed=request.seed ^ number,
        )

    def _with_bias(self, keyword_bias: KeywordBias) -> Request:
        request, end_of_title, plot = self.request, self.tokenizer.end_of_title, self._plot()
        self._favored = [] if plot is None else keyword_bias.favored(plot)
        if plot is None and end_of_title is not None:  # the request after the title favors keywords
            return replace(request, stop=end_of_title, suppressed=(*request.suppressed, self.tokenizer.end))
        return replace(request, logit_bias=keyword_bias.logit_bias(self._favored))

    def add(self, token: int) -> bool:
        """Append a new token; return False if the rest of the answer is invalid."""
        if token == self.tokenizer.end_of_title and token in self.ids:
            return False
        if token == self.tokenizer.end and self._too_short():
            self._banned = (token,)
            return False
        self.ids.append(token)
        return self._avoids() and self._favors()

    def _avoids(self) -> bool:
        """Return whether the text has no avoided phrase; otherwise cut it before the phrase."""
        if self.avoidance is None:
            return True
        found = self.avoidance.find(self.given, self.ids, complete=self.finished)
        if found is None:
            return True
        self._rewinds += 1
        del self.ids[found.token :]
        self._banned = found.banned
        if self._rewinds > MAX_REWINDS:
            self._banned, self._banned_everywhere = (), (*self._banned_everywhere, *found.banned)
            if self._rewinds == MAX_REWINDS + len(self.avoidance.phrases):
                self.avoidance = None  # the sample is marked if a phrase occurs nevertheless
        return False

    def _favors(self) -> bool:
        """Return whether the last request favors the keywords that are missing now."""
        plot = self._plot()
        if self.keyword_bias is None or plot is None or self.finished:
            return True
        if self.keyword_bias.favored(plot) == self._favored:
            return True
        self._banned = ()  # the token that had to differ is there
        return False

    def _too_short(self) -> bool:
        if not self.least_words:
            return False
        _, plot, _ = self.tokenizer.read(self._plot() or [], has_title=True)
        return len(plot.split()) < self.least_words

    def _plot(self) -> list[int] | None:
        """Return the tokens of the plot so far; None before it begins."""
        ids, end_of_title = [*self.given, *self.ids], self.tokenizer.end_of_title
        if self.has_title or end_of_title is None:
            return ids
        return ids[ids.index(end_of_title) + 1 :] if end_of_title in ids else None

    def answered(self) -> None:
        """Note that the last request was answered, and the whole answer is valid."""
        if not self._banned:
            self._answered = True
        self._banned = ()

    def pending(self) -> int:
        """Return how many of the last tokens may still be replaced."""
        return 0 if self.avoidance is None or self.finished else self.avoidance.pending(self.given, self.ids)


def check_asked(
    info: GeneratorInfo,
    genres: Sequence[str] | None = None,
    title: str | None = None,
    keywords: Sequence[str] = (),
    length: str | None = None,
) -> None:
    """Raise BadInput if the generator does not support what a prompt contains, without loading its model."""
    if genres:
        check_genres(genres, promptable(info.genre_counts))
    if not info.titles and _words(title, "title"):
        raise BadInput("This model was trained without titles: leave out the title, or use one trained with titles.")
    for name, given in (("keywords", keywords), ("length", length)):
        if given and name not in info.controls:
            raise BadInput(f"This model was trained without {name}: leave out the {name}, or train it again.")


def _words(text: str | None, what: str) -> str:
    """Return the text on one line with single spaces, like the training plots; empty for None."""
    return "" if text is None else " ".join(as_text(text, what).split())
