"""Cleaning: what is repaired, what is left alone, and that a text is cut between sentences only."""

import pytest

from movieplots.preparation.boilerplate import is_placeholder
from movieplots.preparation.cleaning import (
    REPAIRS,
    Cleaned,
    clean_plot,
    count_words,
    split_sentences,
    truncate_at_sentence,
)
from movieplots.sources.sample import FILE, read_sample
from movieplots.texts import clean_text


@pytest.fixture(scope="module")
def plots():
    return [row.plot.strip() for row in read_sample(FILE).rows]


# Titles and plots


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("", ""),
        ("  one \t two\r\nthree ", "one two three"),
        ("Cafe\u0301 n\u0303", "Café ñ"),
        # HTML
        ("Tom &amp; Jerry &#39;n&#x27; all&hellip;", "Tom & Jerry 'n' all…"),
        ("Tom &amp;amp; Jerry &AMP; &Eacute;mile", "Tom & Jerry & Émile"),
        ("one<br>two<br />three<p class='x'>four</p>", "one two three four"),
        ('un<b>believ</b>able <i>Heat</i>, <a href="x">here</a>', "unbelievable Heat, here"),
        (
            '<h2>One</h2><blockquote>two</blockquote>the 4<sup>th</sup> <font color="red">man</FONT>',
            "One two the 4th man",
        ),
        ("&lt;b&gt;bold&lt;/b&gt; &amp;lt;br&amp;gt;", "bold"),
        (
            "Before <script type='x'>if (a < b) { go(); }</script> after <style>p { top: 0 }</style>it",
            "Before after it",
        ),
        ("in<!-- a note -->side <!-- <b>two</b>\nlines -->out", "inside out"),
        # mojibake
        ("CafÃ© â€œLe Ruisseauâ€\x9d, donâ€™t â€“ go", "Café “Le Ruisseau”, don’t – go"),
        ("It\x92s over\x85 \x93really\x94", "It’s over… “really”"),
        ("&acirc;&euro;&trade;tis", "’tis"),
        ("寻找 and the widowâ€™s son", "寻找 and the widow’s son"),
        # control and invisible characters
        ("zero\u200bwidth soft\u00adhyphen bell\x07", "zerowidth softhyphen bell"),
        ("\u200fright\u202eto\u2066left\u2069 \ud83d\ufeff mark\ufffd", "righttoleft mark"),
        ("line\u2028line\x0bline\x1cline\u00a0line", "line line line line line"),
        ("Latin\u200djoined \u200cedges\u200d", "Latinjoined edges"),
        ("می\u200cرود\u200c کتاب\u200c\u200cها", "می\u200cرود کتاب\u200c\u200cها"),
    ],
)
def test_clean_text(text, clean):
    assert clean_text(text) == clean
    assert clean_text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "AT&T, R&notes, Q&A; 3 &times 4, &notes; &unknown;",
        f"&#{'9' * 5000};",
        "if a < b and c > d",
        "<I love you> she says",
        "I <3 bees <everywhere> and </rant>",
        "<!-- never closed, <style> neither",
        "“Curly” ‘quotes’ — ﬁne, ＦＵＬＬ width… 3½ × 2 °C",
        "Žofie, Ångström, São Paulo, Straße, Łódź, À la carte, EMÍLIA à Âge",
        "Guðrún Þórðardóttir, Nguyễn Thị Lan, Ødegård, 20 € – £5",
        "👩\u200d👩\u200d👧 🏳️\u200d🌈 ❤️ 1️⃣ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "او می\u200cرود. خانه\u200cای",
        "क्\u200dष और क्\u200cष; അവന്\u200d വന്നു",
        "صانع ساعات עם שלום",
        "Старый часовщик; 寻找失踪的父亲。古い灯台守。",
    ],
)
def test_good_text_stays_as_it_is(text):
    assert clean_text(text) == text
    assert clean_plot(text) == Cleaned(text, ())


# Signatures


@pytest.mark.parametrize(
    "signature",
    [
        " —Anonymous",
        "—Anonymous",
        " - Anonymous",
        " --J. Smith <js@example.com>",
        " —Jane Doe {jane.doe@example.com}",
        " —Jane Doe [email protected]",
        " —Maria de la Cruz, Rio de Janeiro, Brazil",
        " — Jean-Luc O'Hara",
        " —film_fan77",
        " -- reelwatcher",
        " —Larkspur Bros.",
        " —Studio press release",
        " ~ Official site",
        " Written by Jane Doe",
        " Written by Jane Doe.",
        " WRITTEN BY JANE DOE",
        " (Written by Jane Doe)",
        " [Written by Reel Rewrite]",
        " - Written by J. K. Doe <jd@example.com>",
        " —Written by film_fan77",
        " Submitted by reelwatcher",
        " Plot by Jane Doe",
        " Plot summary by: Jane Doe (jane@example.com)",
        " Summary written by Jane Doe",
        " Synopsis by Jane Doe and Émile Noir",
        " {someone@example.com}",
        " <someone@example.com>",
        " [email]",
        " [email protected]",
        " someone@example.com",
        " Source: publisher",
        " (Source: Larkspur Pictures)",
        " Source: www.example.com/films",
        " (Source: example.com) —Anonymous",
    ],
)
@pytest.mark.parametrize("plot", ["He left Bern at 5 a.m. and never returns.", "Who is (the late) Mr. Grey?"])
def test_a_signature_goes(plot, signature):
    assert clean_plot(plot + signature) == Cleaned(plot, ("signature",))


@pytest.mark.parametrize(
    "text",
    [
        "He returns - Alone.",
        "He returns. - Alone.",
        "He returns. - Alone",
        "He returns. — The End",
        "They part. - To Be Continued",
        "They meet. - Season Finale",
        "She waits — and Jonathan waits",
        "She waits. — And Jonathan waits.",
        "She has one friend. — Jonathan.",
        "She reads a novel written by Jane Doe.",
        "Written by Jane Doe",
        "Two letters arrive. Written by hand.",
        "Two letters arrive. Written by Jane Doe, they change her life.",
        "The leak has one source: her mother",
        "The leak is found. Source: her own mother",
        "They play for the U.S.-Soviet Cup",
        "She crosses from the U.S. - Canada waits",
        '"The heart is a lonely projectionist." — Emil Noir',
        "He meets Dr. — Jekyll",
        "The hunt is on. (Silent with music)",
        "The hunt is on. (a.k.a. Hunters)",
        "The plot by Night is foiled. A plot by day is not",
        "He writes to her at jane@example.com",
        "Three - Two - One",
    ],
)
def test_what_only_resembles_a_signature_stays(text):
    assert clean_plot(text) == Cleaned(text, ())


def test_only_the_end_of_a_plot_is_signed_and_titles_are_not():
    assert clean_plot("He left. —Anonymous She came back.").changes == ()
    assert clean_text("He Left. —Anonymous") == "He Left. —Anonymous"


# Stubs


@pytest.mark.parametrize(
    "mark",
    [
        "<more>",
        "<more...>",
        "&lt;more&gt;",
        "[more]",
        "(more)",
        "(more…)",
        "[Read more]",
        "…more",
        "... more",
        "... Read more",
        "… Read all",
        "... See full summary »",
        "... See full synopsis »",
        "Read more »",
        "[...]",
        "[…]",
        "(more) —Anonymous",
    ],
)
def test_the_mark_of_a_cut_text_goes_with_the_unfinished_sentence(mark):
    whole, unfinished = "She is lost. Dr. Lee finds her!", "At No. 5 the two of them and Mr."
    assert clean_plot(f"{whole} {unfinished} {mark}").text == whole
    assert clean_plot(f"{unfinished} {mark}").text == ""
    assert "stub" in clean_plot(f"{unfinished} {mark}").changes
    if not mark.startswith(("…", "...")):
        assert clean_plot(f"{whole} {mark}").text == whole


def test_a_mark_after_a_whole_sentence_takes_nothing_with_it():
    assert clean_plot("He hides. She seeks. Read more") == Cleaned("He hides. She seeks.", ("stub",))
    assert clean_plot("He hides. She seeks.Read all") == Cleaned("He hides. She seeks.", ("stub",))
    assert clean_plot("He hides. She seeks... Read all") == Cleaned("He hides.", ("stub",))
    assert clean_plot("Read more") == Cleaned("", ("stub",))


@pytest.mark.parametrize(
    "text",
    [
        "He hides. She seeks...",
        "He hides. She seeks…",
        "In school she learns to read more",
        "They all want more",
        "They want love. And more.",
        "Dantan hides (Moreno).",
        "He asks for [...] and gets it.",
        "Nobody comes to see full summary hearings",
    ],
)
def test_what_only_resembles_a_stub_stays(text):
    assert clean_plot(text) == Cleaned(text, ())


# Marks that other tools put around a text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<|startoftext|>He walks.<|endoftext|>", "He walks."),
        ("<|startoftext|> He walks. <|endoftext|><|endoftext|>", "He walks."),
        ("[CLS] He walks. [SEP] [PAD] [PAD]", "He walks."),
        ("<BOS> He walks. <EOS>", "He walks."),
        ("He walks.<|im_end|>", "He walks."),
        ("He walks. —Anonymous<|endoftext|>", "He walks."),
        ("<|endoftext|>", ""),
    ],
)
def test_marks_around_a_text_go(text, clean):
    assert clean_plot(text).text == clean
    assert "wrapper" in clean_plot(text).changes


@pytest.mark.parametrize(
    "text",
    [
        "A hacker types <|endoftext|> and the ship's computer falls silent.",
        "Nobody knows what [SEP] or [MASK] means.",
        "He walks <|home|>",
        "[REC] is a film in a film.",
    ],
)
def test_marks_inside_a_text_are_text(text):
    assert clean_plot(text) == Cleaned(text, ())


# Placeholders


@pytest.mark.parametrize(
    "text",
    [
        "Add a Plot", "No overview found.", "No overview yet.", "Plot kept under wraps.", "No plot available.",
        "To be announced.", "No synopsis information has been added to this title.", "TBA", "tbd", "N/A", "nan", "NaN",
        "None", "null", "#N/A", "-", "...", "", "Coming Soon!", "Unknown.", "Not available", "(no description)",
        "Plot unknown.", "The plot is unknown at this time.", "Plot details are being kept under wraps.",
        "There is no plot summary available for this title yet.", "Be the first to contribute a synopsis!",
        "We don’t have an overview translated in English. Help us expand our database by adding one.",
        "It looks like we don't have a Synopsis for this title yet. Be the first to contribute!",
        "Description not yet available", "Synopsis coming soon…", "Add a plot in your language",
    ],
)  # fmt: skip
def test_a_text_that_stands_where_a_plot_is_missing_is_a_placeholder(text):
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "No plot is safe from the mole in the ministry.", "No description of the murderer is found.",
        "Unknown soldiers return.", "The plot to poison the mayor is revealed.", "Add a plot twist and stir.",
        "Missing in Paris.", "None of them returned.", "The biography of a fisherman.",
        "Nothing is known to the police.",
        "Not available for duty, a sergeant deserts.", "The story is unknown to all but a few.", "Plot of land.",
        "No details " * 50,
    ],
)  # fmt: skip
def test_a_plot_that_uses_such_words_is_none(text):
    assert not is_placeholder(text)


def test_no_plot_of_the_bundled_corpus_is_a_placeholder(plots):
    assert not any(map(is_placeholder, plots))


# All repairs


def test_the_changes_name_the_repairs_in_order():
    text = "<|startoftext|>He&#39;s lost\x07. Itâ€™s late. They all (more) —Anonymous<|endoftext|>"
    assert clean_plot(text) == Cleaned("He's lost. It’s late.", REPAIRS)
    assert clean_plot(" white \n space\u00a0alone ") == Cleaned("white space alone", ())
    assert clean_plot("Cafe\u0301") == Cleaned("Café", ())
    assert clean_plot("") == clean_plot(" \n ") == Cleaned("", ())


def test_no_bundled_plot_is_changed_and_what_is_added_goes_again(plots):
    assert len(plots) == 420
    for plot in plots:
        assert clean_plot(plot) == Cleaned(plot, ())
        assert clean_text(plot) == plot
        assert clean_plot(plot.replace(" ", " \n")) == Cleaned(plot, ())
        marked = f"<p>{plot}</p>\u200b".replace(" ", "&nbsp;\n")
        assert clean_plot(marked) == Cleaned(plot, ("html", "control_characters"))
        assert clean_plot(f"{plot} —Jane Doe <jane@example.com>") == Cleaned(plot, ("signature",))
        assert clean_plot(f"{plot} [more]") == Cleaned(plot, ("stub",))
        accented = plot.replace("e", "é")
        assert clean_plot(accented) == Cleaned(accented, ())
        assert clean_plot(accented.encode().decode("windows-1252")) == Cleaned(accented, ("mojibake",))


@pytest.mark.parametrize(
    "text",
    [
        "&amp;amp;lt;b&amp;amp;gt; a &amp;#38;amp; b",
        "<<b>b>nested<</b>/b>",
        "&am\u200bp; &lt\u037e",
        "a\u0301\u200b\u0301 <scr<script></script>ipt>x</script>",
        "He left. (more) —Anonymous (more) —Anonymous",
        "He left... Read more She left... Read more",
        "He left. —Ann {c@example.com} (Source: D) Written by E",
        "Ã\x83Â© â€œ â€\ufffd Ã ",
    ],
)
def test_cleaning_twice_is_cleaning_once(text):
    once = clean_plot(text)
    assert once.changes
    assert clean_plot(once.text) == Cleaned(once.text, ())


# Words and sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("- - ?!", 0), ("Unknown.", 1), ("A mind-bending, don't-look tale", 4), ("寻找失踪的父亲。", 7)],
)
def test_count_words(text, words):
    assert count_words(text) == words


@pytest.mark.parametrize(
    "sentences",
    [
        [],
        ["One."],
        ["One. ", "Two!  ", "Three?\n", "Four… ", "Five"],
        ["He says “Go.” ", "“No!” ", "(She goes.) ", "'90s kids stay... ", "7 of them. "],
        ["Mr. and Mrs. Dr. St. John, Lt. Col. J. K. Lee Jr. and Gen. Fox Sr. meet."],
        ["MR. HILL came from the U.S. Army at 5 a.m. Monday, Apt. 3, No. 5, vs. Ann etc. etc."],
        ["He says no. ", "The U.K. team of 1945. ", "Series 2.0. ", "After World War I. ", "Then peace."],
        ["She asks why? but he is gone... and then some. ", "Éva stays."],
        ["一个年轻人回来了。", "他是谁？", "“走！”", "完"],
        ["एक घड़ीसाज़. ", "दूसरा."],
    ],
)
def test_split_sentences(sentences):
    assert split_sentences("".join(sentences)) == sentences


def test_sentences_joined_are_the_text(plots):
    for plot in plots:
        sentences = split_sentences(plot)
        assert "".join(sentences) == plot
        assert all(sentence.rstrip().endswith((".", "!", "?", "…", '"', "”", ")", "'", "’")) for sentence in sentences)


@pytest.mark.parametrize(
    ("at_most", "cut"),
    [
        (-1, ""),
        (0, ""),
        (2, ""),
        (3, "Dr. Lee left."),
        (5, "Dr. Lee left."),
        (6, "Dr. Lee left. She came back!"),
        (7, "Dr. Lee left. She came back! Why?"),
        (99, "Dr. Lee left. She came back! Why?"),
    ],
)
def test_cut_at_sentence(at_most, cut):
    assert truncate_at_sentence("Dr. Lee left. She came back! Why? ", at_most, count_words) == cut


def test_cut_at_sentence_is_the_longest_beginning_and_counts_few_times(plots):
    text = " ".join(plots)
    calls = []

    def count(part):
        calls.append(part)
        return len(part)

    sentences = split_sentences(text)
    for at_most in (10, 1000, 12_345, len(text) - 1, len(text)):
        calls.clear()
        cut = truncate_at_sentence(text, at_most, count)
        kept = len(split_sentences(cut))
        assert text.startswith(cut) and len(cut) <= at_most
        assert cut == text or len("".join(sentences[: kept + 1]).rstrip()) > at_most
        assert len(calls) <= len(sentences).bit_length()
    assert truncate_at_sentence("", 5, count) == ""
