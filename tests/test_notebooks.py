"""The notebooks as they are committed, and `make notebooks`; that each of them runs is tested in `test_colab`."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from movieplots.classification.imbalance import LOSSES
from movieplots.notebook.needs import sentence
from movieplots.pretrained import shipped
from tests.command_line import parse
from tests.pages import ROOT, code_cells, figures, outputs, page, pages
from tools import notebooks
from tools.notebooks import tidy

NOTEBOOKS = pages()
TRAINING = [name for name in NOTEBOOKS if name.endswith("Training.ipynb")]
EVALUATION = [name for name in NOTEBOOKS if name.endswith("Evaluation.ipynb")]
GENRES = [name for name in NOTEBOOKS if name.startswith("genre_prediction/")]
# Folder -> the base model that it is named after.
BASE_MODELS = {
    "DistilGPT-2": "distilgpt2", "GPT-2": "gpt2", "GPT-2-gpt2simple": "gpt2", "RoBERTa": "roberta-base",
    "BERT": "bert-base-uncased", "MiniLM": "minilm-l6",
}  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|home|tmp|root|mnt|Users|private|var)/\w")
LONGEST_CELL = 90  # characters: room for a title or a plot's opening words, not for a plot
# The cells that show texts in full, as lists: only what a model of ours wrote.
WRITTEN = {"samples", "student-samples", "own", "temperatures", "most", "least", "best"}
LONGEST_LINE = 120  # of code and of commands


def read(name):
    return nbformat.read(ROOT / name, as_version=4)


def cell_sources(name):
    return {cell.id: cell.source for cell in read(name).cells}


def injected_into(notebook):
    """The cells that say what was run in place of the parameters: one at most."""
    return [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]


def base_model_in(source):
    return re.search(r'^BASE_MODEL = "(.*?)"', source, re.MULTILINE)[1]


def parameters_of(name):
    return cell_sources(name)["parameters"]


@pytest.fixture(params=NOTEBOOKS)
def committed(request):
    return read(request.param)


# The first cells


def test_the_setup_cell_is_short_and_the_same_in_all_but_for_the_name():
    setups = {name: cell_sources(name)["setup"] for name in NOTEBOOKS}
    for name, setup in setups.items():
        assert len(setup.splitlines()) <= 5
        assert setup.endswith(f'.set_up("{name.removesuffix(".ipynb")}")')
    assert len({setup.rpartition(".set_up(")[0] for setup in setups.values()}) == 1


@pytest.mark.parametrize("name", TRAINING + EVALUATION)
def test_it_runs_the_model_that_its_folder_is_named_after(name):
    assert base_model_in(parameters_of(name)) == BASE_MODELS[Path(name).parent.name]


def test_parameters_are_tagged(committed):
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in committed.cells) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_on_colab_it_gets_a_gpu_where_it_needs_one(name):
    wanted = {"accelerator": "GPU", "colab": {"gpuType": "T4"}}
    metadata = read(name).metadata
    assert {key: metadata[key] for key in wanted if key in metadata} == (
        wanted if name != "DataPreparation.ipynb" else {}
    )


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_first_lines_say_what_it_needs(name):
    title = cell_sources(name)["title"]
    needed = sentence(name.removesuffix(".ipynb"))
    assert needed in title.split("\n\n")[1:4]  # after the links and the notice, where there are any
    assert title.count(notebooks.NEEDED) == 1


@pytest.mark.parametrize("name", TRAINING + EVALUATION)
def test_a_page_says_once_that_its_outputs_are_of_another_base_model(name):
    notebook = read(name)
    shown = [cell.source for cell in notebook.cells] + [page(output) for output in outputs(notebook)]
    injected = injected_into(notebook)
    assert "\n".join(shown).count("stands in for") == len(injected) <= 1
    if injected:
        notice, *others = (text for text in notebook.cells[0].source.split("\n\n")[1:3] if "stands in for" in text)
        used, own = base_model_in(injected[0].source), base_model_in(parameters_of(name))
        assert not others
        assert notice.startswith(f"**The saved outputs are of `{used}`, which stands in for `{own}`.**")
        assert notice.endswith(f"when you run this notebook, it uses `{own}`.")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_was_run_in_place_of_the_parameters_is_text_after_them(name):
    """Text, so that who runs the page runs the parameters."""
    notebook = read(name)
    for cell in injected_into(notebook):
        before = notebook.cells[notebook.cells.index(cell) - 1]
        assert before.metadata["tags"] == ["parameters"]
        assert cell.cell_type == "markdown" and cell.id == "injected-parameters"
        assert re.fullmatch(r'The saved outputs were .*:\n\n```python\nBASE_MODEL = "\S+"\n```', cell.source)


@pytest.mark.parametrize("name", [name for name in TRAINING + EVALUATION if "MiniLM" not in name])
def test_nothing_else_on_a_page_names_a_stand_in(name):
    stand_in = notebooks.OFFLINE[Path(name).parts[0]]
    for cell in read(name).cells:
        if cell.id != "injected-parameters":
            paragraphs = [text for text in cell.source.split("\n\n") if not text.startswith(notebooks.NOTICE)]
            lines = [line for line in "\n".join(paragraphs).splitlines() if not line.startswith("EMBEDDER = ")]
            assert not [line for line in lines if stand_in in line or "stand-in" in line]


# The code


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_line_of_code_is_too_long(name):
    for cell in code_cells(read(name)):
        lines = [line for line in cell.source.splitlines() if cell.id != "setup"]
        assert max(map(len, lines), default=0) <= LONGEST_LINE


def test_the_cells_are_laid_out_as_the_package_is(tmp_path):
    """All but the setup cell, which the formatter would make longer."""
    for name in NOTEBOOKS:
        notebook = read(name)
        notebook.cells = [cell for cell in notebook.cells if cell.id != "setup"]
        nbformat.write(notebook, tmp_path / name.replace("/", "-"))
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--config", f"line-length = {LONGEST_LINE}", "."]
    imports = ["--select", "I", "--config", "lint.isort.known-first-party = ['movieplots']"]
    for command in (["format", "--check", *options], ["check", *imports, *options]):
        done = subprocess.run([*ruff, *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_commands_at_the_end_are_right(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = commands_of(name)
    assert bool(shown) == (name not in GENRES or name in TRAINING)
    for command in shown:
        assert max(map(len, command.splitlines())) <= LONGEST_LINE
        parse(command.replace("\\\n", " "))


def commands_of(name):
    """The commands that the last cell shows, when the parameters are as they stand there."""
    shown = []
    variables = {
        "note": SimpleNamespace(end=lambda *folders: None, commands=lambda *commands: shown.extend(commands)),
        "os": os,
        "shipped": shipped,
        "LOSSES": LOSSES,
    }
    exec(parameters_of(name), variables)
    out = Path(variables["OUTPUT_DIR"], variables.get("BASE_MODEL", ""))
    variables |= {
        "out": out,
        "folder": out,
        "models": {"with titles": out, "packed": out / "packed"},
        "dumps": {"with titles": out / "grid", "packed": out / "packed" / "grid"},
        "teacher": out,
        "student": Path(f"{out}-student"),
        "layers": 12,
        "few": Path(f"{out}-2-layers"),
        "readers": {128: f"{out}-blocks-128"},
        "best": 128,
    }
    exec(cell_sources(name)["end"], variables)
    return shown


@pytest.mark.parametrize("name", [name for name in EVALUATION if name not in GENRES])
def test_an_evaluation_takes_the_classifier_that_ships(name):
    assert re.search("^CLASSIFIER = None ", parameters_of(name), re.MULTILINE)
    assert any("CLASSIFIER or shipped.CLASSIFIER" in source for source in cell_sources(name).values())


# What is committed


def test_every_cell_ran_once_and_in_order(committed):
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(committed) if output.output_type == "error"]
    assert figures(committed) > 0


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_of_the_run_is_left(name):
    notebook = read(name)
    assert all(output.get("name") != "stderr" for output in outputs(notebook))
    before = nbformat.writes(notebook)
    assert nbformat.writes(tidy(notebook, name.removesuffix(".ipynb"))) == before


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
    for cell in code_cells(committed)[1:-1]:  # the first has the note, the last the commands
        assert cell.id in WRITTEN or not any("text/markdown" in output.get("data", {}) for output in cell.outputs)
        if cell.id in WRITTEN:
            assert re.search(
                r"^(figures\.samples_in_training|(figures\.)?plots_in_full)\(", cell.source, re.MULTILINE
            ) or (
                cell.source.startswith("examples.nearest_plots(written")  # of the training plots only the openings
            )


@pytest.mark.parametrize("name", TRAINING + EVALUATION)
def test_the_outputs_are_of_the_parameters_that_stand_there(name):
    notebook = read(name)
    note = page(code_cells(notebook)[0].outputs[0])
    sources = [parameters_of(name)] + [cell.source for cell in injected_into(notebook)]
    assert f"- **Base model:** `{base_model_in(sources[-1])}`\n" in note and "streaming, " in note
    assert re.search(r"\*\*Date:\*\* \d+ \w+ 20\d\d", note)
    assert re.search(r"\*\*Duration:\*\* \d+ (seconds|minutes|h \d+ min)", note)


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
    cell = tidy(notebook, "Mine").cells[0]
    assert [output.get("text") or output["data"] for output in cell.outputs] == [
        "420",
        {"text/plain": "<pandas.io.formats.style.Styler>", "text/html": "<b>"},
    ]
    assert cell.metadata == {"tags": ["parameters"]}
    assert set(notebook.metadata) == {"kernelspec", "language_info", "accelerator", "colab"}
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
    with pytest.raises(SystemExit, match=r"b\.ipynb failed and was not changed(?s:.*)ZeroDivisionError"):
        notebooks.main([])
    after = {name: (tmp_path / name).read_bytes() for name in sources}
    assert [name for name in sources if before[name] == after[name]] == list(sources)[1:]
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[0].outputs[0].text == f"{tmp_path.name}\n"


def test_it_runs_only_the_notebooks_that_are_named(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(notebooks, "run_notebook", lambda path, base_model: ran.append((path, base_model)))
    for name in ("a.ipynb", "b.ipynb"):
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    notebooks.main(["b.ipynb"])
    assert ran == [(Path("b.ipynb"), None)]
    with pytest.raises(SystemExit, match=r"There is no notebook c\.ipynb"):
        notebooks.main(["a.ipynb", "c.ipynb"])
    assert len(ran) == 1


PAGE = "text_generation/with-titles/GPT-2/Training.ipynb"


@pytest.fixture
def small_page(tmp_path, monkeypatch):
    """A checkout with one small notebook, with its parameters as the others have them."""
    cells = [
        new_markdown_cell("# Small\n\nIt prints."),
        new_code_cell('BASE_MODEL = "gpt2"  # or another\nSTEPS = 3', metadata={"tags": ["parameters"]}),
        new_code_cell("print(BASE_MODEL, STEPS)"),
        new_code_cell("STEPS"),
    ]
    path = tmp_path / PAGE
    path.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), path)
    monkeypatch.chdir(tmp_path)
    return path


def test_a_page_shows_the_base_model_that_stood_in_until_it_is_run_without(small_page):
    notebooks.main(["--base-model", "offline", PAGE])
    title, parameters, injected, printed, last = nbformat.read(small_page, as_version=4).cells
    assert title.source.split("\n\n")[1] == (
        "**The saved outputs are of `smollm2-135m`, which stands in for `gpt2`.** The machine that made them had no "
        "connection to the model hub; when you run this notebook, it uses `gpt2`."
    )
    assert injected.cell_type == "markdown" and injected.id == "injected-parameters"
    assert injected.metadata == {"tags": ["injected-parameters"]}
    assert injected.source == (
        "The saved outputs were made with these parameters in place of those above:\n\n"
        '```python\nBASE_MODEL = "smollm2-135m"\n```'
    )
    assert printed.outputs[0].text == "smollm2-135m 3\n"
    assert [cell.execution_count for cell in (parameters, printed, last)] == [1, 2, 3]
    assert last.outputs[0].execution_count == 3

    notebooks.main([PAGE])
    title, parameters, printed, _ = nbformat.read(small_page, as_version=4).cells
    assert "saved outputs" not in title.source and title.source.endswith("\n\nIt prints.")
    assert parameters.source.startswith('BASE_MODEL = "gpt2"')
    assert printed.outputs[0].text == "gpt2 3\n"


def test_another_base_model_takes_the_place_of_the_one_that_stood_in(small_page):
    for base_model in ("offline", "gpt2-large"):
        notebooks.main(["--base-model", base_model, PAGE])
    page = nbformat.read(small_page, as_version=4)
    assert [base_model_in(cell.source) for cell in injected_into(page)] == ["gpt2-large"]
    assert page.cells[3].outputs[0].text == "gpt2-large 3\n"
    assert page.cells[0].source.count("saved outputs") == 1
    assert "which stands in for `gpt2`.** When you run this notebook, it uses `gpt2`." in page.cells[0].source


@pytest.mark.parametrize("parameters", ['BASE_MODEL = "minilm-l6"  # or another', 'SOURCES = ["sample"]'])
def test_nothing_stands_in_for_itself_or_for_no_base_model(parameters):
    notebook = new_notebook(cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]})])
    assert notebooks.with_base_model(notebook, "minilm-l6").cells == notebook.cells
    assert [cell.source for cell in notebook.cells] == [parameters]


def test_the_offline_base_model_is_that_of_the_notebooks_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, base_model in {"text_generation": "smollm2-135m", "genre_prediction": "minilm-l6"}.items():
        path = Path(kind, "Training.ipynb")
        path.parent.mkdir()
        cells = [new_code_cell('BASE_MODEL = "large"', metadata={"tags": ["parameters"]})]
        nbformat.write(new_notebook(cells=cells), path)
        notebooks.run_notebook(path.resolve(), "offline")
        assert base_model_in(nbformat.read(path, as_version=4).cells[1].source) == base_model


def test_the_first_lines_are_written_anew_without_a_run(small_page):
    page = nbformat.read(small_page, as_version=4)
    links = "[nbviewer](https://nbviewer.org/github/a/b) · [Colab](https://colab.research.google.com/github/a/b)"
    old = f"{notebooks.NEEDED}An hour."
    page.cells[0].source = f"# Small\n\n{links}\n\n{old}\n\nIt prints."
    nbformat.write(page, small_page)
    for _ in range(2):
        notebooks.main(["--first-lines", PAGE])
        title, *others = nbformat.read(small_page, as_version=4).cells
        needed = sentence(PAGE.removesuffix(".ipynb"))
        assert title.source.split("\n\n") == ["# Small", links, needed, "It prints."]
        assert [cell.source for cell in others] == [cell.source for cell in page.cells[1:]]
        assert not any(cell.outputs for cell in others)
