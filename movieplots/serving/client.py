"""Talking to the API: what the studio needs of it, with errors in a writer's words."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import httpx

from movieplots.settings import Json

SECONDS = 150.0
TEXT_CHARACTERS = 20_000  # of a text that the API takes; how long an opening may be is for the model to say


class Trouble(Exception):
    """The API did not give what was asked for. The message is for people; `loading` says that waiting helps."""

    def __init__(self, message: str, loading: bool = False) -> None:
        super().__init__(message)
        self.loading = loading


class Genre(TypedDict):
    """One genre of a plot: given where `probability` reaches `threshold`."""

    genre: str
    probability: float
    threshold: float
    given: bool


class Word(TypedDict):
    """A word of a plot, from `start` to `end`, and by how much it speaks for a genre."""

    word: str
    start: int
    end: int
    effect: float


class PlotGenres(TypedDict):
    """The genres of a plot, the likeliest first, and with an explanation the words for each that was given."""

    genres: list[Genre]
    words: dict[str, list[Word]] | None
    tokens_unread: int


class Nearest(TypedDict):
    """The training plot nearest to a plot, and the longest run of words that it shares with any."""

    title: str
    similarity: float
    run: int
    run_title: str
    copied: bool


class Client:
    """The API at `url`. All methods raise Trouble."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=httpx.Timeout(SECONDS, connect=5))

    def models(self) -> dict[str, list[dict[str, Json]]]:
        """The models and poster providers, as `GET /v1/models` tells them."""
        models: dict[str, list[dict[str, Json]]] = self._json("GET", "/v1/models")
        return models

    def stream(self, **asked: Json) -> Iterator[tuple[str, dict[str, Json]]]:
        """(event, data) of one request for plots, as they come; see `POST /v1/plots/stream`."""
        with self._troubles(), self._http.stream("POST", "/v1/plots/stream", json=asked) as answer:
            if answer.is_error:
                answer.read()
                raise _trouble(answer)
            event = ""
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data = json.loads(line[5:])
                    if event == "error":
                        raise Trouble(_WORDS.get(data["code"], data["message"]))
                    yield event, data

    def genres(self, plot: str, title: str = "", explain: bool = False) -> PlotGenres:
        """The genres of one plot, an entry of `POST /v1/genres`."""
        asked = {"plots": [plot], "explain": explain} | ({"titles": [title]} if title else {})
        found: PlotGenres = self._json("POST", "/v1/genres", asked)["plots"][0]
        return found

    def keywords(self, plot: str, n: int = 5) -> list[str]:
        """The keywords of one plot."""
        found: list[str] = self._json("POST", "/v1/keywords", {"plots": [plot], "n": n})["plots"][0]
        return found

    def novelty(self, plot: str) -> Nearest:
        """How near one plot is to the training plots, an entry of `POST /v1/novelty`."""
        found: Nearest = self._json("POST", "/v1/novelty", {"plots": [plot]})["plots"][0]
        return found

    def poster(self, **asked: Json) -> bytes:
        """An image."""
        return self._ask("POST", "/v1/posters", asked).content

    def _json(self, method: str, path: str, body: Json = None) -> Json:
        try:
            return self._ask(method, path, body).json()
        except ValueError:
            raise Trouble(f"{self.url} is not the writing engine: start the studio with another --api.") from None

    def _ask(self, method: str, path: str, body: Json = None) -> httpx.Response:
        with self._troubles():
            answer = self._http.request(method, path, json=body)
        if answer.is_error:
            raise _trouble(answer)
        return answer

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        """Turn errors of the connection into Trouble."""
        try:
            yield
        except httpx.TimeoutException:
            raise Trouble(_WORDS["deadline"]) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Trouble(f"The writing engine at {self.url} does not answer. Is it running?", loading=True) from None


_WORDS = {
    "loading": "The model is still waking up. A moment, please.",
    "busy": "Many people are writing just now. Try again in a moment.",
    "deadline": "That took too long. Try again, perhaps with fewer words.",
    "internal": "Something went wrong while writing. Try again.",
}


def _trouble(answer: httpx.Response) -> Trouble:
    try:
        error = answer.json()["error"]
        code, message = error["code"], error["message"]
    except (ValueError, KeyError, TypeError):
        return Trouble(f"The writing engine answered {answer.status_code}.")
    if code == "invalid" and error.get("where"):
        message = f"{error['where']}: {message}"
    return Trouble(_WORDS.get(code, message), loading=code == "loading")
