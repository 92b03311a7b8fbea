"""Texts that stand where a plot is missing: `Add a Plot`, `No overview found.`, `TBA`, `nan`.

A text counts as a placeholder only as a whole, and only in the forms that databases, tables and sites use. Every
pattern takes time in proportion to the text's length, and a text longer than `_LONGEST` characters is none.
"""

import re

_LONGEST = 200
_NOUN = (
    r"(?:plot|overview|synopsis|summary|description|storyline|logline|outline|biography)"
    r"(?: (?:information|text|summary|synopsis|outline|line|description|details?))?"
)
_DETAILS = rf"(?:{_NOUN}|(?:(?:plot|story|further|more) )?(?:details|information))"
_WHEN = r"(?: (?:yet|currently|here|so far|as of yet|at (?:this|the) (?:time|moment|present)|in english))?"
_WHERE = (
    r"(?: (?:for|to|of|about|in|on) (?:this|the|our|your|that)(?: \w+)?"
    r" (?:title|movie|film|series|show|episode|season|book|entry|item|program|programme|video|page|database|language))?"
)
_GIVEN = r"(?:available|found|known|given|provided|entered|added|written|translated|listed|specified|recorded)"
_HIDDEN = (
    r"(?:(?:kept )?under (?:wraps|construction)|kept secret|unknown|undisclosed|unavailable|missing|pending|needed|none"
    rf"|not(?: yet)?(?: been)? (?:{_GIVEN}|announced|revealed|released|disclosed)"
    r"|coming soon|tb[acd]|to (?:be )?(?:announced|determined|confirmed|added|disclosed|follow))"
)
_IS = r"(?: (?:is|are|has|have|was|were|will)(?: been| be)?(?: currently| still| yet| being)?)?"
_PLACEHOLDER = re.compile(
    "|".join(
        [
            # what programs write for a missing value, and people into a table
            r"nan|null|none|nil|n\.?/?a|#n/a|<na>|undefined|unknown|missing|empty|blank|untitled|placeholder|test|todo",
            r"tb[acd]|to be (?:announced|determined|confirmed|added)|(?:coming|available) soon|not(?: yet)? available",
            _NOUN,
            # `No overview found.`, `There is no plot summary available for this title yet.`
            rf"(?:sorry,? )?(?:there (?:is|are) |there's |we have )?(?:currently )?no {_DETAILS}{_IS}"
            rf"(?: {_GIVEN})?{_WHEN}{_WHERE}{_WHEN}",
            # `Plot kept under wraps.`, `The plot is unknown at this time.`
            rf"(?:the |a |an )?{_DETAILS}{_IS} {_HIDDEN}{_WHEN}{_WHERE}{_WHEN}",
            # `Add a Plot`, `Be the first to contribute a synopsis!`
            r"(?:please )?(?:be the first to )?(?:add|write|contribute|submit|enter|insert)"
            rf" (?:a |an |the |your )?{_NOUN}{_WHERE}",
            # `We don't have an overview translated in English. Help us expand our database by adding one.`
            rf"(?:it looks like )?we (?:don't|do not) (?:currently )?have (?:a|an|any) {_DETAILS}(?: {_GIVEN})?"
            rf"{_WHEN}{_WHERE}{_WHEN}(?:\. (?:help us|be the first|please|you can)[^.]*)?",
        ]
    )
)
_AROUND = " \t.!?…-–—_*~#\"'“”‘’«»()[]{}:,"


def is_placeholder(text: str) -> bool:
    """Whether the whole text says that there is no plot, in any case and with any punctuation around it.

    >>> is_placeholder("No overview found."), is_placeholder("No plot is found in the garden of Eden.")
    (True, False)
    """
    if len(text) > _LONGEST:
        return False
    plain = text.casefold().replace("’", "'").strip(_AROUND)
    return not plain or _PLACEHOLDER.fullmatch(plain) is not None
