"""The name and the one-line definition of each metric, as the report, its figures and the notebooks show them."""

from dataclasses import dataclass

from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.formatting import MISSING, SPACE, number, percent
from movieplots.intervals import Estimate
from movieplots.measures.novelty_index import COPIED_WORDS


@dataclass(frozen=True)
class Definition:
    """A metric: its `name`, its `definition`, and whether it is shown as a "percentage", a "fraction" or a "count"."""

    name: str
    definition: str
    shown_as: str = "percentage"

    def format(self, value: float) -> str:
        """Return a value of the metric as text, such as `62 %`, `0.62` or `26`."""
        return {"percentage": percent, "fraction": "{:.2f}".format, "count": number}[self.shown_as](value)

    def format_estimate(self, estimate: Estimate | None) -> str:
        """Return the value of an estimate as text, or a dash if the metric was not measured."""
        return MISSING if estimate is None else self.format(estimate.value)


def _distinct(n: int, ngrams: str) -> Definition:
    definition = f"Number of different {ngrams}, divided by the number of words (0 to 1; higher is more diverse)."
    return Definition(f"distinct-{n}", definition, "fraction")


METRICS = {
    "mauve": Definition(
        "MAUVE",
        "Similarity between the distributions of the texts and of real validation plots, computed from text embeddings "
        "(0 to 1; higher is more similar). It reflects topics, not whether sentences make sense.",
        "fraction",
    ),
    "genre_accuracy": Definition(
        "genre accuracy",
        "Share of the samples for which the genre classifier predicts all prompted genres. For real test plots: share "
        "for which it predicts a genre that they have, averaged over the prompted genres.",
    ),
    "longest_verbatim_span": Definition(
        "longest verbatim span (words)",
        "Length of the longest word sequence that a text shares with a training plot (median).",
        "count",
    ),
    "copied_more_than_20": Definition(
        f"copied > {COPIED_WORDS} words",
        f"Share of the texts that have more than {COPIED_WORDS} consecutive words in common with a training plot.",
    ),
    "novel_4grams": Definition(
        "novel 4-grams", "Share of the four-word sequences of a text that occur in no training plot (mean)."
    ),
    "plot_jaccard": Definition(
        "Jaccard, nearest plot",
        "Jaccard similarity between the word sets of a text and of its nearest training plot (0 to 1, mean).",
        "fraction",
    ),
    "plot_cosine": Definition(
        "cosine, nearest plot",
        "Cosine similarity between the embeddings of a text and of its nearest training plot (-1 to 1, mean).",
        "fraction",
    ),
    "repetition_rate": Definition(
        "repetition rate", "Share of the texts in which a four-word sequence occurs at least three times."
    ),
    "truncated": Definition(
        "truncated",
        "Share of the samples that reached the length limit before the end-of-sequence token. If the dump does not "
        "record this, share of the samples without final punctuation.",
    ),
    "empty": Definition("empty", "Share of the samples without a plot."),
    "words": Definition("length (words)", "Number of words of a text (median).", "count"),
    "distinct_1": _distinct(1, "words"),
    "distinct_2": _distinct(2, "bigrams"),
    "distinct_3": _distinct(3, "trigrams"),
    "self_bleu": Definition(
        "self-BLEU", "BLEU-4 of each text against all others (0 to 1, mean; lower is more diverse).", "fraction"
    ),
}
# What the report compares the samples with, and how it states uncertainty.
TERMS = {
    REAL: "Plots of the test split, if possible of the prompted genres: a reference for human writing.",
    SHUFFLED: "The same test plots with their words in random order: a reference for noise.",
    f"95{SPACE}% CI": f"95{SPACE}% confidence interval; it reflects the limited number of samples.",
}
