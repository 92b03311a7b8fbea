"""The examples in `--help`: each one parses, and the first of each page runs, in the order of the stages."""

import re
import shlex
import sys

import pytest

from movieplots.cli import main
from tests.command_line import commands, parse
from tests.served import running

STAGES = (
    "sources", "prepare", "find-lr generator", "train generator", "distill", "train mlm", "find-lr classifier",
    "train classifier", "train fastai", "quantize", "dump", "novelty", "evaluate", "generate", "genres", "export",
    "api", "studio",
)  # fmt: skip
CONNECTED = {"fetch"}  # needs a connection
SHORTER = {  # options for tiny models, which take the place of those that an example has
    "find-lr generator": "--steps 20 --block-size 128",
    "find-lr classifier": "--steps 20 --batch-size 16",
    "train generator": "--max-steps 2",
    "distill": "--max-steps 2 --layers 1",
    "dump": "--samples-per-genre 1 --temperature 1 --top-p 0.9",
}


def pages():
    """The examples of each command, by its name."""
    found = {}
    for command, words in commands():
        if not words or not hasattr(command, "commands"):
            examples = re.findall(r": `((?:movieplots|accelerate) [^`]+)`", command.help)
            found[" ".join(words)] = [" ".join(example.split()) for example in examples]
    return found


PAGES = pages()


def test_every_command_has_an_example_that_parses():
    assert set(PAGES) == {"", *STAGES, *CONNECTED}
    for name, examples in PAGES.items():
        assert examples and examples[0].startswith(f"movieplots {name}".strip())
        for example in examples:
            parse(example[example.index("movieplots ") :])


@pytest.mark.slow
def test_the_first_examples_run_in_order(monkeypatch, tmp_path, tiny_llama, tiny_roberta, capfd):
    monkeypatch.chdir(tmp_path)
    models = {"smollm2-135m": tiny_llama, "minilm-l6": tiny_roberta}
    for name in STAGES:
        words = [models.get(word, word) for word in shlex.split(PAGES[name][0])]
        if name in ("api", "studio"):
            (tmp_path / name).mkdir()
            ready = {"api": "/readyz", "studio": "/_stcore/health"}[name]
            absolute = [str(tmp_path / word) if word.startswith("runs/") else word for word in words[1:]]
            with running(tmp_path / name, *absolute, ready=ready):
                continue
        monkeypatch.setattr(sys, "argv", [*words, *SHORTER.get(name, "").split()])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, (name, capfd.readouterr().err)
