"""The generator: prompts, packing, training, sampling, dumps; on tiny checkpoints."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from movieplots.errors import BadInput
from movieplots.formatting import number
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import new_generator
from movieplots.generation.packing import (
    SEVERAL_GENRES_SHARE,
    EvaluationSequence,
    PackedPlots,
    collate,
    evaluation_sequences,
    join,
    pack,
    plot_examples,
)
from movieplots.generation.prompt_format import Example, PromptTokenizer, format_sample
from movieplots.generation.sampling import PlotGenerator
from movieplots.generation.training import measure_losses, train_generator
from movieplots.plots import load_plots
from movieplots.pretrained.base_models import (
    base_models,
    hidden_size,
    load_causal_lm,
    resolve,
    teacher_of,
)
from movieplots.runs.folder import read_info

BASES = ["tiny_gpt2", "tiny_llama"]
TITLE = '"Salt" (2009) {Low Tide (#1.3)}'


@pytest.fixture(params=BASES)
def base(request):
    return request.getfixturevalue(request.param)


def test_prompt_format_as_text():
    with_titles = format_sample(True, "horror", TITLE, "The sea gives back.")
    assert with_titles == f"horror<|endofgenre|>{TITLE}<|endoftitle|>The sea gives back.<|endoftext|>"
    assert (
        format_sample(False, "horror", "", "The sea gives back.", truncated=True)
        == "<|startoftext|>horror<|endofgenre|>The sea gives back."
    )


@pytest.mark.parametrize("titles", [True, False])
def test_examples_are_parsed_back_and_labels_exclude_the_genre(base, titles):
    tokenizer = PromptTokenizer(load_causal_lm(base)[1], titles)
    example = tokenizer.example("horror", TITLE, "The sea gives back what it took.", 256)
    assert example.input_ids[0] == tokenizer.end  # not the genre, which would become an attention sink
    given = len(tokenizer.prompt("horror"))
    assert example.labels[:given] == [-100] * given
    assert example.labels[given:] == example.input_ids[given:]
    title = TITLE if titles else ""
    assert tokenizer.read(example.input_ids[given:], has_title=False) == (
        title,
        "The sea gives back what it took.",
        False,
    )
    assert tokenizer.read(example.input_ids[given:-1], has_title=False)[2] is True


def test_unused_tokens_are_reused_and_missing_special_tokens_are_added(tiny_gpt2, tiny_llama):
    assert PromptTokenizer(load_causal_lm(tiny_llama)[1], True).new_tokens == []
    assert len(PromptTokenizer(load_causal_lm(tiny_gpt2)[1], True).new_tokens) == 2


def test_special_tokens_are_distinct_and_only_end_tokens_can_be_sampled(base):
    tokenizer = PromptTokenizer(load_causal_lm(base)[1], True)
    marks = {*tokenizer.special_tokens.values(), tokenizer.end}
    assert len(marks) == len(tokenizer.special_tokens) + 1
    assert tokenizer.end not in tokenizer.suppressed
    assert tokenizer.end_of_title not in tokenizer.suppressed
    assert marks - {tokenizer.end, tokenizer.end_of_title} <= set(tokenizer.suppressed)
    assert marks - {tokenizer.end} <= set(tokenizer.suppressed_in_plot)
    untitled = PromptTokenizer(load_causal_lm(base)[1], False)
    assert untitled.suppressed_in_plot == untitled.suppressed
    assert {*untitled.special_tokens.values()} <= set(untitled.suppressed)


def test_packing_keeps_every_example_whole_and_once():
    draw = random.Random(0)
    examples = [Example([i] * n, [-100] + [i] * (n - 1)) for i in range(1, 200) if (n := draw.randint(2, 60))]
    blocks = [join(group, 128, padding=0) for group in pack(examples, 128)]
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


def test_packed_plots_do_not_attend_to_each_other(base, corpus):
    """The loss of each plot in a packed sequence equals the loss of the plot alone."""
    torch.manual_seed(0)
    model, tokenizer = new_generator(base, True, "lora")
    blocks = evaluation_sequences(load_plots(corpus, "test"), tokenizer, 512, seed=0, at_most=20)
    packed = max(blocks, key=lambda block: len(block.spans))
    assert len(packed.spans) > 1
    alone = []
    for genre, start, end in packed.spans:
        block = {name: values[start:end] for name, values in packed.sequence.items()}
        alone.append(measure_losses(model, [EvaluationSequence(block, [(genre, 0, end - start)])]))
    together = measure_losses(model, [packed])
    tokens = sum(one["tokens"] for one in alone)
    assert together["tokens"] == tokens
    assert together["loss"] == pytest.approx(sum(one["loss"] * one["tokens"] for one in alone) / tokens, rel=1e-4)
    for genre, row in together["by_genre"].items():
        own = [one for one in alone if genre in one["by_genre"]]
        mean = sum(one["loss"] * one["tokens"] for one in own) / sum(one["tokens"] for one in own)
        assert row["loss"] == pytest.approx(mean, rel=1e-4)
        assert row["plots"] == len(own)


def test_measured_loss_equals_the_models_loss(base, corpus):
    model, tokenizer = new_generator(base, False, "full")
    (block, *_) = evaluation_sequences(load_plots(corpus, "test"), tokenizer, 256, seed=0, at_most=10)
    own = model(**collate([block.sequence])).loss.item()
    assert measure_losses(model, [block])["loss"] == pytest.approx(own, rel=1e-5)


def test_each_epoch_samples_genres_again_with_the_seed(corpus, tiny_llama):
    tokenizer = PromptTokenizer(load_causal_lm(tiny_llama)[1], False)
    plots = load_plots(corpus, "train").head(40)
    blocks = PackedPlots(plots, tokenizer, 256, seed=1)
    assert list(blocks.examples(0)) == list(PackedPlots(plots, tokenizer, 256, seed=1).examples(0))
    prompts = [tuple(example.input_ids) for number in range(6) for example in blocks.examples(number)]
    assert len(prompts) == 6 * len(plots)
    several = sum(len(genres) > 1 for genres in plots["genres"])
    assert len(set(prompts)) > len(plots) + several / 2
    assert collate(list(blocks.one_epoch(0))[:2])["input_ids"].shape == (2, 256)


def test_a_quarter_of_the_prompts_of_plots_with_several_genres_name_several(corpus, tiny_llama):
    tokenizer = PromptTokenizer(load_causal_lm(tiny_llama)[1], False)
    plots = load_plots(corpus, "train")
    (row,) = plots[plots["genres"].map(len) == 3].head(1).index
    (make,) = plot_examples(plots.loc[[row]], tokenizer, 512)
    draw = random.Random(0)
    end = tokenizer.special_tokens["<|endofgenre|>"]
    prompts = []
    for _ in range(2000):
        ids = make(draw).input_ids
        prompts.append(tokenizer.tokenizer.decode(ids[2 : ids.index(end)]).split(", "))
    assert {name for prompt in prompts for name in prompt} == set(plots.loc[row, "genres"])
    assert all(len(set(prompt)) == len(prompt) for prompt in prompts)
    several = [tuple(prompt) for prompt in prompts if len(prompt) > 1]
    assert len(several) / len(prompts) == pytest.approx(SEVERAL_GENRES_SHARE, abs=0.03)
    assert len(set(several)) == 12  # six ordered pairs and six orders of all three


def test_training_lowers_the_test_loss_and_writes_a_complete_folder(trained):
    folder, info = trained
    assert info.metrics.test_loss_after < info.metrics.test_loss_before
    assert read_info(folder, GeneratorInfo) == info
    assert "adapter_model.safetensors" in {file.name for file in folder.iterdir()}
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    assert number(info.metrics.test_loss_after) in (folder / "README.md").read_text()


def test_a_finished_training_is_reused_and_other_settings_are_rejected(trained, small_corpus, tiny_gpt2):
    folder, info = trained
    before = (folder / "adapter_model.safetensors").stat().st_mtime_ns
    assert train_generator(small_corpus, tiny_gpt2, folder, max_steps=6) == info
    assert (folder / "adapter_model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="trained with --max-steps 6"):
        train_generator(small_corpus, tiny_gpt2, folder, max_steps=7)


def test_a_failed_overwrite_keeps_the_old_model(trained, small_corpus):
    folder, info = trained
    with pytest.raises(BadInput, match="could not be fetched"):
        train_generator(small_corpus, "gpt2", folder, overwrite=True)
    assert read_info(folder, GeneratorInfo) == info


def test_a_damaged_adapter_has_an_error_message(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    (folder / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="cannot be loaded"):
        PlotGenerator.from_pretrained(folder)
    (folder / "movieplots.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        PlotGenerator.from_pretrained(folder)


def test_special_tokens_inside_a_text_are_plain_text(base):
    tokenizer = PromptTokenizer(load_causal_lm(base)[1], True)
    assert not {*tokenizer.special_tokens.values(), tokenizer.end} & set(
        tokenizer.encode("a <|endoftext|> b <|endoftitle|>")
    )


def test_a_time_limit_stops_training(small_corpus, tiny_gpt2, tmp_path):
    info = train_generator(
        small_corpus, tiny_gpt2, tmp_path, max_steps=100_000, time_limit=0.01, batch_size=1, block_size=128
    )
    assert 0 < info.metrics.steps < 100_000


def test_errors_of_base_models_that_cannot_be_loaded(tmp_path):
    assert {model.name for model in base_models()} == {"smollm2-135m", "minilm-l6"}
    with pytest.raises(BadInput, match=r"could not be fetched.*smollm2-135m for generators, minilm-l6"):
        load_causal_lm("gpt2")
    with pytest.raises(BadInput, match=r"no config\.json"):
        load_causal_lm(str(tmp_path))
    with pytest.raises(BadInput, match="does not exist"):
        load_causal_lm(str(tmp_path / "nowhere"))


def test_teachers_of_distilled_models():
    assert teacher_of("distilgpt2") == "gpt2" and teacher_of("distilbert/distilgpt2") == "openai-community/gpt2"
    assert teacher_of("distilroberta-base") == "roberta-base"
    assert teacher_of("distilbert/distilbert-base-uncased") == "google-bert/bert-base-uncased"
    for name in ("gpt2", "smollm2-135m", "minilm-l6", "data/distilgpt2", "someone/distilgpt2"):
        assert teacher_of(name) == name


def test_the_hidden_size_is_known_without_loading_the_model(tiny_gpt2, tiny_roberta, tmp_path):
    config = json.loads(Path(resolve("minilm-l6"), "config.json").read_text())
    assert hidden_size("minilm-l6") == config["hidden_size"] == hidden_size(resolve("minilm-l6"))
    assert hidden_size(tiny_roberta) == 32
    for unknown in ("roberta-base", str(tmp_path), str(tmp_path / "nowhere")):
        assert hidden_size(unknown) is None


def test_encoders_are_rejected(small_corpus, tiny_roberta, tmp_path):
    with pytest.raises(BadInput, match="language model"):
        train_generator(small_corpus, tiny_roberta, tmp_path / "out", max_steps=2)
    assert not (tmp_path / "out" / "movieplots.json").exists()
