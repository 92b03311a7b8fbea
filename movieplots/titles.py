"""The IMDb title grammar: `"Series" (2004/II) {Episode (#1.2)}` taken apart and put together again.

Trade-off: a title that does not follow the grammar is kept whole as `primary` instead of being guessed at,
so `str(parse_title(t)) == t` holds for every string. Every pattern takes time in proportion to the title's length.
"""

import re
from dataclasses import dataclass

_SUSPENDED = " {{SUSPENDED}}"
_YEAR = r" \((?P<year>\d{4}|\?{4})(?:/(?P<numeral>[IVXLCDM]+))?\)(?: \((?P<medium>TV|V|VG|mini)\))?"
_MOVIE = re.compile(rf"(?P<name>.+){_YEAR}", re.DOTALL)
# Without the episode's closing brace: looking for it from every opening one would take time quadratic in the length.
_SERIES = re.compile(rf'"(?P<name>.+?)"{_YEAR}(?: \{{(?!\{{SUSPENDED\}})(?P<episode>.*))?', re.DOTALL)
# A longer run of digits is no number of an episode; it stays in the name.
_EPISODE = re.compile(
    r"(?P<name>.*?)(?: ?\((?P<date>\d{4}-\d\d-\d\d)\))?(?: ?\(#(?P<season>\d{1,6})\.(?P<number>\d{1,6})\))?", re.DOTALL
)


@dataclass(frozen=True)
class Title:
    """A title in its parts. `str(title)` writes it by the IMDb rules.

    `kind` is movie, series, episode or book. `primary` is the whole name of the movie, book or series, whatever colons
    it has (`2001: A Space Odyssey`); `secondary` is the name of the episode, "" if there is none.
    `year` is None where the title says `(????)`. `season`, `episode` and `air_date` (`2009-03-01`) are None where it
    does not name them. `numeral` tells apart titles of one year (`(2004/II)`), `medium` is TV, V (video), VG (video
    game) or mini (mini-series); "" if there is none. `suspended` is True where it ends with `{{SUSPENDED}}`. `bare`
    marks a title outside the rules, such as one without a year part, which is written back as it is.
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
    """Take `title` apart by the IMDb naming rules, into a `Title`; `str(parse_title(title)) == title` always.

    One that does not follow the rules is kept whole as `primary` and marked `bare`; nothing is raised.

    >>> parse_title('"Salt" (2009) {Low Tide (#1.3)}').secondary
    'Low Tide'
    """
    parsed = _parse(title)
    return parsed if parsed is not None and str(parsed) == title else Title(primary=title, bare=True)


def _parse(title: str) -> Title | None:
    """The parts, or None outside the grammar. What they do not hold (a brace left open) shows in `str` of them."""
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
