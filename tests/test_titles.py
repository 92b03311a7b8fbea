"""The title grammar: every part is found, and every string comes back as it was."""

import random
from dataclasses import asdict

import pandas as pd
import pytest

from movieplots.plots import imdb_title
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
    # movies: year, numeral, medium, suspended
    "Heat (1995)": movie("Heat", 1995),
    "The Second Ferry (2004/II)": movie("The Second Ferry", 2004, numeral="II"),
    "The Second Ferry (2004/I)": movie("The Second Ferry", 2004, numeral="I"),
    "Drama (2011/MMXCIV)": movie("Drama", 2011, numeral="MMXCIV"),
    "Nobody (????)": movie("Nobody"),
    "Nobody (????/III)": movie("Nobody", numeral="III"),
    "Nobody (????/XIV) (V)": movie("Nobody", numeral="XIV", medium="V"),
    "A Quiet Tribunal (1988) (TV)": movie("A Quiet Tribunal", 1988, medium="TV"),
    "Gravel Saints (2012/III) (V)": movie("Gravel Saints", 2012, numeral="III", medium="V"),
    "Lanterns of Ur (2009) (VG)": movie("Lanterns of Ur", 2009, medium="VG"),
    "Heat (1995) {{SUSPENDED}}": movie("Heat", 1995, suspended=True),
    "Heat (????) (TV) {{SUSPENDED}}": movie("Heat", medium="TV", suspended=True),
    "Heat (2004/II) (VG) {{SUSPENDED}}": movie("Heat", 2004, numeral="II", medium="VG", suspended=True),
    # movies: names with numbers, brackets, quotes and marks in them
    "1984 (1984)": movie("1984", 1984),
    "1917 (2019)": movie("1917", 2019),
    "(500) Days of Summer (2009)": movie("(500) Days of Summer", 2009),
    "2001 (1968) (2001)": movie("2001 (1968)", 2001),
    "Heat (1995) (1996)": movie("Heat (1995)", 1996),
    "Heat (1995) (TV) (1996) (V)": movie("Heat (1995) (TV)", 1996, medium="V"),
    "Brackets (and more) (1999)": movie("Brackets (and more)", 1999),
    "Brackets ((and) more (1999)": movie("Brackets ((and) more", 1999),
    "(1995) (1995)": movie("(1995)", 1995),
    "The {Odd} One (2010)": movie("The {Odd} One", 2010),
    "The Log {{SUSPENDED}} Line (2010)": movie("The Log {{SUSPENDED}} Line", 2010),
    "[Rec] (2007)": movie("[Rec]", 2007),
    '"Weird" Baker (2010)': movie('"Weird" Baker', 2010),
    'Baker the "Weird" (2010)': movie('Baker the "Weird"', 2010),
    'The "(2009)" File (2010)': movie('The "(2009)" File', 2010),
    '" (2010)': movie('"', 2010),
    "'Breaker' Mott (1980)": movie("'Breaker' Mott", 1980),
    "Who? (1974)": movie("Who?", 1974),
    "???? (????)": movie("????"),
    "... (2010)": movie("...", 2010),
    "#1.2 (2010)": movie("#1.2", 2010),
    "M (1931)": movie("M", 1931),
    "Ferry, The (1998)": movie("Ferry, The", 1998),
    "Face/Off (1997)": movie("Face/Off", 1997),
    # movies: other scripts
    "Žofie & the Émigrés (1977)": movie("Žofie & the Émigrés", 1977),
    "千年 (2001)": movie("千年", 2001),
    "Тихий причал (1971)": movie("Тихий причал", 1971),
    "الميناء القديم (1960)": movie("الميناء القديم", 1960),
    "पुराना घाट (2003) (V)": movie("पुराना घाट", 2003, medium="V"),
    "🦀 (2018)": movie("🦀", 2018),
    # movies: a colon is part of the name
    "2001: A Space Odyssey (1968)": movie("2001: A Space Odyssey", 1968),
    "Alien: Covenant (2017)": movie("Alien: Covenant", 2017),
    "Dune: Part Two (2024)": movie("Dune: Part Two", 2024),
    "Rust: The Return (2004/II) (V)": movie("Rust: The Return", 2004, numeral="II", medium="V"),
    "Rust: The Return (????) {{SUSPENDED}}": movie("Rust: The Return", suspended=True),
    "Rust: The Return: Redux (2010)": movie("Rust: The Return: Redux", 2010),
    "Rust:  The Return (2010)": movie("Rust:  The Return", 2010),
    "Rust : The Return (2010)": movie("Rust : The Return", 2010),
    "Rust:The Return (2010)": movie("Rust:The Return", 2010),
    "4:44 at the Pier (2011)": movie("4:44 at the Pier", 2011),
    "4:44: At the Pier (2011)": movie("4:44: At the Pier", 2011),
    "Rust: (2010)": movie("Rust:", 2010),
    "Rust:  (2010)": movie("Rust: ", 2010),
    ": The Return (2010)": movie(": The Return", 2010),
    ": Rust: The Return (2010)": movie(": Rust: The Return", 2010),
    "Brackets (one: two) (1999)": movie("Brackets (one: two)", 1999),
    "Brackets (one: (two: three)): four (1999)": movie("Brackets (one: (two: three)): four", 1999),
    "Brackets: (one: two) (1999)": movie("Brackets: (one: two)", 1999),
    "Never Closed (one: two (1999)": movie("Never Closed (one: two", 1999),
    "Never Opened) one: two (1999)": movie("Never Opened) one: two", 1999),
    '"Rust": The Return (2010)': movie('"Rust": The Return', 2010),
    "千年: 第一部 (2001)": movie("千年: 第一部", 2001),
    # series
    '"Dark Harbour" (2017)': series("Dark Harbour", 2017),
    '"Dark Harbour" (????)': series("Dark Harbour"),
    '"Dark Harbour" (2017/I)': series("Dark Harbour", 2017, numeral="I"),
    '"Dark Harbour" (2017) {{SUSPENDED}}': series("Dark Harbour", 2017, suspended=True),
    '"1001 Nights" (1990) (TV)': series("1001 Nights", 1990, medium="TV"),
    '"Salt" (2004) (mini)': series("Salt", 2004, medium="mini"),
    '"Salt" (????/II) (mini) {{SUSPENDED}}': series("Salt", numeral="II", medium="mini", suspended=True),
    '"24" (2001)': series("24", 2001),
    '"?" (2001)': series("?", 2001),
    '"He said "no"" (2001)': series('He said "no"', 2001),
    '""" (2001)': series('"', 2001),
    '"Live from "Pier 9" (1999)" (2001)': series('Live from "Pier 9" (1999)', 2001),
    '"Salt (The Series)" (2009)': series("Salt (The Series)", 2009),
    '"The {Odd} Ones" (2009)': series("The {Odd} Ones", 2009),
    '"Star Lanes: The Long Haul" (2003)': series("Star Lanes: The Long Haul", 2003),
    '"千年" (2001)': series("千年", 2001),
    # episodes
    '"Salt" (2009) {Low Tide (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3),
    '"Salt" (2009) {(#12.103)}': episode("Salt", 2009, "", 12, 103),
    '"Salt" (2009) {(#3.4)}': episode("Salt", 2009, "", 3, 4),
    '"Salt" (2009) {(#2011.45)}': episode("Salt", 2009, "", 2011, 45),
    '"Salt" (2009) {(#1.1234567)}': episode("Salt", 2009, "(#1.1234567)"),
    '"Salt" (2009) {Low Tide}': episode("Salt", 2009, "Low Tide"),
    '"Salt" (2009) {}': episode("Salt", 2009),
    '"Old Quay" (1951) {(1953-11-15)}': episode("Old Quay", 1951, air_date="1953-11-15"),
    '"Salt" (2009) {Low Tide (2011-03-14)}': episode("Salt", 2009, "Low Tide", air_date="2011-03-14"),
    '"Salt" (2009) {Low Tide (2011-03-14) (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3, air_date="2011-03-14"),
    '"Salt" (2009) {(2011-03-14) (#1.3)}': episode("Salt", 2009, "", 1, 3, air_date="2011-03-14"),
    '"Salt" (2009) {Low Tide (#1.3) (2011-03-14)}': episode("Salt", 2009, "Low Tide (#1.3)", air_date="2011-03-14"),
    '"Salt" (2009/II) {Low Tide (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3, numeral="II"),
    '"Salt" (2009) (mini) {Low Tide (#1.3)}': episode("Salt", 2009, "Low Tide", 1, 3, medium="mini"),
    '"Salt" (????/II) {(#0.1)}': episode("Salt", None, "", 0, 1, numeral="II"),
    '"Salt" (2009) {Low Tide (#1.3)} {{SUSPENDED}}': episode("Salt", 2009, "Low Tide", 1, 3, suspended=True),
    '"Salt" (2009) {(2011-03-14)} {{SUSPENDED}}': episode("Salt", 2009, air_date="2011-03-14", suspended=True),
    '"Salt" (????) {Part 1 (of 2) (#0.0)}': episode("Salt", None, "Part 1 (of 2)", 0, 0),
    '"Salt" (2009) {1999 (#1.3)}': episode("Salt", 2009, "1999", 1, 3),
    '"Salt" (2009) {(1999) (#1.3)}': episode("Salt", 2009, "(1999)", 1, 3),
    '"Salt" (2009) {A {Nested} Name (#2.1)}': episode("Salt", 2009, "A {Nested} Name", 2, 1),
    '"Salt" (2009) {{Nested} (#2.1)}': episode("Salt", 2009, "{Nested}", 2, 1),
    '"Salt" (2009) {"Low" and "High" (#2.1)}': episode("Salt", 2009, '"Low" and "High"', 2, 1),
    '"Salt" (2009) {On "Heat" (1995) {sic} (#2.1)}': episode("Salt", 2009, 'On "Heat" (1995) {sic}', 2, 1),
    '"Salt" (2009) {Low: The Tide (#2.1)}': episode("Salt", 2009, "Low: The Tide", 2, 1),
    '"Salt" (2009) {Who? (#2.1)}': episode("Salt", 2009, "Who?", 2, 1),
    '"He said "no"" (2001) {So? "Yes!" (#1.2)}': episode('He said "no"', 2001, 'So? "Yes!"', 1, 2),
    '"Ночь" (1971) {Тихий причал (#1.2)}': episode("Ночь", 1971, "Тихий причал", 1, 2),
    '"Star Lanes: The Long Haul" (2003) {Chapter 22 (#3.2)}': episode(
        "Star Lanes: The Long Haul", 2003, "Chapter 22", 3, 2
    ),
}

MALFORMED = [
    "",
    " ",
    "Heat",
    "Alien: Covenant",
    "Heat (95)",
    "Heat (19955)",
    "Heat (0095)",
    "Heat (???)",
    "Heat (199?)",
    "Heat (1995",
    "Heat(1995)",
    "Heat (1995) ",
    "Heat [1995]",
    " (1995)",
    "  (1995)",
    "Heat (1995/2)",
    "Heat (1995/)",
    "Heat (1995/ii)",
    "Heat (1995-1999)",
    "Heat (1995) (DVD)",
    "Heat (1995) (tv)",
    "Heat (1995) (TV) (V)",
    "Heat (TV)",
    "Heat (1995) {An Episode of a Film}",
    "Heat (1995) {SUSPENDED}",
    "Heat (1995){{SUSPENDED}}",
    "Heat (1995) {{SUSPENDED}} {{SUSPENDED}}",
    "Heat (٢٠٠٤)",
    "Heat (1995)\n",
    '"" (2009) {(#1.3)}',
    '" " (2009)',
    '"Salt"',
    '"Salt"(2009)',
    '"Salt" (2009) {Low Tide',
    '"Salt" (2009) Low Tide}',
    '"Salt" (2009)}',
    '"Salt" (2009) {Heat (1995)',
    '"Salt" (2009) {Low Tide(#1.3)}',
    '"Salt" (2009) {Low Tide (#01.3)}',
    '"Salt" (2009) {(#١.٣)}',
    '"Salt" (2009) {(#1.3)} (TV)',
    '"Salt" (2009) {(#1.3)} {{SUSPENDED}} {(#1.4)',
    '"Salt" (2009) {{SUSPENDED}} {{SUSPENDED}}',
    '"Salt" {Low Tide (#1.3)}',
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
        "(mini)", ":", ": ", "Alien: ",
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
    for _ in range(4000):
        name = " ".join(
            random_.choices(["Salt", "Night", "of", "the", "Émigré", "Part 2", "?", "No. 5", "(a: b)"], k=3)
        )
        kind = random_.choice(["movie", "series", "episode"])
        parts = {
            "year": random_.choice([None, 1901, 2024]),
            "numeral": random_.choice(["", "I", "XII"]),
            "medium": random_.choice(["", "TV", "V", "VG", "mini"]),
            "suspended": random_.random() < 0.3,
        }
        if kind != "episode":
            name = random_.choice(["", "Salt: "]) + name
        else:
            parts["secondary"] = random_.choice(["", "Low Tide", "Part 1 (of 2)", "Salt: Low Tide"])
            parts["air_date"] = random_.choice([None, "2011-03-14"])
            if random_.random() < 0.5:
                parts |= {"season": random_.randint(0, 40), "episode": random_.randint(0, 5000)}
        title = Title(primary=name, kind=kind, **parts)
        assert parse_title(str(title)) == title


@pytest.mark.parametrize(
    "text",
    [
        "Heat " * 20_000 + "(1995)",
        "Heat: " * 20_000 + "(1995)",
        f'"{"Salt " * 20_000}" (2009) {{{"Low Tide " * 10_000}(#1.3)}}',
        '"' * 5000,
        " (" * 5000,
        "{" * 5000,
        "(: " * 5000 + " (1995)",
        '"" (1995) {' * 5000,
        '"Salt" (2009) {' + " (2011-03-14)" * 5000 + "}",
        f'"Salt" (2009) {{(#{"1" * 5000}.1)}}',
        f"Heat (1995/{'I' * 100_000})",
    ],
    ids=range(11),
)
def test_long_and_hostile_strings_come_back_too(text):
    assert str(parse_title(text)) == text


def test_a_very_long_title_is_taken_apart():
    name = "Heat " * 20_000 + "Wave"
    assert parse_title(f"{name}: {name} (1995)") == movie(f"{name}: {name}", 1995)
    assert parse_title(f'"{name}" (2009) {{{name} (#1.3)}}') == episode(name, 2009, name, 1, 3)


# Names and rows of other sources


@pytest.mark.parametrize(
    ("row", "written"),
    [
        ({"title": "Alien: Covenant (2017/I) (V)", "kind": "movie"}, "Alien: Covenant (2017/I) (V)"),
        ({"title": "x", "primary": "Alien: Covenant", "secondary": "", "year": 2017}, "Alien: Covenant (2017)"),
        ({"title": "x", "primary": "Alien", "secondary": "Covenant", "year": 2017}, "Alien: Covenant (2017)"),  # before
        ({"title": "x", "primary": "Alien", "secondary": None, "year": 1979.0}, "Alien (1979)"),
        ({"title": "x", "primary": "Alien", "secondary": float("nan")}, "Alien (????)"),
        ({"title": "Ash (2001)", "primary": "Ash", "kind": "book", "year": 2001}, "Ash (2001)"),
        ({"title": "x", "primary": "Salt: Two", "kind": "series", "year": 2009}, '"Salt: Two" (2009)'),
        (
            {"title": "x", "primary": "Salt", "secondary": "Low Tide", "kind": "episode", "season": 1.0, "episode": 3},
            '"Salt" (????) {Low Tide (#1.3)}',
        ),
    ],
)
def test_the_title_for_the_markup_follows_the_rules_whatever_the_source(row, written):
    empty = {"primary": "", "secondary": "", "kind": "movie"} | dict.fromkeys(["year", "season", "episode", "air_date"])
    assert imdb_title(pd.Series(empty | row)) == written
