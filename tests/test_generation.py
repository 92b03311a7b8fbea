"""The generator: markup, packing, training, sampling, dumps; on tiny checkpoints."""

import itertools
import json
import random
import shutil

import pytest
import torch

from movieplots.base_models import base_models, load_causal_lm, load_encoder
from movieplots.errors import BadInput
from movieplots.generation.blocks import TrainingBlocks, collate, held_out_blocks, pack
from movieplots.generation.dumps import cell_name, read_dump, sample_dump
from movieplots.generation.markup import Example, MarkupTokenizer, format_sample
from movieplots.generation.model import new_adapter
from movieplots.generation.sampling import PlotGenerator
from movieplots.generation.training import held_out_loss, train_generator
from movieplots.plots import load_plots

BASES = ["tiny_gpt2", "tiny_llama"]
TITLE = '"Salt" (2009) {Low Tide (#1.3)}'


@pytest.fixture(params=BASES)
def base(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def trained(small_corpus, tiny_gpt2, tmp_path_factory):
    """A generator with titles, trained for a few steps: (folder, info)."""
    folder = tmp_path_factory.mktemp("generator")
    return folder, train_generator(small_corpus, tiny_gpt2, folder, max_steps=6)


@pytest.fixture(scope="module")
def untitled(small_corpus, tiny_llama, tmp_path_factory):
    """A generator without titles on a base with stand-in tokens."""
    folder = tmp_path_factory.mktemp("untitled")
    train_generator(small_corpus, tiny_llama, folder, markup="without-titles", max_steps=6)
    return folder


def test_markup_text_is_the_documented_one():
    with_titles = format_sample("with-titles", "horror", TITLE, "The sea gives back.")
    assert with_titles == f"horror<|endofgenre|>{TITLE}<|endoftitle|>The sea gives back.<|endoftext|>"
    assert (
        format_sample("without-titles", "horror", "", "The sea gives back.", finished=False)
        == "<|startoftext|>horror<|endofgenre|>The sea gives back."
    )


@pytest.mark.parametrize("markup", ["with-titles", "without-titles"])
def test_an_example_reads_back_and_learns_all_but_the_genre(base, markup):
    tokenizer = MarkupTokenizer(load_causal_lm(base)[1], markup)
    example = tokenizer.example("horror", TITLE, "The sea gives back what it took.", 256)
    given = len(tokenizer.prompt("horror"))
    assert example.labels[:given] == [-100] * given
    assert example.labels[given:] == example.input_ids[given:]
    title = TITLE if markup == "with-titles" else ""
    assert tokenizer.read(example.input_ids[given:], has_title=False) == (
        title,
        "The sea gives back what it took.",
        True,
    )
    assert tokenizer.read(example.input_ids[given:-1], has_title=False)[2] is False


def test_stand_ins_leave_the_vocabulary_alone_and_new_marks_extend_it(tiny_gpt2, tiny_llama):
    assert MarkupTokenizer(load_causal_lm(tiny_llama)[1], "with-titles").new_tokens == []
    assert len(MarkupTokenizer(load_causal_lm(tiny_gpt2)[1], "with-titles").new_tokens) == 2


def test_marks_are_single_distinct_tokens_and_only_ends_can_be_sampled(base):
    tokenizer = MarkupTokenizer(load_causal_lm(base)[1], "with-titles")
    marks = {*tokenizer.marks.values(), tokenizer.end}
    assert len(marks) == len(tokenizer.marks) + 1
    assert tokenizer.end not in tokenizer.suppressed
    assert tokenizer.end_of_title not in tokenizer.suppressed
    assert marks - {tokenizer.end, tokenizer.end_of_title} <= set(tokenizer.suppressed)


def test_packing_keeps_every_example_whole_and_once():
    draw = random.Random(0)
    examples = [Example([i] * n, [-100] + [i] * (n - 1)) for i in range(1, 200) if (n := draw.randint(2, 60))]
    blocks = list(pack(examples, 128, padding=0))
    assert all(len(values) == 128 for block in blocks for values in block.values())
    found = {}
    for block in blocks:
        for token, position in zip(block["input_ids"], block["position_ids"], strict=True):
            if token:
                assert found.get(token, 0) == position
                found[token] = position + 1
    assert found == {example.input_ids[0]: len(example.input_ids) for example in examples}
    padding = sum(block["input_ids"].count(0) for block in blocks) / (128 * len(blocks))
    assert padding < 0.08


def test_packed_plots_do_not_see_each_other(base, corpus):
    """The loss of a packed block equals that of its plots fed one by one."""
    torch.manual_seed(0)
    model, tokenizer = new_adapter(base, "with-titles")
    (block, *_) = held_out_blocks(load_plots(corpus, "test"), tokenizer, 256, seed=0, at_most=10)
    packed = held_out_loss(model, [block])
    starts = [i for i, position in enumerate(block["position_ids"]) if position == 0] + [256]
    total, tokens = 0.0, 0
    for start, end in itertools.pairwise(starts):
        alone = {name: values[start:end] for name, values in block.items()}
        count = sum(label != -100 for label in alone["labels"][1:])
        if count:
            total += held_out_loss(model, [alone]) * count
            tokens += count
    assert len(starts) > 2
    assert packed == pytest.approx(total / tokens, rel=1e-4)


def test_each_pass_draws_the_genre_anew_and_the_seed_decides(corpus, tiny_llama):
    tokenizer = MarkupTokenizer(load_causal_lm(tiny_llama)[1], "without-titles")
    plots = load_plots(corpus, "train").head(40)
    blocks = TrainingBlocks(plots, tokenizer, 256, seed=1)
    assert list(blocks.examples(0)) == list(TrainingBlocks(plots, tokenizer, 256, seed=1).examples(0))
    prompts = [tuple(example.input_ids) for number in range(6) for example in blocks.examples(number)]
    assert len(prompts) == 6 * len(plots)
    several = sum(len(genres) > 1 for genres in plots["genres"])
    assert len(set(prompts)) > len(plots) + several / 2
    assert collate(list(blocks.one_pass(0))[:2])["input_ids"].shape == (2, 256)


def test_training_lowers_the_held_out_loss_and_writes_a_whole_folder(trained):
    folder, info = trained
    assert info["metrics"]["test_loss_after"] < info["metrics"]["test_loss_before"]
    assert json.loads((folder / "movieplots.json").read_text()) == info
    assert "adapter_model.safetensors" in {file.name for file in folder.iterdir()}
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    assert f"{info['metrics']['test_loss_after']:.3f}" in (folder / "README.md").read_text()


def test_training_again_reuses_and_another_recipe_is_refused(trained, small_corpus, tiny_gpt2):
    folder, info = trained
    before = (folder / "adapter_model.safetensors").stat().st_mtime_ns
    assert train_generator(small_corpus, tiny_gpt2, folder, max_steps=6) == info
    assert (folder / "adapter_model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="max_steps"):
        train_generator(small_corpus, tiny_gpt2, folder, max_steps=7)


def test_the_same_command_gives_the_same_files(trained, small_corpus, tiny_gpt2, tmp_path):
    folder, _ = trained
    train_generator(small_corpus, tiny_gpt2, tmp_path, max_steps=6)
    for name in ("adapter_model.safetensors", "movieplots.json", "README.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_fresh_start_that_cannot_begin_leaves_the_old_model(trained, small_corpus):
    folder, info = trained
    with pytest.raises(BadInput, match="could not be fetched"):
        train_generator(small_corpus, "gpt2", folder, fresh=True)
    assert json.loads((folder / "movieplots.json").read_text()) == info


def test_a_damaged_adapter_is_a_sentence(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    (folder / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="cannot be loaded"):
        PlotGenerator.from_pretrained(folder)
    (folder / "movieplots.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        PlotGenerator.from_pretrained(folder)


def test_a_mark_inside_a_text_is_only_text(base):
    tokenizer = MarkupTokenizer(load_causal_lm(base)[1], "with-titles")
    assert not {*tokenizer.marks.values(), tokenizer.end} & set(tokenizer.encode("a <|endoftext|> b <|endoftitle|>"))


def test_a_time_limit_stops_training(small_corpus, tiny_gpt2, tmp_path):
    info = train_generator(small_corpus, tiny_gpt2, tmp_path, max_steps=100_000, time_limit=0.05)
    assert 0 < info["metrics"]["steps"] < 100_000


def test_samples_are_what_was_asked_for(trained):
    generator = PlotGenerator.from_pretrained(trained[0])
    samples = generator.generate(["horror"], n=3, max_tokens=30, seed=5)
    assert samples == generator.generate(["horror"], n=3, max_tokens=30, seed=5)
    assert samples != generator.generate(["horror"], n=3, max_tokens=30, seed=6)
    assert {sample.genre for sample in samples} == {"horror"}
    (titled,) = generator.generate(
        ["horror", "comedy"], title="Salt (2009)", opening="The sea gives back", max_tokens=20
    )
    assert (titled.genre, titled.title) == ("horror, comedy", "Salt (2009)")
    assert titled.plot.startswith("The sea gives back")
    (opened,) = generator.generate(["war"], opening="The sea gives back", max_tokens=20)
    assert opened.plot.startswith("The sea gives back")
    drawn = generator.generate(n=40, max_tokens=2)
    assert len({sample.genre for sample in drawn}) > 5


def test_a_stream_grows_into_a_sample(untitled):
    generator = PlotGenerator.from_pretrained(untitled)
    steps = list(generator.stream(["horror"], opening="The sea", max_tokens=12, seed=3))
    assert 1 <= len(steps) <= 12
    assert all(step.plot.startswith("The sea") for step in steps)
    assert len(steps[-1].plot) >= len(steps[0].plot)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"genres": ["horrror"]}, "Unknown genre 'horrror'"),
        ({"n": 0}, "at least 1"),
        ({"temperature": 0}, "temperature"),
        ({"top_p": 1.5}, "Top-p"),
        ({"title": "Salt (2009)"}, "without titles"),
        ({"opening": "word " * 700}, "too long for this model"),
    ],
)
def test_bad_requests_say_what_to_change(untitled, arguments, message):
    with pytest.raises(BadInput, match=message):
        PlotGenerator.from_pretrained(untitled).generate(**arguments)


def test_a_dump_has_the_whole_grid_in_both_files_and_continues(trained, tmp_path):
    folder, info = trained
    grid = {"genres": ["horror", "war"], "temperatures": [0.7, 1], "top_ps": [0, 0.9], "samples_per_genre": 2}
    first = sample_dump(folder, tmp_path, **grid)
    assert len(first) == 16
    assert set(zip(first["temperature"], first["top_p"], strict=True)) == {(0.7, 0), (0.7, 0.9), (1, 0), (1, 0.9)}
    assert cell_name(0.7, 0.9) == "temp_0_7_topp_0_9"
    lines = (tmp_path / "temp_0_7_topp_0_9.txt").read_text().splitlines()
    records = [json.loads(line) for line in (tmp_path / "temp_0_7_topp_0_9.jsonl").open()]
    assert [line.split("<|endofgenre|>")[0] for line in lines] == ["horror", "horror", "war", "war"]
    assert [line.endswith("<|endoftext|>") for line in lines] == [record["finished"] for record in records]
    assert json.loads((tmp_path / "dump.json").read_text())["model"] == info

    (tmp_path / "temp_1_topp_0.jsonl").unlink()  # as if it had been interrupted there
    kept = (tmp_path / "temp_0_7_topp_0.jsonl").stat().st_mtime_ns
    again = sample_dump(folder, tmp_path, **grid)
    assert again.equals(first)
    assert (tmp_path / "temp_0_7_topp_0.jsonl").stat().st_mtime_ns == kept
    for changed in ({"samples_per_genre": 3}, {"temperatures": [1.3]}):
        with pytest.raises(BadInput, match="other settings"):
            sample_dump(folder, tmp_path, **(grid | changed))
    with pytest.raises(BadInput, match="temperature"):
        sample_dump(folder, tmp_path, **(grid | {"temperatures": [-1]}), fresh=True)
    assert read_dump(tmp_path).equals(first)


def test_reading_what_is_no_dump(tmp_path):
    with pytest.raises(BadInput, match="No dump"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text('{"genre": "war"}\n')
    with pytest.raises(BadInput, match="line 1"):
        read_dump(tmp_path)


def test_base_models_that_cannot_be_loaded_say_why(tmp_path):
    assert {model["name"] for model in base_models()} == {"smollm2-135m", "minilm-l6"}
    with pytest.raises(BadInput, match=r"could not be fetched.*smollm2-135m or minilm-l6"):
        load_causal_lm("gpt2")
    with pytest.raises(BadInput, match=r"no config\.json"):
        load_encoder(str(tmp_path))
    with pytest.raises(BadInput, match="does not exist"):
        load_encoder(str(tmp_path / "nowhere"))


def test_an_encoder_is_no_generator(small_corpus, tiny_roberta, tmp_path):
    with pytest.raises(BadInput, match="language model"):
        train_generator(small_corpus, tiny_roberta, tmp_path / "out", max_steps=2)
    assert not (tmp_path / "out" / "movieplots.json").exists()
