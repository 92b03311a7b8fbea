"""Parse and format titles by the IMDb naming rules, such as `"Series" (2004/II) {Episode (#1.2)}`.

A title that does not follow the rules is kept whole as `primary`, so `str(parse_title(t)) == t` for every string.
The time of every pattern is linear in the length of the title.
"""

import re
from dataclasses import dataclass

_SUSPENDED = " {{SUSPENDED}}"
_YEAR = r" \((?P<year>\d{4}|\?{4})(?:/(?P<numeral>[IVXLCDM]+))?\)(?: \((?P<medium>TV|V|VG|mini)\))?"
_MOVIE = re.compile(rf"(?P<name>.+){_YEAR}", re.DOTALL)
# Without the closing brace of the episode: searching for it from every opening brace would take quadratic time.
_SERIES = re.compile(rf'"(?P<name>.+?)"{_YEAR}(?: \{{(?!\{{SUSPENDED\}})(?P<episode>.*))?', re.DOTALL)
# More digits are not the number of an episode but part of its name.
_EPISODE = re.compile(
    r"(?P<name>.*?)(?: ?\((?P<date>\d{4}-\d\d-\d\d)\))?(?: ?\(#(?P<season>\d{1,6})\.(?P<number>\d{1,6})\))?", re.DOTALL
)


@dataclass(frozen=True)
class Title:
    """The parts of a title; `str(title)` formats it by the IMDb naming rules.

    Attributes
    ----------
    primary : str
        Full name of the movie, book or series, colons included (`2001: A Space Odyssey`).
    secondary : str, default ''
        Name of the episode.
    year : int or None, default None
        Year; None for `(????)`.
    season, episode : int or None, default None
        Numbers of season and episode.
    air_date : str or None, default None
        Air date of the episode, such as `2009-03-01`.
    kind : {'movie', 'series', 'episode', 'book'}, default 'movie'
        Kind of title.
    numeral : str, default ''
        Roman numeral that distinguishes titles of one year, such as `II` in `(2004/II)`.
    medium : {'', 'TV', 'V', 'VG', 'mini'}, default ''
        TV movie, video, video game or mini-series.
    suspended : bool, default False
        Whether the title ends with `{{SUSPENDED}}`.
    bare : bool, default False
        Whether the title does not follow the rules, for example because it has no year. It is formatted as `primary`.

    Examples
    --------
    >>> from movieplots.titles import Title
    >>> str(Title("Salt", secondary="Low Tide", year=2009, season=1, episode=3, kind="episode"))
    '"Salt" (2009) {Low Tide (#1.3)}'
    """

    primary: str
    secondary: str = ""
    year: int | None = None
    season: int | None = None
    episode: int | None = None
    air_date: str | None = None
    kind: str = "movie"
    numeral: str = ""
    medium: str = ""
    suspended: bool = False
    bare: bool = False

    def __str__(self) -> str:
        """Format the title by the IMDb naming rules."""
        if self.bare:
            return self.primary
        text = f'"{self.primary}"' if self.kind in ("series", "episode") else self.primary
        text += f" ({'????' if self.year is None else self.year}{'/' + self.numeral if self.numeral else ''})"
        if self.medium:
            text += f" ({self.medium})"
        if self.kind == "episode":
            date = f"({self.air_date})" if self.air_date else ""
            number = f"(#{self.season}.{self.episode})" if None not in (self.season, self.episode) else ""
            text += " {" + " ".join(part for part in (self.secondary, date, number) if part) + "}"
        return text + _SUSPENDED if self.suspended else text


def parse_title(title: str) -> Title:
    """Parse a title by the IMDb naming rules.

    - `Salt (2009)` is a movie.
    - `"Salt" (2009)`, in quotes, is a series.
    - `"Salt" (2009) {Low Tide (#1.3)}` is an episode, with its name, season and number.

    Parameters
    ----------
    title : str
        Title, such as `Salt (2009)` or `"Salt" (2009) {Low Tide (#1.3)}`.

    Returns
    -------
    Title
        The parts of the title; `movieplots.titles.Title` describes the fields. A title that does not follow the rules
        is kept whole as `primary`, with `bare` True. `str(parse_title(title)) == title` for every string.

    Examples
    --------
    >>> from movieplots import parse_title
    >>> title = parse_title('"Salt" (2009) {Low Tide (#1.3)}')
    >>> title.primary, title.secondary, title.year, title.season, title.episode, title.kind
    ('Salt', 'Low Tide', 2009, 1, 3, 'episode')
    """
    parsed = _parse(title)
    return parsed if parsed is not None and str(parsed) == title else Title(primary=title, bare=True)


def _parse(title: str) -> Title | None:
    """Parse the title, or return None outside the grammar. The caller compares the result's `str` with the title."""
    text = title.removesuffix(_SUSPENDED)
    series = _SERIES.fullmatch(text.removesuffix("}"))
    match = series or _MOVIE.fullmatch(text)
    if not match:
        return None
    primary, year, numeral, medium = match.group("name", "year", "numeral", "medium")
    if not primary.strip():
        return None
    kind, secondary, date, season, number = "series", "", None, None, None
    if not series:
        kind = "movie"
    elif series["episode"] is not None:
        kind = "episode"
        episode = _EPISODE.fullmatch(series["episode"])
        assert episode is not None  # every part of the pattern is optional
        secondary, date, season, number = episode.groups()
    return Title(
        primary=primary,
        secondary=secondary,
        year=None if year == "????" else int(year),
        season=None if season is None else int(season),
        episode=None if number is None else int(number),
        air_date=date,
        kind=kind,
        numeral=numeral or "",
        medium=medium or "",
        suspended=len(text) < len(title),
    )
