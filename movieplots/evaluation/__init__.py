"""From folders of dumps to an answer: is the text like real plots, is it new, does it obey the genre, and what do
temperature and top-p do?

`evaluate` measures every sample against the training plots, beside held-out plots and shuffled words, and writes
metrics.json, tidy tables, figures/*.png and *.svg, and report.html, a single page that needs nothing beside it. Nothing
carries a date: the same input gives the same bytes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import classifier_quality, mean_recall
from movieplots.evaluation.embedding import EMBEDDER, load_embedder
from movieplots.evaluation.figures import draw_figures
from movieplots.evaluation.genre_control import GenreControl, genre_control, genre_means, split_prompt
from movieplots.evaluation.measures import (
    Measured,
    add_genre_control,
    budget_of,
    enough_real,
    genre_groups,
    measure_samples,
    rounded,
    summarise,
)
from movieplots.evaluation.references import REAL, SHUFFLED, compared_with, real_samples, shuffled_words
from movieplots.evaluation.report import render_report
from movieplots.evaluation.tables import confusion_table, copies_table, measures_table
from movieplots.files import atomic_folder, check_folder, read_json, write_json, write_text
from movieplots.generation.dump_reader import Dump, load_dump, say_left_out
from movieplots.lineage import SAME, PlotIds, read_plot_ids
from movieplots.plots import data_fingerprint, load_plots
from movieplots.progress import say, working

Dumps = str | Path | Sequence[str | Path] | Mapping[str, str | Path]
GROUPINGS = {"by_cell": ["temperature", "top_p"], "by_temperature": ["temperature"], "by_top_p": ["top_p"]}


@dataclass(frozen=True)
class Report:
    """What `evaluate` found: the `path` of report.html, the `metrics` and all `samples`.

    `metrics` are exactly what metrics.json holds: `evaluated` (what was compared, by which embedder, and what could not
    be read), `models` (each dump, whole and by temperature, top-p and genre), `references` (real plots, the ceiling,
    and shuffled words, the floor) and `classifier` (the judge's own quality, or None). A measure has its `value`, its
    95 % interval from `low` to `high`, and `of`, the number of samples behind it. `samples` is the table of
    samples.csv: a row a sample with its measures, which `movieplots.evaluation.measures.measure_samples` names; its
    column `model` says whose it is.
    """

    path: str
    metrics: dict[str, Any]
    samples: pd.DataFrame


def evaluate(
    dumps: Dumps,
    data: str | Path,
    out: str | Path,
    classifier: str | Path | None = None,
    embedder: str = EMBEDDER,
) -> Report:
    """Measure the samples in the folder `dumps` against the training plots of `data`, and write a report into `out`.

    Returns a `Report`. Several folders, as a list or as a mapping from names to folders, are measured side by side.
    `data` is the folder that `prepare` wrote, or its table, best the same that the generator learned from. `out` then
    holds `report.html`, `metrics.json`, `samples.csv` and three more tables, and the folder `figures`.

    Measured are verbatim copies and new n-grams (McCoy et al. 2023), the nearest training plot by words (Jaccard 1912)
    and by meaning (sentence embeddings: Reimers and Gurevych 2019), diversity (distinct-n: Li et al. 2016; self-BLEU:
    Zhu et al. 2018), the likeness to real plots as a whole (MAUVE: Pillutla et al. 2021), titles, and genre control.
    Real plots are drawn in the genres that the dumps, taken together, were prompted with, as far as there are plots.

    `classifier` is the folder of a genre classifier; without one, genre control is left out. `embedder` is `minilm-l6`,
    `use` (the Universal Sentence Encoder, Cer et al. 2018), a local folder, or a hub id of a sentence-transformers
    model. Of several dumps, those that cannot be read are left out, which a message and the report say. Raises
    BadInput, and writes nothing, where no dump can be read, or the data, the classifier or the embedder cannot be used.
    """
    named = name_dumps(dumps)
    check_folder(out)
    meaning = load_embedder(embedder)
    judge = None if classifier is None else _load_classifier(classifier)
    folders, read, left_out = _read_dumps(named)
    written_by = {name: _generator_info(folder) for name, folder in folders.items()}
    training, held_out, fingerprint, table_ids = _read_plots(data)
    prompts = [genre for dump in read.values() for genre in dump.samples["genre"]]
    real, others = real_samples(held_out, prompts), compared_with(held_out, prompts)

    groups = {name: dump.samples for name, dump in read.items()}
    if len(real):
        groups |= {REAL: real, SHUFFLED: shuffled_words(real)}
    samples = pd.concat([table.assign(model=name) for name, table in groups.items()], ignore_index=True)
    written = sum(len(dump.samples) for dump in read.values())
    say(f"Comparing {written:,} samples with {len(training):,} training plots …")
    measured = measure_samples(samples, training, meaning)
    real_vectors = meaning.embed(others["plot"].tolist(), "Embedding real plots")
    anyhow = compared_with(
        held_out, []
    )  # of a genre's plots, those drawn for other prompts too would be no fair sample
    of_genres = (meaning.embed(anyhow["plot"].tolist(), "Embedding real plots of genres"), anyhow["genres"].tolist())

    quality, control, table = None, {}, measured.table
    if judge is not None:
        proba = _probabilities(judge, table.loc[table["model"].isin(folders), "plot"])
        judged = []
        for name in folders:
            rows = table[table["model"] == name]
            of_rows = proba[rows.index]  # the models' samples stand first
            control[name] = genre_control(rows["genre"].tolist(), of_rows, judge.thresholds, list(judge.labels))
            judged.append(add_genre_control(rows, control[name]))
        table = pd.concat([*judged, table[~table["model"].isin(folders)]])
        quality = classifier_quality(judge.info, read_plot_ids(classifier), table_ids)
    with working("Summing up …"):
        measured = replace(measured, table=table)
        metrics = _metrics(measured, real_vectors, of_genres, control, training)
        _add_ceiling(metrics, quality, {genre for found in control.values() for genre in found.prompted})
    metrics = rounded(
        {
            "evaluated": {
                "training_plots": len(training),
                "compared_with": len(others),
                "data_fingerprint": fingerprint,
                "embedder": Path(meaning.name).name,
                "left_out": left_out,
            }
        }
        | {
            "models": {
                name: _about(read[name], written_by[name], read_plot_ids(folders[name]), table_ids) | metrics[name]
                for name in folders
            }
        }
        | {"references": {name: metrics[name] for name in groups if name not in folders}}
        | {"classifier": quality}
    )
    with atomic_folder(out) as folder:
        figures = draw_figures(metrics, table, folder / "figures")
        write_json(folder / "metrics.json", metrics)
        for name, tidy in {
            "samples": table,
            "measures": measures_table(metrics),
            "genres": confusion_table(metrics),
            "copies": copies_table(table),
        }.items():
            write_text(folder / f"{name}.csv", tidy.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        write_text(folder / "report.html", render_report(metrics, table, training, figures))
    return Report(path=str(Path(out) / "report.html"), metrics=metrics, samples=table)


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
        say(f"The dump “{name}” is left out, since it cannot be read: {reason}")
    for name, dump in read.items():
        say_left_out(folders[name], dump)
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


def _metrics(
    measured: Measured,
    real_vectors: np.ndarray,
    of_genres: tuple[np.ndarray, list[list[str]]],
    control: Mapping[str, GenreControl],
    training: pd.DataFrame,
) -> dict[str, dict[str, Any]]:
    """The summaries of each model and reference, whole and in groups; groups of one kind are counted alike.

    All are compared with `real_vectors`, those of a genre with the vectors in `of_genres` whose plots carry it.
    """
    models = dict(iter(measured.table.groupby("model", sort=False)))
    vectors, genres = of_genres
    carried = {genre: enough_real(genres, genre) for genre in {g for rows in genres for g in rows}}
    result: dict[str, dict[str, Any]] = {name: {} for name in models}

    whole = budget_of([*models.values()])
    for name, rows in models.items():
        result[name]["samples"] = summarise(rows, whole, measured, real_vectors)
    for grouping, keys in GROUPINGS.items():
        groups = {name: dict(iter(rows.groupby(keys, sort=True))) for name, rows in models.items()}
        budget = budget_of([*(rows for of_model in groups.values() for rows in of_model.values())])
        for name, rows in models.items():
            # The references have no temperature: each grouping holds them whole, counted as little as its groups.
            result[name][grouping] = [
                dict(zip(keys, map(float, key), strict=True)) | summarise(group, budget, measured, real_vectors)
                for key, group in groups[name].items()
            ] or [summarise(rows, budget, measured, real_vectors)]
    by_genre = {name: genre_groups(rows) for name, rows in models.items()}
    written = [of_model for name, of_model in by_genre.items() if name not in (REAL, SHUFFLED)]
    budget = budget_of([rows for of_model in written for rows in of_model.values()])
    none = vectors[:0]
    trained, of_training = genre_means(training["genres"].tolist(), measured.training)
    for name, rows in models.items():
        if name not in (REAL, SHUFFLED):
            result[name]["by_genre"] = []
            for genre, group in by_genre[name].items():
                carry = carried.get(genre)
                real = none if carry is None else vectors[carry]
                result[name]["by_genre"].append({"genre": genre} | summarise(group, budget, measured, real))
        result[name]["genre_control"] = _control(control.get(name))
        prompts = [split_prompt(genre) for genre in rows["genre"]]
        prompted, of_samples = genre_means(prompts, measured.vectors[rows.index])
        same = of_samples.shape[1] == of_training.shape[1]  # not where no sample has a word
        cosine = of_samples @ of_training.T if same else np.zeros((len(prompted), len(trained)))
        result[name]["genre_similarity"] = {"prompted": prompted, "training": trained, "mean_cosine": cosine}
    return result


def _add_ceiling(metrics: dict[str, dict[str, Any]], quality: dict[str, Any] | None, prompted: set[str]) -> None:
    """What a perfect writer would get for `genre_hit`: the classifier's recall on real plots of the genres."""
    if REAL in metrics and quality and "classifier" in quality:
        ceiling = mean_recall(quality["classifier"]["per_label"], prompted)
        for groups in ([metrics[REAL]["samples"]], *(metrics[REAL][grouping] for grouping in GROUPINGS)):
            for group in groups:
                group["genre_hit"] = ceiling


def _control(control: GenreControl | None) -> dict[str, Any] | None:
    if control is None:
        return None
    return {
        "chance": control.chance,
        "unknown_genres": control.unknown,
        "prompted": control.prompted,
        "labels": control.labels,
        "mean_probability": control.matrix,
        "confusion": control.confusion,
    }


def _about(dump: Dump, generator: dict[str, Any], known: PlotIds | None, table: PlotIds) -> dict[str, Any]:
    """What a dump holds, what its generator's `movieplots.json` says of its training, and which plots it learned."""
    samples = dump.samples
    learned, elsewhere, held_out, here = 0, 0, 0, None
    if known is not None:
        learned, held_out = known.learned.size, known.learned_held_out(table)
        elsewhere = int((~np.isin(known.learned, table.train)).sum())
        here = elsewhere <= (1 - SAME) * learned and not held_out
    return {
        "base": generator.get("base"),
        "markup": generator.get("markup"),
        "temperatures": sorted(set(samples["temperature"].astype(float))),
        "top_ps": sorted(set(samples["top_p"].astype(float))),
        "judged_by_text": dump.judged_by_text,
        "unread": dump.unread,
        "prompts": sorted(set(samples["genre"])),
        "unparsed": dump.reasons,
        "trained_on_this_data": here,
        "training_plots": learned,
        "training_plots_elsewhere": elsewhere,
        "held_out_learned": held_out,
        "learning": _learning(generator.get("metrics") or {}, (generator.get("recipe") or {}).get("guidance")),
        "history": [entry for entry in generator.get("history") or [] if isinstance(entry, dict) and "step" in entry],
    }


def _learning(stored: dict[str, Any], guidance: float | None) -> dict[str, Any] | None:
    # Test losses say more than validation losses, which may have chosen the checkpoint.
    for split in ("test", "validation"):
        before, after = stored.get(f"{split}_loss_before"), stored.get(f"{split}_loss_after")
        if before is not None and after is not None:
            return {
                "split": split,
                "loss_before": before,
                "loss_after": after,
                "perplexity_before": math.exp(min(before, 50)),
                "perplexity_after": math.exp(min(after, 50)),
                "train_tokens": stored.get("train_tokens"),
                "steps": stored.get("steps"),
                "guidance": guidance,
            }
    return None


def _generator_info(dumps: Path) -> dict[str, Any]:
    # Samples from elsewhere come without dump.json; they can be measured all the same.
    file = dumps / "dump.json"
    if not file.is_file():
        return {}
    remedy = "remove it, or write the dump again"
    found = read_json(file, remedy).get("model", {})
    if not isinstance(found, dict):
        raise BadInput(f"{file} is damaged: {remedy}.")
    return found


def _probabilities(judge: Any, texts: pd.Series) -> np.ndarray:
    # A sample without words belongs to no genre; the classifier refuses it.
    written = texts.str.strip().astype(bool).to_numpy()
    proba = np.zeros((len(texts), len(judge.labels)))
    if written.any():
        proba[written] = judge.predict_proba(texts[written].tolist())
    return proba


def _load_classifier(path: str | Path) -> Any:
    from movieplots.classification.prediction import GenreClassifier

    return GenreClassifier.from_pretrained(path)
