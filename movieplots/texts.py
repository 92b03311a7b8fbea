"""Texts and names as callers hand them over: checked and turned into a list once, at each public entry.

Whatever can be iterated over in order is taken by position: a list, a tuple, a NumPy array, a pandas Series with any
index, a pyarrow Array, a column of `datasets`, a generator. Nothing here imports these libraries.
"""

from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

from movieplots.errors import BadInput


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
