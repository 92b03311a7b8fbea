"""The dataset card that `prepare` writes beside the table: where the plots come from, what was done, what is in it.

The header is the one of the Hugging Face Hub's dataset cards, so that a folder can be put there as it is.
"""

from pathlib import Path

from movieplots.formatting import markdown_table, percent
from movieplots.plots import FILE_NAME, SPLITS
from movieplots.preparation.report import Preparation
from movieplots.sources.corpus import Source

_BEGINNING = "---\npretty_name: Plots from "
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SENTENCES = 20  # boilerplate shown in the card
# A source may count by names of its own, which are shown as they are.
REASONS = {
    "broken_row": "rows that could not be read",
    "blank_row": "blank rows",
    "no_title": "no title",
    "no_plot": "no plot",
    "stub": "plot cut off by its site, no whole sentence left",
    "too_short": "too short",
    "too_long": "too long",
    "no_genre": "without a genre",
    "other_language": "in another language",
    "duplicate": "the same words as another plot",
    "near_duplicate": "nearly the same text as another plot",
}
REPAIRS = {
    "mojibake": "wrongly decoded characters",
    "html": "HTML",
    "control_characters": "control or invisible characters",
    "wrapper": "other tools' marks around a text",
    "signature": "a contributor's signature",
    "stub": "the marker of a text cut off, with its unfinished sentence",
    "boilerplate": "sentences that stand under many titles",
    "reference": "Wikipedia's reference marks",
    "qv": "IMDb's marks of references, `(qv)`",
}


def dataset_card(report: Preparation, sources: list[Source]) -> str:
    """The card in Markdown; `report` is what stands in `report.json`."""
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
        f"{report.kept:,} plots of {report.groups:,} groups (titles and series), with genres; "
        f"fingerprint `{report.fingerprint}`.",
        "## Sources",
        markdown_table(
            ("source", "what", "licence", "read", "kept"),
            [(s.name, s.what, s.licence, counts[s.name].read, counts[s.name].kept) for s in sources],
        ),
        "## What was done",
        f"Of {report.read:,} rows read, {report.kept:,} were kept. "
        "The others, as far as they have a text, are in `dropped.parquet`:",
        markdown_table(
            ("dropped because", "rows"), [(REASONS.get(reason, reason), n) for reason, n in report.dropped.items()]
        ),
        "Cleaning changed nothing but these, and white space:",
        markdown_table(
            ("removed or repaired", "plots"), [(REPAIRS.get(name, name), n) for name, n in report.repaired.items()]
        ),
        *_boilerplate(report.boilerplate),
        f"Lengths are in {settings.length_in}: at least {settings.min_length}, at most "
        f"{settings.max_length:,} ({report.truncated:,} plots were cut there, at a sentence end). "
        f"Near-duplicates are those with a similarity of {settings.dedup_threshold:g} or more.",
        f"Of {total:,} genre names, {percent(report.tags['mapped'] / total)} were mapped onto the vocabulary, "
        f"{percent(report.tags['ignored'] / total)} are ignored on purpose because they tell no genre, and "
        f"{percent(report.tags['unknown'] / total)} are in no mapping"
        + (f", above all {', '.join(list(report.unknown_tags)[:10])}." if report.unknown_tags else "."),
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
        "## Limits",
        "The language of a plot is detected, not known; a genre is what the source says, and sources differ in how "
        "freely they give them. Mind each source's licence before you pass the plots on.",
    ]  # fmt: skip
    return "\n".join(header) + "\n\n" + "\n\n".join(part for part in body if part) + "\n"


def _boilerplate(removed: dict[str, int]) -> list[str]:
    if not removed:
        return []
    shown = {" ".join(sentence.split()): n for sentence, n in list(removed.items())[:_SENTENCES]}
    more = f"; the first {_SENTENCES} are here, all in `report.json`" if len(removed) > _SENTENCES else ""
    return [
        f"Sentences that stand word for word under many titles are boilerplate; {len(removed):,} were removed{more}:",
        markdown_table(("sentence", "removed"), list(shown.items())),
    ]


def is_card(file: Path) -> bool:
    """Whether the file is a card of ours."""
    return file.is_file() and file.read_bytes().startswith(_BEGINNING.encode())


def _how_split(report: Preparation) -> str:
    settings = report.settings
    sentences = [f"By group, so that no title or series stands on two sides; balanced by genre, seed {settings.seed}."]
    if settings.own_splits:
        sentences = [
            "The sources' own division, by group: where it tore a title or series apart "
            f"({report.groups_across_splits:,} of them), the whole stands on the test side."
        ]
    if report.kept_splits:
        sentences.append(f"{report.kept_splits:,} groups stand where an earlier preparation had put them.")
    return " ".join(sentences)
