"""Preparation: what is kept, what is dropped and why, and that no text stands on two sides of the split."""

import csv
import json
import re
from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
import pytest

from movieplots import load_plots, parse_title, prepare
from movieplots.errors import BadInput
from movieplots.genres import GENRES
from movieplots.preparation.duplicates import exact_duplicates, near_duplicates
from movieplots.preparation.language import detect_languages
from movieplots.preparation.settings import DEDUP_THRESHOLD
from movieplots.preparation.splits import SHARES, assign_splits, franchise_name, group_name, group_of, random_split
from movieplots.sources.sample import DIRTY_FILE, FILE
from movieplots.titles import Title
from movieplots.words import number_words

SPOILT = {
    "broken_row": 4,
    "blank_row": 1,
    "no_title": 2,
    "no_plot": 4,
    "no_genre": 2,
    "other_language": 8,
    "duplicate": 2,
    "near_duplicate": 2,
}
NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample")
    return prepare("sample", out), load_plots(out)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    out = tmp_path_factory.mktemp("dirty")
    return prepare("sample", out, DIRTY_FILE), load_plots(out)


def write_imdb(path, rows):
    """Rows of (title, plot, genres) in the IMDb layout."""
    lines = ["\t".join(["title", "plot", *GENRES])]
    lines += ["\t".join([title, plot, *("01"[genre in genres] for genre in GENRES)]) for title, plot, genres in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def shingles(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def jaccard(first, second):
    return len(first & second) / max(1, len(first | second))


# The bundled corpus


def test_the_bundled_corpus_is_kept_whole(sample):
    result, plots = sample
    assert (result.read, result.kept, result.dropped, result.unknown_tags) == (420, 420, {}, {})
    assert len(plots) == plots["id"].nunique() == 420
    assert len(result.genres) == 27
    assert min(result.genres.values()) >= 8
    assert plots["plot"].str.split().str.len().between(30, 90).all()
    assert set(plots["language"]) == {"en"}


def test_no_group_stands_on_two_sides(sample):
    result, plots = sample
    assert (plots.groupby("group")["split"].nunique() == 1).all()
    assert result.splits == plots["split"].value_counts().to_dict()
    assert result.groups == plots["group"].nunique()
    assert plots["kind"].value_counts().to_dict().keys() == {"movie", "series", "episode"}


def test_the_same_call_gives_the_same_bytes_and_another_seed_another_split(tmp_path):
    files = ("README.md", "dropped.parquet", "plots.parquet", "report.json")
    out = tmp_path / "out"
    prepare("sample", out)
    first = [(out / name).read_bytes() for name in files]
    prepare("sample", out)
    assert first == [(out / name).read_bytes() for name in files]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    before = load_plots(out)
    prepare("sample", out, seed=1)
    after = load_plots(out)
    assert list(before["id"]) == list(after["id"])
    assert list(before["split"]) != list(after["split"])


def test_the_report_is_what_was_returned(tmp_path):
    result = prepare("sample", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report == msgspec.to_builtins(result)
    assert str(result) == f"{result.path}: 420 of 420 rows kept (330 train, 48 validation, 42 test)"


# A spoilt corpus


def test_every_row_is_kept_or_counted_for_its_reason(dirty):
    result, plots = dirty
    assert result.dropped == SPOILT
    assert (result.read, result.kept) == (57, 32)
    assert result.read == result.kept + sum(result.dropped.values())
    assert len(plots) == result.kept
    assert min(result.splits.values()) > 0


def test_markup_and_invisible_characters_are_gone_and_the_words_stay(dirty):
    plots = dirty[1].set_index("title")["plot"]
    assert plots["Tom & Gerda (2015)"].startswith("Tom & Gerda's wedding is called off by fax. They spend")
    assert "the same very small beach — and agree" in plots["Tom & Gerda (2015)"]
    assert plots["Zero Width (2018)"].startswith("A proofreader discovers")
    assert "Publishing it" in plots["Zero Width (2018)"]
    assert not plots.str.contains(r"[<>\x00-\x1f\u200b\xad]|&\w+;|  |^ ", regex=True).any()
    assert "\U0001f600" in plots["Two Thumbs (2021)"]
    assert len(plots["The Last Round of Anselm Pryce (1983)"].split()) > 500


def test_an_english_plot_full_of_accents_is_kept(dirty):
    row = dirty[1].set_index("title").loc["Žofie & the Émigrés (1977)"]
    assert "Oberleutnant Jürgen Weiß" in row["plot"]
    assert (row["primary"], row["group"], row["year"]) == ("Žofie & the Émigrés", "zofie the emigres", 1977)


def test_titles_are_taken_apart_in_the_table(dirty):
    plots = dirty[1].set_index("title")
    march = plots.loc['"The Tin Parade" (2006) {Long March Home (#1.3)} {{SUSPENDED}}']
    assert (march["primary"], march["secondary"], march["season"], march["episode"], march["kind"]) == (
        "The Tin Parade", "Long March Home", 1, 3, "episode",
    )  # fmt: skip
    assert plots.loc['"Night Desk" (2011) {(2011-03-14)}', "air_date"] == "2011-03-14"
    assert plots.loc['"Night Desk" (2011) {{SUSPENDED}}', "kind"] == "series"
    assert pd.isna(plots.loc["Nobody's Lighthouse (????)", "year"])
    assert plots.loc["Untitled Baker Project", "primary"] == "Untitled Baker Project"


def test_the_longest_of_near_duplicates_stays(dirty):
    titles = set(dirty[1]["title"])
    assert "The Clockmaker's Daughter (2001)" in titles
    assert not titles & {"Four Minutes Slow (1998)", "Slow Clocks (2002)"}


def test_no_two_kept_plots_are_near_duplicates(sample, dirty):
    for _, plots in (sample, dirty):
        sets = [shingles(plot) for plot in plots["plot"]]
        worst = max(jaccard(a, b) for i, a in enumerate(sets) for b in sets[:i])
        assert worst < DEDUP_THRESHOLD


def test_an_invisible_character_in_a_title_does_not_part_a_series(tmp_path):
    texts = dict(zip(NUMBER_WORDS, load_plots(prepare("sample", tmp_path).path)["plot"], strict=False))
    titles = ['"Salt &amp; Ash" (2009)', '"Salt & Ash" (2009)\u200b', '"Salt\u200b & Ash" (2009) {Low <i>Tide</i>}']
    titles += [f"Film {word} (2001)" for word in NUMBER_WORDS[3:]]
    rows = [(title, texts[word], ["drama"]) for word, title in zip(NUMBER_WORDS, titles, strict=True)]
    for seed in range(20):  # until the few groups happen to fill every split
        try:
            prepare("sample", tmp_path, write_imdb(tmp_path / "a.csv", rows), seed=seed)
            break
        except BadInput:
            continue
    plots = load_plots(tmp_path)
    assert set(plots["group"][:3]) == {"salt ash"}
    assert plots["secondary"][2] == "Low Tide"
    assert all(str(parse_title(title)) == title for title in plots["title"])


def test_unknown_tags_are_counted_and_their_rows_too(tmp_path):
    texts = load_plots(prepare("sample", tmp_path).path)["plot"][:80]
    with open(tmp_path / "hulu_titles.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["show_id", "type", "title", "release_year", "listed_in", "description"])
        for i, text in enumerate(texts):
            tags = "Slow TV" if i < 2 else "Dramas, Slow TV" if i < 5 else "Dramas"
            writer.writerow([f"s{i}", "Movie", f"Film {i}", 2000, tags, text])
    result = prepare("streaming", tmp_path / "out", tmp_path)
    assert result.unknown_tags == {"Slow TV": 5}
    assert result.dropped == {"no_genre": 2}
    dropped = pd.read_parquet(tmp_path / "out" / "dropped.parquet")
    assert dropped["detail"].tolist() == ["Slow TV", "Slow TV"]
    assert result.kept == 78


# What stops it


@pytest.mark.parametrize(
    ("source", "rows", "message"),
    [
        ("nowhere", [], r"Unknown source 'nowhere': choose from"),
        ("streaming", None, r"is not in data/raw/streaming: run `movieplots fetch streaming`, or .*use --path"),
        ("sample", [], r"can be used \(there are no rows\)"),
        ("sample", [("A (2001)", "Gone.", ["drama"]), ("", "Gone.", [])], r"can be used \(too short 1, no title 1\)"),
        ("sample", [("A (2001)", "The sea gives back what it took.", [])], r"can be used \(no genre 1\)"),
        (
            "sample",
            [("A (2001)", "Un vieil horloger refuse de vendre sa petite boutique à la ville.", ["drama"])],
            r"No plot is left after dropping: other language 1",
        ),
        (
            "sample",
            [(f"{word} (2001)", f"The house of {word} rooms stands at the edge of town.", ["drama"]) for word in "AB"],
            r"too small to split: with 2 plots in 2 groups, .* would be empty; add plots",
        ),
    ],
)
def test_input_that_cannot_be_used_is_said_in_a_sentence_and_nothing_is_written(
    tmp_path, monkeypatch, source, rows, message
):
    monkeypatch.chdir(tmp_path)
    path = None if rows is None else write_imdb(tmp_path / "a.csv", rows)
    with pytest.raises(BadInput, match=message):
        prepare(source, tmp_path / "out", path)
    assert not (tmp_path / "out").exists()


def test_a_missing_path_says_where_to_look(tmp_path):
    with pytest.raises(BadInput, match=r"none does not exist: check --path, or see `movieplots sources`"):
        prepare("streaming", tmp_path / "out", tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_a_failing_run_leaves_the_former_result(tmp_path):
    prepare("sample", tmp_path / "out")
    before = (tmp_path / "out" / "plots.parquet").read_bytes()
    with pytest.raises(BadInput):
        prepare("sample", tmp_path / "out", write_imdb(tmp_path / "a.csv", []))
    assert (tmp_path / "out" / "plots.parquet").read_bytes() == before


# Language


@pytest.mark.parametrize(
    "plot",
    [
        "Marinette heads to Shanghai to meet Adrien.",
        "Thieves rob a bank.",
        "Zombies attack a karaoke bar.",
        "Siblings feud over mother's vineyard.",
        "Giulia meets Paolo in Napoli.",
        "Aino and Väinö row home to Rovaniemi.",
        "Krzysztof and Małgorzata inherit a bakery in Łódź.",
        "Jürgen, Anneliese and Großmutter Käthe drive a Trabant to Lake Balaton.",
        "Detective Guðrún Sigurðardóttir hunts a smuggler in Akureyri.",
        "Rajeshwari defends Chandrasekhar in Thiruvananthapuram.",
        "Ramón Ibáñez, a matador from Córdoba, falls for Inés de la Vega.",
        "Monsieur Lefèvre and Madame Dubois duel over a Camembert in Livarot.",
        "Nguyễn Thị Lan sells bánh mì outside Hội An station.",
        "Comedians Jiří Křížek, Zdeněk Dvořáček and Květa Říhová tour the pubs of Moravia.",
        "SIX NUNS ROB A CASINO.",
    ],
)
def test_english_stays_english_whatever_the_names(plot):
    assert detect_languages([plot]) == ["en"]


@pytest.mark.parametrize(
    ("plot", "languages"),
    [
        ("Una cartera descubre cartas que nadie quiso abrir.", "es"),
        ("Un vieil horloger refuse de vendre sa boutique.", "fr"),
        ("Zwei Schwestern eröffnen ein Kino in einem alten Stall.", "de"),
        ("Um pescador volta à aldeia para vender a casa do pai.", "pt"),
        ("Un pastore trova una radio che parla con i morti.", "it"),
        ("Een oude horlogemaker weigert zijn winkel te verkopen.", "nl"),
        ("En fyrvokter finner en flaskepost fra søsteren sin.", "no da"),
        ("Stari urar odbija prodati svoju radnju.", "sr hr bs sh"),
        ("Seorang nelayan pulang ke desa untuk menjual rumah ayahnya.", "id ms"),
        ("Starszy zegarmistrz odmawia sprzedaży swojego sklepu.", "pl"),
        ("Yaşlı bir saatçi dükkânını satmayı reddeder.", "tr"),
        ("Старый часовщик отказывается продавать свою лавку.", "ru"),
        ("एक बूढ़ा घड़ीसाज़ अपनी दुकान बेचने से मना कर देता है।", "hi"),
        ("한 젊은이가 사라진 아버지를 찾아 고향으로 돌아온다.", "ko"),
        ("صانع ساعات عجوز يرفض بيع دكانه.", "ar"),
        ("古い灯台守が妹からの手紙を見つける。", "ja"),
        ("一个年轻人回到家乡寻找失踪的父亲。", "zh"),
    ],
)
def test_other_languages_are_recognised(plot, languages):
    assert detect_languages([plot])[0] in languages.split()


# Duplicates


def near(plots, threshold=DEDUP_THRESHOLD):
    return near_duplicates(number_words(plots, {}), np.array([len(plot) for plot in plots], dtype=int), threshold)


def test_exact_duplicates_are_those_with_the_same_words_and_the_longest_stands_for_them():
    plots = ["the sea gives\nback", "The SEA, gives back…", "the sea takes back", "the sea gives back!!!", "the sea"]
    lengths = np.array([len(plot) for plot in plots])
    assert list(exact_duplicates(number_words(plots, {}), lengths)) == [3, 3, 2, 3, 4]


def test_near_duplicates_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    plots = []
    for _ in range(40):
        words = [f"w{number}" for number in rng.integers(400, size=30)]
        for changes in rng.integers(0, 7, size=3):
            copy = list(words)
            for at in rng.integers(30, size=changes):
                copy[at] = f"x{rng.integers(10**6)}"
            plots.append(" ".join(copy))
    stands_for = near(plots)
    sets = [shingles(plot) for plot in plots]
    kept = np.flatnonzero(stands_for == np.arange(len(plots)))
    assert 40 < len(kept) < 120
    assert all(jaccard(sets[i], sets[j]) < DEDUP_THRESHOLD for i in kept for j in kept if i < j)
    for plot, other in enumerate(stands_for):
        assert other in kept
        assert other == plot or jaccard(sets[plot], sets[other]) >= DEDUP_THRESHOLD
        assert len(plots[other]) >= len(plots[plot])


def test_a_chain_of_small_changes_does_not_make_one_text_of_two():
    words = [f"w{number}" for number in range(100, 140)]
    plots = [" ".join(words[start : start + 20]) for start in (0, 4, 8, 12, 16)]
    plots[0] += "!"  # the longest, so it is looked at first
    links = [jaccard(shingles(a), shingles(b)) for a, b in pairwise(plots)]
    assert min(links) >= DEDUP_THRESHOLD  # every link of the chain
    assert jaccard(shingles(plots[0]), shingles(plots[4])) < 0.1  # yet its ends have next to nothing in common
    stands_for = list(near(plots))
    assert stands_for[:2] == [0, 0]
    assert stands_for[4] != 0


def test_a_crowd_of_boilerplate_is_looked_through_without_comparing_all_pairs():
    rng = np.random.default_rng(0)
    opening = " ".join(f"b{number}" for number in range(35))
    plots = [f"{opening} guest{i} from town{rng.integers(10**6)}" for i in range(1500)]
    others = [" ".join(f"w{number}" for number in rng.integers(5000, size=40)) for _ in range(500)]
    stands_for = near(plots + others + [f"{text} again" for text in others[:50]])
    kept = np.flatnonzero(stands_for == np.arange(2050))
    assert (kept < 1500).sum() <= 3  # each is nearly every other one
    assert ((kept >= 1500) & (kept < 2000)).sum() == 450
    assert set(stands_for[1500:1550]) == set(range(2000, 2050))


def test_words_that_hundreds_of_plots_share_count_as_shared():
    opening = "in this weekly show the host walks through a town and meets "
    plots = [f"{opening} w{number} x{number} y{number} z{number}" for number in range(300)]
    plots.append(f"{opening} w7 x7 y7 z7 again")
    assert list(np.flatnonzero(near(plots) != np.arange(301))) == [7]
    assert near(plots)[7] == 300


@pytest.mark.parametrize("plots", [[], ["Gone."], ["Gone.", "Gone."], ["a b", "", "a b c"]])
def test_plots_too_short_for_a_shingle_stand_for_themselves(plots):
    assert list(near(plots)) == list(range(len(plots)))


# Splits


@pytest.mark.parametrize(
    ("name", "franchise"),
    [
        ("Heat", "Heat"),
        ("Alien: Covenant", "Alien"),
        ("A: B: C", "A"),
        ("A:B", "A:B"),
        ("A: ", "A: "),
        (" : B", " : B"),
        (": : B", ": "),
        ("A (B: C)", "A (B: C)"),
        ("A (B: C): D", "A (B: C)"),
        ("A (B: C", "A (B"),
        ("A) (B: C)", "A) (B: C)"),
        ("", ""),
    ],
)
def test_a_franchise_is_what_stands_before_the_first_colon(name, franchise):
    assert franchise_name(name) == franchise


@pytest.mark.parametrize(
    ("title", "group"),
    [
        (Title("Alien: Covenant", year=2017), "alien"),
        (Title("2001: A Space Odyssey", year=1968), "2001"),
        (Title("Ash: A Novel", kind="book"), "ash"),
        (Title("Star Lanes: The Long Haul", year=2003, kind="series"), "star lanes the long haul"),
        (Title("Star Lanes: The Long Haul", "Alien: Part 2", year=2003, kind="episode"), "star lanes the long haul"),
        (Title("Alien: Covenant", bare=True), "alien covenant"),
    ],
    ids=str,
)
def test_movies_of_a_franchise_share_a_group_and_keep_their_whole_names(title, group):
    assert group_of(title) == group


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Žofie & the Émigrés", "zofie the emigres", True),
        ("STAR  LANES: the Haul", "Star Lanes - The Haul!", True),
        ("Straße", "Strasse", True),
        ("Heat", "Heat 2", False),
        ("...", "???", False),
    ],
)
def test_group_name(first, second, same):
    assert (group_name(first) == group_name(second)) is same


def test_rows_added_after_the_others_change_nothing(sample):
    plots = sample[1]
    groups, genres = plots["group"].tolist(), plots["genres"].tolist()
    before = assign_splits(groups, genres, seed=0)
    after = assign_splits([*groups, *(f"new {i}" for i in range(500))], genres + genres + genres[:80], seed=0)
    assert len(after) == len(before) + 500
    assert {group: after[group] for group in before} == before


def rows_of_groups(rng, largest_series):
    """Groups and genres of 6,000 titles; some are series of up to so many episodes."""
    frequency = {"drama": 0.5, "comedy": 0.3, "horror": 0.08, "war": 0.02, "news": 0.005}
    groups, genres = [], []
    for number in range(6000):
        size = int(rng.integers(1, largest_series + 1)) if rng.random() < 0.05 else 1
        groups += [f"group {number}"] * size
        genres += [[genre for genre, share in frequency.items() if rng.random() < share] or ["drama"]] * size
    return groups, genres


def imbalance(groups, genres, sides):
    """How many rows each genre is off its share on each side: {(genre, side): (rows off, rows meant)}."""
    table = pd.DataFrame({"genre": genres, "side": [sides[group] for group in groups]}).explode("genre")
    return {
        (genre, side): (abs((rows["side"] == side).sum() - share * len(rows)), share * len(rows))
        for genre, rows in table.groupby("genre")
        for side, share in SHARES.items()
    }


def test_every_genre_has_its_share_on_each_side():
    groups, genres = rows_of_groups(np.random.default_rng(0), largest_series=1)
    for seed in range(3):
        sides = assign_splits(groups, genres, seed)
        assert all(off <= 3 + 0.5 * np.sqrt(meant) for off, meant in imbalance(groups, genres, sides).values())
        agree = np.mean([random_split(group, seed) == side for group, side in sides.items()])
        assert 0.85 < agree < 1  # the coin decides as a rule


def test_series_are_balanced_far_better_than_by_the_coin_alone():
    groups, genres = rows_of_groups(np.random.default_rng(0), largest_series=40)
    for seed in range(3):
        balanced = imbalance(groups, genres, assign_splits(groups, genres, seed))
        chance = imbalance(groups, genres, {group: random_split(group, seed) for group in groups})
        assert sum(off for off, _ in balanced.values()) < 0.6 * sum(off for off, _ in chance.values())


def test_in_the_same_folder_rows_added_anywhere_move_nothing(tmp_path):
    header, *lines = FILE.read_text(encoding="utf-8").splitlines()
    half, whole = tmp_path / "half.csv", tmp_path / "whole.csv"
    half.write_text("\n".join([header, *lines[1::2]]), encoding="utf-8")
    whole.write_text("\n".join([header, *reversed(lines)]), encoding="utf-8")
    prepare("sample", tmp_path / "out", half)
    before = load_plots(tmp_path / "out").set_index("id")["split"]
    result = prepare("sample", tmp_path / "out", whole)
    after = load_plots(tmp_path / "out").set_index("id")["split"]
    assert len(after) == 420 > len(before)
    assert (after[before.index] == before).all()
    assert result.kept_splits > 0
    elsewhere = prepare("sample", tmp_path / "other", whole)
    assert elsewhere.kept_splits == 0
    assert (load_plots(tmp_path / "other").set_index("id")["split"][before.index] != before).any()
    prepare("sample", tmp_path / "other", whole, splits_from=tmp_path / "out")
    assert (load_plots(tmp_path / "other").set_index("id")["split"] == after).all()
    prepare("sample", tmp_path / "out", whole, overwrite=True)
    prepare("sample", tmp_path / "new", whole)
    assert (load_plots(tmp_path / "out")["split"] == load_plots(tmp_path / "new")["split"]).all()


def test_a_title_that_is_no_title_takes_no_time():
    for title in ("x" + "-" * 1_000_000, "(a)" * 300_000, "x" + " ," * 300_000):
        assert len(group_name(title)) <= 300


def test_settled_groups_stay_and_the_others_are_placed_around_them():
    groups = [f"group {i}" for i in range(1000)]
    given = dict.fromkeys(groups[:90], "test")
    sides = assign_splits(groups, [["drama"]] * 1000, seed=0, given=given)
    assert all(sides[group] == "test" for group in given)
    assert list(sides.values()).count("test") == pytest.approx(100, abs=5)


def test_the_coin_has_about_the_shares_that_are_meant():
    counts = pd.Series([random_split(f"group {i}", seed=3) for i in range(20_000)]).value_counts(normalize=True)
    assert counts["test"] == pytest.approx(0.1, abs=0.01)
    assert counts["validation"] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The Tunnel", "The Tunnel (English Dub)"),
        ("Silence", "Silence (Tamil) [4K UHD]"),
        ("Thunder Alley", "Thunder Alley (1985)"),
        ("Nursery Rhymes Vol. 2", "Nursery Rhymes: Volume 11"),
        ("Power Book II: Ghost", "Power Book III: Raising Kanan"),
        ("Amélie", "AMELIE!"),
    ],
)
def test_additions_to_a_title_do_not_make_a_new_group(first, second):
    assert group_name(first) == group_name(second)


@pytest.mark.parametrize("title", ["(Untitled)", "Volume 1", "The Book 2", "Part II", "Apartment 12", "The Volleys"])
def test_a_title_is_more_than_its_addition(title):
    assert group_name(title) == " ".join(re.findall(r"\w+", title.lower()))


def test_another_language_in_capitals_is_another_language():
    texts = ["EIN ALTER FISCHER FINDET AM STRAND EINE FLASCHE MIT EINEM BRIEF SEINES VERSCHOLLENEN SOHNES."]
    assert detect_languages(texts) == ["de"]
