"""The commands as a user runs them: all stages on tiny checkpoints, and bad input."""

import json
import os
import re
import subprocess
import sys

import pytest
import typer.testing

import movieplots
from movieplots import load_plots
from movieplots.cli import app, main
from movieplots.errors import BadInput
from movieplots.files import write_json
from movieplots.measures import novelty_index
from movieplots.measures.novelty_index import NoveltyIndex
from movieplots.pretrained import shipped
from movieplots.runs.folder import to_json
from movieplots.runs.lineage import read_plot_ids
from tests.command_line import commands
from tests.made_up import classifier_info


def run(capsys, monkeypatch, *arguments):
    """Run a command in this process: (exit code, standard output, standard error)."""
    monkeypatch.setattr(sys, "argv", ["movieplots", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.mark.slow
def test_all_stages(capsys, monkeypatch, tmp_path, small_corpus, tiny_gpt2, tiny_roberta):
    def succeed(*arguments):
        status, out, err = run(capsys, monkeypatch, *arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    data, generator, classifier, dump = (tmp_path / name for name in ("data", "generator", "classifier", "dump"))
    report = succeed("prepare", "sample", "-o", data)
    assert report["read"] == report["kept"] + sum(report["dropped"].values()) == 420
    data = small_corpus  # for all that takes longer with more plots
    train = ("train", "generator", "--data", data, "--base-model", tiny_gpt2, "--titles", "-o", generator)
    assert succeed(*train, "--max-steps", 3, "--batch-size", 1)["metrics"]["steps"] == 3
    learned = succeed(
        "train", "classifier", "--data", data, "--base-model", tiny_roberta, "--epochs", 1, "-o", classifier
    )
    assert {"comedy", "drama"} <= set(learned["labels"])
    grid = ("--genre", "horror", "--genre", "war", "--temperature", "0.7", "--temperature", "1", "--top-p", "0.9")
    assert succeed("dump", "--model", generator, "-o", dump, *grid, "--samples-per-genre", 2)["samples"] == 8
    out = tmp_path / "report"
    metrics = succeed("evaluate", "--dump", dump, "--data", data, "--classifier", classifier, "-o", out)
    assert metrics["models"]["dump"]["samples"]["samples"] == 8
    assert metrics == json.loads((out / "metrics.json").read_text())
    page = (out / "report.html").read_text()
    assert "<img" in page
    assert "http://" not in page.replace("http://www.w3.org", "")

    (plot,) = succeed("generate", "--model", generator, "--genre", "horror", "--title", "Salt (2009)")
    assert (plot["genre"], plot["title"]) == ("horror", "Salt (2009)")
    answers = succeed("genres", "--model", classifier, "A sheriff rides into town.", "A ghost sings.")
    assert [answer["plot"] for answer in answers] == ["A sheriff rides into town.", "A ghost sings."]
    assert set(answers[0]["probabilities"]) == set(learned["labels"])

    status, text, _ = run(capsys, monkeypatch, "genres", "--model", classifier, "A ghost sings.")
    assert status == 0
    assert "threshold" in text


def test_the_other_classifiers(capsys, monkeypatch, tmp_path, small_corpus, tiny_roberta):
    def succeed(*arguments):
        status, out, err = run(capsys, monkeypatch, *arguments)
        assert status == 0, err
        return out, err

    base, fastai, small = tmp_path / "base", tmp_path / "fastai", tmp_path / "small"
    data = ("--data", small_corpus)
    lm = ("train", "mlm", *data, "--base-model", tiny_roberta, "-o", base, "--epochs", 1, "--block-size", 64)
    assert "test loss 6." in succeed(*lm)[0]
    search = ("train", "fastai", *data, "--base-model", base, "--batch-size", 8, "-o", fastai)
    rate = ("find-lr", "classifier", *data, "--base-model", base, "--batch-size", 8, "--steps", 30)
    assert "suggested learning rate" in succeed(*rate, "-o", tmp_path / "rate.png")[0]
    assert (tmp_path / "rate.png").stat().st_size > 10_000
    out, _ = succeed(*search, "--epochs", 1, "--titles")
    assert "Plot only" in out and "Title and plot" in out
    assert out.count("TF-IDF + linear SVM ") == out.count("TF-IDF + logistic regression ") == 2
    out, _ = succeed("quantize", "--model", fastai, *data, "-o", small)
    assert "quantized" in out and "MB" in out
    for model in (fastai, small):
        asked = ("genres", "--model", model, "--title", "Salt (2009)", "--explain")
        assert "Words that support each genre" in succeed(*asked, "A sheriff rides into town.")[0]
        (answer,) = json.loads(succeed(*asked, "A sheriff rides into town.", "--json")[0])
        assert set(answer["words"]) >= set(answer["genres"])
        assert set(answer["thresholds"]) == set(answer["probabilities"])
    out, err = succeed("genres", "--model", small, "A ghost sings.", "sing " * 700)
    assert "Plot 2 has 7" in err and "only the first 298 are used." in err
    status, _, err = run(capsys, monkeypatch, "genres", "--model", small, "--title", "Salt", "One.", "Two.")
    assert status == 2 and "--title is for one plot, and 2 were given" in err


def test_a_student_and_a_learning_rate_search(capsys, monkeypatch, tmp_path, small_corpus, tiny_gpt2):
    rate = tmp_path / "rate.png"
    start = ("--data", small_corpus, "--base-model", tiny_gpt2, "--method", "full")
    status, out, err = run(
        capsys, monkeypatch, "find-lr", "generator", *start, "--steps", 20, "--block-size", 128, "-o", rate
    )
    assert status == 0, err
    assert "suggested learning rate" in out
    assert rate.read_bytes().startswith(b"\x89PNG")

    teacher, student = tmp_path / "teacher", tmp_path / "student"
    options = ("--lr-scheduler-type", "cosine", "--block-size", 256, "--batch-size", 1, "--max-steps", 2)
    status, out, err = run(capsys, monkeypatch, "train", "generator", *start, *options, "-o", teacher)
    assert status == 0, err
    card = (teacher / "README.md").read_text()
    assert "--max-steps 2 --lr-scheduler-type cosine --block-size 256 --batch-size 1 --method full" in card

    distill = (
        "distill",
        "--teacher",
        teacher,
        "--data",
        small_corpus,
        "--layers",
        1,
        "--max-steps",
        2,
        "--batch-size",
        1,
    )
    status, out, err = run(capsys, monkeypatch, *distill, "-o", student, "--json")
    assert status == 0, err
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["teacher", "student"]
    assert rows[1]["parameters"] < rows[0]["parameters"]
    assert "--layers 1" in (student / "README.md").read_text()
    status, out, _ = run(capsys, monkeypatch, *distill, "-o", student)
    assert status == 0 and "parameters" in out


def test_plots_from_standard_input(capsys, monkeypatch, tmp_path, small_corpus, tiny_roberta):
    import io

    from movieplots import train_classifier

    train_classifier(small_corpus, tiny_roberta, tmp_path, epochs=1)

    def genres(text, encoding="utf-8"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding))  # as a locale has it
        return run(capsys, monkeypatch, "genres", "--model", tmp_path, "--json", "-")

    status, out, err = genres(b"A ghost sings.\nA war ends.\n")
    assert (status, len(json.loads(out)), "blank" in err) == (0, 2, False)
    long = " ".join(["The sheriff rides on."] * 200)
    text = f"\ufeff\nEine Möwe schreit.\r\n \t\n{long}\n\n".encode()
    for encoding in ("utf-8", "ascii", "latin-1"):
        status, out, err = genres(text, encoding)
        assert (status, [row["plot"] for row in json.loads(out)]) == (0, ["Eine Möwe schreit.", long])
        assert "3 blank lines were skipped." in err and "Line 4 has" in err
    assert "1 blank line was skipped." in genres(b"A ghost sings.\n\n")[2]
    for bad, words in ((b"A ghost.\nDie M\xf6we\n", "Line 2 of standard input is not UTF-8"), (b"\n \n", "has no text"),
                       (b"", "has no text")):  # fmt: skip
        status, out, err = genres(bad)
        assert (status, out) == (2, "") and words in err and "Traceback" not in err


def test_bad_input_is_one_line_and_leaves_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "x_titles.csv").write_text("show_id,type,title\ns1,Movie,Salt\n")
    (tmp_path / "semicolons.csv").write_text("title;text;genres\na;b;c\n")
    (tmp_path / "few_titles.csv").write_text(
        "show_id,type,title,release_year,listed_in,description\ns1,Movie,Salt,2009,Dramas,The sea gives back a ship.\n"
    )
    NOWHERE, FILE, UNTITLED = tmp_path / "nowhere", tmp_path / "semicolons.csv", tmp_path / "untitled"
    UNTITLED.mkdir()
    write_json(UNTITLED / "movieplots.json", to_json(classifier_info(titles=False)))
    START = ("--data", NOWHERE, "--base-model", NOWHERE)
    TEACHER, DUMPS = ("--teacher", NOWHERE, "--data", NOWHERE), ("--dump", NOWHERE, "--data", NOWHERE)
    cases = {
        ("prepare", "imbd", "-o", out): "Unknown source 'imbd'",
        ("prepare", "streaming", "-o", out): "is not in data/raw/streaming: run `movieplots fetch streaming`",
        ("prepare", "imdb", "mpst", "--path", "imdb=a", "mpst=b", "-o", out): "repeat the option, --path mpst=b",
        ("prepare", "table", "--column", "title=a", "plot=b", "-o", out): "repeat the option, --column plot=b",
        ("prepare", "table", "--column", "title=a,plot=b", "-o", out): "write --column title=a --column plot=b.",
        ("prepare", "sample", "--path", "", "-o", out): "has no path",
        ("prepare", "sample", "--path", "sample=a", "--path", "sample=b", "-o", out): "given twice for sample",
        ("prepare", "table", "--column", "title=a", "--column", "title=b", "-o", out): "given twice for title",
        ("prepare", "table", "--path", tmp_path / "semicolons.csv", "-o", out): "separated by semicolons",
        ("prepare", "sample", "imdb", "--path", "a", "-o", out): "With several sources, each path needs its source",
        ("prepare", "sample", "--path", "imdb=a", "-o", out): "a path for imdb, which is not among the sources",
        ("prepare", "sample", "--column", "title=Name", "-o", out): "--column is only for the source `table`",
        ("prepare", "table", "--column", "title", "-o", out): "has no field or no name",
        (
            "prepare",
            "table",
            "--path",
            tmp_path / "x_titles.csv",
            "-o",
            out,
        ): "show_id, type, title; name the columns with",
        ("prepare", "sample", "--language", "english", "-o", out): "not a language code",
        ("prepare", "sample", "--language", "de", "-o", out): "No plot is left after dropping: other language 420",
        ("prepare", "sample", "--language", "de,en", "-o", out): "write --language de --language en.",
        ("prepare", "sample", "--detector", "slow", "-o", out): "--detector must be fast or langdetect",
        (
            "prepare",
            "sample",
            "--min-length",
            "9",
            "--max-length",
            "8",
            "-o",
            out,
        ): "--min-length must be at most --max-length",
        ("prepare", "sample", "--too-long", "shorten", "-o", out): "--too-long must be trunc",
        ("prepare", "sample", "--dedup-threshold", "0", "-o", out): "above 0 and at most 1",
        ("prepare", "sample", "--own-splits", "-o", out): "has its own splits",
        ("prepare", "sample", "--splits-from", tmp_path / "empty", "-o", out): "No Plot table",
        ("prepare", "sample", "--genre-map", tmp_path / "x_titles.csv", "-o", out): "x_titles.csv",
        ("prepare", "sample", "--tokenizer", "gpt2", "-o", out): "smollm2-135m for generators, minilm-l6",
        ("fetch", "imbd"): "Unknown source 'imbd'",
        ("fetch", "sample"): "no files to fetch",
        ("fetch", "streaming"): "kaggle.com/datasets/shivamb/netflix-shows",
        ("prepare", "streaming", "--path", tmp_path / "nowhere", "-o", out): "does not exist",
        ("prepare", "streaming", "--path", tmp_path / "empty", "-o", out): "contains no catalogue",
        ("prepare", "streaming", "--path", tmp_path / "x_titles.csv", "-o", out): "no column release_year",
        ("prepare", "streaming", "--path", tmp_path / "few_titles.csv", "-o", out): "too small to split",
        ("prepare", "sample"): "--output-dir",
        ("train", "generator", "--data", tmp_path, "--base-model", "gpt2", "-o", out): "No Plot table",
        ("dump", "--model", tmp_path, "-o", out): "not a trained model",
        # The model, data or base model does not exist either, but the option is checked first.
        ("dump", "--model", NOWHERE, "-o", out, "--samples-per-genre", "0"): "--samples-per-genre must be at least 1",
        ("dump", "--model", NOWHERE, "-o", out, "--top-p", "2"): "--top-p must be from 0 to 1, not 2.",
        ("dump", "--model", NOWHERE, "-o", out, "--backend", "x"): "Unknown backend 'x'",
        ("dump", "--model", NOWHERE, "-o", FILE): "is a file, not a folder",
        ("generate", "--model", NOWHERE, "-n", "0"): "--n must be at least 1, not 0.",
        ("generate", "--model", NOWHERE, "--temperature", "9"): "--temperature must be above 0 and at most 5, not 9.",
        ("generate", "--model", NOWHERE, "--top-p", "nan"): "--top-p must be from 0 to 1",
        ("generate", "--model", NOWHERE, "--min-p", "1"): "--min-p must be at least 0 and below 1",
        ("generate", "--model", NOWHERE, "--repetition-penalty", "0"): "from 1 to 10, not 0.",
        ("generate", "--model", NOWHERE, "--no-repeat-ngram-size", "1"): "from 2 to 100, or 0 (off), not 1.",
        ("generate", "--model", NOWHERE, "--backend", "x"): "Unknown backend 'x'",
        ("genres", "--model", NOWHERE, "--title", "Salt", "A ghost.", "A war."): "--title is for one plot",
        ("train", "generator", *START, "-o", out, "--learning-rate", "2"): "--learning-",
        ("train", "generator", *START, "-o", out, "--sampler", "x"): "--sampler must be",
        ("train", "generator", *START, "-o", FILE): "is a file, not a folder",
        ("train", "generator", *START, "-o", out, "--time-limit", "nan"): "--time-limit",
        ("find-lr", "generator", *START, "-o", out, "--steps", "5"): "--steps must be at least 20",
        ("find-lr", "generator", *START, "-o", tmp_path): "is a folder: give --output",
        ("train", "classifier", *START, "-o", out, "--batch-size", "0"): "--batch-size",
        ("train", "classifier", *START, "-o", out, "--loss", "x"): "--loss must be",
        ("train", "classifier", *START, "-o", out, "--method", "x"): "--method must be",
        ("train", "classifier", *START, "-o", out, "--layers", "0"): "--layers must be",
        ("train", "classifier", *START, "-o", out, "--teacher", "x"): "no teacher x",
        ("train", "mlm", *START, "-o", out, "--block-size", "2"): "--block-size",
        ("train", "mlm", *START, "-o", FILE): "is a file, not a folder",
        ("distill", *TEACHER, "--layers", "0", "-o", out): "--layers must be",
        ("distill", *TEACHER, "--layers", "1", "-o", out, "--early-stopping-patience", "0"): "--early-stopping-p",
        ("evaluate", *DUMPS, "-o", out, "--embedder", "./x"): "folder ./x does not exist",
        ("evaluate", *DUMPS, "-o", out, "--embedder", "minilm"): "'minilm' cannot be",
        ("evaluate", *DUMPS, "-o", out, "--classifier", "x"): "x is not a trained",
        ("evaluate", *DUMPS, "-o", FILE): "is a file, not a folder",
        ("export", "--model", NOWHERE, "-o", out, "--type", "x"): "--type must be one of f32, f16, q8_0",
        ("export", "--model", NOWHERE, "-o", tmp_path): "is a folder: give",
        ("quantize", "--model", NOWHERE, "--data", NOWHERE, "-o", FILE): "is a file, not a folder",
        ("novelty", "--data", NOWHERE, "-o", tmp_path): "is a folder: give --output the name",
        ("api", "--backend", "x"): "Unknown backend 'x'",
        ("api", "--novelty", NOWHERE): "does not exist: create it with `movieplots novelty`",
        ("api", "--novelty", FILE): "is not a novelty index",
        ("api", "--port", "0"): "--port",
        ("studio", "--api", "here"): "--api must be",
        ("studio", "--backend", "x", "--port", "8599"): "Unknown backend 'x'",
        # These are found in the model's movieplots.json.
        ("generate", "--genre", "opera"): "Unknown genre 'opera'",
        ("generate", "--model", shipped.FOLDER / "generator-without-titles", "--title", "Salt"): "without titles",
        ("genres", "--model", UNTITLED, "--title", "Salt", "A ghost."): "without titles",
        ("dump", "--model", shipped.GENERATOR, "-o", out, "--genre", "opera"): "Unknown genre 'opera'",
        ("dump", "--model", tmp_path, "-o", out, "--temperature", "warm"): "must be a number, not 'warm'",
        ("dump", "--model", tmp_path, "-o", out, "--temperature", "0.7,1"): "--temperature 0.7 --temperature 1.",
        ("generate", "--genre", "horror,comedy"): "write --genre horror --genre comedy.",
        ("evaluate", "--dump", tmp_path / "empty", "--data", tmp_path, "-o", out): "is not a dump",
        ("generate", "--model", tmp_path / "nowhere"): "no model in",
        ("genres", "--model", tmp_path / "nowhere", "A ghost sings."): "no model in",
        ("genres", "--model", tmp_path, "  "): "empty",
        ("generate", "--warmth", "3"): "--warmth",
        ("prepare", "sample", "--seed", "-1", "-o", out): "--seed",
    }
    for arguments, message in cases.items():
        status, stdout, err = run(capsys, monkeypatch, *arguments)
        assert status == 2, arguments
        assert stdout == ""
        assert message in err, (arguments, err)
        assert err.rstrip("\n").splitlines()[-1].startswith("movieplots: ")
        assert "Traceback" not in err
        assert not out.exists(), arguments


def test_a_hub_id_without_a_connection_names_the_offline_base_models(capsys, monkeypatch, small_corpus, tmp_path):
    out = tmp_path / "out"
    arguments = ("train", "classifier", "--data", small_corpus, "--base-model", "roberta-base", "-o", out)
    status, _, err = run(capsys, monkeypatch, *arguments)
    assert status == 2
    assert "smollm2-135m for generators, minilm-l6" in err
    assert not out.exists()


@pytest.mark.parametrize(
    "command",
    [
        "fetch",
        "prepare",
        "train generator",
        "find-lr generator",
        "distill",
        "export",
        "train classifier",
        "dump",
        "evaluate",
        "generate",
        "genres",
        "sources",
    ],
)
def test_every_command_has_help_with_an_example(capsys, monkeypatch, command):
    status, out, _ = run(capsys, monkeypatch, *command.split(), "--help")
    assert status == 0
    assert "Example:" in out
    assert f"movieplots {command}" in " ".join(out.split())


def test_a_user_s_table_and_the_bundled_corpus_together(capsys, monkeypatch, tmp_path):
    lines = ["Name,Summary,Tags"]
    lines += [f"Salt {i},A ghost number {i} sings to keeper {i * i} of light {i * 7}.,horror|Musical" for i in range(9)]
    (tmp_path / "my.csv").write_text("\n".join(lines))
    table = ("--path", f"table={tmp_path / 'my.csv'}", "--column", "title=Name", "--column", "plot=Summary",
             "--column", "genres=Tags")  # fmt: skip
    status, out, err = run(
        capsys, monkeypatch, "prepare", "sample", "table", *table, "--dedup-threshold", "1", "-o", tmp_path / "out"
    )
    assert status == 0, err
    assert "kept 429 of 429 plots; dropped: none" in out
    (tmp_path / "map.csv").write_text("tag,genres\nmusical,\nhorror,thriller\n")
    table += ("--genre-map", tmp_path / "map.csv", "--dedup-threshold", "1")
    status, out, err = run(capsys, monkeypatch, "prepare", "table", *table, "-o", tmp_path / "few", "--json")
    assert status == 2
    assert "too small to split" in err


def test_fetching_ends_with_the_next_command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/imdb").mkdir(parents=True)
    (tmp_path / "data/raw/imdb/movies_genres.csv.bz2").write_bytes(b"there")
    status, out, err = run(capsys, monkeypatch, "fetch", "imdb")
    assert (status, out.splitlines()) == (
        0, ["data/raw/imdb/movies_genres.csv.bz2", "Next: movieplots prepare imdb --output-dir data/imdb"],
    )  # fmt: skip
    assert "already exists" in err


def test_sources_are_listed(capsys, monkeypatch):
    status, out, _ = run(capsys, monkeypatch, "sources", "--json")
    assert status == 0
    assert {"sample", "streaming"} <= {source["name"] for source in json.loads(out)}


def test_the_version_and_completion(capsys, monkeypatch, tmp_path):
    assert run(capsys, monkeypatch, "--version") == (0, f"movieplots {movieplots.__version__}\n", "")
    assert "--install-completion" in run(capsys, monkeypatch, "--help")[1]
    asked = {"_MOVIEPLOTS_COMPLETE": "complete_bash", "COMP_WORDS": "movieplots dump --temp", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "movieplots"], capture_output=True, text=True, env=os.environ | asked)
    assert (done.returncode, done.stdout.split()) == (0, ["--temperature"])


def test_help_needs_no_torch():
    code = "import sys, movieplots.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert app.registered_commands


def test_generate_names_the_nearest_training_plot_and_its_seed(capsys, monkeypatch, tmp_path, small_corpus, tiny_gpt2):
    """With a given index, an included one for this model, and one that cannot be read."""
    model, index = tmp_path / "model", tmp_path / "novelty.npz"
    train = ("train", "generator", "--data", small_corpus, "--base-model", tiny_gpt2, "-o", model, "--max-steps", 1)
    assert run(capsys, monkeypatch, *train, "--batch-size", 1)[0] == 0
    assert run(capsys, monkeypatch, "novelty", "--data", small_corpus, "-o", index)[0] == 0
    assert set(NoveltyIndex.plots_of(index)) == set(read_plot_ids(model).learned)
    titles = NoveltyIndex.load(index).titles
    plot = load_plots(small_corpus, "train")["plot"].iloc[0]
    ask = ("generate", "--model", model, "--genre", "horror", "--title", "Salt (2009)", "--opening", plot)

    status, out, _ = run(capsys, monkeypatch, *ask)
    assert status == 0 and "Nearest" not in out  # the included index is of other plots
    monkeypatch.setattr(novelty_index, "NOVELTY", index)
    (answer,) = json.loads(run(capsys, monkeypatch, *ask, "--json")[1])
    assert answer["nearest"]["title"] in titles and answer["nearest"]["longest_verbatim_span"] > 20
    _, out, _ = run(capsys, monkeypatch, *ask)
    (seed,) = re.findall(r"^Seed: (\d+) \(repeat with --seed \1\)$", out, re.MULTILINE)
    repeated = run(capsys, monkeypatch, *ask, "--seed", seed)[1]
    assert out == f"{repeated}Seed: {seed} (repeat with --seed {seed})\n"
    (again,) = json.loads(run(capsys, monkeypatch, *ask, "--json")[1])
    assert len({int(seed), answer["seed"], again["seed"]}) == 3
    assert f"Nearest training plot: {answer['nearest']['title']}" in out and "Copied: " in out
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"broken")
    status, out, err = run(capsys, monkeypatch, *ask, "--novelty", broken)
    assert status == 2 and "is not a novelty index" in err and not out

    def without_connection():
        raise BadInput("The base model 'minilm-l6' is not installed and could not be fetched.")

    monkeypatch.setattr("movieplots.measures.sentence_encoder.SentenceEncoder", without_connection)
    status, out, err = run(capsys, monkeypatch, *ask)
    assert status == 0 and out.strip() and "The plots are not compared with the training plots." in err


CUT = b"Die M\xc3\xb6we"[:6].decode(errors="surrogateescape")  # as `head -c 6` cuts an argument
TEXTS = {
    "the text": ("genres", CUT),
    "one of several texts": ("genres", "A ghost.", CUT),
    "--title": ("genres", "A ghost.", "--title", CUT),
    "--opening": ("generate", "--opening", CUT),
    "--title of a plot": ("generate", "--title", CUT),
    "--genre": ("generate", "--genre", CUT),
    "--backend": ("generate", "--backend", CUT),
    "--genre of a dump": ("dump", "--model", "m", "-o", "o", "--genre", CUT),
    "--temperature": ("dump", "--model", "m", "-o", "o", "--temperature", CUT),
    "--language": ("prepare", "sample", "-o", "o", "--language", CUT),
    "--column": ("prepare", "table", "-o", "o", "--column", f"title={CUT}"),
    "the source": ("prepare", CUT, "-o", "o"),
    "--method": ("train", "generator", "--data", "d", "--base-model", "b", "-o", "o", "--method", CUT),
    "--loss": ("train", "classifier", "--data", "d", "--base-model", "b", "-o", "o", "--loss", CUT),
    "--type": ("export", "--model", "m", "-o", "o", "--type", CUT),
    "--host": ("api", "--host", CUT),
    "--api": ("studio", "--api", CUT),
}


@pytest.mark.parametrize("which", TEXTS)
def test_a_text_cut_inside_a_character_is_rejected(which, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, monkeypatch, *TEXTS[which])
    assert (status, out) == (2, "")
    option = which.split(" of ")[0] if which.startswith("--") else "The"
    assert err.startswith(f"movieplots: {option}") and "not valid UTF-8 from character" in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_real_argument_and_real_input_end_in_a_sentence(tmp_path):
    """As a shell hands them over, in a process of its own."""
    program = [sys.executable, "-m", "movieplots", "genres"]
    for arguments, given in ((["Die Möwe".encode()[:6]], b""), (["-"], "Die Möwe\n".encode("latin-1"))):
        done = subprocess.run(
            [*program, *arguments], input=given, capture_output=True, env=os.environ | {"LC_ALL": "C"}
        )
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"UTF-8" in done.stderr, done.stderr


def test_files_and_folders_may_have_names_that_are_not_text(tmp_path):
    folder = os.fsencode(tmp_path) + b"/m\xf6we"
    os.mkdir(folder)
    for name, text in (("movieplots.json", '{"task": "generation"}'), ("map.csv", "tag,genres\nopera,music\n"),
                       ("plots.csv", "t,p,g\nSalt,The sea gives back a ship.,Drama\n")):  # fmt: skip
        with open(folder + b"/" + name.encode(), "w") as file:
            file.write(text)
    table = ["table", "--column=title=t", "--column=plot=p", "--column=genres=g", "--path", folder + b"/plots.csv"]
    for arguments, status, words in (
        (["genres", "--model", folder, "A ghost."], 2, b"holds a model for generation"),
        (["prepare", "sample", "--genre-map", folder + b"/map.csv", "-o", tmp_path / "out"], 0, b""),
        (["prepare", *table, "-o", tmp_path / "table"], 2, b"too small to split"),
        (["prepare", "sample", "-o", folder + b"/out"], 2, b"is not valid UTF-8"),  # pyarrow cannot write there
    ):
        done = subprocess.run([sys.executable, "-m", "movieplots", *arguments], capture_output=True, check=False)
        assert done.returncode == status and words in done.stderr, done.stderr
        assert b"Traceback" not in done.stderr


def test_names_of_options_are_complete_on_a_narrow_terminal():
    """Rich cuts the names of options if the other columns of a help page are too wide."""
    for command, words in commands():
        page = typer.testing.CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).output
        names = {name for each in command.params for name in each.opts if name.startswith("--")}
        assert {name for name in names if name not in page} == set(), words
