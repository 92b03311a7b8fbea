"""The container images without a container: compose.yaml against its schema, and the images' own commands.

The RUN, CMD and HEALTHCHECK lines of each Dockerfile are run as they stand, in a folder that holds what COPY copies,
with paths and ports that are free here in place of those inside a container.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

from movieplots.generation.export import DECODED_TYPE, cached_gguf, write_gguf
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator
from movieplots.generation.training import train_generator
from movieplots.plots import FILE_NAME, load_plots, save_plots
from movieplots.runs.folder import read_info
from tests.served import free_port

ROOT = Path(__file__).parents[1]
LIMIT = 1000  # MB of an image
SLIM = 190  # MB of python:3.11-slim with libgomp1, unpacked


@pytest.fixture(scope="module")
def adapter(corpus, tmp_path_factory):
    """A real adapter on the packaged base, after one step."""
    folder = tmp_path_factory.mktemp("adapter")
    plots = load_plots(corpus)
    parts = [plots[plots["split"] == "train"].head(6), plots[plots["split"] != "train"].head(4)]
    save_plots(pd.concat(parts).reset_index(drop=True), folder / FILE_NAME)
    train_generator(folder, "smollm2-135m", folder / "out", max_steps=1, block_size=256, batch_size=1)
    return folder / "out"


@pytest.mark.slow
def test_an_adapter_is_merged_without_torch_as_with_it(adapter, tmp_path):
    from gguf import GGUFReader, dequantize

    program = (
        "import sys\nfrom movieplots.generation.export import cached_gguf\n"
        "from movieplots.generation.info import GeneratorInfo\n"
        "from movieplots.runs.folder import read_info\n"
        f"cached_gguf({str(adapter)!r}, read_info({str(adapter)!r}, GeneratorInfo))\n"
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    light, context = cached_gguf(adapter, read_info(adapter, GeneratorInfo))
    model, tokenizer, _ = load_generator(adapter)
    assert context == model.config.max_position_embeddings
    write_gguf(model, tokenizer, tmp_path / "torch.gguf", DECODED_TYPE, str(adapter), spelled=False)
    ours, reference = GGUFReader(light), GGUFReader(tmp_path / "torch.gguf")
    said, known = ({name: field.contents() for name, field in reader.fields.items()} for reader in (ours, reference))
    common = {name for name in set(said) & set(known) if not name.startswith("GGUF.")}
    assert {"llama.block_count", "llama.rope.freq_base", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"} <= common
    assert {name: said[name] for name in common} == {name: known[name] for name in common}
    expected = {tensor.name: tensor for tensor in reference.tensors}
    assert {tensor.name for tensor in ours.tensors} == set(expected)
    for tensor in ours.tensors:
        there = expected[tensor.name]
        assert tensor.tensor_type == there.tensor_type
        a, b = dequantize(tensor.data, tensor.tensor_type), dequantize(there.data, there.tensor_type)
        assert np.abs(a - b).max() <= 0.011 * np.abs(b).max()  # a step of 8 bits at most
        assert (a != b).mean() < 0.01


def test_the_compose_file_keeps_its_schema_and_names_what_there_is():
    schema = next(file for file in files("docker-compose") if file.name == "compose_spec.json")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    jsonschema.validate(compose, json.loads(schema.read_text()))
    assert set(compose["services"]) == {"api", "studio"}
    for service in compose["services"].values():
        text = (ROOT / service["build"]["dockerfile"]).read_text()
        assert "HEALTHCHECK" in text and re.search("^USER movieplots$", text, re.MULTILINE)
        final = text.rpartition("\nFROM ")[2]
        assert "build-essential" not in text and "gcc" not in text and "pip install" not in final
        for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
            assert all((ROOT / name).exists() for name in copied.split())


def lines(dockerfile):
    """The instructions, a line each."""
    text = re.sub(r"^#.*\n", "", (ROOT / "docker" / dockerfile).read_text(), flags=re.MULTILINE)
    return re.sub(r"\\\n\s*", "", text).splitlines()


def build(dockerfile, folder):
    """Run the first stage of the image in `folder`: (its virtual environment, its start and its health command)."""
    found = lines(dockerfile)
    source, venv = folder / "src", folder / "venv"
    source.mkdir()
    first = found[: next(i for i, line in enumerate(found) if line.startswith("FROM") and i)]
    for line in first:
        if line.startswith("COPY "):
            *copied, target = line.split()[1:]
            for name in copied:
                if (ROOT / name).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / name, source / target, ignore=ignored)
                else:
                    shutil.copy(ROOT / name, source / target)
        elif line.startswith("RUN "):
            # An image has no use for a cache; here it saves fetching what this environment was made from once more.
            command = line[4:].replace("/venv", str(venv)).replace("python -m venv", f"{sys.executable} -m venv")
            command = command.replace("--no-cache-dir ", "")
            subprocess.run(command, shell=True, check=True, cwd=source, env=clean(), stdout=subprocess.DEVNULL)
    start = json.loads(next(line[4:] for line in found if line.startswith("CMD ")))
    health = json.loads(next(line for line in found if line.startswith("HEALTHCHECK")).partition("CMD ")[2])
    return venv, start, health


def clean(**more):
    """The environment of a container: none of ours but the cache, a home, and where packages come from."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    return kept | {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | more


def healthy(health, old, new, environment, process, log):
    """Run the image's health check until it succeeds."""
    command = [part.replace(old, new) for part in health]
    until = time.monotonic() + 120
    while subprocess.run(command, env=environment, capture_output=True).returncode:
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.3)


@pytest.mark.slow
def test_the_images_install_start_and_are_healthy(tmp_path):
    started, addresses = [], {}
    try:
        for name, port in (("api", "8000"), ("studio", "8501")):
            folder = tmp_path / name
            folder.mkdir()
            venv, start, health = build(f"{name}.Dockerfile", folder)
            size = sum(file.lstat().st_size for file in venv.rglob("*") if file.is_file()) / 1e6
            assert size + SLIM < LIMIT
            packages = {path.name for path in venv.glob("lib/python*/site-packages/*")}
            assert not {"torch", "transformers", "nvidia"} & packages
            if name == "api":
                assert "index of the training plots" in run(venv, ["movieplots", "novelty", "--help"])
            addresses[name] = str(free_port())
            paths = {
                "/data": str(tmp_path),
                "http://api:8000": f"http://127.0.0.1:{addresses['api']}",
            }
            command = [addresses[name] if part == port else part for part in start]
            for inside, here in paths.items():
                command = [part.replace(inside, here) for part in command]
            assert command[0] == "movieplots"
            environment = clean(PATH=f"{venv / 'bin'}:{os.environ['PATH']}", MOVIEPLOTS_CACHE=str(tmp_path / "cache"))
            log = folder / "log"
            started.append(subprocess.Popen(command, env=environment, stdout=log.open("w"), stderr=subprocess.STDOUT))
            healthy(health, f":{port}", f":{addresses[name]}", environment, started[-1], log)
        api = f"http://127.0.0.1:{addresses['api']}"
        (plot,) = (
            httpx.post(f"{api}/v1/plots", json={"title": "Salt (2009)"}, timeout=60).raise_for_status().json()["plots"]
        )
        assert plot["title"] == "Salt (2009)" and plot["plot"]
        for path in ("genres", "novelty", "keywords"):
            asked = {"plots": [plot["plot"]]}
            assert len(httpx.post(f"{api}/v1/{path}", json=asked, timeout=60).raise_for_status().json()["plots"]) == 1
        assert httpx.post(f"{api}/v1/posters", json={"title": "Salt"}, timeout=60).content.startswith(b"\x89PNG")
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def run(venv, command):
    environment = clean(PATH=f"{venv / 'bin'}:{os.environ['PATH']}")
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_commands_are_those_that_a_shell_would_run():
    for dockerfile in ("api.Dockerfile", "studio.Dockerfile"):
        for line in lines(dockerfile):
            if line.startswith("RUN "):
                assert subprocess.run(["bash", "-n", "-c", line[4:]]).returncode == 0, shlex.quote(line)
