"""Distillation of guidance: targets, contrasts, the loss, and a training with it."""

import random
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from movieplots.errors import BadInput
from movieplots.generation import training
from movieplots.generation.guidance import MAX_RATIO, guidance_loss, guided
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import new_generator
from movieplots.generation.packing import PackedPlots, collate, contrasted, join, plot_examples
from movieplots.generation.prompt_format import Example, PromptTokenizer
from movieplots.generation.training import train_generator
from movieplots.plots import load_plots
from movieplots.pretrained.base_models import load_causal_lm
from movieplots.runs.folder import read_info


def test_guided_probabilities_by_hand():
    own, other = torch.tensor([[0.5, 0.3, 0.1, 0.001, 0.099]]), torch.tensor([[0.3, 0.4, 0.1, 0.0001, 0.1999]])
    aim = guided(own.log(), other.log(), torch.ones(1), end_tokens=[2])[0].exp()
    assert aim[2] == pytest.approx(0.1)  # the end token keeps its probability
    words = [0.5**2 / 0.3, 0.3**2 / 0.4, 0.001, 0.099**2 / 0.1999]  # the third, far below the first, is not raised
    assert aim[[0, 1, 3, 4]].tolist() == pytest.approx([0.9 * word / sum(words) for word in words])
    assert torch.allclose(guided(own.log(), other.log(), torch.zeros(1), end_tokens=[2]).exp(), own)
    ends_for_sure = guided(
        torch.tensor([[1 - 1e-7, 1e-7]]).log(), torch.tensor([[0.5, 0.5]]).log(), torch.ones(1), end_tokens=[0]
    )
    assert ends_for_sure.isfinite().all()


def test_the_gain_of_words_of_one_genre_is_bounded():
    own, other = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[0.004, 0.15, 0.746, 0.1]])
    words = torch.tensor([0.4 * MAX_RATIO, 0.3 * (0.3 / 0.15) ** 2, 0.2 * (0.2 / 0.746) ** 2])  # not 0.4 * 100²
    aim = guided(own.log(), other.log(), torch.tensor([2.0]), end_tokens=[3])[0].exp()
    assert aim.tolist() == pytest.approx([*(0.9 * words / words.sum()).tolist(), 0.1])


@pytest.mark.parametrize("titles", [True, False])
def test_a_contrast_is_the_same_text_with_another_genre(corpus, tiny_llama, titles):
    tokenizer = PromptTokenizer(load_causal_lm(tiny_llama)[1], titles)
    plots = load_plots(corpus, "train")
    end = tokenizer.special_tokens["<|endofgenre|>"]
    before = 1 if titles else 2  # the end mark, and without titles the start

    def genres(example):
        return tokenizer.tokenizer.decode(example.input_ids[before : example.input_ids.index(end)]).split(", ")

    for make, own in zip(plot_examples(plots, tokenizer, 512, contrasts=True), plots["genres"], strict=True):
        example = make(random.Random(0))
        assert set(genres(example)) <= set(own)
        assert len(genres(example.contrast)) == 1 and not set(genres(example.contrast)) & set(own)
        learned, again = ([label for label in one.labels if label != -100] for one in (example, example.contrast))
        assert learned == again
    cut = contrasted(Example([1, 2, 7, 8], [-100, -100, 7, 8]), Example([1, 7, 8, 9], [-100, 7, 8, 9]))
    assert (cut.labels, cut.contrast.labels) == ([-100, -100, 7, 8], [-100, 7, 8])


def test_sequences_have_contrasts_of_their_examples(corpus, tiny_llama):
    tokenizer = PromptTokenizer(load_causal_lm(tiny_llama)[1], True)
    plots = load_plots(corpus, "train")
    blocks = list(PackedPlots(plots, tokenizer, 256, seed=1, contrasts=True).one_epoch(0))
    assert blocks == list(PackedPlots(plots, tokenizer, 256, seed=1, contrasts=True).one_epoch(0))

    def texts(block, which):
        """The labels of each text of a block."""
        starts = [i for i, place in enumerate(block[f"{which}position_ids"]) if place == 0]
        parts = [block[f"{which}labels"][start:end] for start, end in pairwise([*starts, None])]
        return [learned for part in parts if (learned := [label for label in part if label != -100])]

    for block in blocks:
        assert {len(ids) for ids in block.values()} == {256}
        learned, again = ([label for label in block[name] if label != -100] for name in ("labels", "contrast_labels"))
        assert learned == again
        assert texts(block, "") == texts(block, "contrast_")
    alone = plots.assign(genres=[["drama"]] * len(plots))  # no other genre to be told from: the contrast is the same
    (block, *_) = PackedPlots(alone, tokenizer, 256, seed=1, contrasts=True).one_epoch(0)
    assert block["contrast_input_ids"] == block["input_ids"]


class Bigrams(torch.nn.Module):
    """A bigram language model."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits.clone())
        self.config = SimpleNamespace(use_cache=True)

    def forward(self, input_ids, position_ids):
        return SimpleNamespace(logits=self.logits[input_ids])


def test_a_student_learns_its_teachers_guided_probabilities():
    torch.manual_seed(0)
    teacher = Bigrams(torch.randn(6, 6))
    student = Bigrams(teacher.logits.detach())
    loss = guidance_loss(teacher, 1.5, SimpleNamespace(end_of_title=None, end_tokens=[5]))
    padded = {"input_ids": [0, 2, 3, 5, 5], "labels": [-100, 2, 3, 5, -100], "position_ids": [0, 1, 2, 3, 0]}
    contrasts = {f"contrast_{name}": [*ids] for name, ids in padded.items()} | {"contrast_input_ids": [1, 2, 3, 5, 5]}
    batch = collate([padded | contrasts])
    before = teacher.logits.detach().log_softmax(-1)
    assert loss(student, batch, 3) > 0.01
    optimizer = torch.optim.Adam(student.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss(student, batch, 3).backward()
        optimizer.step()
    after = student.logits.detach().log_softmax(-1)
    assert torch.allclose(after[0], guided(before[:1], before[1:2], torch.tensor([1.5]), [5])[0], atol=1e-2)
    assert torch.allclose(after[2:4], before[2:4], atol=1e-2)  # behind them both prompts say the same
    assert torch.equal(teacher.logits.detach().log_softmax(-1), before)


def test_titles_are_not_guided():
    torch.manual_seed(0)
    teacher = Bigrams(torch.randn(6, 6))
    loss = guidance_loss(teacher, 1.5, SimpleNamespace(end_of_title=4, end_tokens=[4, 5]))
    # Two texts, a genre, a title of one token, its end, a plot of one token; genres 0 and 1 differ, all else is alike.
    texts = {"labels": [-100, 2, 4, 3, 5] * 2, "position_ids": [0, 1, 2, 3, 4] * 2}
    block = {"input_ids": [0, 2, 4, 3, 5] * 2} | texts
    contrasts = {"contrast_input_ids": [1, 2, 4, 3, 5] * 2} | {f"contrast_{name}": ids for name, ids in texts.items()}
    assert loss(teacher, collate([block | contrasts]), 8) == pytest.approx(0, abs=1e-6)
    behind = (
        {"input_ids": [2, 4, 0, 3, 5] * 2},
        {"contrast_input_ids": [2, 4, 1, 3, 5] * 2},
    )  # the same, behind the title
    assert loss(teacher, collate([block | contrasts | behind[0] | behind[1]]), 8) > 0.01


def test_the_loss_of_packed_sequences_equals_that_of_their_examples(corpus, tiny_gpt2):
    torch.manual_seed(0)
    (teacher, tokenizer), (student, _) = (new_generator(tiny_gpt2, True, "full") for _ in range(2))
    for parameter in student.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    loss = guidance_loss(teacher.eval(), 2.0, tokenizer)
    plots = load_plots(corpus, "train").head(12)
    blocks = list(PackedPlots(plots, tokenizer, 512, seed=1, contrasts=True).one_epoch(0))
    draws = list(PackedPlots(plots, tokenizer, 512, seed=1, contrasts=True).examples(0))
    alone = [join([example], 512, tokenizer.end) for example in draws]
    with torch.no_grad():
        packed = float(loss(student.eval(), collate(blocks), 100))
        apart = sum(float(loss(student, collate([block]), 100)) for block in alone)
    assert len(blocks) < len(alone)
    assert packed > 0.01 and packed == pytest.approx(apart, rel=1e-3)


def test_a_generator_is_trained_further_with_guidance(untitled, small_corpus, tiny_llama, tmp_path, monkeypatch):
    quick = {"max_steps": 3, "batch_size": 1, "block_size": 256}
    asked = []

    def watched(teacher, weight, tokenizer):
        asked.append((weight, tokenizer.titles))
        return guidance_loss(teacher, weight, tokenizer)

    monkeypatch.setattr(training, "guidance_loss", watched)
    first = str(untitled)
    assert read_info(first, GeneratorInfo).recipe.settings["guidance_scale"] == 1
    info = train_generator(small_corpus, first, tmp_path / "second", guidance_scale=2.5, **quick)
    assert asked == [(1.5, False)]
    assert info.recipe.settings["guidance_scale"] == 2.5
    card = (tmp_path / "second" / "README.md").read_text()
    options = "--max-steps 3 --block-size 256 --batch-size 1 --no-titles --guidance-scale 2.5"
    assert f"--base-model {first} --output-dir THIS_FOLDER {options}" in card
    assert "started from a generator that was trained" in card and "| guidance scale | 2.5" in card
    third = train_generator(small_corpus, str(tmp_path / "second"), tmp_path / "third", **quick)
    assert third.recipe.base_recipe.settings["guidance_scale"] == 2.5
    card = (tmp_path / "third" / "README.md").read_text()
    assert f"--base-model {tiny_llama} " in card and f"--base-model {first} " in card  # all commands of the lineage
    losses = [entry["loss"] for entry in info.history if "loss" in entry]
    assert all(0 < loss < 0.1 for loss in losses)  # a small divergence, not a cross-entropy
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (untitled, tmp_path / "second")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_guidance_needs_a_trained_generator(small_corpus, tiny_llama, untitled, tmp_path):
    def refused(message, base=tiny_llama, **options):
        with pytest.raises(BadInput, match=message):
            train_generator(small_corpus, str(base), tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    needed = "--guidance-scale needs a --base-model that `movieplots train generator` trained with --method lora"
    refused(needed, guidance_scale=2.0)
    refused("--method lora and --titles", untitled, titles=True, guidance_scale=2.0)
    refused("--guidance-scale must be at least 1, not 0", guidance_scale=0.0)
    refused("--guidance-scale must be at least 1, not nan", guidance_scale=float("nan"))
    refused("--guidance-scale needs --packing packed", untitled, packing="random-crops", guidance_scale=2.0)
    refused("--guidance-scale cannot be combined with --early", untitled, early_stopping_patience=2, guidance_scale=2.0)
