"""The report's first screen: four questions, each answered with a verdict, a number and a few sentences.

No verdict is given that cannot be known: none on too few samples, none on what is new where it is not known that the
generator was trained on the plots given here, and no best setting where intervals overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from movieplots.evaluation.classifier_quality import best_baseline
from movieplots.evaluation.metrics import Cell, Metrics, NotMeasured, Summary
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.formatting import MISSING, SPACE, bounds, listed, number, percent, plural, top_p_words
from movieplots.intervals import Estimate
from movieplots.measures.mauve import MIN_TEXTS
from movieplots.measures.novelty_index import COPIED_WORDS

# From 30 samples on, the 95 % interval of any share (Wilson 1927) spans at most 0.34, a third of the scale, and there
# are three or four verdicts to tell apart: 1.96 / sqrt(n + 1.96²), where the share is a half. Of 3 it would span 0.75.
MIN_SAMPLES = 30
TOO_FEW, NOT_KNOWN = "Too few to say", "Not known"
_MEASURES = {
    "mauve": "MAUVE",
    "genre_accuracy": "share on genre",
    "distinct_2": "distinct-2",
}  # what says which setting is best


@dataclass(frozen=True)
class Card:
    """One question: a short verdict, the figure that carries it, and the rest in sentences."""

    question: str
    verdict: str
    number: str
    sentences: list[str]


def introduction(metrics: Metrics) -> list[str]:
    """What was evaluated, in sentences."""
    models, seen = metrics.models, metrics.evaluated
    samples = sum(model.samples.samples for model in models.values())
    settings = sorted({(cell.temperature, cell.top_p) for model in models.values() for cell in model.by_cell})
    prompts = {prompt for model in models.values() for prompt in model.prompts}
    bases = sorted({model.base_model for model in models.values() if model.base_model})
    writers = "a generator" if len(models) == 1 else f"{len(models)} generators"
    writers += f" fine-tuned from {listed(bases)}" if bases else " (of a base that is not recorded)"
    known = all(_trained_here(metrics, name) for name in models)
    sentences = [
        f"{plural(samples, 'sample')} written by {writers} {'was' if samples == 1 else 'were'} compared with the "
        f"{plural(seen.training_plots, 'training plot')}{'' if known else ' given here'}.",
        f"The samples come from {plural(len(prompts), 'genre prompt')} and "
        f"{plural(len(settings), 'sampling setting')}: temperature "
        f"{listed(f'{value:g}' for value in sorted({t for t, _ in settings}))} "
        f"and top-p {listed(top_p_words(value) for value in sorted({p for _, p in settings}))}.",
    ]
    if metrics.references:
        held_out = metrics.references[REAL].samples.samples
        # Held out they are in any case; whether a generator read them all the same, only its record can tell.
        unread = (
            " that no generator was trained on,"
            if known
            else ", held out of the plots given here (whether a generator was trained on them is not known),"
        )
        sentences.append(
            f"Beside them stand {plural(held_out, 'real plot')}{unread} and the same texts with their words shuffled: "
            "what a perfect writer and what noise would get."
        )
    sentences += [
        f"The dump “{name}” was left out, since it could not be read: {reason}"
        for name, reason in seen.left_out.items()
    ]
    for trained_here in (None, False):
        names = [name for name in models if models[name].trained_on_this_data is trained_here]
        if names:
            its = "its" if len(names) == 1 else "their"
            sentences.append(
                f"Mind: {_provenance(metrics, names)}, so copies of {its} own training plots may go unnoticed."
            )
    for name, model in models.items():
        if model.training_plots_elsewhere and _trained_here(metrics, name):
            sentences.append(
                f"Of the {plural(model.training_plots, 'plot')} that {_whose(metrics, name)} was trained on, "
                f"{model.training_plots_elsewhere:,} {_is_or_are(model.training_plots_elsewhere)} not among the "
                "training plots given here, so a copy would go unnoticed."
            )
        if model.held_out_learned:
            sentences.append(
                f"Mind: {_whose(metrics, name)} was trained on {plural(model.held_out_learned, 'plot')} that "
                f"{_is_or_are(model.held_out_learned)} held out here."
            )
        if model.unparsed:
            reasons = listed(f"{reason} ({count:,})" for reason, count in model.unparsed.items())
            lines = plural(sum(model.unparsed.values()), "line")
            sentences.append(f"Of the dump of {_whose(metrics, name)}, {lines} could not be read: {reasons}.")
        sentences += [
            f"A file of the dump of {_whose(metrics, name)} was left out: {sentence}" for sentence in model.unread
        ]
    if not known:
        sentences.append("On this page, training plots are those given here.")
    return sentences


def answers(metrics: Metrics, name: str) -> list[Card]:
    """The four questions and their answers for one model."""
    return [ask(metrics, name) for ask in (likeness_card, novelty_card, genre_card, settings_card)]


def likeness_card(metrics: Metrics, name: str) -> Card:
    """Is it like real plots? MAUVE between ceiling and floor, repeats, unfinished samples, length and variety."""
    question, model = "Is it like real plots?", metrics.models[name]
    samples, judged = model.samples, model.judged_by_text
    real, floor = (_reference(metrics, which) for which in (REAL, SHUFFLED))
    likeness, repetition = samples.mauve, samples.repetition_rate
    sentences = []
    if likeness and real and real.mauve and floor and floor.mauve:
        top, bottom = real.mauve.value, floor.mauve.value
        reached = (likeness.value - bottom) / max(top - bottom, 1e-9)
        verdict = "Nearly" if reached > 0.8 else "Partly" if reached > 0.3 else "Hardly"
        number = f"{likeness.value:.2f}"
        sentences.append(
            f"is its MAUVE ({bounds(likeness)}), "
            "which compares all samples taken together with held-out plots of the prompted genres by what they mean. "
            f"Other real plots get {top:.2f}, shuffled words {bottom:.2f}. It knows what plots are about, not whether "
            "their sentences make sense: read some, below."
        )
    else:
        verdict = "It reads on" if repetition.value < 0.02 else "Some loop" if repetition.value < 0.2 else "It loops"
        number = percent(repetition.value)
        sentences.append(
            f"of the samples loop ({bounds(repetition, percent)}). There are too few texts to say how like real plots "
            f"they are, taken together: that takes {MIN_TEXTS} samples of each dump and {MIN_TEXTS} plots of each "
            "held-out split."
        )
    others = [f"{percent(repetition.value)} repeat some four words three times or more"] if likeness and real else []
    if samples.truncated:
        limit = "" if judged else ", at the length limit"
        others.append(f"{percent(samples.truncated.value)} stop unfinished{limit}")
    if samples.empty.value:
        others.append(f"{percent(samples.empty.value)} have no plot at all")
    if others:
        sentences.append(f"{listed(others)}.")
    if judged:
        what, where = "Whether a sample is finished", "the dump"
        if judged < samples.samples:
            what, where = f"Whether {judged:,} of the samples are finished", "their files"
        sentences.append(
            f"{what} was judged by the final punctuation mark, since every line of {where} has an end mark."
        )
    sentences.append(
        f"Median length {plural(samples.words.value, 'word')}"
        + (f"; real plots {real.words.value:g}." if real else ".")
    )
    sentences.append(
        f"Different word pairs for each word written (distinct-2): {samples.distinct_2.value:.2f}"
        + (f"; real plots {real.distinct_2.value:.2f}." if real else ".")
        + " Higher is more varied."
    )
    return _if_enough(Card(question, verdict, number, sentences), samples.samples)


def novelty_card(metrics: Metrics, name: str) -> Card:
    """Is it new? Longest copied runs, new n-grams and exact copies, beside what real plots share with each other.

    Copies that are found are known; that there are none is known only of the plots that the generator learned from.
    """
    samples, real, known = metrics.models[name].samples, _reference(metrics, REAL), _trained_here(metrics, name)
    copied, longest = samples.copied_more_than_20, samples.longest_verbatim_span.value
    like_real = real is None or longest <= 2 * real.longest_verbatim_span.value
    clean = copied.value == 0 and like_real
    few = NOT_KNOWN if not known else "Yes" if clean else "Mostly"
    verdict = few if copied.value < 0.05 else "Not always" if copied.value < 0.5 else "No"
    any_plot, no_plot, whole_plot = (
        ("any training plot", "no training plot", "a whole training plot")
        if known
        else (f"{which} of the training plots given here" for which in ("any", "none", "the whole of one"))
    )
    sentences = [
        f"is the median longest run of words that a sample shares with {any_plot}"
        + (f"; for real plots that were held out it is {real.longest_verbatim_span.value:g}." if real else "."),
        f"{percent(copied.value)} ({bounds(copied, percent)}) copy more than {COPIED_WORDS} words in a row of "
        + any_plot
        + (f" (real held-out plots: {percent(real.copied_more_than_20.value)})." if real else "."),
    ]
    unseen = samples.novel_4grams
    if unseen:
        sentences.append(
            f"Of all runs of four words, {percent(unseen.value)} stand in {no_plot}"
            + (f" (real: {percent(real.novel_4grams.value)})." if real and real.novel_4grams else ".")
        )
    copies = round(samples.exact_copy.value * samples.exact_copy.of)
    sentences.append(f"Exact copies of {whole_plot}: {copies or 'none'} of {samples.samples:,}.")
    if not known:
        start = "Whether it is new cannot be known" if verdict == NOT_KNOWN else "More may be copied"
        sentences.append(f"{start}: {_provenance(metrics, [name])}.")
    return _if_enough(Card("Is it new?", verdict, plural(longest, "word"), sentences), samples.samples)


def genre_card(metrics: Metrics, name: str) -> Card:
    """Does it obey the genre? Share of samples on genre, between real plots and other genres' prompts."""
    question, model = "Does it obey the genre?", metrics.models[name]
    control, hit, real = model.genre_control, model.samples.genre_accuracy, _reference(metrics, REAL)
    if control is None:
        return Card(question, "Not measured", MISSING, ["No genre classifier was given to judge the samples."])
    unknown = (
        [f"Left out, because the classifier does not know them: {', '.join(control.unknown_genres)}."]
        if control.unknown_genres
        else []
    )
    if hit is None:
        return Card(question, "Not measured", MISSING, unknown)
    chance = control.chance or 0.0
    ceiling = real.genre_accuracy.value if real and real.genre_accuracy else 0.6
    verdict = "No" if hit.low <= chance else "Yes" if hit.value >= 0.8 * ceiling else "Partly"
    sentences = [f"of the samples carry the prompted genre in the eyes of the classifier ({bounds(hit, percent)})."]
    if hit.low <= chance and hit.high >= 0.8 * ceiling:
        verdict = "Cannot be told"
        sentences.append(
            "The interval holds what chance gives and nearly what real plots get: more samples are needed."
        )
    if control.chance is not None:
        sentences.append(f"Samples of other prompts are given that genre in {percent(chance)} of cases.")
    if real and real.genre_accuracy:
        sentences.append(
            f"In real plots that carry a genre it sees that genre in {percent(real.genre_accuracy.value)} of cases "
            "(the mean over the prompted genres): more only where a plot says its genre more plainly than they do."
        )
    return _if_enough(Card(question, verdict, percent(hit.value), sentences + unknown), hit.of)


def settings_card(metrics: Metrics, name: str) -> Card:
    """What do temperature and top-p do? The setting nearest to real plots, and what changes from end to end."""
    question, model = "What do temperature and top-p do?", metrics.models[name]
    cells = model.by_cell
    if len(cells) < 2:
        return Card(question, "Not measured", MISSING, ["All samples were drawn with the same setting."])
    best, measure = best_setting(metrics, name)
    fewest = min(_measured(cell, measure).of if measure == "genre_accuracy" else cell.samples for cell in cells)
    # Where intervals overlap, other samples could turn the order round.
    alike = [cell for cell in cells if _measured(cell, measure).high >= _measured(best, measure).low]
    if fewest < MIN_SAMPLES:
        verdict, number = TOO_FEW, f"{fewest:,} of {plural(MIN_SAMPLES, 'sample')}"
        first = (
            f"Of the {len(cells)} settings, the one with the fewest samples to judge by has {fewest:,}; a verdict "
            f"needs at least {MIN_SAMPLES} of each."
        )
    elif len(alike) > 1:
        verdict, number = "Cannot be told apart", f"{len(alike)} of {len(cells)} settings"
        first = (
            f"may have the highest {_MEASURES[measure]}: their 95{SPACE}% intervals overlap, so none can be called "
            f"the best. They are {listed(_setting(cell, measure) for cell in alike)}."
        )
    else:
        verdict = "Most varied setting" if measure == "distinct_2" else "Best setting"
        number = f"{best.temperature:g}, {top_p_words(best.top_p)}"
        what = {"mauve": "most like real plots", "genre_accuracy": "most often on genre", "distinct_2": "most varied"}
        first = f"as temperature and top-p is {what[measure]} ({_MEASURES[measure]} {_shown(best, measure)})."
    sentences = [first]
    by_temperature = sorted(model.by_temperature, key=lambda group: group.temperature)
    by_top_p = sorted(model.by_top_p, key=lambda group: -(group.top_p or 1))  # off takes in all words, as 1 would
    kinds: list[tuple[str, Sequence[Summary], list[str]]] = [
        ("temperature", by_temperature, [f"{group.temperature:g}" for group in by_temperature]),
        ("top-p", by_top_p, [top_p_words(group.top_p) for group in by_top_p]),
    ]
    for word, groups, ends in kinds:
        changes = [
            f"{label} {show(first_value)} → {show(last_value)}"
            for measure, label, show in (
                ("mauve", "MAUVE", _two_digits), ("genre_accuracy", "on genre", _share),
                ("truncated", "unfinished", _share), ("distinct_2", "distinct-2", _two_digits),
            )
            if len(groups) > 1
            and (first_value := groups[0].measure(measure))
            and (last_value := groups[-1].measure(measure))
        ]  # fmt: skip
        if changes:
            sentences.append(f"From {word} {ends[0]} to {ends[-1]}: {', '.join(changes)}.")
    return Card(question, verdict, number, sentences)


def best_setting(metrics: Metrics, name: str) -> tuple[Cell, str]:
    """The cell of a model's grid with the highest value, and its measure: MAUVE, or where that is missing the next one.

    Other samples could put another cell first where the intervals overlap; `settings_card` then calls none the best.
    """
    cells = metrics.models[name].by_cell
    measure = next(key for key in _MEASURES if all(cell.measure(key) for cell in cells))
    return max(cells, key=lambda cell: _measured(cell, measure).value), measure


def _measured(cell: Summary, measure: str) -> Estimate:
    """A measure that is known to be there."""
    value = cell.measure(measure)
    assert value is not None
    return value


def _setting(cell: Cell, measure: str) -> str:
    return f"{cell.temperature:g} with top-p {top_p_words(cell.top_p)} ({_shown(cell, measure)})"


def _shown(cell: Cell, measure: str) -> str:
    return (_share if measure == "genre_accuracy" else _two_digits)(_measured(cell, measure))


def learning_card(metrics: Metrics, name: str) -> Card:
    """Did it learn? Held-out loss and perplexity before and after training."""
    question, learning = "Did it learn?", metrics.models[name].learning
    if learning is None:
        return Card(question, "Not recorded", MISSING, ["The dump does not say what the loss was before and after."])
    before, after = learning.loss_before, learning.loss_after
    sentences = [
        "Loss on plots that were held out of its training, before and after, in nats per token "
        f"({learning.split} split). A token is a word or a piece of one; lower means that the model foresees unseen "
        "plots better.",
        f"Perplexity {number(learning.perplexity_before)} → {number(learning.perplexity_after)}: among about how "
        "many equally likely tokens it still wavers at each one.",
    ]
    if learning.train_tokens and learning.steps:
        sentences.append(f"Trained for {plural(learning.steps, 'step')} on {plural(learning.train_tokens, 'token')}.")
    verdict = "Yes" if after < before else "No"
    if learning.guidance_scale and after >= before:
        verdict = "To obey"
        sentences.append(
            f"It was taught guidance (scale {learning.guidance_scale:g}): to write what is typical of a genre. That "
            "raises this loss, since plots are often not typical of theirs."
        )
    return Card(question, verdict, f"{before:.2f} → {after:.2f}", sentences)


def classifier_card(metrics: Metrics) -> Card:
    """How good is the classifier that judged the genres, beside its baseline?"""
    question, quality = "How good is the judge of genres?", metrics.classifier
    if quality is None:
        return Card(question, "Not measured", MISSING, ["No genre classifier was given."])
    if isinstance(quality, NotMeasured):
        return Card(question, "Not measured", MISSING, [quality.skipped])
    own, baseline = quality.classifier, best_baseline(quality)
    sentences = [
        f"Micro-F1 on {plural(quality.test_plots, 'held-out real plot')}: 1 means that every genre is found and "
        f"none is invented. Averaged over genres (macro-F1): {own.macro_f1:.2f}."
    ]
    if quality.test_plots < MIN_SAMPLES:
        few, needed = quality.test_plots, plural(MIN_SAMPLES, "test plot")
        first = f"{_there_are(few, 'test plot')} The micro-F1 is {own.micro_f1:.2f}."
        return Card(question, TOO_FEW, f"{few:,} of {needed}", [first, *sentences])
    if not baseline:
        return Card(question, "Measured", f"F1 {own.micro_f1:.2f}", [*sentences, "No baseline is stored with it."])
    name, figures = baseline
    better = own.micro_f1 > figures.micro_f1
    sentences.append(f"The better baseline, {name}, reaches {figures.micro_f1:.2f} and {figures.macro_f1:.2f}.")
    verdict = "Better than its baseline" if better else "No better than its baseline"
    between = quality.intervals.get("micro_f1")
    if between and between.low <= figures.micro_f1 <= between.high:
        verdict = "Cannot be told apart"
        sentences.append(
            f"That lies within the 95{SPACE}% interval of the classifier's micro-F1, {between.low:.2f} to "
            f"{between.high:.2f}."
        )
    return Card(question, verdict, f"F1 {own.micro_f1:.2f}", sentences)


def _if_enough(card: Card, samples: int) -> Card:
    """The card, or where there are too few samples for its verdict, the same without one."""
    if samples >= MIN_SAMPLES:
        return card
    first, *others = card.sentences
    number = f"{samples:,} of {plural(MIN_SAMPLES, 'sample')}"
    return Card(card.question, TOO_FEW, number, [_there_are(samples, "sample"), f"{card.number} {first}", *others])


def _there_are(count: int, noun: str) -> str:
    return f"There {_is_or_are(count)} {plural(count, noun)} to judge by; a verdict needs at least {MIN_SAMPLES}."


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _trained_here(metrics: Metrics, name: str) -> bool:
    """Whether it is known that a generator was trained on the plots given here."""
    return metrics.models[name].trained_on_this_data is True


def _provenance(metrics: Metrics, names: list[str]) -> str:
    """What is known of the training of generators of which it is not known that it was on the plots given here."""
    whose = "this generator" if len(metrics.models) == 1 else listed(f"“{name}”" for name in names)
    were = "was" if len(names) == 1 else "were"
    if metrics.models[names[0]].trained_on_this_data is None:
        return f"it is not recorded what {whose} {were} trained on"
    return f"{whose} {were} trained on other data than the plots given here"


def _reference(metrics: Metrics, name: str) -> Summary | None:
    found = metrics.references.get(name)
    return found.samples if found else None


def _whose(metrics: Metrics, name: str) -> str:
    return "the generator" if len(metrics.models) == 1 else f"“{name}”"


def _two_digits(value: Estimate) -> str:
    return f"{value.value:.2f}"


def _share(value: Estimate) -> str:
    return percent(value.value)
