"""The summary of the evaluation report: for each generator four questions, each with a verdict, a number and sentences.

A verdict is withheld if there are too few samples, if the data does not contain the generator's training plots, or if
confidence intervals overlap.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from movieplots.evaluation.classifier_quality import best_baseline
from movieplots.evaluation.metrics import Cell, Metrics, NotMeasured, Summary
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.formatting import MISSING, SPACE, bounds, listed, number, percent, plural, top_p_words
from movieplots.intervals import Estimate
from movieplots.measures.mauve import MIN_TEXTS
from movieplots.measures.novelty_index import COPIED_WORDS

# The 95 % Wilson interval of a share of one half spans 1.96 / sqrt(n + 1.96²): 0.34 for 30 samples, 0.75 for 3. There
# are three or four verdicts on a scale of 1, so a third of it is the widest interval that can separate them.
MIN_SAMPLES = 30
TOO_FEW, UNKNOWN, NO_DIFFERENCE = "Too few samples", "Unknown", "No difference beyond chance"
# The measures that can decide which setting is best, in order of preference.
_MEASURES = {"mauve": "MAUVE", "genre_accuracy": "genre accuracy", "distinct_2": "distinct-2"}


@dataclass(frozen=True)
class Card:
    """A question, its short verdict, the number behind the verdict, and details in sentences."""

    question: str
    verdict: str
    number: str
    sentences: list[str]


def introduction(metrics: Metrics) -> list[str]:
    """Return sentences on what was evaluated, on the references, and on what limits the results."""
    models, seen = metrics.models, metrics.evaluated
    samples = sum(model.samples.samples for model in models.values())
    settings = sorted({(cell.temperature, cell.top_p) for model in models.values() for cell in model.by_cell})
    prompts = {prompt for model in models.values() for prompt in model.prompts}
    base_models = sorted({model.base_model for model in models.values() if model.base_model})
    generators = "a generator" if len(models) == 1 else f"{len(models)} generators"
    generators += f" fine-tuned from {listed(base_models)}" if base_models else " (base model not recorded)"
    known = all(_trained_here(metrics, name) for name in models)
    sentences = [
        f"{plural(samples, 'sample')} from {generators} {'was' if samples == 1 else 'were'} compared with "
        f"{plural(seen.training_plots, 'training plot')}{'' if known else ' of the evaluation data'}.",
        f"The samples were generated with {plural(len(prompts), 'genre prompt')} and "
        f"{plural(len(settings), 'sampling setting')}: temperature "
        f"{listed(f'{value:g}' for value in sorted({t for t, _ in settings}))} "
        f"and top-p {listed(top_p_words(value) for value in sorted({p for _, p in settings}))}.",
    ]
    if metrics.references:
        unseen = "; no generator was trained on them" if known else ""
        sentences.append(
            f"References: {plural(metrics.references[REAL].samples.samples, 'real test plot')} (upper bound{unseen}) "
            "and the same plots with shuffled words (lower bound)."
        )
    sentences += [
        f"The dump “{name}” was skipped because it could not be read: {reason}"
        for name, reason in seen.left_out.items()
    ]
    for trained_here in (None, False):
        names = [name for name in models if models[name].trained_on_this_data is trained_here]
        if names:
            its = "its" if len(names) == 1 else "their"
            also = f", and {its} training plots may include the real test plots"
            if not metrics.references or any(models[name].leaked_plots for name in names):  # or it is known: see below
                also = ""
            sentences.append(
                f"Caution: {_provenance(metrics, names)}, so copies of {its} training plots may go undetected{also}."
            )
    for name, model in models.items():
        if model.training_plots_not_in_data and _trained_here(metrics, name):
            sentences.append(
                f"{model.training_plots_not_in_data:,} of the {plural(model.training_plots, 'training plot')} of "
                f"{_whose(metrics, name)} {_is_or_are(model.training_plots_not_in_data)} missing from the evaluation "
                "data, so copies of these would go undetected."
            )
        if model.leaked_plots:
            sentences.append(
                f"Caution: {_whose(metrics, name)} was trained on "
                f"{plural(model.leaked_plots, 'validation or test plot')} of the evaluation data."
            )
        if model.unparsed:
            reasons = listed(f"{reason} ({count:,})" for reason, count in model.unparsed.items())
            lines = plural(sum(model.unparsed.values()), "line")
            sentences.append(f"In the dump of {_whose(metrics, name)}, {lines} could not be parsed: {reasons}.")
        sentences += [
            f"A file in the dump of {_whose(metrics, name)} was skipped: {sentence}" for sentence in model.unread
        ]
    if not known:
        sentences.append("On this page, “training plots” are those of the evaluation data.")
    return sentences


def answers(metrics: Metrics, name: str) -> list[Card]:
    """Return the four questions and their answers for one model."""
    return [ask(metrics, name) for ask in (similarity_card, novelty_card, genre_card, settings_card)]


def similarity_card(metrics: Metrics, name: str) -> Card:
    """Compare the samples with real plots: MAUVE, repetition, truncation, length and diversity."""
    question, model = "Are the samples similar to real plots?", metrics.models[name]
    samples, inferred = model.samples, model.judged_by_text
    real, shuffled = (_reference(metrics, which) for which in (REAL, SHUFFLED))
    mauve, repetition = samples.mauve, samples.repetition_rate
    sentences, shares = [], []
    if mauve and real and real.mauve and shuffled and shuffled.mauve:
        top, bottom = real.mauve.value, shuffled.mauve.value
        reached = (mauve.value - bottom) / max(top - bottom, 1e-9)
        verdict = "Mostly" if reached > 0.8 else "Partly" if reached > 0.3 else "Hardly"
        number = f"MAUVE {mauve.value:.2f}"
        sentences += [
            f"MAUVE is {mauve.value:.2f} ({bounds(mauve)}); real test plots: {top:.2f}, shuffled words: {bottom:.2f}.",
            "MAUVE (0 to 1) compares the embeddings of all samples with those of validation plots of the prompted "
            "genres. It measures topics and style, not coherence, so read some samples as well.",
        ]
        shares.append(f"{percent(repetition.value)} are repetitive (a 4-gram occurs three times or more)")
    else:
        rate = repetition.value
        verdict = "Rarely repetitive" if rate < 0.02 else "Sometimes repetitive" if rate < 0.2 else "Repetitive"
        number = percent(rate)
        sentences += [
            f"The repetition rate is {percent(rate)} ({bounds(repetition, percent)}): the share of samples in which a "
            "4-gram occurs three times or more.",
            f"MAUVE was not computed: it needs {MIN_TEXTS} samples per dump, {MIN_TEXTS} validation plots and "
            f"{MIN_TEXTS} test plots.",
        ]
    if samples.truncated:
        limit = "" if inferred else " at the token limit"
        shares.append(f"{percent(samples.truncated.value)} are truncated{limit}")
    if samples.empty.value:
        shares.append(f"{percent(samples.empty.value)} are empty")
    if shares:
        sentences.append(f"Of the samples, {listed(shares)}.")
    if inferred:
        what, where = "Truncation", "every line of the dump"
        if inferred < samples.samples:
            what, where = f"For {plural(inferred, 'sample')}, truncation", "every line of their files"
        sentences.append(
            f"{what} was inferred from the final punctuation mark, because {where} ends with an end-of-sequence token."
        )
    sentences.append(
        f"The median length is {plural(samples.words.value, 'word')}" + _of_real(real, "words", "{:g}".format)
    )
    sentences.append(
        f"Distinct-2 (distinct bigrams per word; higher is more diverse) is {samples.distinct_2.value:.2f}"
        + _of_real(real, "distinct_2", "{:.2f}".format)
    )
    return _if_enough(Card(question, verdict, number, sentences), samples.samples)


def novelty_card(metrics: Metrics, name: str) -> Card:
    """Report verbatim spans, novel 4-grams and exact copies, compared with those of real test plots.

    If the generator was trained on other plots, copies that were found count, but their absence proves nothing.
    """
    samples, real, known = metrics.models[name].samples, _reference(metrics, REAL), _trained_here(metrics, name)
    copied, longest = samples.copied_more_than_20, samples.longest_verbatim_span.value
    as_real = real is None or longest <= 2 * real.longest_verbatim_span.value
    clean = copied.value == 0 and as_real
    few = UNKNOWN if not known else "Yes" if clean else "Mostly"
    verdict = few if copied.value < 0.05 else "Not always" if copied.value < 0.5 else "No"
    training = "the training plots" if known else "the training plots of the evaluation data"
    sentences = [
        f"The median longest verbatim span shared with {training} is {plural(longest, 'word')}"
        + _of_real(real, "longest_verbatim_span", "{:g}".format),
        (f"{percent(copied.value)} of the samples share a" if copied.value else "No sample shares a")
        + f" verbatim span over {COPIED_WORDS} words with them ({bounds(copied, percent)})"
        + _of_real(real, "copied_more_than_20"),
    ]
    unseen = samples.novel_4grams
    if unseen:
        sentences.append(f"Novel 4-grams: {percent(unseen.value)}" + _of_real(real, "novel_4grams"))
    copies = round(samples.exact_copy.value * samples.exact_copy.of)
    sentences.append(f"Exact copies: {copies or 'none'} of {plural(samples.samples, 'sample')}.")
    if not known:
        start = "Novelty is unknown" if verdict == UNKNOWN else "There may be more copies"
        sentences.append(f"{start}: {_provenance(metrics, [name])}.")
    return _if_enough(Card("Are they novel?", verdict, plural(longest, "word"), sentences), samples.samples)


def genre_card(metrics: Metrics, name: str) -> Card:
    """Report the genre accuracy, compared with the chance level and with real test plots."""
    question, model = "Do they follow the prompted genre?", metrics.models[name]
    control, hit, real = model.genre_control, model.samples.genre_accuracy, _reference(metrics, REAL)
    if control is None:
        return Card(question, "Not measured", MISSING, ["No genre classifier was given."])
    unknown = (
        [f"Not counted, because the classifier does not have these genres: {', '.join(control.unknown_genres)}."]
        if control.unknown_genres
        else []
    )
    if hit is None:
        return Card(question, "Not measured", MISSING, unknown)
    chance = control.chance or 0.0
    of_real = real.genre_accuracy.value if real and real.genre_accuracy else None
    ceiling = 0.6 if of_real is None else of_real
    verdict = "No" if hit.low <= chance else "Yes" if hit.value >= 0.8 * ceiling else "Partly"
    sentences = [
        f"Genre accuracy is {percent(hit.value)} ({bounds(hit, percent)})" + _of_real(real, "genre_accuracy"),
        "It is the share of samples for which the classifier predicts the prompted genre.",
    ]
    if hit.low <= chance and hit.high >= 0.8 * ceiling:
        verdict = "Inconclusive"
        sentences.append(
            "The interval includes the chance level and nearly the value of real plots: evaluate more samples."
        )
    if control.chance is not None:
        sentences.append(f"Chance level, measured on the samples of other prompts: {percent(chance)}.")
    if of_real is not None:
        sentences.append(
            "On real plots, genre accuracy is the classifier's recall, averaged over the prompted genres. Samples can "
            "have a higher genre accuracy if they show their genre more clearly than real plots."
        )
    return _if_enough(Card(question, verdict, percent(hit.value), sentences + unknown), hit.of)


def settings_card(metrics: Metrics, name: str) -> Card:
    """Report the best sampling setting, if one is best, and how measures change with temperature and top-p."""
    question, model = "Which temperature and top-p?", metrics.models[name]
    cells = model.by_cell
    if len(cells) < 2:
        return Card(question, "Not measured", MISSING, ["All samples were generated with the same setting."])
    best, measure = best_setting(metrics, name)
    fewest = min(_measured(cell, measure).of if measure == "genre_accuracy" else cell.samples for cell in cells)
    # If the intervals overlap, the order could be different for other samples.
    alike = [cell for cell in cells if _measured(cell, measure).high >= _measured(best, measure).low]
    if fewest < MIN_SAMPLES:
        verdict, number = TOO_FEW, f"{fewest:,} of {plural(MIN_SAMPLES, 'sample')}"
        first = (
            f"One of the {len(cells)} settings has only {plural(fewest, 'sample')}; a verdict needs at least "
            f"{MIN_SAMPLES} per setting."
        )
    elif len(alike) > 1:
        verdict, number = NO_DIFFERENCE, f"{len(alike)} of {len(cells)} settings"
        first = (
            f"{len(alike)} settings may have the highest {_MEASURES[measure]}, because their 95{SPACE}% CIs overlap: "
            f"{listed(_setting(cell, measure) for cell in alike)}."
        )
    else:
        verdict = "Most diverse setting" if measure == "distinct_2" else "Best setting"
        number = f"{best.temperature:g}, top-p {top_p_words(best.top_p)}"
        first = (
            f"Temperature {best.temperature:g} with top-p {top_p_words(best.top_p)} has the highest "
            f"{_MEASURES[measure]} ({_shown(best, measure)}); its 95{SPACE}% CI overlaps with no other."
        )
    sentences = [first]
    by_temperature = sorted(model.by_temperature, key=lambda group: group.temperature)
    by_top_p = sorted(model.by_top_p, key=lambda group: -(group.top_p or 1))  # off is the same as 1
    kinds: list[tuple[str, Sequence[Summary], list[str]]] = [
        ("temperature", by_temperature, [f"{group.temperature:g}" for group in by_temperature]),
        ("top-p", by_top_p, [top_p_words(group.top_p) for group in by_top_p]),
    ]
    for word, groups, ends in kinds:
        changes = [
            f"{label} {show(first_value)} → {show(last_value)}"
            for measure, label, show in (
                ("mauve", "MAUVE", _two_digits), ("genre_accuracy", "genre accuracy", _share),
                ("truncated", "truncated", _share), ("distinct_2", "distinct-2", _two_digits),
            )
            if len(groups) > 1
            and (first_value := groups[0].measure(measure))
            and (last_value := groups[-1].measure(measure))
        ]  # fmt: skip
        if changes:
            sentences.append(f"From {word} {ends[0]} to {ends[-1]}: {', '.join(changes)}.")
    return Card(question, verdict, number, sentences)


def best_setting(metrics: Metrics, name: str) -> tuple[Cell, str]:
    """Return the sampling setting of a model with the highest MAUVE, and the name of the measure.

    If MAUVE was not computed for all settings, genre accuracy decides; without a classifier, distinct-2 does. The
    difference to the next setting may be within chance: `settings_card` checks whether the intervals overlap.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report, `Report.metrics`.
    name : str
        Key of the model in `metrics.models`.

    Returns
    -------
    cell : Cell
        Measures of the samples of the best setting; its `temperature` and `top_p` name the setting.
    measure : {"mauve", "genre_accuracy", "distinct_2"}
        Measure by which it is the best.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from movieplots.evaluation.answers import best_setting
    >>> from movieplots.evaluation.metrics import Cell
    >>> from movieplots.intervals import Estimate
    >>> def cell(temperature, mauve):
    ...     measures = dict.fromkeys(Cell.__dataclass_fields__) | {"mauve": Estimate(mauve, mauve, mauve, 60)}
    ...     return Cell(**measures | {"samples": 60, "temperature": temperature, "top_p": 0.9})
    >>> models = {"mine": SimpleNamespace(by_cell=[cell(0.7, 0.89), cell(1.0, 0.97)])}
    >>> best, measure = best_setting(SimpleNamespace(models=models), "mine")
    >>> best.temperature, best.top_p, measure
    (1.0, 0.9, 'mauve')
    """
    cells = metrics.models[name].by_cell
    measure = next(key for key in _MEASURES if all(cell.measure(key) for cell in cells))
    return max(cells, key=lambda cell: _measured(cell, measure).value), measure


def _measured(cell: Summary, measure: str) -> Estimate:
    """Return a measure that is known to be present."""
    value = cell.measure(measure)
    assert value is not None
    return value


def _setting(cell: Cell, measure: str) -> str:
    return f"temperature {cell.temperature:g} with top-p {top_p_words(cell.top_p)} ({_shown(cell, measure)})"


def _shown(cell: Cell, measure: str) -> str:
    return (_share if measure == "genre_accuracy" else _two_digits)(_measured(cell, measure))


def learning_card(metrics: Metrics, name: str) -> Card:
    """Report test perplexity and cross-entropy before and after training."""
    question, learning = "Did training lower the perplexity?", metrics.models[name].learning
    if learning is None:
        return Card(question, "Not recorded", MISSING, ["The dump does not record the losses of the training."])
    before, after = learning.loss_before, learning.loss_after
    guided = learning.guidance_scale is not None and after >= before
    perplexities = number(learning.perplexity_before), number(learning.perplexity_after)
    sentences = [
        f"Perplexity on the {learning.split} split changed from {perplexities[0]} to {perplexities[1]} (cross-entropy "
        f"from {before:.2f} to {after:.2f} nats/token)." + ("" if guided else " Lower is better.")
    ]
    if learning.train_tokens and learning.steps:
        sentences.append(f"Trained for {plural(learning.steps, 'step')} on {plural(learning.train_tokens, 'token')}.")
    verdict = "Yes" if after < before else "No"
    if guided:
        verdict = "As expected, guidance raised it"
        sentences.append(
            f"The generator was trained with guidance (scale {learning.guidance_scale:g}) to generate text typical of "
            "the genre. As expected, that raises the perplexity, because many real plots are not typical of theirs."
        )
    return Card(question, verdict, " → ".join(perplexities), sentences)


def classifier_card(metrics: Metrics) -> Card:
    """Report the F1 of the classifier that measured the genre accuracy, compared with its baseline."""
    question, quality = "How reliable is the genre classifier?", metrics.classifier
    if quality is None:
        return Card(question, "Not measured", MISSING, ["No genre classifier was given."])
    if isinstance(quality, NotMeasured):
        return Card(question, "Not measured", MISSING, [quality.skipped])
    own, baseline = quality.classifier, best_baseline(quality)
    sentences = [
        f"On {plural(quality.test_plots, 'real test plot')}, micro-F1 is {own.micro_f1:.2f} and macro-F1 is "
        f"{own.macro_f1:.2f} (1 is best)."
    ]
    if quality.test_plots < MIN_SAMPLES:
        needed = f"{quality.test_plots:,} of {plural(MIN_SAMPLES, 'test plot')}"
        first = f"A verdict needs at least {MIN_SAMPLES} test plots."
        return Card(question, "Too few test plots", needed, [first, *sentences])
    if not baseline:
        return Card(question, "Measured", f"F1 {own.micro_f1:.2f}", [*sentences, "No baseline is stored with it."])
    name, figures = baseline
    better = own.micro_f1 > figures.micro_f1
    sentences.append(
        f"The best baseline, {name}, has micro-F1 {figures.micro_f1:.2f} and macro-F1 {figures.macro_f1:.2f}."
    )
    verdict = "Better than the baseline" if better else "No better than the baseline"
    between = quality.intervals.get("micro_f1")
    if between and between.low <= figures.micro_f1 <= between.high:
        verdict = NO_DIFFERENCE
        sentences.append(f"The baseline's micro-F1 lies within the classifier's {bounds(between)}.")
    return Card(question, verdict, f"F1 {own.micro_f1:.2f}", sentences)


def _if_enough(card: Card, samples: int) -> Card:
    """Return the card, without its verdict if there are too few samples."""
    if samples >= MIN_SAMPLES:
        return card
    number = f"{samples:,} of {plural(MIN_SAMPLES, 'sample')}"
    first = f"There {_is_or_are(samples)} only {plural(samples, 'sample')}; a verdict needs at least {MIN_SAMPLES}."
    return Card(card.question, TOO_FEW, number, [first, *card.sentences])


def _of_real(real: Summary | None, measure: str, show: Callable[[float], str] = percent) -> str:
    """Return the end of a sentence: the value of real test plots, if there is one, and a period."""
    value = real.measure(measure) if real else None
    return f"; real test plots: {show(value.value)}." if value else "."


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _trained_here(metrics: Metrics, name: str) -> bool:
    """Return whether a generator is known to have been trained on the evaluation data."""
    return metrics.models[name].trained_on_this_data is True


def _provenance(metrics: Metrics, names: list[str]) -> str:
    """Say what is known of the training data of generators not known to be trained on the evaluation data."""
    whose = "this generator" if len(metrics.models) == 1 else listed(f"“{name}”" for name in names)
    were = "was" if len(names) == 1 else "were"
    if metrics.models[names[0]].trained_on_this_data is None:
        return f"it is not recorded what data {whose} {were} trained on"
    return f"{whose} {were} trained on data other than the evaluation data"


def _reference(metrics: Metrics, name: str) -> Summary | None:
    found = metrics.references.get(name)
    return found.samples if found else None


def _whose(metrics: Metrics, name: str) -> str:
    return "the generator" if len(metrics.models) == 1 else f"“{name}”"


def _two_digits(value: Estimate) -> str:
    return f"{value.value:.2f}"


def _share(value: Estimate) -> str:
    return percent(value.value)
