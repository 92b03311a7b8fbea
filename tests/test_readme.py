"""Every command and program in README.md runs, in order, on tiny models and a small corpus.

Commands are the indented blocks. Only base models, lengths of trainings and ports are changed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from movieplots import load_plots
from movieplots.cli import main
from tests.command_line import parse
from tests.served import running

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
SHORT = {
    "movieplots train generator": "--max-steps 2 --batch-size 1",
    "movieplots train classifier": "--epochs 1",
    "movieplots dump": "--samples-per-genre 1 --temperature 0.7 --top-p 0.9",
    "accelerate launch": "--max-steps 1",
    "tensorboard": "--inspect",
}


@pytest.fixture(scope="module")
def desk(corpus, tmp_path_factory):
    """A user's folder: a table of plots, four catalogues, and the pretrained models."""
    folder = tmp_path_factory.mktemp("desk")
    plots = load_plots(corpus)
    own = pd.DataFrame({"Name": plots["title"], "Summary": plots["plot"], "Tags": plots["genres"].map(", ".join)})
    own.to_csv(folder / "my.csv", index=False)
    tags = {"horror": "Horror Movies", "comedy": "Comedies", "drama": "Dramas", "romance": "Romantic Movies"}
    known = plots[plots["genres"].map(lambda genres: bool(tags.keys() & set(genres)))]
    catalogue = pd.DataFrame(
        {
            "show_id": [f"s{i}" for i in range(len(known))],
            "type": "Movie",
            "title": known["primary"].to_numpy(),
            "release_year": known["year"].fillna(2000).astype(int).to_numpy(),
            "listed_in": [", ".join(tags[name] for name in genres if name in tags) for genres in known["genres"]],
            "description": known["plot"].to_numpy(),
        }
    )
    (folder / "FOLDER_OF_CATALOGUES").mkdir()
    catalogue.to_csv(folder / "FOLDER_OF_CATALOGUES" / "netflix_titles.csv", index=False)
    (folder / "models").symlink_to(ROOT / "models")
    return folder


@pytest.mark.slow
def test_every_command_runs(desk, monkeypatch, tiny_llama, tiny_roberta, tiny_gpt2, capfd):
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no curl: apt-get install curl")
    monkeypatch.chdir(desk)
    bases = {"smollm2-135m": tiny_llama, "minilm-l6": tiny_roberta, "gpt2": tiny_gpt2}
    order = sorted(COMMANDS, key=stage)
    assert {"generate", "genres", "prepare", "train", "dump", "evaluate", "quantize", "novelty", "studio", "api"} <= {
        word for command in order for word in shlex.split(command, comments=True)[1:2]
    }
    asked = [command for command in order if command.startswith("curl ")]
    for command in order:
        if command.startswith(("make ", "curl ")):
            continue
        words = shlex.split(command, comments=True)
        words = [str(bases.get(word, word)) for word in words]
        more = next((more for start, more in SHORT.items() if command.startswith(start)), "").split()
        if words[:2] in (["movieplots", "api"], ["movieplots", "studio"]):
            serve(desk, words[1:], asked if words[1] == "api" else [])
        elif words[0] == "movieplots":
            if "--time-limit" in words:
                at = words.index("--time-limit")
                del words[at : at + 2]
            monkeypatch.setattr(sys, "argv", words + more)
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code, (command, capfd.readouterr().err)
        else:
            if words[0] == "accelerate":
                words[2:4] = ["--cpu", "--num_processes", "2", "--main_process_port", "0"]
                words[words.index("--batch-size") + 1] = "2"
            program = Path(sys.executable).with_name(words[0])
            done = subprocess.run([program, *words[1:], *more], capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stderr)
    (program,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(program, {})
    assert capfd.readouterr().out.strip()


def test_every_command_parses():
    """Every command parses."""
    commands = [command for command in COMMANDS if command.startswith("movieplots ")]
    assert len(commands) > 8
    for command in commands:
        parse(command)


def stage(command):
    """Return the stage of a command: the page is in the order of a reader, not of the stages."""
    order = ("prepare", "train", "accelerate", "quantize", "novelty", "dump", "evaluate", "tensorboard", "generate")
    return next((place for place, word in enumerate(order) if word in command.split()[:2]), len(order))


def serve(desk, arguments, asked):
    """Start the API or the studio as on the page, and send it the requests of the page."""
    folder = desk / arguments[0]
    folder.mkdir(exist_ok=True)
    ready = "/readyz" if arguments[0] == "api" else "/_stcore/health"
    with running(folder, *arguments, ready=ready) as (address, _):
        for command in asked:
            words = shlex.split(command)
            assert words[1].startswith("localhost:8000/")
            words[1] = words[1].replace("localhost:8000", address)
            done = subprocess.run([*words, "--silent", "--fail-with-body"], capture_output=True, text=True)
            assert done.returncode == 0 and '"plots"' in done.stdout, done.stdout + done.stderr


def test_every_make_target_exists():
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)\b", TEXT, re.MULTILINE))
    assert {"demo", "test", "studio", "notebooks", "links"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_picture_exists():
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT):
        assert (ROOT / picture).stat().st_size > 10_000


def test_the_tests_of_other_transformers_versions_exist():
    """`make transformers-bounds` selects tests by parts of their names, which may change."""
    (selected,) = re.findall(r"^BOUNDED := (.*(?:\\\n.*)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    parts = set(re.findall(r"[\w-]+", selected)) - {"or"}
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    names = " ".join(re.findall(r"def (test_\w+)", sources))
    assert [part for part in parts if part.strip("-") != "transformers" and part not in names] == []
