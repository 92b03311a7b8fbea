"""What the API takes and gives, with an example of each: the source of its OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from movieplots.generation.sampling_settings import GenerateSettings
from movieplots.serving.client import TEXT_CHARACTERS
from movieplots.settings import Settings, default_of, option_of

MOST_PLOTS, MOST_WORDS, MOST_TEXTS, MOST_EXPLAINED = 8, 400, 64, 4

Genre = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Title = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARACTERS, pattern=r"\S")]


def field_of(kind: type[Settings], name: str, **own: Any) -> Any:
    """A field with the default, range and help of an option; `own` replaces some of them, or adds limits of the API."""
    option = option_of(kind, name)
    bounds = {bound: getattr(option, bound) for bound in ("ge", "gt", "le", "lt")}
    return Field(**{"default": default_of(kind, name), "description": option.help} | bounds | own)


class _Strict(BaseModel):
    """A misspelt name is an error, not a setting that is passed over; a 0 is no `false`."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PlotsRequest(_Strict):
    """Which plots to write."""

    genres: list[Genre] = Field(default=[], max_length=5, description="Genres of the plot; none lets the model decide.")
    title: Title = Field(
        default="", description="The plot's title, best as `Salt (2009)`; empty lets the model decide."
    )
    opening: Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS)] = Field(
        default="", description="The plot's first words, or a plot to continue; the model's context bounds its tokens."
    )
    n: int = field_of(GenerateSettings, "n", le=MOST_PLOTS)
    temperature: float = field_of(GenerateSettings, "temperature")
    top_p: float = field_of(GenerateSettings, "top_p")
    seed: int = field_of(GenerateSettings, "seed")
    max_words: int | None = Field(
        default=None, ge=1, le=MOST_WORDS, description="The most words of a plot beyond the opening."
    )
    go_on: bool = Field(default=False, description="The opening is a plot to continue before it may end.")
    model: Literal["with-titles", "without-titles"] | None = Field(
        default=None, description="Which generator; by default the one with titles where a title is given."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"genres": ["horror"], "title": "Salt (2009)", "opening": "The sea gives back", "n": 3, "seed": 1}
            ]
        },
    )


class Plot(BaseModel):
    """A plot that was written. `finished` is false where it was cut off before its end."""

    index: int
    genre: str
    title: str
    plot: str
    temperature: float
    top_p: float
    seed: int
    finished: bool


class Plots(BaseModel):
    """The plots, in the order of their numbers, and which generator wrote them."""

    model: str
    plots: list[Plot]


class GenresRequest(_Strict):
    """Whose genres to detect."""

    plots: list[Text] = Field(min_length=1, max_length=MOST_TEXTS)
    titles: list[Title] | None = Field(default=None, description="One a plot, empty where there is none.")
    explain: bool = Field(
        default=False, description=f"Also say which words speak for each genre; for at most {MOST_EXPLAINED} plots."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"plots": ["A sheriff rides into a town that has forgotten its name."], "explain": True}]
        },
    )


class GenreProbability(BaseModel):
    """One genre of a plot: given where `probability` reaches `threshold`."""

    genre: str
    probability: float
    threshold: float
    given: bool


class WordEffect(BaseModel):
    """A word of the plot, where it stands (in characters), and by how much the genre's log-odds fall without it."""

    word: str
    start: int
    end: int
    effect: float


class PlotGenres(BaseModel):
    """All genres of one plot, the likeliest first. `tokens_unread` counts the tokens beyond what the model reads."""

    genres: list[GenreProbability]
    words: dict[str, list[WordEffect]] | None = None
    tokens_unread: int = 0


class Genres(BaseModel):
    """One entry a plot."""

    plots: list[PlotGenres]


class ModelInfo(BaseModel):
    """A model that is served. `genres` are those it can be asked for, or that it detects."""

    name: str
    task: Literal["generation", "classification"]
    base: str
    state: Literal["loading", "ready", "failed"]
    error: str
    genres: list[str]
    metrics: dict[str, float]


class Health(BaseModel):
    """`ok`."""

    status: Literal["ok"]


class ErrorBody(BaseModel):
    """`code` is for programs, `message` for people, `where` names the field that is wrong."""

    code: str
    message: str
    where: str = ""


class Error(BaseModel):
    """What every answer with a status from 400 on holds."""

    error: ErrorBody


class KeywordsRequest(_Strict):
    """Whose keywords to find."""

    plots: list[Text] = Field(min_length=1, max_length=MOST_TEXTS)
    n: int = Field(default=5, ge=1, le=20, description="The most keywords of a plot.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"plots": ["Two rival bakers must share an oven for one winter."], "n": 3}]},
    )


class Keywords(BaseModel):
    """One list a plot, the most telling first."""

    plots: list[list[str]]


class NoveltyRequest(_Strict):
    """Which plots to compare with the training plots."""

    plots: list[Text] = Field(min_length=1, max_length=MOST_TEXTS)

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"plots": ["A hacker learns that the world is a simulation."]}]},
    )


class Nearest(BaseModel):
    """The training plot nearest in meaning, and the longest run of words that were read in training (0: below eight).

    They were where every eight of them in a row stand in some training plot, `run_title` in most cases. `copied` is
    true where there are more than 20. A plot without words is near to none: `similarity` is 0.
    """

    title: str
    similarity: float
    run: int
    run_title: str
    copied: bool


class Novelty(BaseModel):
    """One entry a plot."""

    plots: list[Nearest]


class PosterRequest(_Strict):
    """What the poster is for."""

    title: Title = ""
    genres: list[Genre] = Field(default=[], max_length=5, description="The most important first.")
    keywords: list[Annotated[str, StringConstraints(max_length=60)]] = Field(default=[], max_length=10)
    seed: int = Field(default=0, ge=0, lt=2**31)
    provider: str = Field(default="typographic", max_length=40, description="One of those that `/v1/models` lists.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Salt (2009)", "genres": ["horror"], "keywords": ["sea", "lighthouse"]}]
        },
    )


class PosterProvider(BaseModel):
    """Who makes posters, and what it needs to be available."""

    name: str
    available: bool
    needs: str


class ModelList(BaseModel):
    """All models that are served, and who makes posters."""

    models: list[ModelInfo]
    posters: list[PosterProvider]
