"""Measure the biases in the cards of `models/`: gendered words, nationalities and groups, and words about war.

    python tools/biases.py data/streaming
    python tools/biases.py data/streaming DUMP

The first command measures the classifier. It predicts the test plots that have words of one gender only, with these
words as they are and swapped, and six templates with and without the name of a nationality or group. It prints the mean
changes of the genre probabilities.

The second command measures a generator by its dump. For samples and training plots of the same genres it prints how
many of the plots with words of one gender only have male words, and how many name each nationality or group. It also
prints how many war plots, a genre that the classifier rarely predicts, contain a word about war.
"""

import re
import sys

import numpy as np
import pandas as pd

from movieplots import GenreClassifier, load_plots, read_dump
from movieplots.errors import BadInput, sentences
from movieplots.formatting import percent
from movieplots.pretrained.shipped import CLASSIFIER

PAIRS = (
    ("he", "she"), ("his", "her"), ("man", "woman"), ("men", "women"), ("boy", "girl"), ("boys", "girls"),
    ("father", "mother"), ("son", "daughter"), ("husband", "wife"), ("brother", "sister"),
)  # fmt: skip
MALE, FEMALE = dict(PAIRS) | {"him": "her"}, {female: male for male, female in PAIRS}
GROUPS = (
    "American", "Black", "French", "gay", "Indian", "Japanese", "Korean", "Mexican", "Muslim", "Nigerian", "Turkish",
)  # fmt: skip
WAR = re.compile(r"\b(?:wars?|wartime|battles?|battlefields?|army|armies|soldiers?|troops|nazis?)\b", re.IGNORECASE)
TEMPLATES = (
    "A {}family moves to a new house.", "A {}detective follows a case.", "A young {}woman looks for work.",
    "Two {}friends open a restaurant.", "A {}village prepares for a wedding.", "A {}soldier comes home.",
)  # fmt: skip


def swapped(text: str, words: dict[str, str]) -> str:
    """Replace words by their counterparts, keeping initial capitals."""

    def other(match: re.Match[str]) -> str:
        word = match[0]
        found = words.get(word.lower(), word)
        return found.capitalize() if word[0].isupper() else found

    return re.sub("[A-Za-z]+", other, text)


def of_generator(data: str, dump: str) -> None:
    """Print the results of the samples up to temperature 1 and of the training plots, averaged over genres."""
    samples = read_dump(dump)
    samples = samples[(samples["temperature"] <= 1) & (samples["plot"] != "")]
    training = load_plots(data, "train").explode("genres", ignore_index=True).rename(columns={"genres": "genre"})
    male_shares, group_shares = [], []
    for plots in (samples, training):
        words = plots["plot"].map(lambda plot: set(re.findall("[a-z]+", plot.lower())))
        male, female = (words.map(lambda has, own=own: bool(has & own.keys())) for own in (MALE, FEMALE))
        male_shares.append(male[male != female].groupby(plots["genre"]).mean())
        named = {group: plots["plot"].str.contains(rf"\b{group}\b") for group in GROUPS}
        group_shares.append(pd.DataFrame(named).groupby(plots["genre"]).mean())
    genres = sorted(set(male_shares[0].index) & set(male_shares[1].index))
    for name, shares, groups in zip(("samples", "training plots"), male_shares, group_shares, strict=True):
        rows = ", ".join(f"{genre} {percent(shares[genre])}" for genre in genres)
        print(f"{name}, male words among plots with words of one gender: {percent(shares[genres].mean())} ({rows})")
        rows = ", ".join(f"{group} {percent(groups.loc[genres, group].mean())}" for group in GROUPS)
        print(f"{name}, nationalities and groups: {rows}")
    for name, plots in (("samples", samples), ("training plots", training)):
        has, of_war = plots["plot"].str.contains(WAR), plots["genre"] == "war"
        of_those, of_others = percent(has[of_war].mean()), percent(has[~of_war].mean())
        print(f"{name} with a word about war: {of_those} of war plots, {of_others} of other genres")


def of_classifier(data: str) -> None:
    """Print the changes of the classifier's probabilities."""
    classifier = GenreClassifier.from_pretrained(CLASSIFIER)
    plots = load_plots(data, "test")["plot"]
    words = [set(re.findall("[a-z]+", plot.lower())) for plot in plots]
    for name, own, others in (("male to female", MALE, FEMALE), ("female to male", FEMALE, MALE)):
        chosen = [plot for plot, has in zip(plots, words, strict=True) if has & own.keys() and not has & others.keys()]
        change = classifier.predict_proba([swapped(plot, own) for plot in chosen]) - classifier.predict_proba(chosen)
        _print_strongest(f"{name}, {len(chosen)} plots", classifier.labels, change.mean(axis=0), 6)
    plain = classifier.predict_proba([template.format("") for template in TEMPLATES])
    for group in GROUPS:
        named = classifier.predict_proba([template.format(group + " ") for template in TEMPLATES])
        _print_strongest(group, classifier.labels, (named - plain).mean(axis=0), 3)


def _print_strongest(what: str, labels: list[str], change: np.ndarray, most: int) -> None:
    strongest = np.argsort(-np.abs(change))[:most]
    print(f"{what}: " + ", ".join(f"{labels[i]} {change[i]:+.2f}" for i in strongest))


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) not in (2, 3):
            raise BadInput("Give the folder of the prepared plots and, for a generator, the folder of its dump.")
        (of_classifier if len(sys.argv) == 2 else of_generator)(*sys.argv[1:])
