"""From folders of dumps to an answer: is the text like real plots, is it new, does it obey the genre, and what do
temperature and top-p do?

`measure` measures every sample against the training plots, beside held-out plots and shuffled words. What it finds is
written and shown by `movieplots.reporting`.
"""

import math
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
from movieplots.evaluation.references import REAL, SHUFFLED, compared_with, real_samples, shuffled_words
from movieplots.evaluation.settings import Dumps, EvaluateSettings
from movieplots.evaluation.summaries import (
    Budget,
    Measured,
    add_genre_control,
    budget_of,
    enough_real,
    genre_groups,
    measure_samples,
    rounded,
    summarise,
)
from movieplots.files import read_json
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
    """What was measured: the `metrics`, the table of `samples` with their measures, and the `training` plots."""

    metrics: Metrics
    samples: pd.DataFrame
    training: pd.DataFrame


def measure(settings: EvaluateSettings) -> Evaluation:
    """Measure all samples of the dumps; nothing is written. Raises BadInput where something given cannot be used."""
    named, classifier = name_dumps(settings.dumps), settings.classifier
    meaning = load_embedder(settings.embedder)
    judge = None if classifier is None else _load_classifier(classifier)
    folders, read, left_out = _read_dumps(named)
    written_by = {name: _generator_info(folder) for name, folder in folders.items()}
    training, held_out, fingerprint, table_ids = _read_plots(settings.data)
    prompts = [genre for dump in read.values() for genre in dump.samples["genre"]]
    real, others = real_samples(held_out, prompts), compared_with(held_out, prompts)

    groups = {name: dump.samples for name, dump in read.items()}
    if len(real):
        groups |= {REAL: real, SHUFFLED: shuffled_words(real)}
    samples = pd.concat([table.assign(model=name) for name, table in groups.items()], ignore_index=True)
    written = sum(len(dump.samples) for dump in read.values())
    notify(f"Comparing {written:,} samples with {len(training):,} training plots …")
    measured = measure_samples(samples, training, meaning)
    real_vectors = meaning.embed(others["plot"].tolist(), "Embedding real plots")
    # Of a genre's plots, those drawn for other prompts too would be no fair sample.
    anyhow = compared_with(held_out, [])
    of_genres = (meaning.embed(anyhow["plot"].tolist(), "Embedding real plots of genres"), anyhow["genres"].tolist())

    quality: JudgeQuality | NotMeasured | None = None
    control: dict[str, GenreControl] = {}
    table = measured.table
    if classifier is not None and judge is not None:
        proba = _probabilities(judge, table.loc[table["model"].isin(list(folders)), "plot"])
        judged = []
        for name in folders:
            rows = table[table["model"] == name]
            of_rows = proba[rows.index]  # the models' samples stand first
            control[name] = genre_control(rows["genre"].tolist(), of_rows, judge.thresholds, list(judge.labels))
            judged.append(add_genre_control(rows, control[name]))
        table = pd.concat([*judged, table[~table["model"].isin(list(folders))]])
        quality = classifier_quality(judge.info, read_plot_ids(classifier), table_ids)
    ceiling = None
    if isinstance(quality, JudgeQuality):
        prompted = {genre for found in control.values() for genre in found.prompted}
        ceiling = mean_recall(quality.classifier.per_label, prompted)
    with working("Summing up …"):
        measured = replace(measured, table=table)
        texts, by_genre = _summed_up(measured, real_vectors, of_genres, control, training, ceiling)
    models = {}
    for name in folders:
        about = _about(read[name], written_by[name], read_plot_ids(folders[name]), table_ids)
        models[name] = Model(**vars(about), **vars(texts[name]), by_genre=by_genre[name])
    metrics = rounded(
        Metrics(
            Evaluated(len(training), len(others), fingerprint, Path(meaning.name).name, left_out),
            models,
            {name: texts[name] for name in groups if name not in folders},
            quality,
        )
    )
    return Evaluation(metrics, table, training)


def _read_dumps(folders: dict[str, Path]) -> tuple[dict[str, Path], dict[str, Dump], dict[str, str]]:
    """The folders that can be read and their dumps, by name, and of each other folder a sentence that says why not."""
    read, left_out = {}, {}
    for name, folder in folders.items():
        try:
            _generator_info(folder)
            read[name] = load_dump(folder)
        except BadInput as error:
            left_out[name] = str(error)
    if not read and len(left_out) == 1:
        raise BadInput(*left_out.values())
    if not read:
        reasons = "; ".join(f"“{name}”: {reason.rstrip('.')}" for name, reason in left_out.items())
        raise BadInput(f"None of the {len(left_out)} dumps can be read ({reasons}).")
    for name, reason in left_out.items():
        notify(f"The dump “{name}” is left out, since it cannot be read: {reason}")
    for name, dump in read.items():
        notify_left_out(folders[name], dump)
    return {name: folders[name] for name in read}, read, left_out


def _read_plots(data: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, str, PlotIds]:
    """The training plots, those held out, the fingerprint of all, and their hashed ids."""
    plots = load_plots(data)
    training = plots[plots["split"] == "train"].reset_index(drop=True)
    if training.empty:
        raise BadInput(f"{data} holds no training plots to compare with: run `movieplots prepare` again.")
    return training, plots[plots["split"] != "train"], data_fingerprint(plots), PlotIds.of(plots)


def name_dumps(dumps: Dumps) -> dict[str, Path]:
    """A name for each dump folder: its own, or, where several end alike, the part of the path that tells them apart."""
    if isinstance(dumps, Mapping):
        named = {str(name): Path(folder) for name, folder in dumps.items()}
    else:
        folders = [Path(dumps)] if isinstance(dumps, (str, Path)) else [Path(folder) for folder in dumps]
        folders = list(dict.fromkeys(folders))
        ends = [folder.resolve().parts for folder in folders]
        while len(ends) > 1 and len({end[-1] for end in ends}) == 1:  # all end alike: that says nothing
            ends = [end[:-1] for end in ends]
        named = {
            next(name for name in _endings(end) if sum(name in _endings(other) for other in ends) == 1): folder
            for end, folder in zip(ends, folders, strict=True)
        }
    if not named:
        raise BadInput("No dump was given: name at least one folder that `movieplots dump` wrote.")
    taken = [name for name in named if name in (REAL, SHUFFLED) or not name.strip()]
    if taken:
        raise BadInput(f"A dump cannot be named {taken[0]!r}: choose another name.")
    return named


def _endings(parts: tuple[str, ...]) -> list[str]:
    """`a/b/c` -> `c`, `b/c`, `a/b/c`."""
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)]


def _summed_up(
    measured: Measured,
    real_vectors: np.ndarray,
    of_genres: tuple[np.ndarray, list[list[str]]],
    control: Mapping[str, GenreControl],
    training: pd.DataFrame,
    ceiling: Estimate | None,
) -> tuple[dict[str, Texts], dict[str, list[OfGenre]]]:
    """The summaries of each model and reference, whole and in groups; groups of one kind are counted alike.

    All are compared with `real_vectors`, those of a genre with the vectors in `of_genres` whose plots carry it.
    `ceiling` is the genre accuracy of a perfect writer: the classifier's recall on real plots of the genres.
    """
    models = {str(name): rows for name, rows in measured.table.groupby("model", sort=False)}

    def summed(name: str, kind: type[K], rows: pd.DataFrame, budget: Budget, **place: float) -> K:
        summary = summarise(kind, rows, budget, measured, real_vectors, **place)
        return replace(summary, genre_accuracy=ceiling) if name == REAL else summary

    def grouped(kind: type[K], keys: list[str]) -> dict[str, Sequence[Summary]]:
        groups: dict[str, list[Any]] = {name: list(rows.groupby(keys, sort=True)) for name, rows in models.items()}
        budget = budget_of([rows for of_model in groups.values() for _, rows in of_model])
        # The references have no temperature: each grouping holds them whole, counted as little as its groups.
        return {
            name: [
                summed(name, kind, group, budget, **dict(zip(keys, map(float, key), strict=True)))
                for key, group in groups[name]
            ]
            or [summed(name, Summary, rows, budget)]
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
        same = of_samples.shape[1] == of_training.shape[1]  # not where no sample has a word
        cosine = of_samples @ of_training.T if same else np.zeros((len(prompted), len(trained)))
        texts[name] = Texts(
            samples=summed(name, Summary, rows, whole),
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
    carried = {genre: enough_real(genres, genre) for genre in {g for rows in genres for g in rows}}
    groups = {name: genre_groups(rows) for name, rows in models.items()}
    budget = budget_of([rows for of_model in groups.values() for rows in of_model.values()])

    def of_genre(genre: str) -> np.ndarray:
        carry = carried.get(genre)
        return vectors[:0] if carry is None else vectors[carry]

    return {
        name: [
            summarise(OfGenre, rows, budget, measured, of_genre(genre), genre=genre) for genre, rows in of_model.items()
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
    """What a dump holds, what its generator's `movieplots.json` says of its training, and which plots it learned."""
    samples = dump.samples
    learned, elsewhere, held_out, here = 0, 0, 0, None
    if known is not None:
        learned, held_out = known.learned.size, known.learned_held_out(table)
        elsewhere = int((~np.isin(known.learned, table.train)).sum())
        here = elsewhere <= (1 - SAME) * learned and not held_out
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
        training_plots_elsewhere=elsewhere,
        held_out_learned=held_out,
        learning=_learning(generator) if generator else None,
        history=generator.history if generator else [],
    )


def _learning(generator: GeneratorInfo) -> Learning:
    stored, scale = generator.metrics, generator.recipe.settings.get("guidance_scale", 1)
    return Learning(
        split="test",
        loss_before=stored.test_loss_before,
        loss_after=stored.test_loss_after,
        perplexity_before=math.exp(min(stored.test_loss_before, 50)),
        perplexity_after=math.exp(min(stored.test_loss_after, 50)),
        train_tokens=stored.train_tokens,
        steps=stored.steps,
        guidance_scale=scale if scale > 1 else None,
    )


def _generator_info(dumps: Path) -> GeneratorInfo | None:
    # Samples from elsewhere come without dump.json; they can be measured all the same.
    file = dumps / "dump.json"
    if not file.is_file():
        return None
    remedy = "remove it, or write the dump again"
    found = read_json(file, remedy).get("model", {})
    if not isinstance(found, dict):
        raise BadInput(f"{file} is damaged: {remedy}.")
    return info_of(found, GeneratorInfo, file, remedy) if found else None


def _probabilities(judge: "GenreClassifier", texts: pd.Series) -> np.ndarray:
    # A sample without words belongs to no genre; the classifier refuses it.
    written = texts.str.strip().astype(bool).to_numpy()
    proba = np.zeros((len(texts), len(judge.labels)))
    if written.any():
        proba[written] = judge.predict_proba(texts[written].tolist())
    return proba


def _load_classifier(path: str | Path) -> "GenreClassifier":
    from movieplots.classification.prediction import GenreClassifier

    return GenreClassifier.from_pretrained(path)
