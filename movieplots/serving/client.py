"""A client of the HTTP API for the studio, with error messages for writers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import httpx

from movieplots.settings import Json

TIMEOUT = 150.0  # seconds
MAX_TEXT_CHARACTERS = 20_000  # of a text in a request; the context length of the generator may allow less


class ApiError(Exception):
    """The API could not answer. The message is for people; with `loading`, the same request may work later."""

    def __init__(self, message: str, loading: bool = False) -> None:
        super().__init__(message)
        self.loading = loading


class Genre(TypedDict):
    """One genre of a plot; `predicted` if the probability reaches the threshold."""

    genre: str
    probability: float
    threshold: float
    predicted: bool


class WordEffect(TypedDict):
    """A word of a plot, its position, and its effect on the log-odds of a genre."""

    word: str
    start: int
    end: int
    effect: float


class PlotGenres(TypedDict):
    """The genres of a plot, the most probable first, and with an explanation the effects of its words by genre."""

    genres: list[Genre]
    word_effects: dict[str, list[WordEffect]] | None
    truncated_tokens: int


class NearestTrainingPlot(TypedDict):
    """The training plot that is most similar to a plot, and the longest span that the plot shares with any."""

    title: str
    similarity: float
    longest_verbatim_span: int
    span_title: str
    copied: bool


class Client:
    """A connection to the API at `url`; all methods raise ApiError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=httpx.Timeout(TIMEOUT, connect=5))

    def models(self) -> dict[str, list[dict[str, Json]]]:
        """Return the models and poster providers, see `GET /v1/models`."""
        models: dict[str, list[dict[str, Json]]] = self._json("GET", "/v1/models")
        return models

    def stream(self, **body: Json) -> Iterator[tuple[str, dict[str, Json]]]:
        """Yield the events of a request for plots as (name, data), see `POST /v1/plots/stream`."""
        with self._connection_errors(), self._http.stream("POST", "/v1/plots/stream", json=body) as response:
            if response.is_error:
                response.read()
                raise _api_error(response)
            event = ""
            for line in response.iter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data = json.loads(line[5:])
                    if event == "error":
                        raise ApiError(_MESSAGES.get(data["code"], data["message"]))
                    yield event, data

    def genres(self, plot: str, title: str = "", explain: bool = False) -> PlotGenres:
        """Return the genres of one plot, see `POST /v1/genres`."""
        body = {"plots": [plot], "explain": explain} | ({"titles": [title]} if title else {})
        found: PlotGenres = self._json("POST", "/v1/genres", body)["plots"][0]
        return found

    def keywords(self, plot: str, max_keywords: int = 5) -> list[str]:
        """Return the keywords of one plot, see `POST /v1/keywords`."""
        body = {"plots": [plot], "max_keywords": max_keywords}
        found: list[str] = self._json("POST", "/v1/keywords", body)["plots"][0]
        return found

    def novelty(self, plot: str) -> NearestTrainingPlot:
        """Return the training plot that is most similar to one plot, see `POST /v1/novelty`."""
        found: NearestTrainingPlot = self._json("POST", "/v1/novelty", {"plots": [plot]})["plots"][0]
        return found

    def poster(self, **body: Json) -> bytes:
        """Return an image, see `POST /v1/posters`."""
        return self._request("POST", "/v1/posters", body).content

    def _json(self, method: str, path: str, body: Json = None) -> Json:
        try:
            return self._request(method, path, body).json()
        except ValueError:
            raise ApiError(
                f"The server at {self.url} is not a movieplots API. Start the studio with another --api."
            ) from None

    def _request(self, method: str, path: str, body: Json = None) -> httpx.Response:
        with self._connection_errors():
            response = self._http.request(method, path, json=body)
        if response.is_error:
            raise _api_error(response)
        return response

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        """Turn connection errors into ApiError."""
        try:
            yield
        except httpx.TimeoutException:
            raise ApiError(_MESSAGES["timeout"]) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ApiError(
                f"The server that writes the plots ({self.url}) does not answer. Check that it is running.",
                loading=True,
            ) from None


_MESSAGES = {
    "model_loading": "The model is still loading. Please wait a moment.",
    "overloaded": "Many people are writing right now. Please try again in a moment.",
    "timeout": "This took too long. Try again, perhaps with a shorter text.",
    "internal_error": "The server had a problem. Please try again.",
}


def _api_error(response: httpx.Response) -> ApiError:
    try:
        error = response.json()["error"]
        code, message = error["code"], error["message"]
    except (ValueError, KeyError, TypeError):
        return ApiError(f"The server answered with the HTTP status code {response.status_code}.")
    return ApiError(_MESSAGES.get(code, message), loading=code == "model_loading")
