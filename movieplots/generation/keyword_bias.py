"""Make keywords more probable until a plot contains them, with any backend.

A prompt with a keyword makes it likely, but not certain, that the plot contains it. So `BIAS` is added to the logit of
the first token of each keyword that is still missing. This is K2T (Pascual et al. 2021,
https://arxiv.org/abs/2109.09707) with the keyword alone instead of all words like it. Min-p and top-p apply afterwards,
so a keyword comes only where it is plausible. Titles are generated without bias.
"""

from collections import Counter
from collections.abc import Sequence

from movieplots.generation.keywords import missing
from movieplots.generation.prompt_format import PromptTokenizer

BIAS = 3.0  # before the temperature; makes an improbable token e³ = 20 times as probable at temperature 1
MAX_TRIES = 2  # times that a plot can begin a keyword with its first token and continue with another word


class KeywordBias:
    """Finds the keywords to favor in a plot in progress, and the tokens with which they can begin.

    Parameters
    ----------
    keywords : sequence of str
        Words that the plot should contain.
    tokenizer : PromptTokenizer
        Tokenizer of the generator.
    """

    def __init__(self, keywords: Sequence[str], tokenizer: PromptTokenizer) -> None:
        self.tokenizer = tokenizer
        # Within a sentence and at its beginning.
        forms = {keyword: (f" {keyword}", f" {keyword[0].upper()}{keyword[1:]}") for keyword in keywords}
        self.first_tokens = {keyword: {tokenizer.encode(form)[0] for form in forms[keyword]} for keyword in keywords}

    def favored(self, ids: list[int]) -> list[str]:
        """Return the keywords to favor after these ids of a plot: those that it lacks."""
        _, plot, _ = self.tokenizer.read(ids, has_title=True)
        begun = Counter(ids)
        return [
            keyword
            for keyword in missing(plot, self.first_tokens)
            if sum(begun[token] for token in self.first_tokens[keyword]) < MAX_TRIES
        ]

    def logit_bias(self, keywords: Sequence[str]) -> tuple[tuple[int, float], ...]:
        """Return the bias of the first tokens of these keywords, for a request."""
        return tuple((token, BIAS) for token in sorted(set().union(*(self.first_tokens[each] for each in keywords))))
