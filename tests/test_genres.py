"""Genres: the vocabulary, the sources' mappings onto it, and what happens to names that are in neither."""

import pytest

from movieplots.errors import BadInput
from movieplots.genres import GENRES, check_genres, genre_map, map_tags


def test_the_vocabulary_is_28_lower_case_names_in_alphabetical_order():
    assert len(GENRES) == len(set(GENRES)) == 28
    assert list(GENRES) == sorted(GENRES)
    assert all(genre == genre.lower() for genre in GENRES)


def test_the_streaming_mapping_uses_only_the_vocabulary():
    mapping = genre_map("streaming")
    assert len(mapping) > 100
    assert {genre for genres in mapping.values() for genre in genres} <= set(GENRES)
    assert all(len(genres) == len(set(genres)) for genres in mapping.values())


@pytest.mark.parametrize(
    ("tags", "genres"),
    [
        (["TV Dramas"], ["drama"]),
        (["Action & Adventure", "Comedies"], ["action", "adventure", "comedy"]),
        (["Romantic Comedy", "Comedy"], ["comedy", "romance"]),
        (["SUSPENSE", "Docuseries"], ["documentary", "thriller"]),
        (["Kids' TV"], ["family"]),
        (["Arts, Entertainment, and Culture"], []),
        (["International Movies"], []),
        ([], []),
    ],
)
def test_streaming_tags_are_translated(tags, genres):
    assert map_tags("streaming", tags) == (genres, [])


def test_unknown_tags_are_reported_as_they_are_written():
    assert map_tags("streaming", ["Dramas", "Slow TV", "Slow TV"]) == (["drama"], ["Slow TV", "Slow TV"])


def test_a_source_without_a_mapping_uses_the_vocabulary():
    assert map_tags("sample", ["Sci-Fi", "horror", "Noir"]) == (["horror", "sci-fi"], ["Noir"])


def test_check_genres_lowers_and_strips():
    assert check_genres([" Horror", "SCI-FI "]) == ["horror", "sci-fi"]


@pytest.mark.parametrize("name", ["noir", "", "scifi", "horror,comedy"])
def test_check_genres_names_what_is_wrong_and_what_there_is(name):
    with pytest.raises(BadInput, match=rf"Unknown genre '{name}'.*action.*western"):
        check_genres(["drama", name])
