"""Evaluation of dumps: similarity to real plots, novelty, genre accuracy, and the effect of temperature and top-p.

`measure` compares all samples with the training plots, and computes the same measures for real test plots and for
shuffled words. `movieplots.reporting` writes and shows the results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import classifier_quality, mean_recall
from movieplots.evaluation.genre_control import GenreControl, genre_control, genre_means, split_prompt
from movieplots.evaluation.metrics import (
    About,
    AtTemperature,
    AtTopP,
    Cell,
    ControlMeans,
    Evaluated,
    GenreSimilarity,
    JudgeQuality,
    Learning,
    Metrics,
    Model,
    NotMeasured,
    OfGenre,
    Summary,
    Texts,
)
from movieplots.evaluation.references import REAL, SHUFFLED, mauve_reference, real_samples, shuffled_words
from movieplots.evaluation.settings import Dumps, EvaluateSettings
from movieplots.evaluation.stock_phrases import stock_phrases
from movieplots.evaluation.summaries import (
    Budget,
    Measured,
    add_genre_control,
    budget_of,
    enough_real,
    genre_groups,
    measure_samples,
    rounded,
    summarize,
)
from movieplots.files import read_json
from movieplots.formatting import perplexity
from movieplots.generation.dump_reader import Dump, load_dump, notify_left_out
from movieplots.generation.info import GeneratorInfo
from movieplots.intervals import Estimate
from movieplots.measures.embedding import load_embedder
from movieplots.plots import data_fingerprint, load_plots
from movieplots.progress import notify, working
from movieplots.runs.folder import info_of
from movieplots.runs.lineage import SAME, PlotIds, read_plot_ids

if TYPE_CHECKING:
    from movieplots.classification.prediction import GenreClassifier

K = TypeVar("K", bound=Summary)


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation: the metrics, the measures of each sample, and the training plots."""

    metrics: Metrics
    samples: pd.DataFrame
    training: pd.DataFrame


def measure(settings: EvaluateSettings) -> Evaluation:
    """Measure all samples of the dumps, without writing files. Raises BadInput for input that cannot be used."""
    named, classifier = name_dumps(settings.dumps), settings.classifier_folder
    embedder = load_embedder(settings.embedder)
    judge = None if classifier is None else _load_classifier(classifier)
    folders, dumps, left_out = _read_dumps(named)
    generators = {name: _generator_info(folder) for name, folder in folders.items()}
    training, unseen, fingerprint, table_ids = _read_plots(settings.data)
    prompts = [genre for dump in dumps.values() for genre in dump.samples["genre"]]
    real, reference = real_samples(unseen, prompts), mauve_reference(unseen, prompts)

    groups = {name: dump.samples for name, dump in dumps.items()}
    if len(real):
        groups |= {REAL: real, SHUFFLED: shuffled_words(real)}
    samples = pd.concat([table.assign(model=name) for name, table in groups.items()], ignore_index=True)
    written = sum(len(dump.samples) for dump in dumps.values())
    notify(f"Comparing {written:,} samples with {len(training):,} training plots …")
    measured = measure_samples(samples, training, embedder)
    real_vectors = embedder.embed(reference["plot"].tolist(), "Embedding real plots")
    # The reference of a single genre is sampled without regard to the prompts: plots chosen because they have several
    # prompted genres would not be a representative sample of one.
    any_genre = mauve_reference(unseen, [])
    of_genres = (
        embedder.embed(any_genre["plot"].tolist(), "Embedding real plots by genre"),
        any_genre["genres"].tolist(),
    )

    quality: JudgeQuality | NotMeasured | None = None
    control: dict[str, GenreControl] = {}
    table = measured.table
    if classifier is not None and judge is not None:
        proba = _probabilities(judge, table.loc[table["model"].isin(list(folders)), "plot"])
        judged = []
        for name in folders:
            rows = table[table["model"] == name]
            of_rows = proba[rows.index]  # the samples of the models come first
            control[name] = genre_control(rows["genre"].tolist(), of_rows, judge.thresholds, list(judge.labels))
            judged.append(add_genre_control(rows, control[name]))
        table = pd.concat([*judged, table[~table["model"].isin(list(folders))]])
        quality = classifier_quality(judge.info, read_plot_ids(classifier), table_ids)
    ceiling = None
    if isinstance(quality, JudgeQuality):
        prompted = {genre for found in control.values() for genre in found.prompted}
        ceiling = mean_recall(quality.classifier.per_label, prompted)
    with working("Computing summaries …"):
        measured = replace(measured, table=table)
        texts, by_genre = _summaries(measured, real_vectors, of_genres, control, training, ceiling)
    models = {}
    for name in folders:
        about = _about(dumps[name], generators[name], read_plot_ids(folders[name]), table_ids)
        phrases = stock_phrases(dumps[name].samples, training)
        models[name] = Model(**vars(about), **vars(texts[name]), by_genre=by_genre[name], stock_phrases=phrases)
    metrics = rounded(
        Metrics(
            Evaluated(len(training), len(reference), fingerprint, Path(embedder.name).name, left_out),
            models,
            {name: texts[name] for name in groups if name not in folders},
            quality,
        )
    )
    return Evaluation(metrics, table, training)


def _read_dumps(folders: dict[str, Path]) -> tuple[dict[str, Path], dict[str, Dump], dict[str, str]]:
    """Return the folders that can be read, their dumps, and the error message of every other folder, by name."""
    dumps, left_out = {}, {}
    for name, folder in folders.items():
        try:
            _generator_info(folder)
            dumps[name] = load_dump(folder)
        except BadInput as error:
            left_out[name] = str(error)
    if not dumps and len(left_out) == 1:
        raise BadInput(*left_out.values())
    if not dumps:
        reasons = "; ".join(f"“{name}”: {reason.rstrip('.')}" for name, reason in left_out.items())
        raise BadInput(f"None of the {len(left_out)} dumps can be read ({reasons}).")
    for name, reason in left_out.items():
        notify(f"Skipped the dump “{name}”, which cannot be read: {reason}")
    for name, dump in dumps.items():
        notify_left_out(folders[name], dump)
    return {name: folders[name] for name in dumps}, dumps, left_out


def _read_plots(data: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, str, PlotIds]:
    """Return the training plots, the other plots, the hash of all plots, and their hashed ids."""
    plots = load_plots(data)
    training = plots[plots["split"] == "train"].reset_index(drop=True)
    if training.empty:
        raise BadInput(f"{data} contains no training plots: run `movieplots prepare` again.")
    return training, plots[plots["split"] != "train"], data_fingerprint(plots), PlotIds.of(plots)


def name_dumps(dumps: Dumps) -> dict[str, Path]:
    """Return a name for each dump folder: the shortest end of its path that no other folder has."""
    if isinstance(dumps, Mapping):
        named = {str(name): Path(folder) for name, folder in dumps.items()}
    else:
        folders = [Path(dumps)] if isinstance(dumps, (str, Path)) else [Path(folder) for folder in dumps]
        folders = list(dict.fromkeys(folders))
        ends = [folder.resolve().parts for folder in folders]
        while len(ends) > 1 and len({end[-1] for end in ends}) == 1:  # a part that all have does not distinguish them
            ends = [end[:-1] for end in ends]
        named = {
            next(name for name in _endings(end) if sum(name in _endings(other) for other in ends) == 1): folder
            for end, folder in zip(ends, folders, strict=True)
        }
    if not named:
        raise BadInput("No dump was given: give at least one folder written by `movieplots dump`.")
    taken = [name for name in named if name in (REAL, SHUFFLED) or not name.strip()]
    if taken:
        raise BadInput(f"{taken[0]!r} is not allowed as the name of a dump: choose another name.")
    return named


def _endings(parts: tuple[str, ...]) -> list[str]:
    """Return the ends of a path, the shortest first: `a/b/c` -> `c`, `b/c`, `a/b/c`."""
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)]


def _summaries(
    measured: Measured,
    real_vectors: np.ndarray,
    of_genres: tuple[np.ndarray, list[list[str]]],
    control: Mapping[str, GenreControl],
    training: pd.DataFrame,
    ceiling: Estimate | None,
) -> tuple[dict[str, Texts], dict[str, list[OfGenre]]]:
    """Return the summaries of each model and reference, of all samples and of groups.

    MAUVE compares with `real_vectors`; for a single genre, with the vectors in `of_genres` of plots with that genre.
    `ceiling` is the genre accuracy of real plots: the classifier's recall on test plots of the prompted genres.
    """
    models = {str(name): rows for name, rows in measured.table.groupby("model", sort=False)}

    def summary_of(name: str, kind: type[K], rows: pd.DataFrame, budget: Budget, **place: float) -> K:
        summary = summarize(kind, rows, budget, measured, real_vectors, **place)
        return replace(summary, genre_accuracy=ceiling) if name == REAL else summary

    def grouped(kind: type[K], keys: list[str]) -> dict[str, Sequence[Summary]]:
        groups: dict[str, list[Any]] = {name: list(rows.groupby(keys, sort=True)) for name, rows in models.items()}
        budget = budget_of([rows for of_model in groups.values() for _, rows in of_model])
        # The references have no temperature, so each grouping has one summary of all their texts, of the same budget.
        return {
            name: [
                summary_of(name, kind, group, budget, **dict(zip(keys, map(float, key), strict=True)))
                for key, group in groups[name]
            ]
            or [summary_of(name, Summary, rows, budget)]
            for name, rows in models.items()
        }

    whole = budget_of([*models.values()])
    by_cell = grouped(Cell, ["temperature", "top_p"])
    by_temperature, by_top_p = grouped(AtTemperature, ["temperature"]), grouped(AtTopP, ["top_p"])
    trained, of_training = genre_means(training["genres"].tolist(), measured.training)
    texts = {}
    for name, rows in models.items():
        prompts = [split_prompt(genre) for genre in rows["genre"]]
        prompted, of_samples = genre_means(prompts, measured.vectors[rows.index])
        same = of_samples.shape[1] == of_training.shape[1]  # they differ if no sample has a word
        cosine = of_samples @ of_training.T if same else np.zeros((len(prompted), len(trained)))
        texts[name] = Texts(
            samples=summary_of(name, Summary, rows, whole),
            by_cell=by_cell[name],
            by_temperature=by_temperature[name],
            by_top_p=by_top_p[name],
            genre_control=_control_means(control[name]) if name in control else None,
            genre_similarity=GenreSimilarity(prompted, trained, cosine.tolist()),
        )
    return texts, _by_genre(
        {name: models[name] for name in models if name not in (REAL, SHUFFLED)}, measured, of_genres
    )


def _by_genre(
    models: Mapping[str, pd.DataFrame], measured: Measured, real: tuple[np.ndarray, list[list[str]]]
) -> dict[str, list[OfGenre]]:
    vectors, genres = real
    with_genre = {genre: enough_real(genres, genre) for genre in {g for rows in genres for g in rows}}
    groups = {name: genre_groups(rows) for name, rows in models.items()}
    budget = budget_of([rows for of_model in groups.values() for rows in of_model.values()])

    def of_genre(genre: str) -> np.ndarray:
        chosen = with_genre.get(genre)
        return vectors[:0] if chosen is None else vectors[chosen]

    return {
        name: [
            summarize(OfGenre, rows, budget, measured, of_genre(genre), genre=genre) for genre, rows in of_model.items()
        ]
        for name, of_model in groups.items()
    }


def _control_means(control: GenreControl) -> ControlMeans:
    return ControlMeans(
        chance=control.chance,
        unknown_genres=control.unknown,
        prompted=control.prompted,
        labels=control.labels,
        mean_probability=control.matrix.tolist(),
        confusion=control.confusion.tolist(),
    )


def _about(dump: Dump, generator: GeneratorInfo | None, known: PlotIds | None, table: PlotIds) -> About:
    """Return the contents of a dump and the recorded facts about the training of its generator."""
    samples = dump.samples
    learned, missing, leaked, here = 0, 0, 0, None
    if known is not None:
        learned, leaked = known.learned.size, known.learned_held_out(table)
        missing = int((~np.isin(known.learned, table.train)).sum())
        here = missing <= (1 - SAME) * learned and not leaked
    return About(
        base_model=generator.base_model if generator else None,
        titles=generator.titles if generator else None,
        temperatures=sorted(set(samples["temperature"].astype(float))),
        top_ps=sorted(set(samples["top_p"].astype(float))),
        judged_by_text=dump.judged_by_text,
        unread=dump.unread,
        prompts=sorted(set(samples["genre"])),
        unparsed=dump.reasons,
        trained_on_this_data=here,
        training_plots=learned,
        training_plots_not_in_data=missing,
        leaked_plots=leaked,
        learning=_learning(generator) if generator else None,
        history=generator.history if generator else [],
    )


def _learning(generator: GeneratorInfo) -> Learning:
    stored, scale = generator.metrics, generator.recipe.settings.get("guidance_scale", 1)
    return Learning(
        split="test",
        loss_before=stored.test_loss_before,
        loss_after=stored.test_loss_after,
        perplexity_before=perplexity(stored.test_loss_before),
        perplexity_after=perplexity(stored.test_loss_after),
        train_tokens=stored.train_tokens,
        steps=stored.steps,
        guidance_scale=scale if scale > 1 else None,
    )


def _generator_info(dumps: Path) -> GeneratorInfo | None:
    # Dumps of other programs have no dump.json, but can be evaluated.
    file = dumps / "dump.json"
    if not file.is_file():
        return None
    remedy = "delete it, or write the dump again"
    found = read_json(file, remedy).get("model", {})
    if not isinstance(found, dict):
        raise BadInput(f"{file} is damaged: {remedy}.")
    return info_of(found, GeneratorInfo, file, remedy) if found else None


def _probabilities(judge: "GenreClassifier", texts: pd.Series) -> np.ndarray:
    # The classifier rejects a sample without words, so it gets probability 0 for every genre.
    written = texts.str.strip().astype(bool).to_numpy()
    proba = np.zeros((len(texts), len(judge.labels)))
    if written.any():
        proba[written] = judge.predict_proba(texts[written].tolist())
    return proba


def _load_classifier(path: str | Path) -> "GenreClassifier":
    from movieplots.classification.prediction import GenreClassifier

    return GenreClassifier.from_pretrained(path)
