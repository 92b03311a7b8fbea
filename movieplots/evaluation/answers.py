"""The report's first screen: four questions, each answered with a verdict, a number and a few sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from movieplots.evaluation.classifier_quality import best_baseline
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.novelty_index import COPIED_WORDS

_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Card:
    """One question: a short verdict, the figure that carries it, and the rest in sentences."""

    question: str
    verdict: str
    number: str
    sentences: list[str]


def introduction(metrics: dict[str, Any]) -> list[str]:
    """What was evaluated, in sentences."""
    models, seen = metrics["models"], metrics["evaluated"]
    samples = sum(model["samples"]["samples"] for model in models.values())
    settings = sorted({(cell["temperature"], cell["top_p"]) for model in models.values() for cell in model["by_cell"]})
    prompts = {prompt for model in models.values() for prompt in model["prompts"]}
    bases = sorted({model["base"] for model in models.values() if model["base"]})
    writers = "a generator" if len(models) == 1 else f"{len(models)} generators"
    writers += f" fine-tuned from {_listed(bases)}" if bases else " (of a base that is not recorded)"
    sentences = [
        f"{plural(samples, 'sample')} written by {writers} {'was' if samples == 1 else 'were'} compared with the "
        f"{plural(seen['training_plots'], 'training plot')}.",
        f"The samples come from {plural(len(prompts), 'genre prompt')} and "
        f"{plural(len(settings), 'sampling setting')}: temperature "
        f"{_listed(f'{value:g}' for value in sorted({t for t, _ in settings}))} "
        f"and top-p {_listed(top_p_words(value) for value in sorted({p for _, p in settings}))}.",
    ]
    if metrics["references"]:
        held_out = metrics["references"][REAL]["samples"]["samples"]
        sentences.append(
            f"Beside them stand {plural(held_out, 'real plot')} that no generator was trained on, and the same texts "
            "with their words shuffled: what a perfect writer and what noise would get."
        )
    for name, model in models.items():
        if model["trained_on_this_data"] is False:
            sentences.append(
                f"Mind: {_whose(metrics, name)} was trained on other data than the plots given here, so copies of its "
                "own training plots may go unnoticed."
            )
        if model["unparsed"]:
            reasons = _listed(f"{reason} ({count:,})" for reason, count in model["unparsed"].items())
            lines = plural(sum(model["unparsed"].values()), "line")
            sentences.append(f"Of the dump of {_whose(metrics, name)}, {lines} could not be read: {reasons}.")
    return sentences


def answers(metrics: dict[str, Any], name: str) -> list[Card]:
    """The four questions and their answers for one model."""
    return [ask(metrics, name) for ask in (likeness_card, novelty_card, genre_card, settings_card)]


def likeness_card(metrics: dict[str, Any], name: str) -> Card:
    """Is it like real plots? MAUVE between ceiling and floor, loops, unfinished samples, length and variety."""
    question, samples = "Is it like real plots?", metrics["models"][name]["samples"]
    real, floor = (_reference(metrics, which) for which in (REAL, SHUFFLED))
    likeness, looping = samples["mauve"], samples["looping"]
    sentences = []
    if likeness and real and real["mauve"] and floor and floor["mauve"]:
        top, bottom = real["mauve"]["value"], floor["mauve"]["value"]
        reached = (likeness["value"] - bottom) / max(top - bottom, 1e-9)
        verdict = "Nearly" if reached > 0.8 else "Partly" if reached > 0.3 else "Hardly"
        number = f"{likeness['value']:.2f}"
        sentences.append(
            f"is its MAUVE (95{_SPACE}% interval {likeness['low']:.2f} to {likeness['high']:.2f}), "
            "which compares all samples taken together with held-out plots of the prompted genres by what they mean. "
            f"Other real plots get {top:.2f}, shuffled words {bottom:.2f}. It knows what plots are about, not whether "
            "their sentences make sense: read some, below."
        )
    else:
        verdict = "It reads on" if looping["value"] < 0.02 else "Some loop" if looping["value"] < 0.2 else "It loops"
        number = percent(looping["value"])
        sentences.append(
            f"of the samples loop ({bounds(looping)}). There are too few texts to say how like real plots they are, "
            "taken together."
        )
    others = [f"{percent(looping['value'])} repeat some four words three times or more"] if likeness and real else []
    if samples["unfinished"]:
        others.append(f"{percent(samples['unfinished']['value'])} stop unfinished, at the length limit")
    if samples["empty"]["value"]:
        others.append(f"{percent(samples['empty']['value'])} have no plot at all, since their title never ends")
    if others:
        sentences.append(f"{_listed(others)}.")
    sentences.append(
        f"Median length {plural(samples['words']['value'], 'word')}"
        + (f"; real plots {real['words']['value']:g}." if real else ".")
    )
    sentences.append(
        f"Different word pairs for each word written (distinct-2): {samples['distinct_2']['value']:.2f}"
        + (f"; real plots {real['distinct_2']['value']:.2f}." if real else ".")
        + " Higher is more varied."
    )
    return Card(question, verdict, number, sentences)


def novelty_card(metrics: dict[str, Any], name: str) -> Card:
    """Is it new? Longest copied runs, new n-grams and exact copies, beside what real plots share with each other."""
    samples, real = metrics["models"][name]["samples"], _reference(metrics, REAL)
    copied, longest = samples["copied_more_than_20"], samples["copied_words"]["value"]
    like_real = real is None or longest <= 2 * real["copied_words"]["value"]
    clean = copied["value"] == 0 and like_real
    verdict = (
        "Yes" if clean else "Mostly" if copied["value"] < 0.05 else "Not always" if copied["value"] < 0.5 else "No"
    )
    sentences = [
        "is the median longest run of words that a sample shares with any training plot"
        + (f"; for real plots that were held out it is {real['copied_words']['value']:g}." if real else "."),
        f"{interval(copied)} copy more than {COPIED_WORDS} words in a row"
        + (f" (real held-out plots: {percent(real['copied_more_than_20']['value'])})." if real else "."),
    ]
    unseen = samples["unseen_4"]
    if unseen:
        sentences.append(
            f"Of all runs of four words, {percent(unseen['value'])} stand in no training plot"
            + (f" (real: {percent(real['unseen_4']['value'])})." if real and real["unseen_4"] else ".")
        )
    copies = round(samples["exact_copy"]["value"] * samples["exact_copy"]["of"])
    sentences.append(f"Exact copies of a whole training plot: {copies or 'none'} of {samples['samples']:,}.")
    return Card("Is it new?", verdict, plural(longest, "word"), sentences)


def genre_card(metrics: dict[str, Any], name: str) -> Card:
    """Does it obey the genre? Share of samples on genre, between real plots and other genres' prompts."""
    question, model = "Does it obey the genre?", metrics["models"][name]
    control, hit, real = model["genre_control"], model["samples"]["genre_hit"], _reference(metrics, REAL)
    if control is None:
        return Card(question, "Not measured", "–", ["No genre classifier was given to judge the samples."])
    unknown = (
        [f"Left out, because the classifier does not know them: {', '.join(control['unknown_genres'])}."]
        if control["unknown_genres"]
        else []
    )
    if hit is None:
        return Card(question, "Not measured", "–", unknown)
    chance = control["chance"] or 0.0
    ceiling = real["genre_hit"]["value"] if real and real["genre_hit"] else 0.6
    verdict = "No" if hit["low"] <= chance else "Yes" if hit["value"] >= 0.8 * ceiling else "Partly"
    sentences = [f"of the samples carry the prompted genre in the eyes of the classifier ({bounds(hit)})."]
    if control["chance"] is not None:
        sentences.append(f"Samples of other prompts are given that genre in {percent(chance)} of cases.")
    if real and real["genre_hit"]:
        sentences.append(
            f"In real plots that carry a genre it sees that genre in {percent(real['genre_hit']['value'])} of cases "
            "(the mean over the prompted genres): more only where a plot says its genre more plainly than they do."
        )
    return Card(question, verdict, percent(hit["value"]), sentences + unknown)


def settings_card(metrics: dict[str, Any], name: str) -> Card:
    """What do temperature and top-p do? The setting nearest to real plots, and what changes from end to end."""
    question, model = "What do temperature and top-p do?", metrics["models"][name]
    cells = model["by_cell"]
    if len(cells) < 2:
        return Card(question, "Not measured", "–", ["All samples were drawn with the same setting."])
    best, measure = best_setting(metrics, name)
    what = {"mauve": "most like real plots", "genre_hit": "most often on genre", "distinct_2": "most varied"}[measure]
    value = f"{best[measure]['value']:.2f}" if measure != "genre_hit" else percent(best[measure]["value"])
    names = {"mauve": "MAUVE", "genre_hit": "on genre", "distinct_2": "distinct-2"}
    sentences = [f"as temperature and top-p is {what} ({names[measure]} {value})."]
    by_temperature = sorted(model["by_temperature"], key=lambda group: group["temperature"])
    by_top_p = sorted(model["by_top_p"], key=lambda group: -(group["top_p"] or 1))  # off takes in all words, as 1 would
    for word, groups, ends in (
        ("temperature", by_temperature, [f"{group['temperature']:g}" for group in by_temperature]),
        ("top-p", by_top_p, [top_p_words(group["top_p"]) for group in by_top_p]),
    ):
        changes = [
            f"{label} {show(groups[0][measure])} → {show(groups[-1][measure])}"
            for measure, label, show in (
                ("mauve", "MAUVE", _two_digits), ("genre_hit", "on genre", _share),
                ("unfinished", "unfinished", _share), ("distinct_2", "distinct-2", _two_digits),
            )
            if len(groups) > 1 and groups[0][measure] and groups[-1][measure]
        ]  # fmt: skip
        if changes:
            sentences.append(f"From {word} {ends[0]} to {ends[-1]}: {', '.join(changes)}.")
    return Card(question, "Best setting", f"{best['temperature']:g}, {top_p_words(best['top_p'])}", sentences)


def best_setting(metrics: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The cell of a model's grid that is best, and by which measure: MAUVE, or where that is missing the next one."""
    cells = metrics["models"][name]["by_cell"]
    measure = next(key for key in ("mauve", "genre_hit", "distinct_2") if all(cell[key] for cell in cells))
    return max(cells, key=lambda cell: cell[measure]["value"]), measure


def learning_card(metrics: dict[str, Any], name: str) -> Card:
    """Did it learn? Held-out loss and perplexity before and after training."""
    question, learning = "Did it learn?", metrics["models"][name]["learning"]
    if learning is None:
        return Card(question, "Not recorded", "–", ["The dump does not say what the loss was before and after."])
    before, after = learning["loss_before"], learning["loss_after"]
    sentences = [
        f"Loss on held-out plots, before and after training, in nats per token ({learning['split']} split). A token is "
        "a word or a piece of one; lower means that the model foresees unseen plots better.",
        f"Perplexity {number(learning['perplexity_before'])} → {number(learning['perplexity_after'])}: among about how "
        "many equally likely tokens it still wavers at each one.",
    ]
    if learning["train_tokens"] and learning["steps"]:
        sentences.append(
            f"Trained for {plural(learning['steps'], 'step')} on {plural(learning['train_tokens'], 'token')}."
        )
    verdict = "Yes" if after < before else "No"
    if learning["guidance"] and after >= before:
        verdict = "To obey"
        sentences.append(
            f"It was taught guidance (weight {learning['guidance']:g}): to write what is typical of a genre. That "
            "raises this loss, since plots are often not typical of theirs."
        )
    return Card(question, verdict, f"{before:.2f} → {after:.2f}", sentences)


def classifier_card(metrics: dict[str, Any]) -> Card:
    """How good is the classifier that judged the genres, beside its baseline?"""
    question, quality = "How good is the judge of genres?", metrics["classifier"]
    if quality is None:
        return Card(question, "Not measured", "–", ["No genre classifier was given."])
    if "skipped" in quality:
        return Card(question, "Not measured", "–", [quality["skipped"]])
    own, baseline = quality["classifier"], best_baseline(quality)
    sentences = [
        f"Micro-F1 on {plural(quality['test_plots'], 'held-out real plot')}: 1 means that every genre is found and "
        f"none is invented. Averaged over genres (macro-F1): {own['macro_f1']:.2f}."
    ]
    if not baseline:
        return Card(question, "Measured", f"F1 {own['micro_f1']:.2f}", [*sentences, "No baseline is stored with it."])
    name, figures = baseline
    better = own["micro_f1"] > figures["micro_f1"]
    sentences.append(f"The better baseline, {name}, reaches {figures['micro_f1']:.2f} and {figures['macro_f1']:.2f}.")
    verdict = "Better than its baseline" if better else "No better than its baseline"
    return Card(question, verdict, f"F1 {own['micro_f1']:.2f}", sentences)


def _reference(metrics: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = metrics["references"].get(name)
    return found["samples"] if found else None


def _whose(metrics: dict[str, Any], name: str) -> str:
    return "the generator" if len(metrics["models"]) == 1 else f"“{name}”"


def _two_digits(value: dict[str, Any]) -> str:
    return f"{value['value']:.2f}"


def _share(value: dict[str, Any]) -> str:
    return percent(value["value"])


def percent(value: float | None) -> str:
    """A share as a percentage: whole, or with one digit below 10 %."""
    if value is None:
        return "–"
    digits = 1 if 0 < value < 0.0995 else 0
    return f"{100 * value:.{digits}f}{_SPACE}%"


def bounds(value: dict[str, Any]) -> str:
    """The interval of a share in words."""
    return f"95{_SPACE}% interval {percent(value['low'])} to {percent(value['high'])}"


def interval(value: dict[str, Any]) -> str:
    """A share with its interval in words."""
    return f"{percent(value['value'])} ({bounds(value)})"


def number(value: float | None) -> str:
    """A number with about three digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plural(count: float, noun: str) -> str:
    """`1 word`, `2 words`, `1,200 words`."""
    text = f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"
    return f"{text} {noun}{'' if count == 1 else 's'}"


def top_p_words(value: float) -> str:
    """Top-p as text; 0 stands for off."""
    return f"{value:g}" if value else "off"


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
