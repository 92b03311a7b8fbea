"""The dataset card that `prepare` writes: sources, cleaning, splits and columns.

The header has the format of the Hugging Face Hub, so the folder can be uploaded as a dataset.
"""

from pathlib import Path

from movieplots.formatting import markdown_table, percent
from movieplots.plots import FILE_NAME, SPLITS
from movieplots.preparation.report import Preparation
from movieplots.sources.corpus import Source

_BEGINNING = "---\npretty_name: Plots from "
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SENTENCES = 20  # of boilerplate that the card shows
# Sources can add their own names, which are shown unchanged.
REASONS = {
    "broken_row": "rows that could not be read",
    "blank_row": "blank rows",
    "no_title": "no title",
    "no_plot": "no plot",
    "stub": "plot truncated by its website, no complete sentence left",
    "too_short": "too short",
    "too_long": "too long",
    "no_genre": "no genre",
    "other_language": "another language",
    "duplicate": "exact duplicate",
    "near_duplicate": "near duplicate",
}
REPAIRS = {
    "mojibake": "wrongly decoded characters (mojibake)",
    "html": "HTML",
    "control_characters": "control and invisible characters",
    "wrapper": "special tokens of other tools around a text",
    "signature": "signatures of contributors",
    "stub": "truncation markers, with the incomplete sentence",
    "boilerplate": "boilerplate sentences",
    "reference": "reference marks of Wikipedia",
    "qv": "reference marks of IMDb, `(qv)`",
}


def dataset_card(report: Preparation, sources: list[Source]) -> str:
    """Return the card in Markdown; `report` has the content of `report.json`."""
    settings, counts, total = report.settings, report.by_source, max(1, sum(report.tags.values()))
    languages = [code for code in settings.languages if code != "all"] or list(report.languages)
    size = next((name for most, name in _SIZES if report.kept < most), "n>1M")
    header = [
        f"{_BEGINNING}{', '.join(report.sources)}", "language:",
        *(f"- {code}" for code in languages), "task_categories:", "- text-generation", "- text-classification",
        "size_categories:", f"- {size}", "configs:", "- config_name: default", f"  data_files: {FILE_NAME}", "---",
    ]  # fmt: skip
    body = [
        f"# Plots from {', '.join(report.sources)}",
        f"{report.kept:,} plots with genres, of {report.groups:,} groups (titles and series). "
        f"Fingerprint: `{report.fingerprint}`.",
        "## Sources",
        markdown_table(
            ("source", "content", "license", "rows read", "plots kept"),
            [(s.name, s.what, s.license, counts[s.name].read, counts[s.name].kept) for s in sources],
        ),
        "## Preparation",
        f"{report.kept:,} of {report.read:,} rows were kept. "
        + ("The others are in `dropped.parquet` if they have a text:" if report.dropped else ""),
        _counts(("reason", "rows dropped"), REASONS, report.dropped),
        "Cleaning removed or repaired, apart from white space:" if report.repaired else "",
        _counts(("removed or repaired", "plots"), REPAIRS, report.repaired),
        *_boilerplate(report.boilerplate),
        f"Plots have from {settings.min_length} to {settings.max_length:,} {settings.length_in}; "
        f"{report.truncated:,} longer ones were truncated at a sentence end. "
        f"Near duplicates have a Jaccard similarity of word trigrams of at least {settings.dedup_threshold:g}.",
        f"Of {total:,} genre names, {percent(report.tags['mapped'] / total)} were mapped onto the vocabulary and "
        f"{percent(report.tags['ignored'] / total)} were ignored on purpose because they name no genre. "
        f"{percent(report.tags['unknown'] / total)} are in no mapping"
        + (f", most often {', '.join(list(report.unknown_tags)[:10])}." if report.unknown_tags else "."),
        "## Splits",
        _how_split(report),
        markdown_table(
            ("genre", *SPLITS),
            [("all plots", *report.splits.values())]
            + [(genre, *report.genres_by_split[genre].values()) for genre in report.genres],
        ),
        "## Columns",
        "`id`, `source`, `title` (as published), `primary`, `secondary`, `year`, `season`, `episode`, `air_date`, "
        "`kind` (movie, series, episode, book), `plot`, `genres` (list), `language`, `group`, `split`.",
        "## Limitations",
        "Languages are detected and can be wrong. Genres are those of the sources, which differ in how many genres "
        "they assign to a title. Check the license of each source before you share the plots.",
    ]  # fmt: skip
    return "\n".join(header) + "\n\n" + "\n\n".join(part for part in body if part) + "\n"


def _counts(head: tuple[str, str], names: dict[str, str], counts: dict[str, int]) -> str:
    return markdown_table(head, [(names.get(key, key), n) for key, n in counts.items()]) if counts else ""


def _boilerplate(removed: dict[str, int]) -> list[str]:
    if not removed:
        return []
    shown = {" ".join(sentence.split()): n for sentence, n in list(removed.items())[:_SENTENCES]}
    more = (
        f" The {_SENTENCES} most frequent are listed here, all in `report.json`." if len(removed) > _SENTENCES else ""
    )
    return [
        f"{len(removed):,} sentences that occur verbatim under many titles were removed as boilerplate.{more}",
        markdown_table(("sentence", "removed"), list(shown.items())),
    ]


def is_card(file: Path) -> bool:
    """Return whether the file is a card that `prepare` wrote."""
    return file.is_file() and file.read_bytes().startswith(_BEGINNING.encode())


def _how_split(report: Preparation) -> str:
    settings = report.settings
    sentences = [f"All plots of a title or series are in one split. Genres are balanced; the seed is {settings.seed}."]
    if settings.own_splits:
        sentences = [
            "The splits are those of the sources. A title or series that crossed the splits of its source "
            f"({report.groups_across_splits:,} of them) is in the test split, or else in the validation split."
        ]
    if report.kept_splits:
        sentences.append(f"{report.kept_splits:,} groups keep the split of an earlier preparation.")
    return " ".join(sentences)
