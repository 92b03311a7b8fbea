"""The notebooks: each runs on the bundled corpus, and what is committed is a clean run that anyone may read."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from movieplots import load_plots, notebooks
from movieplots.notebooks import KERNEL_ARGUMENTS, tidy

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [str(path.relative_to(ROOT)) for path in notebooks.notebooks(ROOT)]
# Parameters with which each notebook runs in seconds on the bundled corpus.
QUICK = {"DataPreparation.ipynb": {"SOURCES": ["sample"], "OUT": "data/corpus"}}
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|home|tmp|root|mnt|Users|private|var)/\w")
LONGEST_CELL = 90  # characters: room for a title or a plot's opening words, not for a plot


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


@pytest.fixture(params=NOTEBOOKS)
def committed(request):
    return nbformat.read(ROOT / request.param, as_version=4)


# Each notebook runs


@pytest.fixture(scope="module", params=NOTEBOOKS)
def quick(request, tmp_path_factory):
    """A notebook's name, its quick run, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("quick")
    return request.param, execute(ROOT / request.param, folder / "out.ipynb", folder, **QUICK[request.param]), folder


def test_it_runs_on_the_bundled_corpus(quick):
    name, done, _ = quick
    assert not [output for output in outputs(done) if output.output_type == "error"]
    assert all(cell.execution_count for cell in code_cells(done))
    assert figures(done) == figures(nbformat.read(ROOT / name, as_version=4))


def test_it_writes_what_it_shows(quick):
    name, done, folder = quick
    shown = " ".join(str(output["data"].get("text/html", "")) for output in outputs(done) if "data" in output)
    if name == "DataPreparation.ipynb":
        assert len(load_plots(folder / "data" / "corpus")) == 420
        assert "No duplicates were found." in shown
        assert "No near-duplicates were found." in shown
        assert "No plot had to be repaired." in shown


def test_without_the_catalogues_it_says_how_to_get_them(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match=r"kaggle\.com/datasets/shivamb/netflix-shows"):
        execute(ROOT / "DataPreparation.ipynb", tmp_path / "out.ipynb", tmp_path)
    assert not (tmp_path / "data").exists()


# The setup cell


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
    execute(tmp_path / "colab.ipynb", tmp_path / "out.ipynb", content, SOURCES=["sample"], OUT="data/corpus")
    assert log.read_text().split() == [f"{content}/drive"]
    assert len(load_plots(content / "drive" / "MyDrive" / "movieplots" / "data" / "corpus")) == 420


def run_setup(folder, repository=""):
    """Run the setup cell in a Python that has no packages, with pip replaced by a printer."""
    cells = nbformat.read(ROOT / "DataPreparation.ipynb", as_version=4).cells
    setup = next(cell.source for cell in cells if cell.id == "setup")
    setup = setup.replace('REPOSITORY = ""', f"REPOSITORY = {repository!r}")
    printer = "import subprocess\nsubprocess.run = lambda command, check: print(*command[1:], check)\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", printer + setup], cwd=folder, capture_output=True, text=True
    )


def test_without_the_package_it_says_what_to_do(tmp_path):
    done = run_setup(tmp_path)
    assert done.returncode == 1 and not done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: The package movieplots is not installed: copy the whole project")
    assert "REPOSITORY" in last


def test_without_the_package_it_installs_the_checkout_or_the_repository(tmp_path):
    address = "git+https://example.org/movieplots"
    assert run_setup(tmp_path, address).stdout == f"-m pip install --quiet {address} True\n"
    (tmp_path / "movieplots" / "preparation").mkdir(parents=True)
    assert run_setup(tmp_path, address).stdout == "-m pip install --quiet --editable . True\n"


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
        page = output.get("data", {}).get("text/html", "")
        cells = [html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page, re.DOTALL)]
        assert max(map(len, cells), default=0) <= LONGEST_CELL
        assert all(len(cell.split()) <= 12 for cell in cells if cell.endswith("…"))


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
        notebooks.main()
    after = {name: (tmp_path / name).read_bytes() for name in sources}
    assert [name for name in sources if before[name] == after[name]] == list(sources)[1:]
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[0].outputs[0].text == f"{tmp_path.name}\n"
