"""The rehearsal: every notebook as Colab runs it, on tiny models and the bundled corpus.

An environment without the package and a folder without the project; Colab's package, its session list and Google Drive
are stood in for (`tests/colab`). Each training is killed once and continued on a new machine, which has only what is on
Drive; the evaluation then runs on a third.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sysconfig
import threading
import venv
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError

from movieplots import load_plots, read_dump
from movieplots.classification.baseline import SVM
from movieplots.classification.imbalance import LOSSES
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.training import train_classifier
from movieplots.generation.info import GeneratorInfo
from movieplots.pretrained import shipped
from movieplots.runs.folder import read_info
from tests.command_line import parse
from tests.pages import ROOT, code_cells, figures, outputs, page, pages
from tools.links import NO_ADDRESS
from tools.notebooks import KERNEL_ARGUMENTS

FOLDERS = sorted(Path(name).parent.as_posix() for name in pages() if name.endswith("Training.ipynb"))
OWN = {"GPT-2": "gpt2", "DistilGPT-2": "distilgpt2", "RoBERTa": "roberta-base", "BERT": "bert-base-uncased"}
NOT_OF_THE_PROJECT = shutil.ignore_patterns(
    ".git", ".venv*", "*_cache", "__pycache__", "*.egg-info", "build", "dist", "/runs"
)
OFFLINE = "or use one that works offline: smollm2-135m for generators, minilm-l6 for classifiers."
LINKED = 'REPOSITORY = "git+https://github.com/ada/plots@v1"'
LINES = re.compile(r"- \*\*(.*?):\*\* (.*)")


# The stand-in for Colab


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """The project as a repository on a server would be: the path of a bare clone, on branch main."""
    work, bare = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("server") / "plots.git"
    shutil.copytree(ROOT, work, ignore=NOT_OF_THE_PROJECT, dirs_exist_ok=True)
    for name in set(os.listdir(work / "data")) - {"README.md", "sample"}:  # corpora and models of whoever runs this
        shutil.rmtree(work / "data" / name)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "The project")
    git(work, "tag", "v1")
    git(work, "clone", "-q", "--bare", ".", str(bare))
    return bare


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """An environment with what Colab's machines bring, but without the project: its Python."""
    return new_environment(tmp_path_factory.mktemp("environment"))


def new_environment(folder):
    """It lends the packages of the tests' own; what pip installs goes into its own folder."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    ).stdout.strip()
    Path(own, "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    kernel = folder / "share" / "jupyter" / "kernels" / "rehearsal"
    kernel.mkdir(parents=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": start, "display_name": "Colab", "language": "python"}))
    return python


class Sessions(http.server.BaseHTTPRequestHandler):
    """Colab's session list; `opened` is the page that the notebook was opened from."""

    opened = ""

    def do_GET(self):
        session = {"path": f"fileId={self.opened.replace(':', '%3A')}", "name": "Training.ipynb", "type": "notebook"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([session]).encode() if self.path == "/api/sessions" else b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def github(monkeypatch, repository):
    """GitHub is out of reach: the address of `ada/plots` leads to the local repository."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{repository}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/ada/plots")


@pytest.fixture
def colab(monkeypatch, github):
    """The variables of Colab's machines and its session list; a function that says where the notebook was opened."""
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no curl: apt-get install curl")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sessions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("COLAB_JUPYTER_IP", "127.0.0.1")
    monkeypatch.setenv("KMP_TARGET_PORT", str(server.server_port))
    yield lambda address: monkeypatch.setattr(Sessions, "opened", address)
    server.shutdown()
    server.server_close()


class Rehearsal:
    """Sessions on Colab, each on a machine of its own, with one Google Drive."""

    def __init__(self, folder, python, monkeypatch):
        self.folder, self.count = folder, 0
        self.drive, self.log = folder / "drive", folder / "log.txt"
        self.drive.mkdir()
        self.log.touch()
        monkeypatch.setenv("REHEARSAL_DRIVE", str(self.drive))
        monkeypatch.setenv("REHEARSAL_LOG", str(self.log))
        monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "colab"))
        monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("JUPYTER_PATH", str(python.parents[1] / "share" / "jupyter"))
        self.environment = monkeypatch

    def run(self, name, killed=False, linked=True, **parameters):
        """Run a notebook from top to bottom, on a new machine; with `killed` its training ends in the middle.

        `linked`: as after `make links REPO=ada/plots REF=v1`.
        """
        self.count += 1
        self.machine = self.folder / f"machine-{self.count}"
        self.machine.mkdir()
        self.environment.setenv("REHEARSAL_KILL", "1" if killed else "")
        self.log.write_text("")
        notebook = nbformat.read(ROOT / name, as_version=4)
        if linked:
            setup = next(cell for cell in notebook.cells if cell.id == "setup")
            first, _, *others = setup.source.splitlines()
            setup.source = "\n".join([first, LINKED, *others])
        given = self.folder / f"given-{self.count}.ipynb"
        nbformat.write(notebook, given)
        done = self.folder / f"done-{self.count}.ipynb"
        try:
            return papermill.execute_notebook(
                given, done, parameters, cwd=self.machine, kernel_name="rehearsal", progress_bar=False,
                extra_arguments=KERNEL_ARGUMENTS,
            )  # fmt: skip
        except DeadKernelError:
            assert killed, "the kernel died"
            return None

    @property
    def work(self):
        return self.machine / "movieplots-work"

    @property
    def kept(self):
        return self.drive / "movieplots"


@pytest.fixture
def sessions(tmp_path, environment, github, monkeypatch):
    return Rehearsal(tmp_path, environment, monkeypatch)


# Where the package comes from


def address(line):
    """What the shell makes of the setup cell's REPOSITORY, and what it says."""
    value = eval(line.partition("=")[2].partition("  # ")[0])
    done = subprocess.run(["bash", "-c", f'echo "{value}"'], capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("ref", ["main", "v1", "commit"])
def test_the_package_comes_from_the_page_that_colab_opened_at_a_commit_or_tag(colab, repository, ref):
    commit = git(repository, "rev-parse", "main")
    opened = commit if ref == "commit" else ref
    colab(f"https://github.com/ada/plots/blob/{opened}/text_generation/with-titles/GPT-2/Training.ipynb")
    expected = {"main": commit, "v1": "v1", "commit": commit}[ref]  # a branch moves, so its commit is taken
    assert address(NO_ADDRESS) == (f"git+https://github.com/ada/plots@{expected}", "")


@pytest.mark.parametrize("opened", ["https://drive.google.com/file/d/1abc", ""])
def test_opened_from_elsewhere_it_says_what_to_write(colab, opened):
    colab(opened)
    found, said = address(NO_ADDRESS)
    assert not found
    assert "REPOSITORY" in said and "git+https://github.com/owner/name@tag" in said and "make lab" in said


def test_what_make_links_wrote_comes_first(colab):
    colab("https://github.com/ada/plots/blob/main/Tour.ipynb")
    assert address(LINKED) == ("git+https://github.com/ada/plots@v1", "")


@pytest.mark.slow
def test_from_the_page_that_colab_opened_it_installs_and_runs(colab, repository, tmp_path, monkeypatch):
    colab("https://github.com/ada/plots/blob/main/DataPreparation.ipynb")
    python = new_environment(tmp_path / "environment")
    (tmp_path / "other").mkdir()
    sessions = Rehearsal(tmp_path / "other", python, monkeypatch)
    done = sessions.run("DataPreparation.ipynb", linked=False, SOURCES=["sample"], OUTPUT_DIR="data/corpus")
    commit = git(repository, "rev-parse", "main")
    assert f"at commit `{commit[:10]}`" in page(code_cells(done)[0].outputs[-1])
    asked = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert f"movieplots @ git+https://github.com/ada/plots@{commit}" in asked
    check_it_ran("DataPreparation.ipynb", done)
    shown = " ".join(map(page, outputs(done)))
    for text in ("No duplicates were found.", "No near-duplicates were found.", "No plots were repaired."):
        assert text in shown
    assert len(load_plots(sessions.kept / "data" / "corpus")) == 420


# Every notebook


@pytest.fixture(scope="module")
def judge(tmp_path_factory, corpus, tiny_roberta):
    """The folder of a classifier trained on the bundled corpus, which evaluations of generators judge with."""
    folder = tmp_path_factory.mktemp("judge")
    train_classifier(corpus, tiny_roberta, folder, epochs=1)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_killed_while_it_trains_it_continues_on_another_machine_and_is_evaluated(folder, sessions, request):
    training, evaluation = f"{folder}/Training.ipynb", f"{folder}/Evaluation.ipynb"
    generators = folder.startswith("text_generation")
    base_model = request.getfixturevalue("tiny_gpt2" if generators else "tiny_roberta")
    assert sessions.run(training, killed=True, BASE_MODEL=base_model, QUICK=True) is None
    assert list(sessions.kept.rglob("unfinished-1.zip"))

    done = sessions.run(training, BASE_MODEL=base_model, QUICK=True)
    said = sessions.log.read_text()
    assert re.search(r"Continuing at step \d+\.", said)
    assert ("The learning-rate search kept in " in said) == ("kept_search(" in str(done))
    check_it_ran(training, done)
    check_what_was_trained(folder, done, sessions.work)
    check_the_note(done, sessions, base_model)

    judges = {"CLASSIFIER": request.getfixturevalue("judge")} if generators else {}
    done = sessions.run(evaluation, BASE_MODEL=Path(base_model).name, QUICK=True, **judges)
    check_it_ran(evaluation, done)
    check_what_was_evaluated(folder, done, sessions.work)
    assert not [file for file in sessions.kept.rglob("unfinished-*.zip") if file.stat().st_size]


def check_it_ran(name, done):
    """All cells, without an error, with as many figures as are committed."""
    assert not [output for output in outputs(done) if output.output_type == "error"]
    assert all(cell.execution_count for cell in code_cells(done))
    assert figures(done) == figures(nbformat.read(ROOT / name, as_version=4))
    assert "This machine has no GPU." in str(outputs(done)) or name == "DataPreparation.ipynb"


def check_what_was_trained(folder, done, work):
    shown = " ".join(map(page, outputs(done)))
    if folder.startswith("text_generation"):
        models = [read_info(file.parent, GeneratorInfo) for file in work.glob("data/quick/**/movieplots.json")]
        assert len(models) == (1 if folder.endswith("/GPT-2") else 2)
        assert all(f">{model.metrics.test_loss_after:.3g}<" in shown for model in models)
        (dump,) = work.glob("data/quick/**/dump.json")
        assert len(read_dump(dump.parent)) == 36
    else:
        models = [model.metrics.test for model in classifiers_in(work)]
        # MiniLM's two as trained and quantized, and one a loss; BERT's with further pretraining and without
        assert len(models) == {"MiniLM": 4 + len(LOSSES), "BERT": 2, "RoBERTa": 1}[Path(folder).name]
        assert all(f">{measured.baselines[SVM].map:.3f}<" in shown for measured in models)
        assert all(f">{measured.scores.map:.3f}" in shown for measured in models)
    (commands,) = [page(output) for output in code_cells(done)[-1].outputs if "```bash" in page(output)]
    for command in commands.replace("\\\n", " ").splitlines()[1:-1]:
        parse(command)


def classifiers_in(work):
    """The infos of the classifiers; an encoder that was only pretrained further is none."""
    places = [file.parent for file in work.glob("data/quick/**/movieplots.json")]
    return [
        read_info(place, ClassifierInfo)
        for place in places
        if '"task": "classification"' in (place / "movieplots.json").read_text()
    ]


def check_the_note(done, sessions, base_model):
    (note,) = [page(output) for output in code_cells(done)[0].outputs if page(output).startswith("- **")]
    lines = dict(LINES.findall(note))
    models = [file.parent.relative_to(sessions.work) for file in sessions.work.glob("data/quick/**/run.json")]
    assert list(lines)[:5] == ["Base model", "Data", "Device", "Software", "Date"]
    assert lines["Base model"] == f"`{Path(base_model).name}`"
    assert lines["Data"].startswith("sample, 420 plots (330 for training), fingerprint `")
    assert re.match(r"movieplots 0\.1\.0 at commit `[0-9a-f]{10}`, torch ", lines["Software"])
    assert re.fullmatch(r"\d+ (seconds|minutes); resumed from a checkpoint of an earlier run", lines["Duration"])
    assert re.fullmatch(r"\d+ MB in `movieplots` on Google Drive", lines["Copies"])
    assert {name for name in lines if name.startswith("Training of ")} == {f"Training of `{model}`" for model in models}


def check_what_was_evaluated(folder, done, work):
    shown = " ".join(map(page, outputs(done)))
    if folder.startswith("text_generation"):
        (report,) = work.glob("data/quick/**/report.html")
        metrics = json.loads((report.parent / "metrics.json").read_text())
        assert [model["samples"]["samples"] for model in metrics["models"].values()] == [36] * len(metrics["models"])
        assert len(metrics["models"]) == (1 if folder.endswith("/GPT-2") else 2)
        assert metrics["classifier"]["test_plots"] > 0
        assert all(name in shown for name in metrics["models"])
    else:
        models = [model.metrics.test for model in classifiers_in(work)]
        assert any(f">{measured.intervals['map'].value:.3f} (" in shown for measured in models)
        assert "politician" in shown


@pytest.mark.slow
def test_finished_it_trains_nothing_again_and_judges_with_the_classifier_that_ships(sessions, tiny_gpt2):
    training, evaluation = (f"text_generation/with-titles/GPT-2/{name}.ipynb" for name in ("Training", "Evaluation"))
    sessions.run(training, BASE_MODEL=tiny_gpt2, QUICK=True)
    before = {file: file.read_bytes() for file in sessions.kept.rglob("*.safetensors")}
    again = sessions.run(training, BASE_MODEL=tiny_gpt2, QUICK=True)
    assert "already holds this model" in sessions.log.read_text()
    assert "the model was trained by an earlier run" in page(code_cells(again)[0].outputs[-1])
    sessions.run(evaluation, BASE_MODEL=Path(tiny_gpt2).name, QUICK=True)
    assert {file: file.read_bytes() for file in before} == before
    (file,) = sessions.kept.rglob("metrics.json")
    metrics = json.loads(file.read_text())
    assert metrics["classifier"]["skipped"].startswith("The classifier was trained on data other than")
    (model,) = metrics["models"].values()
    assert model["genre_control"]["labels"] == read_info(shipped.CLASSIFIER, ClassifierInfo).labels


@pytest.mark.slow
@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if Path(folder).name in OWN])
def test_without_the_hub_it_says_in_a_sentence_which_models_need_none(folder, sessions):
    with pytest.raises(papermill.PapermillExecutionError) as raised:
        sessions.run(f"{folder}/Training.ipynb", QUICK=True)
    assert OWN[Path(folder).name] in raised.value.evalue
    assert raised.value.evalue.endswith(
        "or use one that works offline: smollm2-135m for generators, minilm-l6 for classifiers."
    )
    assert raised.value.traceback == [f"BadInput: {raised.value.evalue}"]  # not where in the code


def test_without_the_catalogues_it_says_how_to_get_them(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match=r"kaggle\.com/datasets/shivamb/netflix-shows"):
        papermill.execute_notebook(
            ROOT / "DataPreparation.ipynb", tmp_path / "out.ipynb", cwd=tmp_path, kernel_name="python3",
            progress_bar=False, extra_arguments=KERNEL_ARGUMENTS,
        )  # fmt: skip
    assert not (tmp_path / "data").exists()


def test_outside_of_colab_a_notebook_works_in_its_folder(tmp_path):
    done = papermill.execute_notebook(
        ROOT / "DataPreparation.ipynb", tmp_path / "out.ipynb", {"SOURCES": ["sample"], "OUTPUT_DIR": "data/corpus"},
        cwd=tmp_path, kernel_name="python3", progress_bar=False, extra_arguments=KERNEL_ARGUMENTS,
    )  # fmt: skip
    check_it_ran("DataPreparation.ipynb", done)
    assert len(load_plots(tmp_path / "data" / "corpus")) == 420
