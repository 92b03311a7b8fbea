"""Clean plots: remove what a website, a file format or a contributor added, without changing other words.

The time of every pattern is linear in the length of the text.
"""

import re
import string
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from movieplots.texts import repair


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REPAIRS = ("mojibake", "html", "control_characters", "wrapper", "signature", "stub")
_CLOSERS = "\"'”’»)\\]"
_SENTENCE_END = re.compile(rf"(?<![.!?…])([.!?…]+[{_CLOSERS}]*)\s+|[。！？]+[”’」』）]*\s*")
_OPENERS = "\"'“‘„«»‚([¿¡「『（"
_ELLIPSIS = r"(?:\.{2,}|…)"
# Abbreviations before names, which do not end a sentence, and others that seldom end one.
_BEFORE_NAMES = _words(
    """Mr Mrs Ms Messrs Mme Mlle Dr Drs Prof St Ste Mt Ft Lt Col Gen Sgt Capt Cpt Cmdr Cpl Maj Adm Pvt Rev Fr Hon Sen
    Rep Gov Pres Supt Insp Det vs Vs"""
)
_ABBREVIATIONS = _BEFORE_NAMES | _words("Jr Sr Ph Bros Co Corp Inc Ltd Dept Ave Blvd etc approx ca feat")
_NUMBERED = _words("no nos vol ch pt ep pp fig apt jan feb mar apr jun jul aug sep sept oct nov dec")
_WINDOW = 12  # characters before a full stop that can hold an abbreviation

_MORE = rf"(?:[Rr]ead |[Ss]ee |[Ss]how )?[Mm]ore ?(?:{_ELLIPSIS}|»|>>)?"
_LINK = r"(?:(?:Read|See|Show) (?:[Mm]ore|[Aa]ll)|See [Ff]ull (?:[Ss]ummary|[Ss]ynopsis))"
_STUB = re.compile(  # a website's truncation marker
    rf" ?(?:[<(\[{{] ?{_MORE} ?[>)\]}}]|[(\[] ?{_ELLIPSIS} ?[)\]]|(?:(?<!\.)\.{{2,}}|…) ?{_MORE}"
    rf"|{_LINK} ?(?:{_ELLIPSIS}|»|>>)|(?:^|(?<=[.!?…{_CLOSERS}] )|(?<=[.!?…])){_LINK})$"
)
_STUB_WINDOW = 48

# Special tokens that other tools put around each text of training files. They are removed only at both ends.
_WRAPPER = (
    r"(?:<\|(?:startoftext|endoftext|begin_of_text|end_of_text|im_start|im_end)\|>"
    r"|</?s>|<(?:bos|eos|pad|BOS|EOS|PAD)>|\[(?:CLS|SEP|PAD|BOS|EOS)\])"
)
_WRAPPERS_BEFORE, _WRAPPER_BEHIND = re.compile(rf"(?:{_WRAPPER} ?)+"), re.compile(rf" ?{_WRAPPER}$")
_WRAPPER_WINDOW = 24

_SIGNATURE_WINDOW = 140
_SIGNATURE_START = re.compile(
    r"(?P<end>[.!?…。！？][\"'”’»)\]]*|[>)\]}])(?P<blank> ?)"
    r"(?=--|[—―]|[(\[{<]|(?:(?<= )(?:[-–~]|\S+@))|[A-Z][A-Za-z ]{3,24} (?:[Bb][Yy]|BY|of)\b|Source ?:)"
)
_ADDRESS = re.compile(r"[-–—―~ ]*[<({\[]?(?:[\w.+-]+@[\w-]+(?:\.[\w-]+)*|(?<=\[)email(?: protected)?)[>)}\]]?")
_SIGNED_BY = re.compile(
    r"[-–—―~ ]*(?P<bracket>[(\[{] ?)?"
    r"(?:(?:(?:plot |official )?(?:written|submitted|contributed|posted|plot|summary|synopsis|outline|review)"
    r"(?: written| submitted)? by|courtesy of) ?:? |(?P<source>source) ?: ?)(?P<who>.+?)(?(bracket)\.? ?[)\]}])\.?",
    re.IGNORECASE,
)
_DASHED = re.compile(r"(?P<dash>-{2,3}|[-–—―~])(?P<blank> ?)(?P<who>.+)")
_WHOSE_ADDRESS = re.compile(r" ?[<({\[](?:[^\s<>(){}\[\]]+|email protected)[>)}\]]$")
_PUBLICITY = re.compile(
    r"(?:\S+ ){0,4}(?:press (?:release|kit|notes|book)|official (?:web)?site|publicity|website)", re.I
)
_PARTICLES = _words("al and at bin da de del della den der di do du e el et for ibn la le of the und van von y zu & /")
# One or two capitalized words after a dash are not always a name: `- The End`, `- Alone`, `- Season Finale`.
_NO_NAMES = _words(
    """a again almost alone always an as based but by chapter continued dead end episode featuring fin finale forever
    from gone he her hers his if in is it its maybe me my never no nor not nothing now on once or our part perhaps pilot
    rated season series she so special starring that their then they this to together too unless until volume was we
    what when where who why with without yet you your"""
)

# Thai, Lao, Japanese and Chinese have no spaces between words, so each character counts as a word.
_UNSPACED = r"\u0e01-\u0edf\u3041-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|\w[^\s{_UNSPACED}]*")
_PUNCTUATION = str.maketrans("", "", string.punctuation.replace("_", ""))


@dataclass(frozen=True)
class Cleaned:
    """A clean text and the names of its REPAIRS; changes of white space and Unicode normalization are not listed."""

    text: str
    changes: tuple[str, ...]


def clean_plot(text: str) -> Cleaned:
    """Clean a plot with `clean_text`, and remove wrappers of other tools, signatures and markers of truncation.

    If the text is truncated inside a sentence, the incomplete sentence is removed too. The text is empty if no complete
    sentence is left.
    """
    text, changes = repair(text)
    if wrapped := _WRAPPERS_BEFORE.match(text):
        changes.add("wrapper")
        text = text[wrapped.end() :]
    end = len(text)
    starts: list[int] | None = None
    while end:
        if (start := _wrapper_start(text, end)) is not None:
            changes.add("wrapper")
        elif (start := _signature_start(text, end)) is not None:
            changes.add("signature")
        elif (start := _stub_start(text, end)) is not None:
            changes.add("stub")
            if not is_whole(text, start):
                if starts is None:  # computed once: a smaller `end` does not change the sentences before it
                    starts = [0, *accumulate(map(len, split_sentences(text)))]
                start = starts[max(0, bisect_left(starts, start) - 1)]
        else:
            break
        end = start - (start > 0 and text[start - 1] == " ")
    return Cleaned(text[:end], tuple(name for name in REPAIRS if name in changes))


def count_words(text: str) -> int:
    """Return the number of words; `mind-bending` is one word, punctuation alone is not a word."""
    if text.isascii():  # the same count, faster
        return len(text.translate(_PUNCTUATION).split())
    return len(_WORD.findall(text))


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences, each with the spaces after it; joined, they give the text.

    A sentence ends at `.`, `!`, `?` or `…` if a space and a possible beginning of a sentence follow, and always at
    `。`, `！` and `？`.
    """
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if match.end() < len(text) and not _continues(text, match):
            sentences.append(text[start : match.end()])
            start = match.end()
    return [*sentences, text[start:]] if text else []


def is_whole(text: str, end: int | None = None, ellipsis: bool = False) -> bool:
    """Return whether text[:end] ends with a complete sentence.

    Closing quotes and brackets may follow the punctuation mark. An ellipsis (`…` or `...`) ends a sentence only if
    `ellipsis` is True, since websites truncate texts with an ellipsis.
    """
    end = len(text) if end is None else end
    tail = text[max(0, end - _WINDOW) : end]
    bare = tail.rstrip("\"'”’»)]」』）")
    if bare.endswith(("..", "…")):
        return ellipsis
    if not bare.endswith((".", "!", "?", "。", "！", "？")):
        return False
    return not (tail[-1] == "." and _last_word(text, end - 1) in _BEFORE_NAMES)


def truncate_at_sentence(text: str, at_most: int, count: Callable[[str], int]) -> str:
    """Truncate the text at a sentence end so that its `count` is at most `at_most`; empty if no sentence fits.

    `count` returns the number of words or tokens. It must not decrease with the length of the text; it is called about
    log2(number of sentences) times.
    """
    ends = [0, *accumulate(map(len, split_sentences(text)))]
    fitting = bisect_right(ends, at_most, lo=1, key=lambda end: count(text[:end].rstrip())) - 1
    return text[: ends[fitting]].rstrip()


def _continues(text: str, end: re.Match[str]) -> bool:
    """Return whether a sentence continues after a possible sentence end."""
    if end[1] is None:  # 。！？
        return False
    following = text[end.end()]
    if not (following in _OPENERS or following.isdigit() or (following.isalpha() and not following.islower())):
        return True
    return end[1] == "." and _is_abbreviation(text, end.start(), following.isdigit())


def _last_word(text: str, stop: int) -> str:
    """Return the word before the full stop at `stop`, without opening quotes and brackets."""
    words = text[max(0, stop - _WINDOW) : stop].split()
    return words[-1].lstrip("\"'“‘(«[") if words and not text[stop - 1].isspace() else ""


def _is_abbreviation(text: str, stop: int, number_follows: bool = False) -> bool:
    """Return whether the full stop at `stop` belongs to an abbreviation or an initial."""
    word = _last_word(text, stop)
    if len(word) == 1:
        return word.isupper() and word != "I"  # `World War I.` is more common than an initial I
    dotted = "." in word and all(part.isalpha() and len(part) < 3 for part in word.split("."))  # U.S, a.m, Ph.D
    known = word in _ABBREVIATIONS or (word.isupper() and word.capitalize() in _ABBREVIATIONS)
    return dotted or known or (number_follows and word.lower() in _NUMBERED)


def _wrapper_start(text: str, end: int) -> int | None:
    """Return the start of a tool's special token at the end of text[:end], or None."""
    window = max(0, end - _WRAPPER_WINDOW)
    match = _WRAPPER_BEHIND.search(text[window:end])
    return window + match.start() if match else None


def _stub_start(text: str, end: int) -> int | None:
    """Return the start of a truncation marker at the end of text[:end], or None."""
    window = max(0, end - _STUB_WINDOW)
    match = _STUB.search(text[window:end])
    return window + match.start() if match else None


def _signature_start(text: str, end: int) -> int | None:
    """Return the start of the contributor's signature at the end of text[:end], or None."""
    window = max(0, end - _SIGNATURE_WINDOW)
    tail = text[window:end]
    for match in reversed(list(_SIGNATURE_START.finditer(tail))):
        # A name after a quotation can be its author, in brackets an actor; `U.S. - Canada` does not end a sentence.
        after = match["end"]
        doubtful = after.strip(".!?…。！？)]") != "" or after in (")", "]")
        doubtful |= after == "." and _is_abbreviation(text, window + match.start())
        if _is_signature(tail[match.end() :], doubtful):
            return window + match.end()
    return None


def _is_signature(ending: str, doubtful: bool) -> bool:
    """Return whether all of `ending` is a signature; if `doubtful`, a name alone is not enough."""
    if _ADDRESS.fullmatch(ending):
        return True
    if signed := _SIGNED_BY.fullmatch(ending):
        if not signed["source"]:
            return _is_name(signed["who"], handle=not ending.endswith("."))
        words = signed["who"].lower().rstrip(".").split()
        return len(words) <= 6 and not _NO_NAMES.intersection(words)
    if not (dashed := _DASHED.fullmatch(ending)):
        return False
    who = dashed["who"]
    if _PUBLICITY.fullmatch(who):
        return True
    if "@" in who or who.lower().startswith("anonymous"):
        return _is_name(who, handle=True)
    if doubtful or (who[-1] in ".!?…" and not _is_abbreviation(who, len(who) - 1)):
        return False
    return _is_name(who, handle=dashed["dash"][:2] == "--" or (dashed["dash"] in "—―" and not dashed["blank"]))


def _is_name(who: str, handle: bool) -> bool:
    """Return whether `who` is a name: one to eight capitalized words, or with `handle` one word in any case."""
    words = _WHOSE_ADDRESS.sub("", who).replace(",", " ").split()
    if not 1 <= len(words) <= 8 or any(word.lower().strip(".") in _NO_NAMES for word in words):
        return False
    if len(words) == 1 and handle:
        return re.fullmatch(r"@?\w[\w.'-]*", words[0]) is not None
    capitals = [
        word for word in words if word[0].isalpha() and not word[0].islower() and re.fullmatch(r"[\w.'’&-]+", word)
    ]
    return bool(capitals) and all(word in capitals or word in _PARTICLES for word in words)
