"""Genres: the vocabulary, the sources' mappings onto it, free text, the coarse groups, and names that are nowhere."""

import csv
import time
from pathlib import Path

import pytest

from movieplots import genres
from movieplots.errors import BadInput
from movieplots.genres import (
    COARSE,
    GENRES,
    check_genres,
    coarsen,
    genre_map,
    map_tags,
    read_genre_map,
    split_free_text,
)

FOLDER = Path(genres.__file__).parent / "genre_maps"
MINIMUM = {
    "cmu-books": 220,
    "cmu-movies": 363,
    "imdb": 36,
    "mpst": 71,
    "streaming": 118,
    "table": 300,
    "wikipedia": 700,
}


def test_the_vocabulary_is_28_lower_case_names_in_alphabetical_order():
    assert len(GENRES) == len(set(GENRES)) == 28
    assert list(GENRES) == sorted(GENRES)
    assert all(genre == genre.lower() for genre in GENRES)


def test_every_file_of_the_folder_is_tested_here():
    assert {file.stem for file in FOLDER.glob("*.csv")} == {*MINIMUM, "coarse"}


@pytest.mark.parametrize("source", MINIMUM)
def test_a_mapping_uses_only_the_vocabulary_and_names_no_tag_twice(source):
    with open(FOLDER / f"{source}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["tag", "genres"]
    tags = [tag.lower() for tag, _ in rows[1:]]
    assert len(tags) == len(set(tags)) == len(genre_map(source)) >= MINIMUM[source]
    assert all(tag and tag == " ".join(tag.split()) for tag in tags)
    assert {genre for _, names in rows[1:] for genre in names.split()} <= set(GENRES)
    assert all(len(names.split()) == len(set(names.split())) for _, names in rows[1:])


@pytest.mark.parametrize("source", ["imdb", "table", "wikipedia"])
def test_the_vocabulary_maps_onto_itself(source):
    spoken = set(GENRES) - ({"game-show", "talk-show", "lifestyle", "reality-tv"} if source == "wikipedia" else set())
    assert all(genre_map(source)[genre] == (genre,) for genre in spoken)


def test_mpst_has_its_71_tags():
    assert len(genre_map("mpst")) == 71


@pytest.mark.parametrize(
    ("source", "tags", "expected"),
    [
        ("streaming", ["TV Dramas"], ["drama"]),
        ("streaming", ["Action & Adventure", "Comedies"], ["action", "adventure", "comedy"]),
        ("streaming", ["Romantic Comedy", "Comedy"], ["comedy", "romance"]),
        ("streaming", ["SUSPENSE", "Docuseries"], ["documentary", "thriller"]),
        ("streaming", ["Kids' TV"], ["family"]),
        ("streaming", [], []),
        ("imdb", ["Film-Noir", "Reality-TV", "Sci-fi"], ["crime", "reality-tv", "sci-fi"]),
        ("imdb", ["Hardcore", "Short"], ["adult", "short"]),
        ("mpst", ["murder", "neo noir", "romantic"], ["crime", "romance", "thriller"]),
        ("mpst", ["humor", "satire", "sci-fi"], ["comedy", "sci-fi"]),
        ("cmu-books", ["Hard science fiction", "Children's literature"], ["family", "sci-fi"]),
        ("cmu-books", ["Künstlerroman", "War novel", "Bildungsroman"], ["drama", "war"]),
        ("cmu-books", ["Historical whodunnit"], ["crime", "history", "mystery"]),
        ("cmu-movies", ["Romantic comedy", "Film noir"], ["comedy", "crime", "romance"]),
        (
            "cmu-movies",
            ["Action/Adventure", "Slasher", "Sword and sorcery"],
            ["action", "adventure", "fantasy", "horror"],
        ),
        ("table", ["Docs", "SciFi", "biopic", "Kids"], ["biography", "documentary", "family", "sci-fi"]),
        ("table", ["Children", "Film-Noir", "Sports"], ["crime", "family", "sport"]),
    ],
)
def test_tags_are_translated(source, tags, expected):
    assert map_tags(source, tags) == (expected, [], [], tags)


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("streaming", ["Arts, Entertainment, and Culture", "International Movies"]),
        ("imdb", ["Commercial", "Experimental"]),
        ("mpst", ["flashback", "Cult", "good versus evil"]),
        ("cmu-books", ["Novel", "Novella", "Short story", "Fiction", "Speculative fiction"]),
        ("cmu-movies", ["Black-and-white", "World cinema", "Indie", "Japanese Movies", "Bollywood"]),
        ("wikipedia", ["unknown", "race film"]),
        ("table", ["(no genres listed)", "TV Movie"]),
    ],
)
def test_tags_that_are_ignored_on_purpose_are_returned_as_they_are_written(source, tags):
    assert map_tags(source, tags) == ([], tags, [], [])


def test_unknown_tags_are_reported_as_they_are_written():
    mapped = map_tags("streaming", ["Dramas", "Slow TV", "Movies", "Slow TV"])
    assert mapped.genres == ["drama"]
    assert mapped.ignored == ["Movies"]
    assert mapped.unknown == ["Slow TV", "Slow TV"]


def test_a_source_without_a_mapping_uses_the_vocabulary():
    assert map_tags("sample", ["Sci-Fi", "horror", "Noir"])[:3] == (["horror", "sci-fi"], [], ["Noir"])


def test_a_users_own_mapping_wins_over_the_file():
    extra = {"dramas": ("romance",), "slow tv": ("documentary",), "comedies": ()}
    mapped = map_tags("streaming", ["Dramas", "Slow TV", "Comedies", "Horror", "Nonsense"], extra)
    assert mapped[:3] == (["documentary", "horror", "romance"], ["Comedies"], ["Nonsense"])
    assert map_tags("streaming", ["Dramas"]).genres == ["drama"]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("Drama / Romance", ["drama", "romance"]),
        ("Drama/Romance", ["drama", "romance"]),
        ("Action & Adventure", ["action", "adventure"]),
        ("Action &amp; Adventure", ["action", "adventure"]),
        ("Action &amp;amp; Adventure", ["action", "adventure"]),
        ("Romance and War", ["romance", "war"]),
        ("Horror-Western", ["horror", "western"]),
        ("Sci\u2011Fi", ["sci-fi"]),
        ("Sci\u2013Fi", ["sci-fi"]),
        ("Sci\u2013Fi / Drama", ["drama", "sci-fi"]),
        ("Horror\u2014Thriller", ["horror", "thriller"]),
        ("Science\u00a0Fiction", ["sci-fi"]),
        ("Dra\u200bma", ["drama"]),
        ("\ufeffDrama", ["drama"]),
        ("  DRAMA ", ["drama"]),
        ("Children&#39;s", ["family"]),
        ("Children\u2019s", ["family"]),
        ("<b>Drama</b>", ["drama"]),
    ],
)
def test_tags_as_the_world_writes_them_are_understood(tag, expected):
    mapped = map_tags("table", [tag])
    assert (mapped.genres, mapped.unknown) == (expected, [])


def test_a_tag_is_taken_apart_only_where_a_part_of_it_is_known_and_it_is_not_known_whole():
    assert map_tags("table", ["R&B", "Slow Oater", "Rhythm / Blues"]).unknown == ["R&B", "Slow Oater", "Rhythm / Blues"]
    assert map_tags("table", ["Drama / Oater"]) == (["drama"], [], ["Oater"], ["drama"])
    assert map_tags("table", ["\u200b", ""]) == ([], [], [], [])
    extra = {"drama / romance": ("western",), "oater": ("western",), "r&b": ("music",)}
    assert map_tags("table", ["Drama / Romance"], extra).genres == ["western"]
    assert map_tags("table", ["Drama / Oater", "R&amp;B"], extra).genres == ["drama", "music", "western"]


def test_a_whole_plot_in_the_place_of_a_tag_costs_no_more_than_a_look():
    start = time.process_time()
    assert "drama" in map_tags("table", ["a word " * 5000 + "/ drama"]).genres
    assert time.process_time() - start < 1
    assert max(len(tag.split()) for source in MINIMUM for tag in genre_map(source)) <= genres._LONGEST


def test_a_users_mapping_matches_whatever_the_dashes_case_and_entities(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("tag,genres\nSword\u2011Play &amp; Sandals,action\n18,drama\n", encoding="utf-8")
    mapped = map_tags("table", ["sword-play & SANDALS", "18"], read_genre_map(file))
    assert (mapped.genres, mapped.unknown) == (["action", "drama"], [])


KNOWN = {"action", "adventure", "comedy", "crime", "drama", "musical", "noir", "film noir", "sci-fi", "sword & sandal"}
KNOWN |= {"thriller", "short", "western", "romantic"}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("drama", ["drama"]),
        ("Drama", ["drama"]),
        ("", []),
        (" , / ", []),
        ("comedy, drama", ["comedy", "drama"]),
        ("comedy,drama", ["comedy", "drama"]),
        ("comedy/drama", ["comedy", "drama"]),
        ("comedy / drama", ["comedy", "drama"]),
        ("comedy; drama", ["comedy", "drama"]),
        ("comedy & drama", ["comedy", "drama"]),
        ("comedy|drama", ["comedy", "drama"]),
        ("comedy–drama", ["comedy", "drama"]),
        ("comedy — drama", ["comedy", "drama"]),
        ("comedy - drama", ["comedy", "drama"]),
        ("comedy and drama", ["comedy", "drama"]),
        ("Comedy AND Drama", ["comedy", "drama"]),
        ("comedy, drama and crime", ["comedy", "drama", "crime"]),
        ("comedy, drama, and crime", ["comedy", "drama", "crime"]),
        ("sci-fi thriller", ["sci-fi", "thriller"]),
        ("Sci-Fi  Thriller", ["sci-fi", "thriller"]),
        ("musical comedy", ["musical", "comedy"]),
        ("romantic comedy/drama", ["romantic", "comedy", "drama"]),
        ("short action/crime western", ["short", "action", "crime", "western"]),
        ("film noir", ["film noir"]),
        ("comedy film noir", ["comedy", "film noir"]),
        ("sword & sandal", ["sword & sandal"]),
        ("comedy-drama", ["comedy", "drama"]),
        ("sci-fi-comedy", ["sci-fi-comedy"]),
        ("race film", ["race film"]),
        ("Race Film", ["Race Film"]),
        ("biblical drama", ["biblical", "drama"]),
        ("very odd western oater, drama", ["very odd", "western", "oater", "drama"]),
        ("crime (Yakuza)", ["crime", "Yakuza"]),
        ("drama[citation needed]", ["drama", "citation needed"]),
        ("rock'n'roll", ["rock'n'roll"]),
        ("Holland comedy", ["Holland", "comedy"]),
        ("sword-and-sandal", ["sword-and-sandal"]),
    ],
)
def test_free_text_comes_apart_at_separators_and_known_phrases(text, tags):
    assert split_free_text(text, KNOWN) == tags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comedy, drama", ["comedy", "drama"]),
        ("sci-fi thriller", ["sci-fi", "thriller"]),
        ("romantic comedy/drama", ["comedy", "drama", "romance"]),
        ("short action/crime western", ["action", "crime", "short", "western"]),
        ("musical comedy", ["comedy", "musical"]),
        ("film noir", ["crime"]),
        ("biblical drama", ["drama", "history"]),
        ("unknown", []),
        ("World War II drama", ["drama", "war"]),
        ("spaghetti western", ["western"]),
        ("kung fu comedy", ["action", "comedy"]),
        ("anime / science-fiction", ["animation", "sci-fi"]),
        ("slasher film", ["horror"]),
        ("jidaigeki, wuxia", ["action", "history"]),
        ("superhero rom com", ["action", "comedy", "romance"]),
        ("period mockumentary", ["comedy", "history"]),
        ("sports documentary", ["documentary", "sport"]),
        ("masala", []),
    ],
)
def test_free_text_maps_onto_the_vocabulary_with_nothing_unknown(text, expected):
    mapped = map_tags("wikipedia", split_free_text(text, genre_map("wikipedia")))
    assert (mapped.genres, mapped.unknown) == (expected, [])


def test_coarse_groups_cover_the_vocabulary():
    with open(FOLDER / "coarse.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["genre"] for row in rows] == list(GENRES)
    assert {row["coarse"] for row in rows} == {*COARSE, ""}
    assert len(COARSE) == 9 and list(COARSE) == sorted(COARSE)


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["thriller", "mystery"], ["mystery"]),
        (["war", "drama", "romance"], ["action", "novel", "romance"]),
        (["Sci-Fi", "family"], ["children", "fantasy"]),
        (["history", "biography"], ["novel"]),
        (["news", "talk-show", "short"], []),
        ([], []),
    ],
)
def test_coarsen(names, groups):
    assert coarsen(names) == groups


def test_coarsen_refuses_a_name_outside_the_vocabulary():
    with pytest.raises(BadInput, match="Unknown genre 'noir'"):
        coarsen(["drama", "noir"])


def test_a_users_file_is_read_with_a_byte_order_mark_blank_lines_and_quotes(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text('\ufefftag,genres\r\nNoir,Crime thriller\r\n\r\n"Arts, culture",\r\n', encoding="utf-8", newline="")
    assert read_genre_map(file) == {"noir": ("crime", "thriller"), "arts, culture": ()}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "tag,genres\nnoir\n",
            r"mine\.csv, line 2, does not have .* `tag,genres`: add the comma, or quote a tag that contains commas\.",
        ),
        ("tag,genres\ndrama,drama\na, b,crime\n", r"mine\.csv, line 3, does not have the form `tag,genres`"),
        ("tag;genres\nnoir;crime\n", r"mine\.csv does not begin with the line `tag,genres`"),
        ("", r"mine\.csv does not begin with the line `tag,genres`"),
        (
            "tag,genres\nx,noir\ny,gore\n",
            r"mine\.csv contains genres outside the vocabulary: .*'gore' \(line \d\).*\. Choose from action,",
        ),
        ("tag,genres\nNoir,crime\nx,\nnoir,drama\n", r"mine\.csv, line 4, repeats the tag 'noir'"),
    ],
)
def test_a_users_file_that_cannot_be_used(tmp_path, text, sentence):
    file = tmp_path / "mine.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=sentence):
        read_genre_map(file)


def test_a_users_file_that_is_missing_or_not_utf_8(tmp_path):
    with pytest.raises(BadInput, match=r"mine\.csv cannot be read \(No such file or directory\): check the path\."):
        read_genre_map(tmp_path / "mine.csv")
    file = tmp_path / "latin.csv"
    file.write_bytes("tag,genres\nKomödie,comedy\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"latin\.csv is not UTF-8 text"):
        read_genre_map(file)


def test_check_genres_lowers_and_strips():
    assert check_genres([" Horror", "SCI-FI "]) == ["horror", "sci-fi"]


@pytest.mark.parametrize("name", ["noir", "", "scifi", "horror,comedy"])
def test_check_genres_names_what_is_wrong_and_what_there_is(name):
    with pytest.raises(BadInput, match=rf"Unknown genre '{name}'.*action.*western"):
        check_genres(["drama", name])


def test_check_genres_against_a_models_own_labels():
    assert check_genres(["Novel", "crime"], known=["crime", "novel"]) == ["novel", "crime"]
    with pytest.raises(BadInput, match=r"Unknown genre 'drama': choose from crime, novel\."):
        check_genres(["drama"], known=["crime", "novel"])
