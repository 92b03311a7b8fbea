"""Check texts that callers pass, and repair texts of corpora (mojibake, HTML, invisible characters).

Any ordered iterable is accepted and read by position: a list, a tuple, a NumPy array, a pandas Series with any index,
a pyarrow Array, a column of `datasets`, a generator. This module imports none of these libraries.
The time of every pattern is linear in the length of the text.
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
OPENING_WORDS = 8  # enough to recognize a plot


def as_texts(texts: Iterable[str], what: str = "plot", *, missing: str | None = None) -> list[str]:
    """Return the texts as a list of str, in their order; `what` is the noun for one of them in messages.

    `missing` replaces missing texts (None, NaN, pd.NA); without it they are an error. Empty texts are valid. Raises
    BadInput for a single string, for a set, a mapping or a DataFrame, and for an item that is not a text or contains
    half of a surrogate pair. The message contains the position of the item, from 1.
    """
    items = as_list(texts, what)
    for i, item in enumerate(items):
        if type(item) is not str or not _is_encodable(item):
            items[i] = _checked(item, f"{what.capitalize()} {i + 1}", missing)
    return items


def as_text(text: str, what: str = "plot") -> str:
    """Return one text as a str; raise BadInput if it is not a text or contains half of a surrogate pair."""
    return _checked(text, f"The {what}", None)


def as_names(names: Iterable[str], what: str = "genre") -> list[str]:
    """Return names, such as genres or languages, as a list; a set is sorted. Raises BadInput like `as_texts`."""
    if isinstance(names, (set, frozenset)):
        return sorted(as_texts(list(names), what))
    return as_texts(names, what)


def as_list(texts: Any, what: str) -> list[Any]:
    """Return items of any type as a new list, in their order.

    Raises BadInput for a single string, a set, a mapping, a DataFrame, and for anything that is not iterable.
    """
    if isinstance(texts, (str, bytes, bytearray)):
        raise BadInput(f"The {what}s are a single {_kind(texts)}: pass a list, even for one {what}.")
    if isinstance(texts, (set, frozenset)):
        raise BadInput(f"The {what}s are a {_kind(texts)}, which has no order: pass a list.")
    not_a_list = f"The {what}s have the type {_kind(texts)}, which is not a list: pass"
    kind = type(texts)  # not the object itself: a Series has its labels as attributes
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):
        raise BadInput(f"{not_a_list} one of its columns.")
    if isinstance(texts, Mapping):
        raise BadInput(f"{not_a_list} a list.")
    try:
        # The conversion by Arrow is much faster than a loop over its scalars.
        return texts.to_pylist() if hasattr(kind, "to_pylist") else list(texts)
    except TypeError:
        raise BadInput(f"{not_a_list} a list.") from None


def opening(plot: str) -> str:
    """Return the first words of a plot with an ellipsis; empty for an empty plot.

    The plots of a corpus are under copyright, so reports show `OPENING_WORDS` words, and at most half of a text that
    is short or in a script without spaces.
    """
    text = " ".join(plot.split())
    words = " ".join(text.split()[:OPENING_WORDS])
    most = min(CELL_WIDTH - 2, len(text) // 2)
    if len(words) > most:
        words = words[: max(words.rfind(" ", 0, most + 1), 0) or most]
    return f"{words} …".lstrip() if text else ""


def shortened(text: str) -> str:
    """Truncate a title, or another text that may be shown in full, to the width of a cell."""
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 2].rstrip(" …") + " …"


def _is_encodable(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8, which half of a surrogate pair cannot."""
    if text.isascii():  # takes constant time
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(item: Any, where: str, missing: str | None) -> str:
    """Return the item as a str, or `missing` for a missing one; `where` is its name in messages."""
    if hasattr(type(item), "as_py"):  # a pyarrow scalar
        item = item.as_py()
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{where} contains half of a surrogate pair, {item[error.start]!a} at position {error.start + 1}: "
                "decode the text again, or remove the character."
            ) from None
        return str(item)
    if _is_missing(item):
        if missing is None:
            raise BadInput(f"{where} is missing ({item}): pass a text, or leave it out.")
        return missing
    remedy = "decode them first" if isinstance(item, (bytes, bytearray)) else "pass a str"
    raise BadInput(f"{where} is not a text but has the type {_kind(item)}: {remedy}.")


def _is_missing(item: Any) -> bool:
    """Return whether the item is None, NaN, or pandas' NA or NaT."""
    return (
        item is None
        or type(item).__name__ in ("NAType", "NaTType")
        or (isinstance(item, Number) and bool(item != item))
    )


def _kind(thing: Any) -> str:
    names: dict[type, str] = {str: "string", bytes: "string of bytes"}
    return names.get(type(thing), type(thing).__name__)


_MAX_ROUNDS = 8  # one repair can reveal another (`&amp;lt;br&amp;gt;`); deeper nesting is deliberate

# `AT&T` and `R&notes` are not entities; `&amp;amp;lt;` was escaped more than once.
_ENTITY = re.compile(r"&(?:amp;)*(#[0-9]{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});", re.IGNORECASE)
# The dot stops at the next opening tag, so openings without an end do not make the time quadratic.
_HIDDEN = re.compile(
    r"<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>|<!--(?:(?!<!--).)*?-->", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTES = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"  # so `<I love you>` is not a tag
_BREAK_TAG = re.compile(
    r"</?(?:p|br|hr|div|[uod]l|li|d[td]|h[1-6]|blockquote|center|pre|table|tbody|thead|t[rdh]|img|iframe|section|article)"
    + _ATTRIBUTES,
    re.IGNORECASE,
)
_STYLE_TAG = re.compile(  # may stand inside a word
    r"</?(?:a|b|big|cite|del|em|font|i|ins|q|s|small|span|strike|strong|sub|sup|tt|u|wbr)" + _ATTRIBUTES, re.IGNORECASE
)
# Variation selectors and the tag characters of flags stay: emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff]"
)
# Joiners are significant in Persian and Indic scripts and in emoji. They are removed only next to spaces and Latin
# text, where they have no effect, but not after a virama, with which Malayalam words can end.
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
_IDLE = "\\s\x00-\u024f\u2010-\u2027"
_JOINER = re.compile(
    rf"(?:^|(?<=[{_IDLE}]))[\u200c\u200d]+|(?<![{_VIRAMAS}\u200c\u200d])[\u200c\u200d]+(?=[{_IDLE}]|$)"
)

_NOT_ASCII = re.compile("[^\x00-\x7f]+")
# A single non-ASCII letter is normal text. UTF-8 decoded with another encoding gives at least two, or one of the first
# two of these before what was a no-break space; the others are not letters.
_SUSPECT = frozenset("\xc2\xc3\ufff9\ufffa\ufffb\ufffc\ufffd\ufffe\uffff")


def clean_text(text: str) -> str:
    """Repair mojibake, remove HTML and invisible characters, and normalize Unicode (NFC) and spaces."""
    return repair(text)[0]


def repair(text: str) -> tuple[str, set[str]]:
    """Return the text as from `clean_text`, and the repairs made: mojibake, html, control_characters."""
    changes: set[str] = set()
    plain = " ".join(text.split())
    if not _needs_repair(plain):  # most texts; the rest takes ten times as long
        return unicodedata.normalize("NFC", plain), changes
    for _ in range(_MAX_ROUNDS):
        before = text
        if "&" in text:
            text = _changed(text, _ENTITY.sub(_resolve, text), "html", changes)
        if not text.isascii():
            from ftfy import fix_encoding  # not installed without the extra `train`

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
    """Return whether the text may need a repair; `text` has single spaces."""
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
