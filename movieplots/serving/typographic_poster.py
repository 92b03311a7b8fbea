"""A poster from a title, genres and keywords alone: a palette and a motif of the genre, and the words set in type.

It needs no model and no connection, so that there always is a poster; the same words give the same one.
"""

import io
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from movieplots.texts import as_list
from movieplots.titles import parse_title

WIDTH, HEIGHT = 1000, 1500
SCALE = 2  # drawn larger and then made smaller, which smooths all edges
MARGIN = 80
TITLE_TOP, TITLE_BOTTOM = 1010, 1302  # between motif and keywords
LEADING = 1.08

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """Ground, ink and two colours for the motif."""

    ground: str
    ink: str
    first: str
    second: str
    motif: str
    serif: bool = False


LOOKS = {
    "action": Look("#1c1c1c", "#fff4e6", "#e8451e", "#f6a21a", "shards"),
    "adult": Look("#2b1420", "#fbe9ee", "#b3325c", "#5c1f3b", "discs", True),
    "adventure": Look("#f2e3c6", "#1f3a36", "#d9772b", "#2f6f62", "peaks", True),
    "animation": Look("#fef6da", "#2a2350", "#ff6f59", "#43b3ae", "dots"),
    "biography": Look("#e9e4da", "#22262b", "#8c6d46", "#4b5a66", "profile", True),
    "comedy": Look("#ffd84a", "#22201b", "#f2542d", "#0f8b8d", "dots"),
    "crime": Look("#14161a", "#f1ece2", "#b5121b", "#3a3f47", "blinds"),
    "documentary": Look("#ececea", "#16181b", "#d13b2a", "#8d949a", "grid"),
    "drama": Look("#e8dccb", "#26211d", "#a4452c", "#5b6f7a", "split", True),
    "family": Look("#dff1ee", "#1f3d4a", "#f4a259", "#5b8e7d", "hills"),
    "fantasy": Look("#1b1440", "#f5edff", "#b68cff", "#f2c14e", "stars", True),
    "game-show": Look("#35106b", "#fffbe6", "#ffcc00", "#ff3d81", "rays"),
    "history": Look("#e6d5b3", "#33251a", "#7c3f24", "#b08b57", "columns", True),
    "horror": Look("#0d0c0e", "#efe7df", "#a30d12", "#35100f", "eye", True),
    "lifestyle": Look("#f7ebe3", "#3a2c2a", "#d98e73", "#9db5a0", "hills"),
    "music": Look("#101a3a", "#fdf3e1", "#ff5d8f", "#35c9c4", "waves"),
    "musical": Look("#5a0f2e", "#fff0d9", "#ffb238", "#e5446d", "rays", True),
    "mystery": Look("#12232b", "#e9efe9", "#d9b44a", "#2f5261", "keyhole", True),
    "news": Look("#f4f4f2", "#111315", "#c8102e", "#6b7480", "grid"),
    "reality-tv": Look("#ff6b4a", "#fff8ee", "#2b1a4a", "#ffd166", "grid"),
    "romance": Look("#f9dcd6", "#5a1a2b", "#d9486e", "#f3a29b", "discs", True),
    "sci-fi": Look("#061a2b", "#e6f6ff", "#28c7d9", "#7a5cff", "orbits"),
    "short": Look("#efece6", "#1d1d1f", "#e0503c", "#1d1d1f", "split"),
    "sport": Look("#0f5132", "#f6fff2", "#f4d35e", "#ffffff", "lanes"),
    "talk-show": Look("#233142", "#fff6e5", "#f95959", "#facf5a", "discs"),
    "thriller": Look("#10151d", "#eef2f4", "#d7263d", "#33475b", "spiral"),
    "war": Look("#4a4a36", "#f0ead6", "#a63d2f", "#2c2d20", "lanes"),
    "western": Look("#e7b269", "#3a1d12", "#c2431f", "#7c3a1c", "sunset", True),
}
PLAIN = Look("#ece7df", "#1e1d1b", "#c8553d", "#588b8b", "split", True)


def draw_poster(title: str, genres: Sequence[str] = (), keywords: Sequence[str] = (), seed: int = 0) -> bytes:
    """A poster of 1000 by 1500 pixels as PNG. The first genre gives colours and motif."""
    title, genres = _plain(title), [_plain(name) for name in as_list(genres, "genre")]
    keywords = [_plain(word) for word in as_list(keywords, "keyword")]
    look = LOOKS.get(genres[0], PLAIN) if genres else PLAIN
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), look.ground)
    pen = _Pen(ImageDraw.Draw(image, "RGBA"), look, random.Random(f"{title}-{seed}"))
    _MOTIFS[look.motif](pen)
    _words(pen, title, genres, keywords)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _plain(text: str) -> str:
    """The text on one line, without what cannot be set in type."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass(frozen=True)
class _Pen:
    """Draws in units of the finished poster."""

    canvas: ImageDraw.ImageDraw
    look: Look
    random: random.Random

    def disc(self, x: float, y: float, radius: float, colour: str, width: float = 0, opacity: float = 1) -> None:
        box = [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        if width:
            self.canvas.ellipse(box, outline=_rgba(colour, opacity), width=round(width * SCALE))
        else:
            self.canvas.ellipse(box, fill=_rgba(colour, opacity))

    def shape(self, points: Sequence[tuple[float, float]], colour: str, opacity: float = 1) -> None:
        self.canvas.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=_rgba(colour, opacity))

    def box(self, x: float, y: float, right: float, bottom: float, colour: str, opacity: float = 1) -> None:
        self.shape([(x, y), (right, y), (right, bottom), (x, bottom)], colour, opacity)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float, opacity: float = 1) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.canvas.line(scaled, fill=_rgba(colour, opacity), width=round(width * SCALE), joint="curve")

    def text(self, x: float, y: float, text: str, font: ImageFont.FreeTypeFont, opacity: float = 1) -> None:
        self.canvas.text((x * SCALE, y * SCALE), text, font=font, fill=_rgba(self.look.ink, opacity), anchor="ls")


def _rgba(colour: str, opacity: float = 1) -> tuple[int, int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, round(255 * opacity)


def _words(pen: _Pen, title: str, genres: Sequence[str], keywords: Sequence[str]) -> None:
    parsed = parse_title(title) if title.strip() else None
    name = (parsed.primary if parsed else "") or title.strip() or "Untitled"
    look = pen.look
    size, lines = _fitted(name, look.serif)
    font = _font("bold", size, look.serif)
    leading = size * LEADING
    top = TITLE_BOTTOM - leading * (len(lines) - 1)
    for i, line in enumerate(lines):
        pen.text(MARGIN, top + i * leading, line, font)
    small = _font("medium", 30)
    under = [word for word in keywords if word][:4]
    pen.box(MARGIN, HEIGHT - MARGIN - 72, MARGIN + 64, HEIGHT - MARGIN - 66, look.first)
    pen.text(MARGIN, HEIGHT - MARGIN - 14, _cut(" · ".join(under), small, WIDTH - 2 * MARGIN - 120), small, 0.85)
    if parsed and parsed.year:
        year = str(parsed.year)
        pen.text(WIDTH - MARGIN - small.getlength(year) / SCALE, HEIGHT - MARGIN - 14, year, small, 0.85)
    spaced = _font("medium", 26)
    pen.text(
        MARGIN,
        MARGIN + 26,
        _cut("   ".join(" ".join(genre.upper()) for genre in genres[:3]), spaced, WIDTH - 2 * MARGIN),
        spaced,
    )


def _fitted(name: str, serif: bool) -> tuple[int, list[str]]:
    """The largest size of letters, and the lines, in which the name fits; the smallest one cuts what does not."""
    width, height = (WIDTH - 2 * MARGIN) * SCALE, TITLE_BOTTOM - TITLE_TOP
    for size in range(150, 43, -2):
        font = _font("bold", size, serif)
        lines = _wrapped(name, font, width)
        if size * (0.75 + LEADING * (len(lines) - 1)) <= height and all(
            font.getlength(line) <= width for line in lines
        ):
            return size, lines
    most = 1 + int((height / size - 0.75) / LEADING)
    kept = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return size, [_cut(line, font, WIDTH - 2 * MARGIN) for line in kept if line]


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width * SCALE:
        return text
    while text and font.getlength(text + "…") > width * SCALE:
        text = text[:-1]
    return text.rstrip(" ·") + "…"


@cache
def _font(weight: str, size: int, serif: bool = False) -> ImageFont.FreeTypeFont:
    import font_manrope
    import font_source_serif_pro

    file = font_source_serif_pro.SourceSerifProBold if serif else getattr(font_manrope, f"Manrope{weight.title()}")
    return ImageFont.truetype(file, size * SCALE)


# Motifs fill the upper two thirds; what a random number decides is a small thing, so that a genre keeps its face.


def _shards(pen: _Pen) -> None:
    for i in range(9):
        x = -200 + i * 150 + pen.random.uniform(-40, 40)
        lean = pen.random.uniform(220, 420)
        wide = pen.random.uniform(20, 120)
        pen.shape(
            [(x, 980), (x + wide, 980), (x + lean + wide, 140), (x + lean, 140)],
            (pen.look.first, pen.look.second)[i % 2],
            0.92,
        )


def _discs(pen: _Pen) -> None:
    shift = pen.random.uniform(120, 170)
    pen.disc(WIDTH / 2 - shift, 560, 300, pen.look.first, opacity=0.9)
    pen.disc(WIDTH / 2 + shift, 600, 300, pen.look.second, opacity=0.75)


def _peaks(pen: _Pen) -> None:
    pen.disc(690 + pen.random.uniform(-80, 80), 420, 130, pen.look.first)
    for left, height, colour, opacity in (
        (-150, 520, pen.look.second, 0.45),
        (250, 640, pen.look.second, 0.75),
        (-60, 380, pen.look.second, 1),
    ):
        middle = left + 450 + pen.random.uniform(-50, 50)
        pen.shape([(left, 980), (middle, 980 - height), (left + 1000, 980)], colour, opacity)


def _dots(pen: _Pen) -> None:
    for row in range(7):
        for column in range(8):
            radius = pen.random.choice((14, 26, 38, 52))
            colour = pen.random.choice((pen.look.first, pen.look.second, pen.look.ink))
            pen.disc(MARGIN + 60 + column * 102, 210 + row * 112, radius, colour)


def _profile(pen: _Pen) -> None:
    pen.disc(WIDTH / 2, 500, 210, pen.look.first)
    pen.shape([(180, 980), (260, 790), (WIDTH / 2, 720), (740, 790), (820, 980)], pen.look.second)


def _blinds(pen: _Pen) -> None:
    pen.disc(640, 520, 290, pen.look.first)
    for i in range(15):
        y = 180 + i * 54
        pen.shape([(0, y), (WIDTH, y - 60), (WIDTH, y - 60 + 24 + i), (0, y + 24 + i)], pen.look.ground)


def _grid(pen: _Pen) -> None:
    chosen = pen.random.randrange(4 * 4)
    for i in range(16):
        x, y = MARGIN + (i % 4) * 214, 170 + (i // 4) * 206
        pen.box(
            x,
            y,
            x + 198,
            y + 190,
            pen.look.first if i == chosen else pen.look.second,
            1 if i == chosen else 0.25 + 0.5 * pen.random.random(),
        )


def _split(pen: _Pen) -> None:
    lean = pen.random.uniform(-140, 140)
    pen.shape([(0, 150), (WIDTH / 2 + lean, 150), (WIDTH / 2 - lean, 960), (0, 960)], pen.look.first)
    pen.disc(WIDTH * 0.68, 540, 150, pen.look.second)


def _hills(pen: _Pen) -> None:
    pen.disc(pen.random.uniform(280, 720), 400, 140, pen.look.first)
    for i, opacity in enumerate((0.4, 0.7, 1)):
        x = (180, 830, 450)[i] + pen.random.uniform(-60, 60)
        pen.disc(x, 1180 + i * 60, 560 - i * 40, pen.look.second, opacity=opacity)
    pen.box(0, 980, WIDTH, HEIGHT, pen.look.ground)


def _stars(pen: _Pen) -> None:
    pen.disc(640, 470, 230, pen.look.first)
    pen.disc(560, 430, 215, pen.look.ground)
    for _ in range(70):
        x, y = pen.random.uniform(40, WIDTH - 40), pen.random.uniform(140, 960)
        arm = pen.random.choice((4, 6, 9, 16))
        pen.shape(
            [
                (x, y - arm),
                (x + arm / 4, y - arm / 4),
                (x + arm, y),
                (x + arm / 4, y + arm / 4),
                (x, y + arm),
                (x - arm / 4, y + arm / 4),
                (x - arm, y),
                (x - arm / 4, y - arm / 4),
            ],
            pen.look.second,
        )


def _rays(pen: _Pen) -> None:
    turn = pen.random.uniform(0, math.pi / 12)
    for i in range(24):
        if i % 2:
            continue
        angles = (turn + i * math.pi / 12, turn + (i + 1) * math.pi / 12)
        pen.shape(
            [(500, 560)] + [(500 + 1500 * math.cos(a), 560 + 1500 * math.sin(a)) for a in angles], pen.look.second, 0.55
        )
    pen.disc(500, 560, 210, pen.look.first)
    pen.box(0, 990, WIDTH, HEIGHT, pen.look.ground)


def _columns(pen: _Pen) -> None:
    pen.shape([(140, 330), (500, 170), (860, 330)], pen.look.first)
    pen.box(140, 345, 860, 385, pen.look.second)
    for i in range(5):
        pen.box(180 + i * 150, 405, 240 + i * 150, 880, pen.look.first, 0.65 + 0.08 * i)
    pen.box(110, 900, 890, 950, pen.look.second)


def _eye(pen: _Pen) -> None:
    for i in range(9, 0, -1):
        pen.disc(500, 560, 42 * i, pen.look.first if i % 2 else pen.look.second)
    wide = pen.random.uniform(16, 34)
    pen.shape([(500, 330), (500 + wide, 560), (500, 790), (500 - wide, 560)], pen.look.ground)


def _waves(pen: _Pen) -> None:
    for i in range(13):
        phase, height = pen.random.uniform(0, 6.3), 20 + 70 * math.sin(math.pi * i / 12)
        points = [(x, 200 + i * 62 + height * math.sin(phase + x / (70 + 6 * i))) for x in range(-10, WIDTH + 20, 6)]
        pen.line(points, (pen.look.first, pen.look.second)[i % 2], 10)


def _keyhole(pen: _Pen) -> None:
    pen.disc(500, 560, 360, pen.look.second)
    pen.disc(500, 480, 115, pen.look.first)
    flare = pen.random.uniform(90, 130)
    pen.shape([(455, 520), (545, 520), (500 + flare, 800), (500 - flare, 800)], pen.look.first)


def _orbits(pen: _Pen) -> None:
    for i, radius in enumerate((430, 340, 250, 160)):
        pen.disc(500, 560, radius, pen.look.second, width=4, opacity=0.85)
        angle = pen.random.uniform(0, 2 * math.pi)
        pen.disc(
            500 + radius * math.cos(angle),
            560 + radius * math.sin(angle),
            14 + 7 * i,
            pen.look.ink if i % 2 else pen.look.first,
        )
    pen.disc(500, 560, 84, pen.look.first)


def _lanes(pen: _Pen) -> None:
    lean = pen.random.uniform(180, 320)
    for i in range(7):
        x = -260 + i * 190
        pen.shape(
            [(x, 980), (x + 70, 980), (x + 70 + lean, 150), (x + lean, 150)],
            pen.look.second if i % 2 else pen.look.first,
            0.9 if i % 2 == 0 else 0.35,
        )


def _spiral(pen: _Pen) -> None:
    turn = pen.random.uniform(0, 6.3)
    points = [
        (500 + (8 + 0.55 * t) * math.cos(turn + t / 14), 560 + (8 + 0.55 * t) * math.sin(turn + t / 14))
        for t in range(700)
    ]
    pen.line(points, pen.look.second, 26)
    pen.disc(500, 560, 56, pen.look.first)


def _sunset(pen: _Pen) -> None:
    pen.disc(500 + pen.random.uniform(-120, 120), 640, 290, pen.look.first)
    for i in range(6):
        pen.box(0, 640 + i * 52, WIDTH, 640 + i * 52 + 8 + i * 7, pen.look.ground)
    pen.shape(
        [(0, 980), (0, 820), (140, 800), (180, 700), (330, 700), (360, 860), (700, 880), (1000, 840), (1000, 980)],
        pen.look.second,
    )


_MOTIFS: dict[str, Callable[[_Pen], None]] = {
    "shards": _shards, "discs": _discs, "peaks": _peaks, "dots": _dots, "profile": _profile, "blinds": _blinds,
    "grid": _grid, "split": _split, "hills": _hills, "stars": _stars, "rays": _rays, "columns": _columns, "eye": _eye,
    "waves": _waves, "keyhole": _keyhole, "orbits": _orbits, "lanes": _lanes, "spiral": _spiral, "sunset": _sunset,
}  # fmt: skip
