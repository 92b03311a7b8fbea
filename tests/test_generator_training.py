"""Training a generator: results, options and error messages."""

import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM

from movieplots import load_plots
from movieplots.errors import BadInput, sentences
from movieplots.evaluation.comparison import compare_generators
from movieplots.generation import training as generator_training
from movieplots.generation.distillation import distill, new_student
from movieplots.generation.model import load_generator, new_generator
from movieplots.generation.sampling import PlotGenerator
from movieplots.generation.training import corpus_of, find_lr, train_generator
from movieplots.plots import FILE_NAME, save_plots
from movieplots.runs import fit
from movieplots.runs.find_lr import kept_search, smooth, steepest
from movieplots.runs.folder import last_checkpoint
from tests.forked import forked

QUICK = {"max_steps": 8, "method": "full", "learning_rate": 5e-3, "batch_size": 2, "block_size": 128}
ADAPTER = {"max_steps": 6, "learning_rate": 5e-3, "batch_size": 1, "block_size": 256}


@pytest.fixture(scope="module")
def whole(small_corpus, tiny_gpt2, tmp_path_factory):
    """A generator with all weights trained: (folder, info)."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_generator(small_corpus, tiny_gpt2, folder, **QUICK)


@pytest.fixture(scope="module")
def adapter(small_corpus, tiny_llama, tmp_path_factory):
    """An adapter with titles on a base model with unused special tokens: (folder, info)."""
    folder = tmp_path_factory.mktemp("adapter")
    return str(folder), train_generator(small_corpus, tiny_llama, folder, **ADAPTER)


# Results


def test_all_weights_are_trained_saved_and_loaded(whole, small_corpus, tiny_gpt2):
    folder, info = whole
    metrics = info.metrics
    assert metrics.trained_parameters == metrics.parameters
    model, tokenizer, _ = load_generator(folder)
    assert tokenizer.new_tokens and model.config.use_cache
    before = AutoModelForCausalLM.from_pretrained(tiny_gpt2).state_dict()
    moved = [name for name, weights in before.items() if weights.shape == model.state_dict()[name].shape
             and not torch.allclose(weights, model.state_dict()[name], atol=1e-3)]  # fmt: skip
    assert len(moved) > len(before) / 2
    test = generator_training.evaluation_sequences(
        load_plots(small_corpus, "test"), tokenizer, 128, 0, generator_training.TEST_PLOTS
    )
    again = generator_training.measure_losses(model, test)
    assert again["loss"] == pytest.approx(metrics.test_loss_after, rel=1e-3)
    assert again["tokens"] == metrics.test_tokens


def test_the_loss_by_genre(whole):
    _, info = whole
    rows = info.test_loss_by_genre.values()
    assert sum(row.plots for row in rows) <= 30
    assert all(row.after < row.before for row in rows)


def test_the_validation_loss_is_measured_at_start_end_and_between(whole):
    _, info = whole
    held_out = [entry["step"] for entry in info.history if "eval_loss" in entry]
    assert held_out == list(range(9))
    assert [entry["step"] for entry in info.history if "loss" in entry] == list(range(1, 9))


def test_plots_are_written_at_each_evaluation(whole):
    _, info = whole
    assert [written.step for written in info.samples] == list(range(9))
    commonest = list(info.genre_counts)[:3]
    assert all([sample.genre for sample in written.samples] == commonest for written in info.samples)
    assert info.samples[0].samples != info.samples[-1].samples


def test_tensorboard_has_losses_rates_and_samples(whole):
    folder, info = whole
    logs = {"scalars": {}, "texts": set()}
    for file in (folder / "tensorboard").iterdir():
        events = EventAccumulator(str(file)).Reload()
        logs["scalars"] |= {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
        logs["texts"] |= set(events.Tags()["tensors"])
    assert {"train/loss", "eval/loss", "train/learning_rate"} <= set(logs["scalars"])
    last = logs["scalars"]["eval/loss"][-1]
    assert last.value == pytest.approx(info.history[-1]["eval_loss"], rel=1e-5)
    assert any("samples" in tag for tag in logs["texts"])


def test_date_device_and_duration_are_saved(whole):
    run = json.loads((whole[0] / "run.json").read_text())
    assert run["minutes"] >= 0 and run["processes"] == 1 and run["date"].startswith("20")


def test_overwrite_with_another_method_deletes_the_old_weights(small_corpus, tiny_gpt2, tmp_path):
    for method in ("lora", "full", "lora"):
        quick = QUICK | {"method": method, "max_steps": 1}
        info = train_generator(small_corpus, tiny_gpt2, tmp_path, **quick, overwrite=True)
        assert (tmp_path / "adapter_model.safetensors").exists() == (method == "lora")
        assert (tmp_path / "model.safetensors").exists() == (method == "full")
        model, tokenizer, _ = load_generator(tmp_path)
        test = generator_training.evaluation_sequences(load_plots(small_corpus, "test"), tokenizer, 128, 0, 400)
        loss = generator_training.measure_losses(model, test)["loss"]
        assert loss == pytest.approx(info.metrics.test_loss_after, rel=1e-3)


def test_tied_weights_are_saved_once(whole):
    with safe_open(whole[0] / "model.safetensors", "pt") as file:
        assert "transformer.wte.weight" in file.keys() and "lm_head.weight" not in file.keys()  # noqa: SIM118


# Options


def test_an_adapter_is_saved_in_float16_and_trained_further_in_float32(trained):
    folder, info = trained
    adapter = load_file(folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float16}
    layers = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert layers == sorted(layers) and len(layers) > 1  # in each process alike
    assert b"\n" not in (folder / "tokenizer.json").read_bytes()
    model, _ = new_generator(str(folder), info.titles, "lora")
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}


def test_early_stopping_keeps_the_best_weights(small_corpus, tiny_gpt2, tmp_path, monkeypatch):
    """The validation plots have other letters than the training plots, so their loss rises during training."""
    plots = load_plots(small_corpus)
    strange = plots["split"] == "validation"
    plots.loc[strange, "plot"] = ["žđčćš " * 20] * strange.sum()
    save_plots(plots, tmp_path / FILE_NAME)
    quick = QUICK | {"max_steps": 16, "early_stopping_patience": 2}
    info = train_generator(tmp_path, tiny_gpt2, tmp_path / "out", **quick)
    curve = {entry["step"]: entry["eval_loss"] for entry in info.history if "eval_loss" in entry}
    assert list(curve) == [0, 2, 4, 6] and curve[2] < curve[4] < curve[6]
    assert info.metrics.steps == 6
    model, tokenizer, _ = load_generator(tmp_path / "out")
    watched = generator_training.evaluation_sequences(
        plots[strange], tokenizer, 128, 0, generator_training.VALIDATION_PLOTS
    )
    assert generator_training.measure_losses(model, watched)["loss"] == pytest.approx(curve[2], rel=1e-3)

    # A run that is killed after an evaluation without improvement remembers it.
    class Dies(fit._CheckpointCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt
            super().on_step_end(args, state, control, **kwargs)

    # A run that is killed after its last step does not train again.
    def killed(*arguments):
        raise KeyboardInterrupt

    for owner, name, dies in ((fit, "_CheckpointCallback", Dies), (generator_training, "save_generator", killed)):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dies)
            with pytest.raises(KeyboardInterrupt):
                train_generator(tmp_path, tiny_gpt2, tmp_path / "killed", **quick)
        assert last_checkpoint(tmp_path / "killed" / "checkpoints").name == f"checkpoint-{4 if owner is fit else 6}"
    assert train_generator(tmp_path, tiny_gpt2, tmp_path / "killed", **quick) == info
    for name in ("model.safetensors", "movieplots.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_random_crops_are_trained_on_and_counted(small_corpus, tiny_llama, tmp_path):
    quick = QUICK | {"packing": "random-crops", "block_size": 256}
    info = train_generator(small_corpus, tiny_llama, tmp_path, **quick)
    assert info.metrics.test_loss_after < info.metrics.test_loss_before - 0.1
    corpus = corpus_of(small_corpus, tiny_llama, packing="random-crops", block_size=256)
    assert info.metrics.epochs == pytest.approx(16 * 256 / corpus.tokens)
    seen = corpus.stream.times_seen(16)
    assert seen.sum() == 16 * 256 and len(seen) == corpus.tokens
    counted = np.zeros(corpus.tokens, int)
    for start, _ in zip(corpus.stream.starts(), range(16), strict=False):
        counted[start : start + 256] += 1
    assert (seen == counted).all()
    first = next(iter(corpus.stream))
    assert first["labels"] == first["input_ids"] and first["position_ids"] == list(range(256))


@pytest.mark.slow
def test_out_of_memory_halves_the_micro_batch(small_corpus, tiny_gpt2, tmp_path):
    """With more than 16 sequences per forward pass, the process may not allocate memory."""
    code = f"""
import resource
from movieplots.runs import fit
from movieplots.generation import training as generator_training
generator_training._micro_batch_size = lambda per_step: 64
step = fit._Trainer.training_step
def limited(self, model, inputs, *rest, **more):
    if len(inputs["input_ids"]) <= 16:
        return step(self, model, inputs, *rest, **more)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used // 2, -1))
    try:
        return step(self, model, inputs, *rest, **more)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
fit._Trainer.training_step = limited
generator_training.train_generator({str(small_corpus)!r}, {tiny_gpt2!r}, {str(tmp_path)!r}, max_steps=2, block_size=64,
                                   batch_size=64, method="full")
"""
    # No allocation may be served from memory that the process holds unused: enough for the smaller steps can lie there.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert said.index("continuing with 32 examples at a time") < said.index("continuing with 16 examples at a time")
    assert json.loads((tmp_path / "movieplots.json").read_text())["metrics"]["steps"] == 2


def test_the_learning_rate_search_finds_where_the_loss_falls(small_corpus, tiny_gpt2):
    search = find_lr(small_corpus, tiny_gpt2, method="full", steps=30)
    assert search.rates[0] == pytest.approx(1e-6) and len(search.rates) == len(search.losses) <= 30
    assert 1e-4 < search.suggestion < 0.3
    assert min(search.smoothed) < search.smoothed[0] - 0.1
    again = find_lr(small_corpus, tiny_gpt2, method="full", steps=30)
    assert again == search
    with pytest.raises(BadInput, match="--steps must be at least 20, not 19"):
        find_lr(small_corpus, tiny_gpt2, method="full", steps=19)


SEARCH = {"method": "full", "block_size": 64, "steps": 30}


def marked(file):
    """Change the suggestion in the file of a search, to distinguish it from a new search."""
    kept = json.loads(file.read_text())
    kept["search"]["suggestion"] = 0.125
    file.write_text(json.dumps(kept))


def test_a_search_is_saved_and_reused(small_corpus, tiny_gpt2, tmp_path, capfd):
    out = tmp_path / "out"
    file = out / "learning_rates.json"
    search = kept_search(file, find_lr, small_corpus, tiny_gpt2, **SEARCH)
    assert search == find_lr(small_corpus, tiny_gpt2, **SEARCH)
    capfd.readouterr()
    assert kept_search(file, find_lr, small_corpus, tiny_gpt2, **SEARCH, seed=0) == search
    assert f"search kept in {file} is used; delete the file to search again" in capfd.readouterr().err
    marked(file)
    for more in ({}, {}, {"overwrite": True}):
        train_generator(small_corpus, tiny_gpt2, out, **QUICK | {"max_steps": 2}, **more)
        assert kept_search(file, find_lr, small_corpus, tiny_gpt2, **SEARCH).suggestion == 0.125


def test_a_search_with_other_arguments_is_run_again(small_corpus, turned_corpus, tiny_gpt2, trained, tmp_path):
    file, base = tmp_path / "learning_rates.json", tmp_path / "base"
    shutil.copytree(tiny_gpt2, base)

    def suggested(data=small_corpus, base_model=str(base), **changed):
        return kept_search(file, find_lr, data, base_model, **SEARCH | changed).suggestion

    for changed in ({"block_size": 32}, {"seed": 1}, {"data": turned_corpus}, {}):
        assert suggested(**changed) != 0.125
        marked(file)
        assert suggested(**changed) == 0.125
    (base / "generation_config.json").write_text("{}")  # the same name, another model
    assert suggested() != 0.125
    shutil.copytree(trained[0], base, dirs_exist_ok=True)
    assert suggested() != 0.125
    marked(file)
    (base / "run.json").write_text("{}")  # made by the same recipe, it is the same model
    assert suggested() == 0.125


def test_a_damaged_search_is_run_again_and_another_file_is_kept(small_corpus, tiny_gpt2, tmp_path, capfd):
    file = tmp_path / "learning_rates.json"
    file.write_text('{"of": ')
    kept_search(file, find_lr, small_corpus, tiny_gpt2, **SEARCH)
    assert f"{file} is damaged: searching the learning rate again." in capfd.readouterr().err
    assert json.loads(file.read_text())["of"]["settings"]["steps"] == 30
    file.write_text('{"task": "generation"}')
    with pytest.raises(BadInput, match="is not a learning-rate search: choose another file, or delete this one"):
        kept_search(file, find_lr, small_corpus, tiny_gpt2, **SEARCH)
    assert file.read_text() == '{"task": "generation"}'
    with pytest.raises(BadInput, match="is a folder"):
        kept_search(tmp_path, find_lr, small_corpus, tiny_gpt2, **SEARCH)


def test_the_steepest_descent_of_a_known_curve():
    rates = list(np.logspace(-6, 0, 61))
    losses = [5 - 2 / (1 + np.exp(-4 * (np.log10(rate) + 3))) + 100 * rate**2 for rate in rates]
    assert smooth(losses)[0] == pytest.approx(losses[0])
    assert np.log10(steepest(rates, losses)) == pytest.approx(-3, abs=0.6)
    with pytest.raises(BadInput, match="did not fall at any learning rate"):
        steepest(rates, list(np.linspace(3, 9, 61)))
    losses[0] += 5  # one hard plot at the start is no fall
    assert np.log10(steepest(rates, losses)) == pytest.approx(-3, abs=0.6)


# Distillation


def test_a_student_has_every_other_layer_of_its_teacher(whole):
    model, _, _ = load_generator(whole[0])
    student = new_student(model, 1)
    own, taught = student.state_dict(), model.state_dict()
    assert torch.equal(own["transformer.h.0.mlp.c_fc.weight"], taught["transformer.h.0.mlp.c_fc.weight"])
    assert torch.equal(own["transformer.wte.weight"], taught["transformer.wte.weight"])
    ids = torch.tensor([[1, 2, 3]])
    model.transformer.h = model.transformer.h[:1]
    assert torch.allclose(student.eval()(ids).logits, model(ids, use_cache=False).logits)


def test_layers_are_chosen_as_in_distilgpt2(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    teacher = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=12, n_head=2))
    student = new_student(teacher, 6)
    for place, layer in enumerate([0, 2, 4, 7, 9, 11]):
        own = student.transformer.h[place].attn.c_attn.weight
        assert torch.equal(own, teacher.transformer.h[layer].attn.c_attn.weight)


@pytest.mark.parametrize("taught", ["trained", "untitled"])  # a GPT-2 and a Llama
def test_a_student_learns_from_its_teacher(request, small_corpus, taught, tmp_path):
    teacher, student = request.getfixturevalue(taught), tmp_path / "student"
    teacher = teacher if taught == "untitled" else teacher[0]
    quick = {"layers": 1, "max_steps": 8, "learning_rate": 5e-3, "batch_size": 2, "block_size": 128}
    info = distill(teacher, small_corpus, student, **quick)
    metrics = info.metrics
    assert metrics.test_loss_after < metrics.test_loss_before
    assert info.recipe.settings["layers"] == 1
    table = compare_generators({"teacher": teacher, "student": student}, samples=4)
    assert table.loc["student", "parameters"] < table.loc["teacher", "parameters"]
    assert table.loc["student", "test_loss"] == metrics.test_loss_after
    assert (table["tokens_per_second"] > 0).all() and table["repetition_rate"].between(0, 1).all()
    assert distill(teacher, small_corpus, student, **quick) == info


def test_the_soft_target_is_the_teachers(whole, small_corpus):
    """If the student is the teacher, the KL divergence is 0, and half of the cross-entropy remains."""
    from movieplots.generation.distillation import distillation_loss

    model, tokenizer, _ = load_generator(whole[0])
    (held_out, *_) = generator_training.evaluation_sequences(load_plots(small_corpus, "test"), tokenizer, 512, 0, 20)
    batch = generator_training.collate([held_out.sequence])
    model.config.use_cache = False
    tokens = int((batch["labels"][:, 1:] != -100).sum())
    own = distillation_loss(model)(model, batch, tokens)
    assert own.item() == pytest.approx(model(**batch).loss.item() / 2, rel=1e-5)
    other = new_student(model, 1).eval()
    other.config.use_cache = False
    assert distillation_loss(model)(other, batch, tokens) > other(**batch).loss / 2


# What it says where something is wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "half"}, "--method must be lora or full"),
        ({"packing": "spoon"}, "--packing must be packed or random-crops"),
        ({"lr_scheduler_type": "flat"}, "--lr-scheduler-type must be linear or cosine"),
        ({"learning_rate": 0}, "--learning-rate must be above 0"),
        ({"early_stopping_patience": 0}, "--early-stopping-patience must be at least 1"),
        ({"block_size": 4}, "--block-size must be at least 16"),
        ({"block_size": 1024}, "has a context length of 512 tokens: lower --block-size"),
        ({"max_steps": 0}, "--max-steps must be at least 1"),
        ({"time_limit": -1}, "--time-limit"),
        ({"titles": "both"}, "--titles must be true or false, not 'both'"),
        ({"batch_size": 4096}, "fewer than a batch of 4096 sequences of 512 tokens needs"),
        ({"packing": "random-crops", "batch_size": 4096}, "fewer than a batch of 4096"),
        ({"packing": "random-crops", "sampler": "genre-weighted"}, "genre-weighted needs --packing packed"),
        ({"epochs": 0}, "--epochs must be above 0"),
        ({"epochs": "3"}, "--epochs must be a number, not '3'"),
    ],
)
def test_errors_of_settings_out_of_range(small_corpus, tiny_gpt2, tmp_path, options, message):
    with pytest.raises(BadInput, match=message):
        train_generator(small_corpus, tiny_gpt2, tmp_path / "out", **options)
    assert not (tmp_path / "out" / "movieplots.json").exists()


def test_truncated_plots_are_counted_and_reported(small_corpus, tiny_gpt2, capsys):
    corpus = corpus_of(small_corpus, tiny_gpt2, block_size=128)
    assert 0 < corpus.truncated_plots == sum(length > 128 for length in corpus.lengths)
    assert "longer than a sequence of 128 tokens" in " ".join(capsys.readouterr().err.split())


def test_a_tokenizer_without_an_end_of_sequence_token_is_rejected(small_corpus, tiny_gpt2, tmp_path):
    base = shutil.copytree(tiny_gpt2, tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    for name in ("eos_token", "bos_token"):
        settings.pop(name, None)
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = (base / "tokenizer.json").read_text().replace("<|endoftext|>", "<|nothing|>")
    (base / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(BadInput, match="lacks an end-of-sequence token"):
        train_generator(small_corpus, str(base), tmp_path / "out")


def test_an_interrupted_run_with_another_base_model_or_titles_is_rejected(
    small_corpus, tiny_gpt2, tiny_llama, tmp_path, monkeypatch
):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("movieplots.generation.training.save_generator", killed)
        with pytest.raises(KeyboardInterrupt):
            train_generator(small_corpus, tiny_gpt2, tmp_path, max_steps=1)
    checkpoint = last_checkpoint(tmp_path / "checkpoints")
    with pytest.raises(BadInput, match=r"other settings \(base_model\)"):
        train_generator(small_corpus, tiny_llama, tmp_path, max_steps=1)
    with pytest.raises(BadInput, match=r"other settings \(titles\)"):
        train_generator(small_corpus, tiny_gpt2, tmp_path, titles=False, max_steps=1)
    assert last_checkpoint(tmp_path / "checkpoints") == checkpoint


def test_a_full_disk_has_an_error_message_and_keeps_the_last_checkpoint(
    small_corpus, tiny_gpt2, tmp_path, monkeypatch, capfd
):
    """In the third step no file may grow beyond some kilobytes."""

    class Fills(fit._CheckpointCallback):
        def on_step_end(self, args, state, control, **kwargs):
            super().on_step_end(args, state, control, **kwargs)
            if state.global_step == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, -1))

    def train():
        train_generator(small_corpus, tiny_gpt2, tmp_path, **QUICK | {"max_steps": 4})

    def train_on_a_full_disk():
        fit._CheckpointCallback = Fills
        with sentences():
            train()

    monkeypatch.setattr(fit, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    capfd.readouterr()
    assert forked(train_on_a_full_disk) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "no room on the disk" in said and "the one of step 2 is kept" in said
    assert last_checkpoint(tmp_path / "checkpoints").name == "checkpoint-2"
    train()
    assert "Continuing at step 2" in capfd.readouterr().err


def test_too_many_layers_are_rejected(whole, small_corpus, tmp_path):
    with pytest.raises(BadInput, match="below the teacher's 2 layers, not 2"):
        distill(whole[0], small_corpus, tmp_path, layers=2)


def test_a_corpus_without_a_split_is_rejected(small_corpus, tiny_gpt2, tmp_path):
    plots = load_plots(small_corpus)
    save_plots(pd.DataFrame(plots[plots["split"] != "validation"]), tmp_path / FILE_NAME)
    with pytest.raises(BadInput, match="no plots in the validation split"):
        train_generator(tmp_path, tiny_gpt2, tmp_path / "out")


def test_an_adapter_is_trained_further_with_or_without_titles(adapter, small_corpus, tiny_llama, tmp_path):
    folder, first = adapter
    again = train_generator(small_corpus, folder, tmp_path / "again", **ADAPTER)
    assert again.metrics.test_loss_before == pytest.approx(first.metrics.test_loss_after, rel=1e-5)
    assert again.metrics.test_loss_after < again.metrics.test_loss_before
    assert again.base_model == str(tiny_llama) and again.recipe.settings["base_model"] == folder
    assert again.recipe.base_recipe == first.recipe
    card = (tmp_path / "again" / "README.md").read_text()
    assert f"--base-model {folder}" in card and "It was not trained on validation or test plots either" in card
    assert f"--output-dir {folder} " in card  # how the base model was made
    quick = ADAPTER | {"max_steps": 1}
    other = train_generator(small_corpus, folder, tmp_path / "other", titles=False, **quick)
    assert not other.titles
    (sample,) = PlotGenerator.from_pretrained(tmp_path / "other", "transformers").generate(["horror"])
    assert sample.genre == "horror" and not sample.title
    whole = train_generator(small_corpus, folder, tmp_path / "whole", method="full", **quick | {"learning_rate": 1e-3})
    assert whole.metrics.test_loss_before == pytest.approx(first.metrics.test_loss_after, rel=1e-4)


def test_an_adapter_with_new_special_tokens_keeps_its_prompt_format(trained, small_corpus, tmp_path):
    with pytest.raises(BadInput, match="was trained with the special tokens of --titles only"):
        train_generator(small_corpus, str(trained[0]), tmp_path / "other", titles=False, max_steps=1)
    assert not (tmp_path / "other").exists()


def test_more_steps_of_a_finished_run_name_the_command(adapter, small_corpus, tiny_llama):
    folder, info = adapter
    with pytest.raises(
        BadInput, match=rf"trained with --max-steps 6\. .* `movieplots train generator --base-model {folder}"
    ):
        train_generator(small_corpus, tiny_llama, folder, **ADAPTER | {"max_steps": 7})
    with pytest.raises(BadInput, match=r"other settings \(max_steps\)"):
        train_generator(small_corpus, tiny_llama, folder, **ADAPTER | {"max_steps": 1})
    assert train_generator(small_corpus, tiny_llama, folder, **ADAPTER) == info


def test_epochs_set_the_length(small_corpus, tiny_llama, tmp_path):
    info = train_generator(small_corpus, tiny_llama, tmp_path, epochs=0.1, batch_size=1)
    assert info.metrics.epochs == pytest.approx(0.1, abs=1 / corpus_of(small_corpus, tiny_llama).sequences_per_epoch)
    assert info.recipe.settings["sampler"] == "genre-weighted" and info.recipe.settings["learning_rate"] == 1e-3
    card = (tmp_path / "README.md").read_text()
    assert (
        f"    movieplots train generator --data DATA --base-model {tiny_llama} --output-dir THIS_FOLDER --epochs 0.1"
        in card
    )


def test_models_of_an_earlier_version_are_rejected(small_corpus, trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "old")
    info = json.loads((folder / "movieplots.json").read_text())
    info["base"] = info.pop("base_model")
    (folder / "movieplots.json").write_text(json.dumps(info))
    for use in (load_generator, lambda old: train_generator(small_corpus, str(old), tmp_path / "new")):
        with pytest.raises(BadInput, match="of an earlier version of movieplots"):
            use(folder)
    begun = {"recipe": {"base": "gpt2", "passes": 3}}
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    (tmp_path / "begun" / "checkpoints" / "recipe.json").write_text(json.dumps(begun))
    with pytest.raises(BadInput, match="was begun by an earlier version"):
        train_generator(small_corpus, "gpt2", tmp_path / "begun")
