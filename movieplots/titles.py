"""The IMDb title grammar: `"Series" (2004/II) {Episode (#1.2)}` taken apart and put together again.

Trade-off: a title that does not follow the grammar is kept whole as `primary` instead of being guessed at,
so `str(parse_title(t)) == t` holds for every string.
"""

import re
from dataclasses import dataclass, replace

_TITLE = re.compile(
    r'(?P<primary>"(?P<quoted>.+)"|.+?)'
    r" \((?P<year>\d{4}|\?{4})(?:/(?P<numeral>[IVXLCDM]+))?\)"
    r"(?: \((?P<medium>TV|V|VG)\))?"
    r"(?: \{(?!\{SUSPENDED\}\})(?P<episode>.*?)\})?"
    r"(?P<suspended> \{\{SUSPENDED\}\})?",
    re.DOTALL,
)
_EPISODE = re.compile(
    r"(?P<name>.*?) ?(?:\(#(?P<season>\d+)\.(?P<number>\d+)\)|\((?P<date>\d{4}-\d\d-\d\d)\))?", re.DOTALL
)


@dataclass(frozen=True)
class Title:
    """A title in its parts. `str(title)` writes it by the IMDb rules.

    `kind` is movie, series, episode or book. `primary` is the name of the movie or series, `secondary` the name
    of the episode ("" if it has none). `year` is None where the title says `(????)`. `numeral` tells apart titles
    of one year (`(2004/II)`), `medium` is TV, V (video) or VG (video game). `bare` marks a title without a year
    part, which is written back as it is.
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
            mark = f"({self.air_date})" if self.air_date else ""
            if self.season is not None and self.episode is not None:
                mark = f"(#{self.season}.{self.episode})"
            text += " {" + " ".join(part for part in (self.secondary, mark) if part) + "}"
        return text + (" {{SUSPENDED}}" if self.suspended else "")


def parse_title(title: str) -> Title:
    """Take a title apart by the IMDb naming rules; `str(parse_title(title)) == title` for every string.

    >>> parse_title('"Salt" (2009) {Low Tide (#1.3)}').secondary
    'Low Tide'
    """
    parsed = _parse(title)
    return parsed if str(parsed) == title else Title(primary=title, bare=True)


def _parse(title: str) -> Title:
    match = _TITLE.fullmatch(title)
    if not match:
        return Title(primary=title, bare=True)
    result = Title(
        primary=match["quoted"] or match["primary"],
        year=None if match["year"] == "????" else int(match["year"]),
        kind="series" if match["quoted"] else "movie",
        numeral=match["numeral"] or "",
        medium=match["medium"] or "",
        suspended=bool(match["suspended"]),
    )
    if match["episode"] is None:
        return result
    episode = _EPISODE.fullmatch(match["episode"])
    assert episode is not None  # every part of the pattern is optional
    number = episode["season"] is not None
    return replace(
        result,
        kind="episode",
        secondary=episode["name"],
        season=int(episode["season"]) if number else None,
        episode=int(episode["number"]) if number else None,
        air_date=episode["date"],
    )
