"""The masked language model: masking, its loss, and a classifier that starts from it."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, RobertaConfig, RobertaModel, default_data_collator

from movieplots.classification.info import MlmInfo
from movieplots.classification.mlm import (
    IGNORED,
    MaskedSequences,
    masked_loss,
    packed,
    train_mlm,
)
from movieplots.classification.training import train_classifier
from movieplots.classification.training_settings import ClassifierSettings
from movieplots.errors import BadInput
from movieplots.plots import load_plots
from movieplots.pretrained.base_models import load_pretrained, load_tokenizer
from movieplots.runs.folder import read_info

SETTINGS = {"epochs": 12, "block_size": 64, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def trained(small_corpus, tiny_roberta, tmp_path_factory):
    """A language model trained for some steps: (folder, info)."""
    folder = tmp_path_factory.mktemp("mlm")
    return folder, train_mlm(small_corpus, tiny_roberta, folder, **SETTINGS)


@pytest.fixture(scope="module")
def blocks(small_corpus, tiny_roberta):
    return packed(load_tokenizer(tiny_roberta), load_plots(small_corpus, "train")["plot"].tolist(), 64)


def test_packed_sequences_hold_all_plots_in_order_without_the_remainder(small_corpus, tiny_roberta, blocks):
    tokenizer = load_tokenizer(tiny_roberta)
    whole = [token for text in load_plots(small_corpus, "train")["plot"] for token in tokenizer(text)["input_ids"]]
    assert {len(block) for block in blocks} == {64}
    assert [token for block in blocks for token in block] == whole[: 64 * len(blocks)] and len(whole) - 64 * len(
        blocks
    ) < 64


def test_a_share_of_the_tokens_is_masked_and_predicted(tiny_roberta, blocks):
    tokenizer = load_tokenizer(tiny_roberta)
    rows = MaskedSequences(tokenizer, blocks, "0").once(len(blocks))
    labels, shown = (np.array([row[name] for row in rows]) for name in ("labels", "input_ids"))
    order = [blocks.index([s if m == IGNORED else m for s, m in zip(*row, strict=True)])
             for row in zip(shown.tolist(), labels.tolist(), strict=True)]  # fmt: skip
    assert sorted(order) == list(range(len(blocks)))  # each sequence once, other tokens unchanged
    asked = labels != IGNORED
    assert asked.mean() == pytest.approx(0.15, abs=0.02)
    assert (shown[asked] == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.05)
    assert (shown[asked] == labels[asked]).mean() == pytest.approx(0.1, abs=0.04)
    assert not set(labels[asked].tolist()) & set(tokenizer.all_special_ids)
    again = MaskedSequences(tokenizer, blocks, "0")
    assert again.once(3) == rows[:3]
    epochs = iter(again)
    first = [next(epochs) for _ in blocks]
    assert [next(epochs) for _ in blocks] != first  # masked differently


def test_the_loss_is_that_of_transformers(tiny_roberta, blocks):
    model = load_pretrained(AutoModelForMaskedLM, tiny_roberta).eval()
    rows = MaskedSequences(load_tokenizer(tiny_roberta), blocks, "0").once(4)
    batch = default_data_collator(rows)
    with torch.no_grad():
        theirs = model(**batch).loss
        ours = masked_loss(model, batch, (batch["labels"] != IGNORED).sum())
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_the_loss_falls_and_a_classifier_starts_from_it(trained, small_corpus, tmp_path):
    folder, info = trained
    metrics = info.metrics
    assert metrics.test_loss_after < metrics.test_loss_before - 0.2
    assert read_info(folder, MlmInfo) == info
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    done = train_classifier(small_corpus, str(folder), tmp_path, epochs=1, batch_size=16)
    assert done.base_model == str(folder)


def test_a_pretrained_encoder_keeps_the_default_learning_rate_of_its_size(
    trained, small_corpus, tiny_roberta, tmp_path
):
    assert ClassifierSettings(small_corpus, str(trained[0]), "o").resolved().learning_rate == 3e-4
    tokenizer, wide, read = load_tokenizer(tiny_roberta), tmp_path / "wide", tmp_path / "read"
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=400, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=70, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    RobertaModel(config, add_pooling_layer=False).save_pretrained(wide)
    tokenizer.save_pretrained(wide)
    info = train_mlm(small_corpus, str(wide), read, epochs=1, block_size=64)
    assert info.recipe.settings["learning_rate"] == 5e-5
    assert ClassifierSettings(small_corpus, str(read), "o").resolved().learning_rate == 5e-5


def test_the_same_settings_reuse_the_finished_model(trained, small_corpus, tiny_roberta):
    folder, info = trained
    assert train_mlm(small_corpus, tiny_roberta, folder, **SETTINGS) == info
    with pytest.raises(BadInput, match="block_size"):
        train_mlm(small_corpus, tiny_roberta, folder, **SETTINGS | {"block_size": 32})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"block_size": 8}, "--block-size must be at least 16"),
        ({"block_size": 299}, "--block-size must be at most 298"),
        ({"block_size": 512}, "--block-size must be at most 298"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
    ],
)
def test_settings_out_of_range_are_rejected(small_corpus, tiny_roberta, tmp_path, settings, says):
    with pytest.raises(BadInput, match=says):
        train_mlm(small_corpus, tiny_roberta, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
