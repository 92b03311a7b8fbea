"""Texts: checked where callers hand them over, and repaired (mojibake, HTML, invisible characters).

Whatever can be iterated over in order is taken by position: a list, a tuple, a NumPy array, a pandas Series with any
index, a pyarrow Array, a column of `datasets`, a generator. Nothing here imports these libraries.
Every pattern of the repair takes time in proportion to the length of the text, whatever the text.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from html.entities import html5
from numbers import Number
from typing import Any

from movieplots.errors import BadInput

CELL_WIDTH = 70  # characters of a text in a table
OPENING_WORDS = 8  # of a plot: enough to recognise it by


def as_texts(texts: Iterable[str], what: str = "plot", *, missing: str | None = None) -> list[str]:
    """The texts as a list of str, in their order; `what` is the noun for one of them in a message.

    `missing` takes the place of a missing text (None, NaN, pd.NA); without it a missing text is refused. Empty texts
    are texts. Raises BadInput for one string, for what has no order or is no list of texts (a set, a mapping, a
    DataFrame), and for an item that is no text or holds half a character; the message names the item's position, from
    1.
    """
    items = as_list(texts, what)
    for i, item in enumerate(items):
        if type(item) is not str or not _whole(item):
            items[i] = _checked(item, f"{what.capitalize()} {i + 1}", missing)
    return items


def as_text(text: str, what: str = "plot") -> str:
    """One text as a str. Raises BadInput where it is none, or holds half a character."""
    return _checked(text, f"The {what}", None)


def as_names(names: Iterable[str], what: str = "genre") -> list[str]:
    """Names, such as genres or languages, as a list; those of a set in alphabetical order.

    Raises BadInput as `as_texts` does: one string is no list of names.
    """
    if isinstance(names, (set, frozenset)):
        return sorted(as_texts(list(names), what))
    return as_texts(names, what)


def as_list(texts: Any, what: str) -> list[Any]:
    """The items in their order as a new list, whatever they are: texts, numbers, paths.

    Raises BadInput for one string, a set, a mapping, a DataFrame, and for what cannot be iterated over.
    """
    if isinstance(texts, (str, bytes, bytearray)):
        raise BadInput(f"The {what}s are one {_kind(texts)}: give a list, with one item for one {what}.")
    if isinstance(texts, (set, frozenset)):
        raise BadInput(f"The {what}s are a {_kind(texts)}, which has no order: give a list.")
    no_list = f"The {what}s are of the type {_kind(texts)}, which is no list: give"
    kind = type(texts)  # not the object itself: a Series answers to its labels, too
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):
        raise BadInput(f"{no_list} one of its columns.")
    if isinstance(texts, Mapping):
        raise BadInput(f"{no_list} a list.")
    try:
        # Arrow's own conversion is many times as fast as one scalar after the other.
        return texts.to_pylist() if hasattr(kind, "to_pylist") else list(texts)
    except TypeError:
        raise BadInput(f"{no_list} a list.") from None


def opening(plot: str) -> str:
    """The first words of a corpus's plot, by which it can be recognised, with an ellipsis; empty for an empty plot.

    A plot of a corpus is somebody's text: of a long one `OPENING_WORDS` words are shown, of a short one, or one in a
    script without blanks, at most half.
    """
    text = " ".join(plot.split())
    words = " ".join(text.split()[:OPENING_WORDS])
    most = min(CELL_WIDTH - 2, len(text) // 2)
    if len(words) > most:
        words = words[: max(words.rfind(" ", 0, most + 1), 0) or most]
    return f"{words} …".lstrip() if text else ""


def shortened(text: str) -> str:
    """A title, or what else may be shown whole, cut to the width of a cell."""
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 2].rstrip(" …") + " …"


def _whole(text: str) -> bool:
    """Whether the text can be written as UTF-8: half a surrogate pair, which Python and JSON can hold, has none."""
    if text.isascii():  # a glance, where encoding reads the whole text
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(item: Any, where: str, missing: str | None) -> str:
    """The item as a str, `missing` for a missing one; `where` names it in a message."""
    if hasattr(type(item), "as_py"):  # a scalar of pyarrow
        item = item.as_py()
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{where} holds half a character, {item[error.start]!a} at place {error.start + 1}: "
                "decode the text anew, or remove it."
            ) from None
        return str(item)
    if _is_missing(item):
        if missing is None:
            raise BadInput(f"{where} is missing ({item}): give it some words, or leave it out.")
        return missing
    remedy = "decode them first" if isinstance(item, (bytes, bytearray)) else "give a str"
    raise BadInput(f"{where} is no text but of the type {_kind(item)}: {remedy}.")


def _is_missing(item: Any) -> bool:
    """Whether it stands for nothing: None, a NaN, pandas' NA or NaT."""
    return (
        item is None
        or type(item).__name__ in ("NAType", "NaTType")
        or (isinstance(item, Number) and bool(item != item))
    )


def _kind(thing: Any) -> str:
    names: dict[type, str] = {str: "string", bytes: "string of bytes"}
    return names.get(type(thing), type(thing).__name__)


_MAX_PASSES = 8  # one repair can uncover another (`&amp;lt;br&amp;gt;`); deeper nesting is no accident

# `AT&T` and `R&notes` are no entities; `&amp;amp;lt;` was escaped more than once.
_ENTITY = re.compile(r"&(?:amp;)*(#[0-9]{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});", re.IGNORECASE)
# The dot stops at the next opening, so that openings without an end cost no more than one look each.
_HIDDEN = re.compile(
    r"<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>|<!--(?:(?!<!--).)*?-->", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTES = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"  # so `<I love you>` is no tag
_BREAK_TAG = re.compile(
    r"</?(?:p|br|hr|div|[uod]l|li|d[td]|h[1-6]|blockquote|center|pre|table|tbody|thead|t[rdh]|img|iframe|section|article)"
    + _ATTRIBUTES,
    re.IGNORECASE,
)
_STYLE_TAG = re.compile(  # may stand inside a word
    r"</?(?:a|b|big|cite|del|em|font|i|ins|q|s|small|span|strike|strong|sub|sup|tt|u|wbr)" + _ATTRIBUTES, re.IGNORECASE
)
# Variation selectors and the tag characters of flags are no rubbish: emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff]"
)
# Joiners make the word in Persian and Indic scripts and the picture in emoji: they go beside blanks and Latin text
# only, where they do nothing, and after a virama (Malayalam ends words so) not even there.
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
_IDLE = "\\s\x00-\u024f\u2010-\u2027"
_JOINER = re.compile(
    rf"(?:^|(?<=[{_IDLE}]))[\u200c\u200d]+|(?<![{_VIRAMAS}\u200c\u200d])[\u200c\u200d]+(?=[{_IDLE}]|$)"
)

_NOT_ASCII = re.compile("[^\x00-\x7f]+")
# One odd letter alone is a letter. UTF-8 read as another encoding shows two in a row, or one of these before what was
# a no-break space; the others are no letters.
_SUSPECT = frozenset("\xc2\xc3\ufff9\ufffa\ufffb\ufffc\ufffd\ufffe\uffff")


def clean_text(text: str) -> str:
    """Mojibake repaired, HTML and invisible characters removed, Unicode composed (NFC), single blanks."""
    return repair(text)[0]


def repair(text: str) -> tuple[str, set[str]]:
    """The text as `clean_text` gives it, and which of mojibake, html and control_characters were repaired."""
    changes: set[str] = set()
    plain = " ".join(text.split())
    if not _needs_repair(plain):  # most texts: the rest of this takes ten times as long
        return unicodedata.normalize("NFC", plain), changes
    for _ in range(_MAX_PASSES):
        before = text
        if "&" in text:
            text = _changed(text, _ENTITY.sub(_resolve, text), "html", changes)
        if not text.isascii():
            from ftfy import fix_encoding  # what only predicts has no need of it

            text = _changed(text, fix_encoding(text), "mojibake", changes)
        if "<" in text:
            bare = _STYLE_TAG.sub("", _BREAK_TAG.sub(" ", _HIDDEN.sub(lambda hidden: " " if hidden[1] else "", text)))
            text = _changed(text, bare, "html", changes)
        text = _changed(text, _INVISIBLE.sub("", text), "control_characters", changes)
        if "\u200c" in text or "\u200d" in text:
            text = _changed(text, _JOINER.sub("", text), "control_characters", changes)
        text = unicodedata.normalize("NFC", text)
        if text == before:
            break
    return " ".join(text.split()), changes


def _needs_repair(text: str) -> bool:
    """Whether anything in the text could call for a repair; `text` has single blanks."""
    if "&" in text or "<" in text or not text.isprintable():
        return True
    return not text.isascii() and any(len(run) > 1 or run in _SUSPECT for run in _NOT_ASCII.findall(text))


def _changed(before: str, after: str, repair: str, changes: set[str]) -> str:
    if after != before:
        changes.add(repair)
    return after


def _resolve(entity: re.Match[str]) -> str:
    name = entity[1]
    if name[0] == "#":
        return html.unescape(f"&{name};")
    # Not html.unescape: it takes `&notes;` for `&not` and `es;`.
    return html5.get(f"{name};") or html5.get(f"{name.lower()};", entity[0])
