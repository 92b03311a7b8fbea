"""Requests and responses of the HTTP API, from which its OpenAPI document is generated."""

import random
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from movieplots.generation.controls import MAX_KEYWORDS, MAX_PHRASES
from movieplots.generation.sampling_settings import GenerateSettings
from movieplots.serving.client import MAX_TEXT_CHARACTERS
from movieplots.settings import Settings, default_of, help_of, option_of

MAX_PLOTS, MAX_WORDS, MAX_TEXTS, MAX_EXPLAINED = 8, 400, 64, 4
MAX_POSTER_SEED = 2**31 - 1  # providers of images accept seeds below 2**31

Genre = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Length = Literal["short", "medium", "long"]
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Title = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=r"\S")]


class ErrorCode(StrEnum):
    """Codes of errors."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TOO_LARGE = "request_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    OVERLOADED = "overloaded"
    INTERNAL_ERROR = "internal_error"
    PROVIDER_FAILED = "provider_failed"
    MODEL_LOADING = "model_loading"
    MODEL_UNAVAILABLE = "model_unavailable"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    TIMEOUT = "timeout"


def chosen_seed(seed: int | None) -> int:
    """Return the seed of a request, or a new random one that is valid for plots and posters."""
    return random.SystemRandom().randint(0, MAX_POSTER_SEED) if seed is None else seed


def field_of(kind: type[Settings], name: str, **own: Any) -> Any:
    """Return a field with the default, range and help of an option; `own` overrides them or adds limits of the API."""
    option = option_of(kind, name)
    bounds = {bound: getattr(option, bound) for bound in ("ge", "gt", "le", "lt")}
    return Field(**{"default": default_of(kind, name), "description": help_of(option)} | bounds | own)


class _Request(BaseModel):
    """Base class of requests: unknown fields are errors, and types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PlotsRequest(_Request):
    """A request for new plots."""

    genres: list[Genre] = Field(
        default=[], max_length=5,
        description="Genres of the plots, up to five; `GET /v1/models` lists them. If empty, each plot gets a random "
        "genre, with the frequencies of the training plots.",
    )  # fmt: skip
    title: Title = Field(
        default="",
        description="Title of the plots, preferably with a year, such as `Salt (2009)`. If empty, a model with titles "
        "invents them.",
    )
    opening: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)] = Field(
        default="",
        description=f"First words of the plots, or a plot to continue, up to {MAX_TEXT_CHARACTERS:,} characters. The "
        "context length of the model may allow less.",
    )
    keywords: list[Keyword] = Field(
        default=[], max_length=MAX_KEYWORDS,
        description=f"Words that the plots should contain in any inflection, up to {MAX_KEYWORDS}. The response names "
        "those that a plot lacks.",
    )  # fmt: skip
    length: Length | None = field_of(GenerateSettings, "length")
    avoid: list[Keyword] = Field(
        default=[],
        max_length=MAX_PHRASES,
        description=f"Phrases that must not appear in title or plot, in any inflection, up to {MAX_PHRASES}.",
    )
    n: int = field_of(GenerateSettings, "n", le=MAX_PLOTS, description=f"Number of plots, from 1 to {MAX_PLOTS}.")
    temperature: float = field_of(GenerateSettings, "temperature")
    top_p: float = field_of(GenerateSettings, "top_p")
    seed: int | None = field_of(
        GenerateSettings, "seed",
        description="Random seed, from 0 to 2³² - 1. The same request with the same seed returns the same plots. If "
        "missing or null, the server chooses a new one for each request and returns it with each plot.",
    )  # fmt: skip
    max_words: int | None = Field(
        default=None, ge=1, le=MAX_WORDS,
        description=f"Maximum number of words per plot after the opening, from 1 to {MAX_WORDS}. If missing or null, "
        "only the token limit of the model applies.",
    )  # fmt: skip
    continue_opening: bool = Field(
        default=False,
        description="Continue the opening even if it looks complete: generate at least 12 more tokens.",
    )
    model: Literal["with-titles", "without-titles"] | None = Field(
        default=None,
        description="Generator to use. If missing or null, the one with titles if a title is given, otherwise the one "
        "without titles. If only one is served, that one.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"genres": ["horror"], "title": "Salt (2009)", "opening": "The sea gives back", "n": 3, "seed": 1},
                {"genres": ["crime"], "avoid": ["serial killer"]},
            ]
        },
    )


class Plot(BaseModel):
    """A generated plot."""

    index: int = Field(description="Number of the plot within the request, from 0.")
    genre: str = Field(description="Genres in the prompt, separated by commas.")
    title: str = Field(description="The given or generated title; empty for a generator without titles.")
    plot: str = Field(description="Text of the plot, with the opening.")
    temperature: float = Field(description="Sampling temperature that was used.")
    top_p: float = Field(description="Top-p value that was used; 0 means off.")
    seed: int = Field(
        description="Random seed of the request. The same request with this seed returns the same plot at this index."
    )
    finish_reason: Literal["stop", "length"] = Field(
        description="`stop` if the model ended the plot itself. `length` if the plot is truncated by `max_words`, by "
        "the token limit of the model, or by its context length."
    )
    keywords: list[str] = Field(description="The keywords of the request.")
    missing_keywords: list[str] = Field(description="Keywords that the plot does not contain in any inflection.")
    length: Length | None = Field(description="The length of the request.")
    not_avoided: list[str] = Field(
        description="Phrases of `avoid` that title or plot contain nevertheless; nearly always empty."
    )


class Usage(BaseModel):
    """Tokens that the model processed for a request."""

    prompt_tokens: int = Field(
        description="Tokens of the prompts (genres, length, keywords, title, opening, special tokens), summed over the "
        "plots: each plot has its own prompt. If a title must be generated before an opening, its prompt counts as "
        "well."
    )
    completion_tokens: int = Field(
        description="Generated tokens (titles, plots, end-of-sequence tokens), summed over the plots. Tokens that "
        "`max_words` cuts off count as well."
    )
    total_tokens: int = Field(description="`prompt_tokens` plus `completion_tokens`.")


class PlotsResponse(BaseModel):
    """Generated plots."""

    model: str = Field(description="Name of the generator: `with-titles` or `without-titles`.")
    plots: list[Plot] = Field(description="One entry per plot, by index.")
    usage: Usage = Field(description="Token counts of the request.")


class GenresRequest(_Request):
    """A request to detect the genres of plots."""

    plots: list[Text] = Field(
        min_length=1, max_length=MAX_TEXTS,
        description=f"Plots to classify: 1 to {MAX_TEXTS}, up to {MAX_TEXT_CHARACTERS:,} characters each.",
    )  # fmt: skip
    titles: list[Title] | None = Field(
        default=None, description="One title per plot; an empty string if a plot has none. Null if no plot has one."
    )
    explain: bool = Field(
        default=False,
        description=f"Also return `word_effects`, for at most {MAX_EXPLAINED} plots. It takes one prediction per word.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"plots": ["A sheriff rides into a town that has forgotten its name."], "explain": True}]
        },
    )


class GenreProbability(BaseModel):
    """The probability of one genre."""

    genre: str = Field(description="Name of the genre.")
    probability: float = Field(description="Calibrated probability that the plot has the genre, from 0 to 1.")
    threshold: float = Field(
        description="Probability from which the genre is predicted, from 0 to 1. It was chosen on the validation split."
    )
    predicted: bool = Field(description="Whether the probability reaches the threshold.")


class WordEffect(BaseModel):
    """The influence of one word on one genre."""

    word: str = Field(description="The word as in the plot.")
    start: int = Field(description="Position of its first character in the plot, from 0.")
    end: int = Field(description="Position after its last character.")
    effect: float = Field(
        description="Log-odds of the genre with the word, minus its log-odds with the word masked. A positive effect "
        "means that the word makes the genre more probable."
    )


class PlotGenres(BaseModel):
    """The genres of one plot."""

    genres: list[GenreProbability] = Field(description="All genres of the classifier, the most probable first.")
    word_effects: dict[str, list[WordEffect]] | None = Field(
        default=None,
        description="Attribution by occlusion: the effect of each word on each predicted genre, or on the most "
        "probable one if none is predicted. Null unless `explain` is true.",
    )
    truncated_tokens: int = Field(
        default=0,
        description="Tokens at the end of the plot that the classifier did not read because the plot is too long; 0 if "
        "it read all of them.",
    )


class GenresResponse(BaseModel):
    """Detected genres."""

    plots: list[PlotGenres] = Field(description="One entry per plot, in the order of the request.")


class ModelInfo(BaseModel):
    """A model of this server."""

    name: str = Field(description="`with-titles` or `without-titles` for a generator, or `classifier`.")
    task: Literal["generation", "classification"] = Field(description="What the model does.")
    base_model: str = Field(description="Name of the base model that was fine-tuned.")
    state: Literal["loading", "ready", "failed"] = Field(description="Whether requests can use the model.")
    error: str = Field(description="Why the model could not be loaded; empty unless `state` is `failed`.")
    genres: list[str] = Field(description="Genres that the generator can be prompted with or the classifier detects.")
    metrics: dict[str, float] = Field(
        description="Numbers from the training, by name. Generators: `test_loss_before` and `test_loss_after` are the "
        "cross-entropy on the test split before and after fine-tuning, in nats/token; the perplexity is its "
        "exponential. Classifiers: `micro_f1`, `macro_f1`, `map` and `lrap` on the test split, from 0 to 1."
    )


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok"] = Field(description="Always `ok`; otherwise the response is an error.")


class ErrorDetail(BaseModel):
    """One problem of a request."""

    field: str = Field(description="Path of the invalid field, such as `plots.0`; `body` for the whole body.")
    message: str = Field(description="What is wrong with it.")


class ErrorBody(BaseModel):
    """A description of an error."""

    code: ErrorCode = Field(description="What went wrong, for programs.")
    message: str = Field(description="What went wrong, as a sentence for people.")
    request_id: str = Field(description="The `X-Request-ID` of the response. The server's log contains it, too.")
    details: list[ErrorDetail] = Field(
        description="All invalid fields of the request; empty if the error is not about a field."
    )


class ErrorResponse(BaseModel):
    """The body of every response with an HTTP status code of 400 or above."""

    error: ErrorBody = Field(description="The error.")


class KeywordsRequest(_Request):
    """A request for the keywords of plots."""

    plots: list[Text] = Field(
        min_length=1, max_length=MAX_TEXTS,
        description=f"Plots to analyze: 1 to {MAX_TEXTS}, up to {MAX_TEXT_CHARACTERS:,} characters each.",
    )  # fmt: skip
    max_keywords: int = Field(default=5, ge=1, le=20, description="Maximum number of keywords per plot, from 1 to 20.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"plots": ["Two rival bakers must share an oven for one winter."], "max_keywords": 3}]
        },
    )


class KeywordsResponse(BaseModel):
    """Keywords of plots."""

    plots: list[list[str]] = Field(
        description="One list per plot, in the order of the request: keywords of one or two words, the most relevant "
        "first."
    )


class NoveltyRequest(_Request):
    """A request to compare plots with the training plots of the generator."""

    plots: list[Text] = Field(
        min_length=1, max_length=MAX_TEXTS,
        description=f"Plots to compare: 1 to {MAX_TEXTS}, up to {MAX_TEXT_CHARACTERS:,} characters each.",
    )  # fmt: skip

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"plots": ["A hacker learns that the world is a simulation."]}]},
    )


class NearestTrainingPlot(BaseModel):
    """The most similar training plot, and the longest span that the plot shares with training plots."""

    title: str = Field(description="Title of the most similar training plot; empty for a plot without words.")
    similarity: float = Field(
        description="Cosine similarity of the sentence embeddings, from -1 to 1; 0 for a plot without words."
    )
    longest_verbatim_span: int = Field(
        description="Words in the longest span whose 8-grams all occur in training plots; 0 if there is no span."
    )
    span_title: str = Field(
        description="Title of the training plot that contains most of that span; empty if there is no span."
    )
    copied: bool = Field(description="Whether the longest verbatim span has more than 20 words.")


class NoveltyResponse(BaseModel):
    """Comparison of plots with the training plots."""

    plots: list[NearestTrainingPlot] = Field(description="One entry per plot, in the order of the request.")


class PosterRequest(_Request):
    """A request for a poster."""

    title: Title = Field(default="", description="Title on the poster, such as `Salt (2009)`; `Untitled` if empty.")
    genres: list[Genre] = Field(
        default=[], max_length=5,
        description="Up to five genres, the most important first. The first one decides the style of a typographic "
        "poster.",
    )  # fmt: skip
    keywords: list[Annotated[str, StringConstraints(max_length=60)]] = Field(
        default=[], max_length=10, description="Up to ten keywords, the most important first."
    )
    seed: int | None = Field(
        default=None, ge=0, le=MAX_POSTER_SEED,
        description="Random seed, from 0 to 2³¹ - 1. If missing or null, the server chooses a new one. The header "
        "`X-Seed` of the response returns it. The provider `openai` does not use it.",
    )  # fmt: skip
    provider: str = Field(
        default="typographic", max_length=40,
        description="What makes the poster: one of the `poster_providers` of `GET /v1/models`.",
    )  # fmt: skip

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Salt (2009)", "genres": ["horror"], "keywords": ["sea", "lighthouse"]}]
        },
    )


class PosterProvider(BaseModel):
    """A service or library that makes posters."""

    name: str = Field(description="Name to use as `provider`.")
    available: bool = Field(description="Whether the server is set up to use it.")
    requires: str = Field(description="What the server needs to use it.")


class ModelsResponse(BaseModel):
    """The models and poster providers of this server."""

    models: list[ModelInfo] = Field(description="One entry per model.")
    poster_providers: list[PosterProvider] = Field(description="One entry per provider, available or not.")
