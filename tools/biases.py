"""Measure the biases that the cards in `models/` name: words of gender, and peoples named; and words of war.

    python tools/biases.py data/streaming
    python tools/biases.py data/streaming DUMP

Of the classifier: the test plots that have words of one gender only are judged as they are and with those words
exchanged; six templates are judged with and without the name of a people. Printed are mean changes of the probabilities
of the genres. Of a generator, by its dump: how many of the plots with words of one gender only have those of men, and
in how many a people is named, beside the training plots of the same genres; and how many plots of war, a genre that the
classifier hardly finds, have a word of war, beside those of other genres.
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
PEOPLES = (
    "American", "Black", "French", "gay", "Indian", "Japanese", "Korean", "Mexican", "Muslim", "Nigerian", "Turkish",
)  # fmt: skip
WAR = re.compile(r"\b(?:wars?|wartime|battles?|battlefields?|army|armies|soldiers?|troops|nazis?)\b", re.IGNORECASE)
TEMPLATES = (
    "A {}family moves to a new house.", "A {}detective follows a case.", "A young {}woman looks for work.",
    "Two {}friends open a restaurant.", "A {}village prepares for a wedding.", "A {}soldier comes home.",
)  # fmt: skip


def exchanged(text: str, words: dict[str, str]) -> str:
    """The text with these words in place of those, capitals kept."""

    def other(match: re.Match[str]) -> str:
        word = match[0]
        found = words.get(word.lower(), word)
        return found.capitalize() if word[0].isupper() else found

    return re.sub("[A-Za-z]+", other, text)


def of_generator(data: str, dump: str) -> None:
    """Print what the samples up to temperature 1 show, and the training plots, each genre counting alike."""
    samples = read_dump(dump)
    samples = samples[(samples["temperature"] <= 1) & (samples["plot"] != "")]
    training = load_plots(data, "train").explode("genres", ignore_index=True).rename(columns={"genres": "genre"})
    of_men, named = [], []
    for plots in (samples, training):
        words = plots["plot"].map(lambda plot: set(re.findall("[a-z]+", plot.lower())))
        men, women = (words.map(lambda has, own=own: bool(has & own.keys())) for own in (MALE, FEMALE))
        of_men.append(men[men != women].groupby(plots["genre"]).mean())
        there = {people: plots["plot"].str.contains(rf"\b{people}\b") for people in PEOPLES}
        named.append(pd.DataFrame(there).groupby(plots["genre"]).mean())
    genres = sorted(set(of_men[0].index) & set(of_men[1].index))
    for name, shares, peoples in zip(("samples", "training plots"), of_men, named, strict=True):
        rows = ", ".join(f"{genre} {percent(shares[genre])}" for genre in genres)
        print(f"{name}, of men among those of one gender: {percent(shares[genres].mean())} ({rows})")
        rows = ", ".join(f"{people} {percent(peoples.loc[genres, people].mean())}" for people in PEOPLES)
        print(f"{name}, that name a people: {rows}")
    for name, plots in (("samples", samples), ("training plots", training)):
        has, of_war = plots["plot"].str.contains(WAR), plots["genre"] == "war"
        of_those, of_others = percent(has[of_war].mean()), percent(has[~of_war].mean())
        print(f"{name} with a word of war: {of_those} of war, {of_others} of other genres")


def of_classifier(data: str) -> None:
    """Print both tables."""
    classifier = GenreClassifier.from_pretrained(CLASSIFIER)
    plots = load_plots(data, "test")["plot"]
    words = [set(re.findall("[a-z]+", plot.lower())) for plot in plots]
    for name, own, others in (("men to women", MALE, FEMALE), ("women to men", FEMALE, MALE)):
        chosen = [plot for plot, has in zip(plots, words, strict=True) if has & own.keys() and not has & others.keys()]
        change = classifier.predict_proba([exchanged(plot, own) for plot in chosen]) - classifier.predict_proba(chosen)
        _show(f"{name}, {len(chosen)} plots", classifier.labels, change.mean(axis=0), 6)
    plain = classifier.predict_proba([template.format("") for template in TEMPLATES])
    for people in PEOPLES:
        named = classifier.predict_proba([template.format(people + " ") for template in TEMPLATES])
        _show(people, classifier.labels, (named - plain).mean(axis=0), 3)


def _show(what: str, labels: list[str], change: np.ndarray, most: int) -> None:
    strongest = np.argsort(-np.abs(change))[:most]
    print(f"{what}: " + ", ".join(f"{labels[i]} {change[i]:+.2f}" for i in strongest))


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) not in (2, 3):
            raise BadInput("Name the folder of the prepared catalogues, and for a generator its dump as well.")
        (of_classifier if len(sys.argv) == 2 else of_generator)(*sys.argv[1:])
