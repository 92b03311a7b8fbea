"""Typographic posters: the title and keywords in type, on the palette and motif of the first genre.

They need no model and no network. The same arguments give the same poster.
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
SCALE = 2  # the poster is drawn larger and then scaled down, which smooths all edges
MARGIN = 80
TITLE_TOP, TITLE_BOTTOM = 1010, 1302  # between motif and keywords
LEADING = 1.08


@dataclass(frozen=True)
class Style:
    """Colors of background, text and motif, the name of the motif, and the kind of font."""

    background: str
    ink: str
    first: str
    second: str
    motif: str
    serif: bool = False


STYLES = {
    "action": Style("#1c1c1c", "#fff4e6", "#e8451e", "#f6a21a", "shards"),
    "adult": Style("#2b1420", "#fbe9ee", "#b3325c", "#5c1f3b", "discs", True),
    "adventure": Style("#f2e3c6", "#1f3a36", "#d9772b", "#2f6f62", "peaks", True),
    "animation": Style("#fef6da", "#2a2350", "#ff6f59", "#43b3ae", "dots"),
    "biography": Style("#e9e4da", "#22262b", "#8c6d46", "#4b5a66", "profile", True),
    "comedy": Style("#ffd84a", "#22201b", "#f2542d", "#0f8b8d", "dots"),
    "crime": Style("#14161a", "#f1ece2", "#b5121b", "#3a3f47", "blinds"),
    "documentary": Style("#ececea", "#16181b", "#d13b2a", "#8d949a", "grid"),
    "drama": Style("#e8dccb", "#26211d", "#a4452c", "#5b6f7a", "split", True),
    "family": Style("#dff1ee", "#1f3d4a", "#f4a259", "#5b8e7d", "hills"),
    "fantasy": Style("#1b1440", "#f5edff", "#b68cff", "#f2c14e", "stars", True),
    "game-show": Style("#35106b", "#fffbe6", "#ffcc00", "#ff3d81", "rays"),
    "history": Style("#e6d5b3", "#33251a", "#7c3f24", "#b08b57", "columns", True),
    "horror": Style("#0d0c0e", "#efe7df", "#a30d12", "#35100f", "eye", True),
    "lifestyle": Style("#f7ebe3", "#3a2c2a", "#d98e73", "#9db5a0", "hills"),
    "music": Style("#101a3a", "#fdf3e1", "#ff5d8f", "#35c9c4", "waves"),
    "musical": Style("#5a0f2e", "#fff0d9", "#ffb238", "#e5446d", "rays", True),
    "mystery": Style("#12232b", "#e9efe9", "#d9b44a", "#2f5261", "keyhole", True),
    "news": Style("#f4f4f2", "#111315", "#c8102e", "#6b7480", "grid"),
    "reality-tv": Style("#ff6b4a", "#fff8ee", "#2b1a4a", "#ffd166", "grid"),
    "romance": Style("#f9dcd6", "#5a1a2b", "#d9486e", "#f3a29b", "discs", True),
    "sci-fi": Style("#061a2b", "#e6f6ff", "#28c7d9", "#7a5cff", "orbits"),
    "short": Style("#efece6", "#1d1d1f", "#e0503c", "#1d1d1f", "split"),
    "sport": Style("#0f5132", "#f6fff2", "#f4d35e", "#ffffff", "lanes"),
    "talk-show": Style("#233142", "#fff6e5", "#f95959", "#facf5a", "discs"),
    "thriller": Style("#10151d", "#eef2f4", "#d7263d", "#33475b", "spiral"),
    "war": Style("#4a4a36", "#f0ead6", "#a63d2f", "#2c2d20", "lanes"),
    "western": Style("#e7b269", "#3a1d12", "#c2431f", "#7c3a1c", "sunset", True),
}
DEFAULT_STYLE = Style("#ece7df", "#1e1d1b", "#c8553d", "#588b8b", "split", True)


def draw_poster(title: str, genres: Sequence[str] = (), keywords: Sequence[str] = (), seed: int = 0) -> bytes:
    """Return a poster of 1000 by 1500 pixels as PNG; the first genre decides its style."""
    title, genres = _plain(title), [_plain(name) for name in as_list(genres, "genre")]
    keywords = [_plain(word) for word in as_list(keywords, "keyword")]
    style = STYLES.get(genres[0], DEFAULT_STYLE) if genres else DEFAULT_STYLE
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), style.background)
    pen = _Pen(ImageDraw.Draw(image, "RGBA"), style, random.Random(f"{title}-{seed}"))
    _MOTIFS[style.motif](pen)
    _draw_text(pen, title, genres, keywords)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _plain(text: str) -> str:
    """Return the text on one line, without characters that cannot be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass(frozen=True)
class _Pen:
    """Drawing functions in pixels of the finished poster."""

    canvas: ImageDraw.ImageDraw
    style: Style
    random: random.Random

    def disc(self, x: float, y: float, radius: float, color: str, width: float = 0, opacity: float = 1) -> None:
        box = [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        if width:
            self.canvas.ellipse(box, outline=_rgba(color, opacity), width=round(width * SCALE))
        else:
            self.canvas.ellipse(box, fill=_rgba(color, opacity))

    def shape(self, points: Sequence[tuple[float, float]], color: str, opacity: float = 1) -> None:
        self.canvas.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=_rgba(color, opacity))

    def box(self, x: float, y: float, right: float, bottom: float, color: str, opacity: float = 1) -> None:
        self.shape([(x, y), (right, y), (right, bottom), (x, bottom)], color, opacity)

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float, opacity: float = 1) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.canvas.line(scaled, fill=_rgba(color, opacity), width=round(width * SCALE), joint="curve")

    def text(self, x: float, y: float, text: str, font: ImageFont.FreeTypeFont, opacity: float = 1) -> None:
        self.canvas.text((x * SCALE, y * SCALE), text, font=font, fill=_rgba(self.style.ink, opacity), anchor="ls")


def _rgba(color: str, opacity: float = 1) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, round(255 * opacity)


def _draw_text(pen: _Pen, title: str, genres: Sequence[str], keywords: Sequence[str]) -> None:
    parsed = parse_title(title) if title.strip() else None
    name = (parsed.primary if parsed else "") or title.strip() or "Untitled"
    style = pen.style
    size, lines = _fitted(name, style.serif)
    font = _font("bold", size, style.serif)
    leading = size * LEADING
    top = TITLE_BOTTOM - leading * (len(lines) - 1)
    for i, line in enumerate(lines):
        pen.text(MARGIN, top + i * leading, line, font)
    small = _font("medium", 30)
    under = [word for word in keywords if word][:4]
    pen.box(MARGIN, HEIGHT - MARGIN - 72, MARGIN + 64, HEIGHT - MARGIN - 66, style.first)
    pen.text(MARGIN, HEIGHT - MARGIN - 14, _truncated(" · ".join(under), small, WIDTH - 2 * MARGIN - 120), small, 0.85)
    if parsed and parsed.year:
        year = str(parsed.year)
        pen.text(WIDTH - MARGIN - small.getlength(year) / SCALE, HEIGHT - MARGIN - 14, year, small, 0.85)
    spaced = _font("medium", 26)
    pen.text(
        MARGIN,
        MARGIN + 26,
        _truncated("   ".join(" ".join(genre.upper()) for genre in genres[:3]), spaced, WIDTH - 2 * MARGIN),
        spaced,
    )


def _fitted(name: str, serif: bool) -> tuple[int, list[str]]:
    """Return the largest font size at which the name fits, and its lines; at the smallest size, truncate it."""
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
    return size, [_truncated(line, font, WIDTH - 2 * MARGIN) for line in kept if line]


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _truncated(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
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


# Motifs fill the upper two thirds. Random numbers decide only small details, so that a genre is recognizable.


def _shards(pen: _Pen) -> None:
    for i in range(9):
        x = -200 + i * 150 + pen.random.uniform(-40, 40)
        lean = pen.random.uniform(220, 420)
        wide = pen.random.uniform(20, 120)
        pen.shape(
            [(x, 980), (x + wide, 980), (x + lean + wide, 140), (x + lean, 140)],
            (pen.style.first, pen.style.second)[i % 2],
            0.92,
        )


def _discs(pen: _Pen) -> None:
    shift = pen.random.uniform(120, 170)
    pen.disc(WIDTH / 2 - shift, 560, 300, pen.style.first, opacity=0.9)
    pen.disc(WIDTH / 2 + shift, 600, 300, pen.style.second, opacity=0.75)


def _peaks(pen: _Pen) -> None:
    pen.disc(690 + pen.random.uniform(-80, 80), 420, 130, pen.style.first)
    for left, height, color, opacity in (
        (-150, 520, pen.style.second, 0.45),
        (250, 640, pen.style.second, 0.75),
        (-60, 380, pen.style.second, 1),
    ):
        middle = left + 450 + pen.random.uniform(-50, 50)
        pen.shape([(left, 980), (middle, 980 - height), (left + 1000, 980)], color, opacity)


def _dots(pen: _Pen) -> None:
    for row in range(7):
        for column in range(8):
            radius = pen.random.choice((14, 26, 38, 52))
            color = pen.random.choice((pen.style.first, pen.style.second, pen.style.ink))
            pen.disc(MARGIN + 60 + column * 102, 210 + row * 112, radius, color)


def _profile(pen: _Pen) -> None:
    pen.disc(WIDTH / 2, 500, 210, pen.style.first)
    pen.shape([(180, 980), (260, 790), (WIDTH / 2, 720), (740, 790), (820, 980)], pen.style.second)


def _blinds(pen: _Pen) -> None:
    pen.disc(640, 520, 290, pen.style.first)
    for i in range(15):
        y = 180 + i * 54
        pen.shape([(0, y), (WIDTH, y - 60), (WIDTH, y - 60 + 24 + i), (0, y + 24 + i)], pen.style.background)


def _grid(pen: _Pen) -> None:
    chosen = pen.random.randrange(4 * 4)
    for i in range(16):
        x, y = MARGIN + (i % 4) * 214, 170 + (i // 4) * 206
        pen.box(
            x,
            y,
            x + 198,
            y + 190,
            pen.style.first if i == chosen else pen.style.second,
            1 if i == chosen else 0.25 + 0.5 * pen.random.random(),
        )


def _split(pen: _Pen) -> None:
    lean = pen.random.uniform(-140, 140)
    pen.shape([(0, 150), (WIDTH / 2 + lean, 150), (WIDTH / 2 - lean, 960), (0, 960)], pen.style.first)
    pen.disc(WIDTH * 0.68, 540, 150, pen.style.second)


def _hills(pen: _Pen) -> None:
    pen.disc(pen.random.uniform(280, 720), 400, 140, pen.style.first)
    for i, opacity in enumerate((0.4, 0.7, 1)):
        x = (180, 830, 450)[i] + pen.random.uniform(-60, 60)
        pen.disc(x, 1180 + i * 60, 560 - i * 40, pen.style.second, opacity=opacity)
    pen.box(0, 980, WIDTH, HEIGHT, pen.style.background)


def _stars(pen: _Pen) -> None:
    pen.disc(640, 470, 230, pen.style.first)
    pen.disc(560, 430, 215, pen.style.background)
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
            pen.style.second,
        )


def _rays(pen: _Pen) -> None:
    turn = pen.random.uniform(0, math.pi / 12)
    for i in range(24):
        if i % 2:
            continue
        angles = (turn + i * math.pi / 12, turn + (i + 1) * math.pi / 12)
        pen.shape(
            [(500, 560)] + [(500 + 1500 * math.cos(a), 560 + 1500 * math.sin(a)) for a in angles],
            pen.style.second,
            0.55,
        )
    pen.disc(500, 560, 210, pen.style.first)
    pen.box(0, 990, WIDTH, HEIGHT, pen.style.background)


def _columns(pen: _Pen) -> None:
    pen.shape([(140, 330), (500, 170), (860, 330)], pen.style.first)
    pen.box(140, 345, 860, 385, pen.style.second)
    for i in range(5):
        pen.box(180 + i * 150, 405, 240 + i * 150, 880, pen.style.first, 0.65 + 0.08 * i)
    pen.box(110, 900, 890, 950, pen.style.second)


def _eye(pen: _Pen) -> None:
    for i in range(9, 0, -1):
        pen.disc(500, 560, 42 * i, pen.style.first if i % 2 else pen.style.second)
    wide = pen.random.uniform(16, 34)
    pen.shape([(500, 330), (500 + wide, 560), (500, 790), (500 - wide, 560)], pen.style.background)


def _waves(pen: _Pen) -> None:
    for i in range(13):
        phase, height = pen.random.uniform(0, 6.3), 20 + 70 * math.sin(math.pi * i / 12)
        points = [(x, 200 + i * 62 + height * math.sin(phase + x / (70 + 6 * i))) for x in range(-10, WIDTH + 20, 6)]
        pen.line(points, (pen.style.first, pen.style.second)[i % 2], 10)


def _keyhole(pen: _Pen) -> None:
    pen.disc(500, 560, 360, pen.style.second)
    pen.disc(500, 480, 115, pen.style.first)
    flare = pen.random.uniform(90, 130)
    pen.shape([(455, 520), (545, 520), (500 + flare, 800), (500 - flare, 800)], pen.style.first)


def _orbits(pen: _Pen) -> None:
    for i, radius in enumerate((430, 340, 250, 160)):
        pen.disc(500, 560, radius, pen.style.second, width=4, opacity=0.85)
        angle = pen.random.uniform(0, 2 * math.pi)
        pen.disc(
            500 + radius * math.cos(angle),
            560 + radius * math.sin(angle),
            14 + 7 * i,
            pen.style.ink if i % 2 else pen.style.first,
        )
    pen.disc(500, 560, 84, pen.style.first)


def _lanes(pen: _Pen) -> None:
    lean = pen.random.uniform(180, 320)
    for i in range(7):
        x = -260 + i * 190
        pen.shape(
            [(x, 980), (x + 70, 980), (x + 70 + lean, 150), (x + lean, 150)],
            pen.style.second if i % 2 else pen.style.first,
            0.9 if i % 2 == 0 else 0.35,
        )


def _spiral(pen: _Pen) -> None:
    turn = pen.random.uniform(0, 6.3)
    points = [
        (500 + (8 + 0.55 * t) * math.cos(turn + t / 14), 560 + (8 + 0.55 * t) * math.sin(turn + t / 14))
        for t in range(700)
    ]
    pen.line(points, pen.style.second, 26)
    pen.disc(500, 560, 56, pen.style.first)


def _sunset(pen: _Pen) -> None:
    pen.disc(500 + pen.random.uniform(-120, 120), 640, 290, pen.style.first)
    for i in range(6):
        pen.box(0, 640 + i * 52, WIDTH, 640 + i * 52 + 8 + i * 7, pen.style.background)
    pen.shape(
        [(0, 980), (0, 820), (140, 800), (180, 700), (330, 700), (360, 860), (700, 880), (1000, 840), (1000, 980)],
        pen.style.second,
    )


_MOTIFS: dict[str, Callable[[_Pen], None]] = {
    "shards": _shards, "discs": _discs, "peaks": _peaks, "dots": _dots, "profile": _profile, "blinds": _blinds,
    "grid": _grid, "split": _split, "hills": _hills, "stars": _stars, "rays": _rays, "columns": _columns, "eye": _eye,
    "waves": _waves, "keyhole": _keyhole, "orbits": _orbits, "lanes": _lanes, "spiral": _spiral, "sunset": _sunset,
}  # fmt: skip
