"""The API as users start it, with real (tiny) models: its own OpenAPI document, load, killed clients, and its end."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from movieplots.generation.sampling import PlotGenerator
from movieplots.measures.embedding import load_embedder
from movieplots.measures.novelty_index import NoveltyIndex
from movieplots.plots import load_plots
from tests.served import running
from tests.waiting import until


@pytest.fixture(scope="module")
def novelty(corpus, tmp_path_factory):
    """An index of the bundled corpus: (file, its plots)."""
    plots = load_plots(corpus, "train").head(60)
    file = tmp_path_factory.mktemp("novelty") / "novelty.npz"
    NoveltyIndex.build(plots["title"].tolist(), plots["plot"].tolist(), load_embedder().embed).save(file)
    return file, plots


@pytest.fixture(scope="module")
def api(trained, untitled, quantized, novelty, tmp_path_factory):
    """A running API with all kinds of models: (address, process)."""
    for folder in (trained[0], untitled):
        PlotGenerator.from_pretrained(folder)  # converts it for llama.cpp, which needs torch
    generators = ["--generator", trained[0], "--generator", untitled]
    others = ["--classifier", quantized[0], "--novelty", novelty[0]]
    with running(tmp_path_factory.mktemp("api"), "api", "--queue", 400, *generators, *others) as api:
        yield api


@pytest.mark.slow
def test_the_openapi_document_is_kept(api, tmp_path):
    """Random and wrong requests to every call: no 5xx, nothing that the document does not say."""
    program = Path(sys.executable).with_name("schemathesis")
    left_out = "positive_data_acceptance"  # which genres there are depends on the models
    rules = ["--phases", "examples,coverage,fuzzing", "--exclude-checks", left_out]
    settings = ["--max-examples", "25", "--seed", "1", "--request-timeout", "60", "--no-color", "--continue-on-failure"]
    command = [program, "run", f"{api[0]}/openapi.json", *rules, *settings]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)  # it keeps notes where it runs
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Operations:       10 selected / 10 total" in done.stdout


def test_every_call_has_an_example(api):
    document = httpx.get(f"{api[0]}/openapi.json").json()
    assert document["info"]["title"] == "movieplots"
    posts = {path: calls["post"] for path, calls in document["paths"].items() if "post" in calls}
    assert set(posts) == {
        "/v1/plots", "/v1/plots/stream", "/v1/genres", "/v1/keywords", "/v1/novelty", "/v1/posters",
    }  # fmt: skip
    for call in posts.values():
        name = call["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        examples = document["components"]["schemas"][name]["examples"]
        assert examples and all(examples)


def test_a_hundred_requests_of_32_clients(api):
    """None lost, none mixed up, each the same as alone; afterwards memory stays where it was."""
    address, process = api

    def ask(number):
        title, genre = f"Number {number} (2001)", ["horror", "comedy", "drama"][number % 3]
        asked = {"genres": [genre], "title": title, "seed": number, "max_words": 30}
        (plot,) = httpx.post(f"{address}/v1/plots", json=asked, timeout=120).raise_for_status().json()["plots"]
        assert (plot["title"], plot["genre"], plot["seed"]) == (title, genre, number)
        return plot["plot"]

    def crowd(count):
        with ThreadPoolExecutor(32) as threads:
            return list(threads.map(ask, range(count)))

    crowd(50)
    before = memory(process)
    plots = crowd(100)
    assert memory(process) < 1.1 * before
    assert len(plots) == 100 and len(set(plots)) > 75
    assert [ask(number) for number in range(0, 100, 25)] == plots[::25]


def test_killed_clients_give_their_places_back(api):
    address, _ = api
    program = (
        "import httpx, sys\n"
        "with httpx.stream('POST', sys.argv[1] + '/v1/plots/stream', timeout=60,\n"
        "                  json={'n': 8, 'genres': ['horror'], 'temperature': 3, 'top_p': 0}) as answer:\n"
        "    for line in answer.iter_lines():\n"
        "        print(line, flush=True)\n"
    )
    before = counted(address, "movieplots_cancelled_total")
    clients = [
        subprocess.Popen([sys.executable, "-c", program, address], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for client in clients:
        assert client.stdout.readline().startswith("event:")
        client.send_signal(signal.SIGKILL)
        client.wait()
    assert until(lambda: not counted(address, "movieplots_running") + counted(address, "movieplots_waiting"))
    assert counted(address, "movieplots_cancelled_total") > before
    assert httpx.post(f"{address}/v1/plots", json={"genres": ["horror"], "max_words": 5}, timeout=60).is_success


def test_serving_loads_neither_torch_nor_pandas(api):
    maps = Path(f"/proc/{api[1].pid}/maps").read_text()
    assert "onnxruntime" in maps and "xllamacpp" in maps
    assert not [name for name in ("torch", "pandas", "pyarrow", "scipy") if f"/site-packages/{name}/" in maps]


def test_it_ends_at_once_while_plots_are_written(trained, tmp_path):
    with running(tmp_path, "api", "--generator", trained[0]) as (address, process):
        asked = {"n": 8, "genres": ["horror"], "temperature": 3, "top_p": 0}
        with httpx.stream("POST", f"{address}/v1/plots/stream", json=asked, timeout=60) as answer:
            next(answer.iter_lines())
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGTERM)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_novelty_names_the_copied_plot(api, novelty):
    row = novelty[1].iloc[3]
    (found,) = httpx.post(f"{api[0]}/v1/novelty", json={"plots": [row["plot"]]}).json()["plots"]
    assert (found["title"], found["span_title"], found["copied"]) == (row["title"], row["title"], True)
    assert found["similarity"] > 0.99


def memory(process):
    """Resident memory in bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def counted(address, name):
    text = httpx.get(f"{address}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))
