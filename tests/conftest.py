"""Tiny checkpoints of real architectures, built on the spot: random weights, a tokenizer trained on our corpus."""

import gc
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach for a model hub
os.environ["OMP_NUM_THREADS"] = "1"  # models this tiny lose more to waiting for a second thread than they gain

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is promised bit for bit is promised for CPUs

import pytest


def pytest_collection_modifyitems(items):
    """The longest test first: as the last one it would keep one of two processes waiting for minutes."""
    items.sort(key=lambda item: item.path.name != "test_images.py")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What tests convert stays out of the user's cache folder."""
    os.environ["MOVIEPLOTS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, without a window. Where there is none a test is skipped, but not in CI, which installs it.

    Of a module, not of the session: as long as it is open, no other test can run an event loop.
    """
    program = shutil.which("chromium")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The bundled corpus, prepared: a folder with plots.parquet."""
    from movieplots.preparation.pipeline import prepare

    folder = tmp_path_factory.mktemp("corpus")
    prepare("sample", folder)
    return folder


@pytest.fixture(scope="session")
def small_corpus(corpus, tmp_path_factory):
    """120 plots of the bundled corpus, for training that has to be quick."""
    from movieplots.plots import FILE_NAME, load_plots, save_plots

    plots = load_plots(corpus)
    parts = [plots[plots["split"] == "train"].head(90), plots[plots["split"] != "train"].head(30)]
    folder = tmp_path_factory.mktemp("small")
    import pandas as pd

    save_plots(pd.concat(parts).reset_index(drop=True), folder / FILE_NAME)
    return folder


@pytest.fixture(scope="session")
def turned_corpus(small_corpus, tmp_path_factory):
    """The plots of `small_corpus` where all test plots, and twenty training plots, stand on the other side."""
    from movieplots.plots import FILE_NAME, load_plots, save_plots

    plots = load_plots(small_corpus)
    side = plots["split"].to_numpy().copy()
    train, test = (side == "train").nonzero()[0][:20], (side == "test").nonzero()[0]
    side[train], side[test] = "test", "train"
    folder = tmp_path_factory.mktemp("turned")
    save_plots(plots.assign(split=side), folder / FILE_NAME)
    return folder


def _trained_tokenizer(corpus, special, **names):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    from movieplots.plots import load_plots

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        load_plots(corpus)["plot"], vocab_size=800, special_tokens=special, show_progress=False
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, **names)


@pytest.fixture(scope="session")
def _short_samples():
    """What an untrained model writes at each evaluation takes longer than all of its training: a few words will do."""
    import movieplots.generation.samples_in_training  # noqa: F401

    gc.collect()
    gc.freeze()  # each training collects garbage: not among all that has been imported
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("movieplots.generation.samples_in_training.MAX_NEW_TOKENS", 8)
        yield


@pytest.fixture(scope="session")
def tiny_gpt2(corpus, tmp_path_factory, _short_samples):
    """A GPT-2 of two layers: the path of the folder."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    tokenizer = _trained_tokenizer(corpus, ["<|endoftext|>"], eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=512, n_embd=32, n_layer=2, n_head=2)
    return _saved(GPT2LMHeadModel(config), tokenizer, tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def tiny_llama(corpus, tmp_path_factory, _short_samples):
    """A Llama-type model whose vocabulary has SmolLM2's unused tokens: the path of the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>", "<filename>"]
    tokenizer = _trained_tokenizer(corpus, special, eos_token="<|im_end|>", bos_token="<|im_start|>")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    return _saved(LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def tiny_roberta(corpus, tmp_path_factory):
    """A RoBERTa encoder of two layers: the path of the folder."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = _trained_tokenizer(
        corpus, special, bos_token="<s>", cls_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=300, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return _saved(RobertaModel(config, add_pooling_layer=False), tokenizer, tmp_path_factory.mktemp("roberta"))


@pytest.fixture(scope="session")
def trained(small_corpus, tiny_gpt2, tmp_path_factory):
    """A generator with titles, trained for a few steps: (folder, info)."""
    from movieplots.generation.training import train_generator

    folder = tmp_path_factory.mktemp("generator")
    with pytest.MonkeyPatch.context() as patch:  # the same weights on CPUs that train in bfloat16
        patch.setattr("movieplots.runs.fit.mixed_precision", dict)
        return folder, train_generator(small_corpus, tiny_gpt2, folder, max_steps=6)


@pytest.fixture(scope="session")
def untitled(small_corpus, tiny_llama, tmp_path_factory):
    """A generator without titles on a base with stand-in tokens."""
    from movieplots.generation.training import train_generator

    folder = tmp_path_factory.mktemp("untitled")
    train_generator(small_corpus, tiny_llama, folder, titles=False, max_steps=6)
    return folder


@pytest.fixture(scope="session")
def classifier(small_corpus, tiny_roberta, tmp_path_factory):
    """A classifier trained with titles for two passes: (folder, info)."""
    from movieplots.classification.training import train_classifier

    folder = tmp_path_factory.mktemp("classifier")
    return folder, train_classifier(small_corpus, tiny_roberta, folder, epochs=2, batch_size=16, titles=True)


@pytest.fixture(scope="session")
def quantized(classifier, small_corpus, tmp_path_factory):
    """The classifier in 8 bits: (folder, info)."""
    from movieplots.classification.quantization import quantize

    folder = tmp_path_factory.mktemp("quantized")
    return folder, quantize(classifier[0], folder, small_corpus)


def _saved(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
