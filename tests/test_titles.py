"""The title grammar: every part is found, and every string comes back as it was."""

import random
from dataclasses import asdict

import pytest

from movieplots.titles import Title, parse_title


def movie(primary, year=None, **parts):
    return Title(primary=primary, year=year, **parts)


def series(primary, year=None, **parts):
    return Title(primary=primary, year=year, kind="series", **parts)


def episode(primary, year, secondary="", season=None, number=None, **parts):
    return Title(
        primary=primary, year=year, kind="episode", secondary=secondary, season=season, episode=number, **parts
    )


TITLES = {
    "Heat (1995)": movie("Heat", 1995),
    "The Second Ferry (2004/II)": movie("The Second Ferry", 2004, numeral="II"),
    "Nobody (????)": movie("Nobody"),
    "Nobody (????/XIV)": movie("Nobody", numeral="XIV"),
    "A Quiet Tribunal (1988) (TV)": movie("A Quiet Tribunal", 1988, medium="TV"),
    "Gravel Saints (2012/III) (V)": movie("Gravel Saints", 2012, numeral="III", medium="V"),
    "Lanterns of Ur (2009) (VG)": movie("Lanterns of Ur", 2009, medium="VG"),
    "Heat (1995) {{SUSPENDED}}": movie("Heat", 1995, suspended=True),
    "Heat (????) (TV) {{SUSPENDED}}": movie("Heat", medium="TV", suspended=True),
    "1984 (1984)": movie("1984", 1984),
    "2001 (1968) (2001)": movie("2001 (1968)", 2001),
    "Brackets (and more) (1999)": movie("Brackets (and more)", 1999),
    "Žofie & the Émigrés (1977)": movie("Žofie & the Émigrés", 1977),
    "千年 (2001)": movie("千年", 2001),
    "... (2010)": movie("...", 2010),
    '"Weird" Baker (2010)': movie('"Weird" Baker', 2010),
    "The {Odd} One (2010)": movie("The {Odd} One", 2010),
    '"Dark Harbour" (2017)': series("Dark Harbour", 2017),
    '"Dark Harbour" (????)': series("Dark Harbour"),
    '"Dark Harbour" (2017/I)': series("Dark Harbour", 2017, numeral="I"),
    '"Dark Harbour" (2017) {{SUSPENDED}}': series("Dark Harbour", 2017, suspended=True),
    '"1001 Nights" (1990) (TV)': series("1001 Nights", 1990, medium="TV"),
    '"Salt" (2009) {Low Tide (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3),
    '"Salt" (2009) {(#12.103)}': episode("Salt", 2009, "", 12, 103),
    '"Salt" (2009) {Low Tide}': episode("Salt", 2009, "Low Tide"),
    '"Salt" (2009) {(2011-03-14)}': episode("Salt", 2009, air_date="2011-03-14"),
    '"Salt" (2009) {Low Tide (2011-03-14)}': episode("Salt", 2009, "Low Tide", air_date="2011-03-14"),
    '"Salt" (2009/II) {Low Tide (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3, numeral="II"),
    '"Salt" (2009) {Low Tide (#1.3)} {{SUSPENDED}}': episode("Salt", 2009, "Low Tide", 1, 3, suspended=True),
    '"Salt" (2009) {(2011-03-14)} {{SUSPENDED}}': episode("Salt", 2009, air_date="2011-03-14", suspended=True),
    '"Salt" (????) {Part 1 (of 2) (#0.0)}': episode("Salt", None, "Part 1 (of 2)", 0, 0),
    '"Salt" (2009) {A {Nested} Name (#2.1)}': episode("Salt", 2009, "A {Nested} Name", 2, 1),
    '"Star Lanes: The Long Haul" (2003) {Chapter 22 (#3.2)}': episode(
        "Star Lanes: The Long Haul", 2003, "Chapter 22", 3, 2
    ),
}

MALFORMED = [
    "",
    " ",
    "Heat",
    "Heat (95)",
    "Heat (1995",
    "Heat(1995)",
    "Heat (1995) ",
    " (1995)",
    "Heat (1995/2)",
    "Heat (1995) (DVD)",
    "Heat (1995) {An Episode of a Film}",
    "Heat (٢٠٠٤)",
    '"Salt" (2009) {Low Tide(#1.3)}',
    '"Salt" (2009) {Low Tide (#01.3)}',
    '"Salt" {Low Tide (#1.3)}',
    "Heat (1995)\n",
]


@pytest.mark.parametrize("text", TITLES)
def test_a_title_is_taken_apart_and_put_together_again(text):
    parsed = parse_title(text)
    assert asdict(parsed) == asdict(TITLES[text])
    assert str(parsed) == text


@pytest.mark.parametrize("text", MALFORMED)
def test_a_title_outside_the_grammar_stays_whole(text):
    parsed = parse_title(text)
    assert parsed.primary == text == str(parsed)
    assert parsed.bare
    assert (parsed.year, parsed.kind) == (None, "movie")


def test_every_string_comes_back_as_it_was():
    pieces = [
        "Heat", "Low Tide", "Émile", '"', " ", "  ", "(", ")", "{", "}", "(1995)", "(????)", "(2004/II)", "(0099)",
        "(TV)", "(VG)", "(#1.3)", "(#01.10)", "(2011-03-14)", "{{SUSPENDED}}", "\n", "\u200b", '"Salt" (2009)', "{}",
    ]  # fmt: skip
    random_ = random.Random(0)
    structured = 0
    for _ in range(5000):
        text = random_.choice(["", " "]).join(random_.choices(pieces, k=random_.randint(0, 7)))
        parsed = parse_title(text)
        assert str(parsed) == text
        structured += not parsed.bare
    assert structured > 100  # the strings do reach the grammar


def test_titles_assembled_by_the_rules_are_recognised_in_all_parts():
    random_ = random.Random(1)
    for _ in range(2000):
        name = " ".join(random_.choices(["Salt", "Night", "of", "the", "Émigré", "Part 2", "?", "No. 5"], k=3))
        kind = random_.choice(["movie", "series", "episode"])
        title = Title(
            primary=name,
            year=random_.choice([None, 1901, 2024]),
            kind=kind,
            numeral=random_.choice(["", "I", "XII"]),
            medium=random_.choice(["", "TV", "V", "VG"]),
            suspended=random_.random() < 0.3,
        )
        if kind == "episode":
            numbered = random_.random() < 0.5
            title = Title(
                **asdict(title)
                | {
                    "secondary": random_.choice(["", "Low Tide", "Part 1 (of 2)"]),
                    "season": 3 if numbered else None,
                    "episode": 14 if numbered else None,
                    "air_date": None if numbered else random_.choice([None, "2011-03-14"]),
                }
            )
        assert parse_title(str(title)) == title
