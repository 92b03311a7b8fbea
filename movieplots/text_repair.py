"""Repairing texts without changing their words: mojibake, HTML, invisible characters.

Every pattern is linear in the length of the text, whatever the text.
"""

import html
import re
import unicodedata
from html.entities import html5

from ftfy import fix_encoding

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
