"""The notebooks: each runs on the bundled corpus, and what is committed is a clean run that anyone may read."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from movieplots import load_plots, read_dump
from movieplots.classification.baseline import SVM
from movieplots.classification.imbalance import LOSSES
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.training import train_classifier
from movieplots.generation.info import GeneratorInfo
from movieplots.pretrained import shipped
from movieplots.runs.folder import read_info
from tools import notebooks
from tools.notebooks import KERNEL_ARGUMENTS, tidy

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [str(path.relative_to(ROOT)) for path in notebooks.notebooks(ROOT)]
TRAINING = [name for name in NOTEBOOKS if name.endswith("Training.ipynb")]
EVALUATION = [name for name in NOTEBOOKS if name.endswith("Evaluation.ipynb")]
GENRES = [name for name in NOTEBOOKS if name.startswith("genre_prediction/")]
# The base model that a notebook is written for, where another one stands in for it.
MEANT = {"DistilGPT-2": "distilgpt2", "GPT-2": "gpt2", "RoBERTa": "roberta-base", "BERT": "bert-base-uncased"}
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|home|tmp|root|mnt|Users|private|var)/\w")
LONGEST_CELL = 90  # characters: room for a title or a plot's opening words, not for a plot
# The cells that show texts in full, as lists: only what a model of ours wrote.
WRITTEN = {"samples", "student-samples", "own", "temperatures", "most", "least", "best"}


def execute(path, out, folder, **parameters):
    """Run a notebook with papermill in a folder; it raises where a cell fails."""
    return papermill.execute_notebook(
        path, out, parameters, cwd=folder, kernel_name="python3", progress_bar=False,
        extra_arguments=KERNEL_ARGUMENTS,
    )  # fmt: skip


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def figures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def page(output):
    """What an output shows of text, as one string."""
    data = output.get("data", {})
    return "".join(str(data.get(kind, "")) for kind in ("text/html", "text/markdown"))


def cell_sources(name):
    return {cell.id: cell.source for cell in nbformat.read(ROOT / name, as_version=4).cells}


def parameters_of(name):
    return cell_sources(name)["parameters"]


def out_of(name):
    return re.search(r'^OUTPUT_DIR = "(.*?)"', parameters_of(name), re.MULTILINE)[1]


def meant(name):
    """The base that the notebook is written for, or None where it is the one that it runs with."""
    return next((base for folder, base in MEANT.items() if folder in name), None)


@pytest.fixture(params=NOTEBOOKS)
def committed(request):
    return nbformat.read(ROOT / request.param, as_version=4)


# Each notebook runs


@pytest.fixture(scope="module")
def judge(tmp_path_factory, corpus, tiny_roberta):
    """The folder of a classifier trained on the bundled corpus, for the notebooks that evaluate on it."""
    folder = tmp_path_factory.mktemp("judge")
    train_classifier(corpus, tiny_roberta, folder, epochs=1)
    return str(folder)


def evaluation_folder(name, folder, model, corpus):
    """Lay into a folder what a quick run of the training notebooks leaves for an evaluation; return `OUTPUT_DIR`."""
    out = folder / "data" / "quick" / out_of(name)
    for part in ("random-crops", "packed") if "gpt2simple" in name else ("", "../tiny-student"):
        shutil.copytree(model, out / "tiny" / part, dirs_exist_ok=True)
    shutil.copytree(corpus, folder / "data" / "quick" / "corpus")
    return out


# One runs at every change; the others take minutes.
RUNS = [name if name == "DataPreparation.ipynb" else pytest.param(name, marks=pytest.mark.slow) for name in NOTEBOOKS]
STARTED_AGAIN = "text_generation/with-titles/GPT-2/Training.ipynb"


def run_quick(name, folder, request):
    """Run a notebook in a folder, on tiny models and the bundled corpus."""
    use = request.getfixturevalue
    if name in GENRES:
        base = use("tiny_roberta")
        if name in EVALUATION:  # what a quick run of the training notebook leaves
            shutil.copytree(use("classifier")[0], folder / "data" / "quick" / out_of(name) / "tiny")
            shutil.copytree(use("small_corpus"), folder / "data" / "quick" / "corpus")
            base = "tiny"
        parameters = {"BASE_MODEL": base, "QUICK": True}
    elif name in EVALUATION:
        model = use("trained")[0] if "with-titles" in name else use("untitled")
        evaluation_folder(name, folder, model, use("corpus"))
        parameters = {"BASE_MODEL": "tiny", "CLASSIFIER": use("judge"), "QUICK": True}
        if "Distil" in name:
            parameters["TEACHER_BASE_MODEL"] = "tiny"
    elif name in TRAINING:
        parameters = {"BASE_MODEL": use("tiny_gpt2"), "QUICK": True}
        if "TEACHER_BASE_MODEL = " in parameters_of(name):
            parameters["TEACHER_BASE_MODEL"] = use("tiny_gpt2")
    else:
        parameters = {"SOURCES": ["sample"], "OUTPUT_DIR": "data/corpus"}
    return execute(ROOT / name, folder / "out.ipynb", folder, **parameters)


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_on_the_bundled_corpus(name, tmp_path, request):
    """One test, since the run is what takes time: it ends well, shows what it wrote, and says what made it."""
    done = run_quick(name, tmp_path, request)
    assert not [output for output in outputs(done) if output.output_type == "error"]
    assert all(cell.execution_count for cell in code_cells(done))
    assert figures(done) == figures(nbformat.read(ROOT / name, as_version=4))
    check_it_wrote_what_it_shows(name, done, tmp_path)
    if name in TRAINING:
        check_the_first_cell_says_what_made_the_outputs(name, done, tmp_path)
    if name == STARTED_AGAIN:
        check_it_trains_nothing_again(name, done, tmp_path)


def check_it_wrote_what_it_shows(name, done, folder):
    shown = " ".join(map(page, outputs(done)))
    if name == "DataPreparation.ipynb":
        assert len(load_plots(folder / "data" / "corpus")) == 420
        assert "No duplicates were found." in shown
        assert "No near-duplicates were found." in shown
        assert "No plot had to be repaired." in shown
    elif name in GENRES and name in EVALUATION:
        (model,) = folder.glob("data/quick/**/movieplots.json")
        metrics = read_info(model.parent, ClassifierInfo).metrics
        assert f">{metrics.test.intervals['map'].value:.3f} (" in shown
        assert "politician" in shown
    elif name in GENRES:
        folders = [file.parent for file in folder.glob("data/quick/**/movieplots.json")]
        is_classifier = {
            place: '"task": "classification"' in (place / "movieplots.json").read_text() for place in folders
        }
        models = [read_info(place, ClassifierInfo).metrics.test for place in folders if is_classifier[place]]
        # MiniLM's two as trained and quantized, and one a loss; BERT's with reading and without
        assert len(models) == {"MiniLM": 4 + len(LOSSES), "BERT": 2, "RoBERTa": 1}[Path(name).parent.name]
        assert all(f">{measured.baselines[SVM].map:.3f}<" in shown for measured in models)
        assert all(f">{measured.scores.map:.3f}" in shown for measured in models)
    elif name in EVALUATION:
        (report,) = folder.glob("data/quick/**/report.html")
        metrics = json.loads((report.parent / "metrics.json").read_text())
        assert [model["samples"]["samples"] for model in metrics["models"].values()] == [36] * len(metrics["models"])
        assert len(metrics["models"]) == (1 if "/GPT-2/" in name else 2)
        assert metrics["classifier"]["test_plots"] > 0
        assert all(name in shown for name in metrics["models"])
    else:
        models = [read_info(file.parent, GeneratorInfo) for file in folder.glob("data/quick/**/movieplots.json")]
        assert len(models) == (1 if "/GPT-2/" in name else 2)
        assert all(f">{model.metrics.test_loss_after:.3g}<" in shown for model in models)
        (dump,) = folder.glob("data/quick/**/dump.json")
        assert len(read_dump(dump.parent)) == 36


def check_the_first_cell_says_what_made_the_outputs(name, done, folder):
    (note,) = [page(output) for output in code_cells(done)[0].outputs if page(output)]
    lines = dict(re.findall(r"- \*\*(.*?):\*\* (.*)", note))
    models = [file.parent.relative_to(folder) for file in folder.glob("data/quick/**/run.json")]
    assert list(lines)[:5] == ["Base model", "Data", "Device", "Date", "Duration"]
    assert sorted(list(lines)[5:]) == sorted(f"Training of `{model}`" for model in models)
    base = Path(done.metadata.papermill.parameters["BASE_MODEL"]).name
    assert lines["Base model"].startswith(f"`{base}` **stands in for `{meant(name) or 'minilm-l6'}`**")
    assert lines["Data"].startswith("sample, 420 plots, of which 330 for training; fingerprint `")
    assert re.fullmatch(r"\d+ (seconds|minutes)", lines["Duration"])


def check_it_trains_nothing_again(name, first, folder):
    models = {file: file.stat().st_mtime for file in folder.glob("data/quick/**/movieplots.json")}
    parameters = first.metadata.papermill.parameters
    again = execute(ROOT / name, folder / "again.ipynb", folder, **parameters)
    assert {file: file.stat().st_mtime for file in models} == models
    assert figures(again) == figures(first)
    assert "the model had been trained before" in page(code_cells(again)[0].outputs[-1])


@pytest.mark.parametrize("name", [name for name in EVALUATION if name not in GENRES])
def test_an_evaluation_takes_the_classifier_that_ships(name):
    assert re.search("^CLASSIFIER = None ", parameters_of(name), re.MULTILINE)
    assert any("CLASSIFIER or shipped.CLASSIFIER" in source for source in cell_sources(name).values())


@pytest.mark.slow
def test_an_evaluation_judges_with_the_classifier_that_ships(tmp_path, trained, corpus):
    name = next(name for name in EVALUATION if "with-titles/GPT-2/" in name)
    out = evaluation_folder(name, tmp_path, trained[0], corpus)
    execute(ROOT / name, tmp_path / "out.ipynb", tmp_path, BASE_MODEL="tiny", QUICK=True)
    metrics = json.loads((out / "tiny" / "report" / "metrics.json").read_text())
    assert metrics["classifier"]["skipped"].startswith("The classifier was trained on other data")
    (model,) = metrics["models"].values()
    assert model["genre_control"]["labels"] == read_info(shipped.CLASSIFIER, ClassifierInfo).labels
    samples = pd.read_csv(out / "tiny" / "report" / "samples.csv")
    written = samples[(samples["model"] == "with titles") & ~samples["empty"]]
    assert len(written) and written["genre_probability"].between(0, 1).all()


def test_without_the_catalogues_it_says_how_to_get_them(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match=r"kaggle\.com/datasets/shivamb/netflix-shows"):
        execute(ROOT / "DataPreparation.ipynb", tmp_path / "out.ipynb", tmp_path)
    assert not (tmp_path / "data").exists()


# The setup cell


def test_the_setup_is_the_same_in_all():
    first = cell_sources("DataPreparation.ipynb")["setup"]
    for name in TRAINING + EVALUATION:
        setup = cell_sources(name)["setup"]
        assert setup.startswith(first + "\n\nnote = ")
        assert setup == cell_sources(TRAINING[0])["setup"]


def test_it_works_in_the_checkout_that_it_lies_in(tmp_path):
    inner = tmp_path / "text_generation" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "movieplots" / "preparation").mkdir(parents=True)
    assert str(tmp_path) in run_setup(inner, code="\nprint(os.getcwd())").stdout


def test_on_colab_it_works_on_the_drive(tmp_path, monkeypatch):
    package = tmp_path / "stub" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    log = tmp_path / "mounted"
    (package / "drive.py").write_text(
        "import os\n"
        "def mount(path):\n"
        f"    open({str(log)!r}, 'a').write(path + chr(10))\n"
        "    os.makedirs(path + '/MyDrive')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stub"))
    content = tmp_path / "content"  # where Colab starts
    content.mkdir()
    notebook = nbformat.read(ROOT / "DataPreparation.ipynb", as_version=4)
    names = [cell.id for cell in notebook.cells]
    notebook.cells = notebook.cells[: names.index("prepare") + 1]  # what follows reads only what is written here
    setup = notebook.cells[names.index("setup")]
    assert setup.source.count('"/content/drive') == 2  # the one thing changed: only Colab has this folder
    setup.source = setup.source.replace('"/content/', f'"{content}/')
    nbformat.write(notebook, tmp_path / "colab.ipynb")
    execute(tmp_path / "colab.ipynb", tmp_path / "out.ipynb", content, SOURCES=["sample"], OUTPUT_DIR="data/corpus")
    assert log.read_text().split() == [f"{content}/drive"]
    assert len(load_plots(content / "drive" / "MyDrive" / "movieplots" / "data" / "corpus")) == 420


def run_setup(folder, repository="", code=""):
    """Run the setup cell and `code` in a Python that has no packages, with pip replaced by a printer."""
    cells = nbformat.read(ROOT / "DataPreparation.ipynb", as_version=4).cells
    setup = next(cell.source for cell in cells if cell.id == "setup")
    setup = re.sub(r'REPOSITORY = ".*?"', f"REPOSITORY = {repository!r}", setup)  # `make links` writes one there
    printer = "import subprocess\nsubprocess.run = lambda command, check: print(*command[1:], check)\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", printer + setup + code], cwd=folder, capture_output=True, text=True
    )


def test_without_the_package_it_says_what_to_do(tmp_path):
    done = run_setup(tmp_path)
    assert done.returncode == 1 and not done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: The package movieplots is not installed: copy the whole project")
    assert "REPOSITORY" in last


def test_without_the_package_it_installs_the_checkout_or_the_repository(tmp_path):
    address = "git+https://example.org/movieplots"
    assert run_setup(tmp_path, address).stdout == f"-m pip install --quiet movieplots[train] @ {address} True\n"
    (tmp_path / "movieplots" / "preparation").mkdir(parents=True)
    assert run_setup(tmp_path, address).stdout == "-m pip install --quiet --editable .[train] True\n"


# What is committed


def test_every_cell_ran_once_and_in_order(committed):
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(committed) if output.output_type == "error"]
    assert figures(committed) > 0


def test_nothing_of_the_run_is_left(committed):
    assert all(output.get("name") != "stderr" for output in outputs(committed))
    before = nbformat.writes(committed)
    assert nbformat.writes(tidy(committed)) == before


def test_no_path_of_a_machine(committed):
    for output in outputs(committed):
        output.get("data", {}).pop("image/png", None)
    assert not MACHINE_PATH.findall(json.dumps(committed, ensure_ascii=False))


def test_no_table_shows_more_than_the_opening_of_a_plot(committed):
    for output in outputs(committed):
        table = output.get("data", {}).get("text/html", "")
        cells = [html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", table, re.DOTALL)]
        assert max(map(len, cells), default=0) <= LONGEST_CELL
        assert all(len(cell.split()) <= 12 for cell in cells if cell.endswith("…"))


def test_only_texts_of_a_model_are_shown_in_full(committed):
    for cell in code_cells(committed)[1:]:  # the first has the note
        assert cell.id in WRITTEN or not any("text/markdown" in output.get("data", {}) for output in cell.outputs)
        if cell.id in WRITTEN:
            assert re.search(
                r"^(figures\.samples_in_training|(figures\.)?plots_in_full)\(", cell.source, re.MULTILINE
            ) or (
                cell.source.startswith("examples.nearest_plots(written")  # of the training plots only the openings
            )


def test_the_outputs_are_of_the_parameters_that_stand_there(committed):
    if "note = " in code_cells(committed)[0].source:
        note = page(code_cells(committed)[0].outputs[0])
        base = re.search(r'^BASE_MODEL = "(.*?)"', code_cells(committed)[1].source, re.MULTILINE)[1]
        assert f"`{base}`" in note and "streaming, " in note
        assert re.search(r"\*\*Date:\*\* \d+ \w+ 20\d\d", note)
        assert re.search(r"\*\*Duration:\*\* \d+ (seconds|minutes|h \d+ min)", note)
        words = " ".join(committed.cells[0].source.split())
        assert ("**stands in for `" in note) == bool(re.search(r"were not made with \S+\.\*\*", words))


def test_parameters_are_tagged(committed):
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in committed.cells) == 1


# `make notebooks`


def test_what_a_run_leaves_behind_is_taken_out():
    kept = new_output(
        "display_data", {"text/plain": "<pandas.io.formats.style.Styler at 0x7f00a1>", "text/html": "<b>"}
    )
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Output()"}
    notebook = new_notebook(
        cells=[
            new_code_cell(
                "1",
                metadata={
                    "tags": ["parameters"],
                    "papermill": {"duration": 1.5},
                    "execution": {"iopub.status.busy": "t"},
                },
                outputs=[
                    new_output("stream", name="stderr", text="Cleaning"),
                    new_output("display_data", widget),
                    new_output("display_data", {"text/html": notebooks.JUPYTER_HTML_FORMAT.format(code="Reading …")}),
                    new_output("stream", name="stdout", text="420"),
                    kept,
                ],
            )
        ],
        metadata={
            "kernelspec": {"name": "mine", "display_name": "Mine"},
            "language_info": {"name": "python", "version": "3.11.7"},
            "widgets": {},
        },
    )
    cell = tidy(notebook).cells[0]
    assert [output.get("text") or output["data"] for output in cell.outputs] == [
        "420",
        {"text/plain": "<pandas.io.formats.style.Styler>", "text/html": "<b>"},
    ]
    assert cell.metadata == {"tags": ["parameters"]}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3" and "version" not in notebook.metadata.language_info


def test_it_stops_at_the_first_error_and_leaves_that_notebook_alone(tmp_path, monkeypatch):
    sources = {
        "a.ipynb": "from pathlib import Path\nprint(Path.cwd().name)",
        "text_generation/b.ipynb": "1 / 0",
        "genre_prediction/c.ipynb": "2",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in sources}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"b\.ipynb failed and was left as it was(?s:.*)ZeroDivisionError"):
        notebooks.main([])
    after = {name: (tmp_path / name).read_bytes() for name in sources}
    assert [name for name in sources if before[name] == after[name]] == list(sources)[1:]
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[0].outputs[0].text == f"{tmp_path.name}\n"


def test_it_runs_only_the_notebooks_that_are_named(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(notebooks, "run_notebook", ran.append)
    for name in ("a.ipynb", "b.ipynb"):
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    notebooks.main(["b.ipynb"])
    assert ran == [Path("b.ipynb")]
    with pytest.raises(SystemExit, match=r"There is no notebook c\.ipynb"):
        notebooks.main(["a.ipynb", "c.ipynb"])
    assert len(ran) == 1
