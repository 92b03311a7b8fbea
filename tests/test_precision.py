"""LoRA training with half-precision base weights, the memory estimate, and losses that are not finite."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen3Config

from movieplots.errors import BadInput
from movieplots.generation import precision, training
from movieplots.generation.distillation import new_student
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator, new_generator
from movieplots.generation.packing import PackedPlots, collate
from movieplots.generation.precision import BaseModelSize, TrainingPlan, memory, plan_training
from movieplots.generation.training import evaluation_sequences, measure_losses, train_generator
from movieplots.generation.training_settings import GeneratorSettings
from movieplots.plots import load_plots
from movieplots.runs import fit
from movieplots.runs.folder import read_info
from tests.conftest import _saved, _trained_tokenizer

QUICK = {"max_steps": 4, "learning_rate": 5e-3, "batch_size": 2, "block_size": 64}
HALF = TrainingPlan("half", torch.bfloat16, checkpointing=True, at_once=2)
TINY = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 16,
    "num_key_value_heads": 1, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
LARGE_CONFIG = LlamaConfig(
    vocab_size=49152, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32,
    max_position_embeddings=8192, tie_word_embeddings=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(corpus, tmp_path_factory, tiny_llama):
    """Folders of untrained models by type. Qwen3 has more embedding rows than tokens, Gemma3 a sliding window."""
    tokenizer = _trained_tokenizer(corpus, ["<|endoftext|>"], eos_token="<|endoftext|>")
    torch.manual_seed(0)
    made = {"llama": tiny_llama}
    for name, kind, more, rows in (
        ("qwen3", Qwen3Config, {}, 20),
        ("gemma3", Gemma3TextConfig, {"sliding_window": 32}, 0),
    ):
        config = kind(vocab_size=len(tokenizer) + rows, pad_token_id=0, bos_token_id=0, eos_token_id=0, **TINY, **more)
        model = AutoModelForCausalLM.from_config(config)
        made[name] = _saved(model, tokenizer, tmp_path_factory.mktemp(name))
    return made


@pytest.fixture
def gpu(monkeypatch):
    """Let plans be made for a GPU with this free memory in GB, with or without bfloat16 and bitsandbytes."""

    def made(free, bfloat16=True, bitsandbytes=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(precision, "available_memory", lambda: free * 1e9)
        monkeypatch.setattr(precision, "find_spec", lambda name: bitsandbytes or None)
        monkeypatch.setattr(precision, "processes", lambda: type("State", (), {"num_processes": 1, "device": "cpu"}))

    return made


# Training


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3"])
def test_an_adapter_in_float32_is_trained_on_weights_in_half_precision(name, tiny, small_corpus, tmp_path, monkeypatch):
    types = {}

    def watched(model, *arguments):
        types.update({weight.requires_grad: weight.dtype for weight in model.parameters()})
        return save(model, *arguments)

    save = training.save_generator
    monkeypatch.setattr(training, "save_generator", watched)
    info = train_generator(small_corpus, tiny[name], tmp_path, precision="half", **QUICK)
    assert types == {True: torch.float32, False: torch.bfloat16}
    assert info.metrics.test_loss_after < info.metrics.test_loss_before
    assert info.recipe.settings["precision"] == "half" and "--precision half" in (tmp_path / "README.md").read_text()
    model, tokenizer, _ = load_generator(tmp_path)
    assert model.dtype == torch.float32
    test = evaluation_sequences(load_plots(small_corpus, "test"), tokenizer, 64, 0, training.TEST_PLOTS)
    assert measure_losses(model, test)["loss"] == pytest.approx(info.metrics.test_loss_after, rel=0.01)


def test_an_interrupted_training_in_half_precision_resumes(tiny, small_corpus, tmp_path, monkeypatch, capfd):
    class Dies(fit._CheckpointCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 3:
                raise KeyboardInterrupt
            super().on_step_end(args, state, control, **kwargs)

    whole = train_generator(small_corpus, tiny["qwen3"], tmp_path / "whole", precision="half", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(fit, "_CheckpointCallback", Dies)
        with pytest.raises(KeyboardInterrupt):
            train_generator(small_corpus, tiny["qwen3"], tmp_path / "killed", precision="half", **QUICK)
    assert train_generator(small_corpus, tiny["qwen3"], tmp_path / "killed", precision="half", **QUICK) == whole
    assert "Continuing at step 2" in capfd.readouterr().err
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "killed"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_gradient_checkpointing_gives_the_same_gradients(name, tiny, small_corpus):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        plan = TrainingPlan("float32", torch.float32, checkpointing, at_once=1)
        model, tokenizer = new_generator(tiny[name], True, "lora", plan)
        assert model.train().is_gradient_checkpointing == checkpointing
        batch = collate([next(iter(PackedPlots(load_plots(small_corpus, "train"), tokenizer, 64, seed=0)))])
        model(**batch).loss.backward()
        gradients.append({key: weight.grad for key, weight in model.named_parameters() if weight.requires_grad})
    one, other = gradients
    assert any(gradient.abs().max() > 0 for gradient in one.values())
    assert all(torch.allclose(one[key], other[key], atol=1e-7) for key in one)


def test_half_precision_with_gradient_checkpointing_trains(tiny, small_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "plan_training", lambda *arguments, **options: HALF)
    info = train_generator(small_corpus, tiny["llama"], tmp_path, **QUICK)
    assert info.metrics.test_loss_after < info.metrics.test_loss_before


def test_a_generator_in_half_precision_is_trained_with_guidance(untitled, small_corpus, tmp_path):
    more = {"precision": "half", "guidance_scale": 2.0, **QUICK, "max_steps": 2}
    info = train_generator(small_corpus, str(untitled), tmp_path, **more)
    assert all(entry["loss"] < 1 for entry in info.history if "loss" in entry)


def test_a_student_keeps_the_kinds_of_its_teachers_layers(tiny):
    teacher = AutoModelForCausalLM.from_pretrained(tiny["gemma3"], dtype=torch.float32)
    kinds = ["sliding_attention", "full_attention"]
    teacher.config.layer_types = kinds
    assert new_student(teacher, 1).config.layer_types == kinds[:1]


def test_a_loss_that_is_not_finite_ends_the_training(tiny_llama, small_corpus, tmp_path, monkeypatch):
    def broken(self, *arguments, **options):
        loss = compute(self, *arguments, **options)
        return loss * float("nan") if self.model.training and self.state.global_step == 2 else loss

    compute = fit._Trainer.compute_loss
    monkeypatch.setattr(fit._Trainer, "compute_loss", broken)
    with pytest.raises(BadInput, match=r"The training loss is not a finite number at step 3, so no model was saved"):
        train_generator(small_corpus, tiny_llama, tmp_path, **QUICK)
    assert not (tmp_path / "movieplots.json").exists() and not list(tmp_path.glob("*.safetensors"))


def test_weights_that_give_no_finite_loss_are_reported(tiny_llama, small_corpus):
    model, tokenizer = new_generator(tiny_llama, True, "lora")
    model.get_input_embeddings().weight.data[:] = float("inf")
    test = evaluation_sequences(load_plots(small_corpus, "test"), tokenizer, 64, 0, 2)
    with pytest.raises(BadInput, match="The test loss is not a finite number"):
        measure_losses(model, test)


# The plan


def planned(monkeypatch, config, *arguments, **options):
    monkeypatch.setattr(precision, "load_config", lambda name: config)
    return plan_training("large", "lora", *arguments, **options)


def test_large_models_are_planned_for_the_memory_of_a_gpu(gpu, monkeypatch, capfd):
    plans = []
    for free in (80, 8, 6, 5):
        gpu(free, bfloat16=False, bitsandbytes=True)
        plan = planned(monkeypatch, LARGE_CONFIG, 2, 512)
        plans.append((plan.precision, plan.dtype, plan.checkpointing, plan.at_once))
    half = ("half", torch.float16)
    assert plans == [(*half, False, 2), (*half, False, 1), (*half, True, 2), ("4bit", torch.float16, False, 1)]
    gpu(80)
    plan = planned(monkeypatch, LARGE_CONFIG, 2, 512)
    assert plan.dtype == torch.bfloat16 and plan.loading == {"dtype": torch.bfloat16}
    said = " ".join(capfd.readouterr().err.split())
    assert (
        "Training large needs about" in said and "GB of GPU memory, 80.0 GB are free: weights in bfloat16 3.4" in said
    )


def test_small_models_and_cpus_stay_in_float32(gpu, monkeypatch, tiny_llama, capfd):
    plan = plan_training(tiny_llama, "lora", 1, 512)
    assert (plan.precision, plan.checkpointing, plan.at_once) == ("float32", False, 1)
    assert "of memory, " in capfd.readouterr().err
    gpu(80)
    assert plan_training(tiny_llama, "lora", 32, 512).dtype == torch.float32
    monkeypatch.undo()
    monkeypatch.setattr(precision, "available_memory", lambda: 100e9)
    assert planned(monkeypatch, LARGE_CONFIG, 1, 512).dtype == torch.float32


def test_a_model_that_does_not_fit_is_rejected_before_its_weights_are_loaded(gpu, monkeypatch, small_corpus, tmp_path):
    gpu(3)
    with pytest.raises(
        BadInput, match=r"needs at least \d\.\d GB of GPU memory \(weights in bfloat16\), but only 3\.0 GB"
    ):
        planned(monkeypatch, LARGE_CONFIG, 2, 512)
    assert planned(monkeypatch, LARGE_CONFIG, 2, 512, "half").checkpointing  # tried nevertheless
    with pytest.raises(BadInput, match="--precision 4bit needs bitsandbytes: run `pip install bitsandbytes`"):
        planned(monkeypatch, LARGE_CONFIG, 2, 512, "4bit")
    monkeypatch.undo()
    monkeypatch.setattr(precision, "available_memory", lambda: 1e9)
    monkeypatch.setattr(precision, "load_config", lambda name: LARGE_CONFIG)
    with pytest.raises(
        BadInput, match="GB are free: lower --block-size, choose a smaller base model, train on a GPU, or"
    ):
        train_generator(small_corpus, "HuggingFaceTB/SmolLM2-1.7B", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gemma_is_trained_in_float32_where_there_is_no_bfloat16(gpu, monkeypatch):
    config = Gemma3TextConfig(
        vocab_size=262_144, hidden_size=1152, intermediate_size=6912, num_hidden_layers=26, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256,
    )  # fmt: skip
    gpu(15, bfloat16=False)
    plan = planned(monkeypatch, config, 2, 512)
    assert (plan.precision, plan.dtype) == ("float32", torch.float32)
    assert not any(fit.mixed_precision_of(config).values()) and any(fit.mixed_precision_of(LARGE_CONFIG).values())
    with pytest.raises(
        BadInput, match="--precision half does not work for large on this GPU: the activations of Gemma"
    ):
        planned(monkeypatch, config, 2, 512, "half")
    gpu(5, bfloat16=False)
    with pytest.raises(BadInput, match=r"weights in float32\), but only 5\.0 GB are free"):
        planned(monkeypatch, config, 2, 512)
    gpu(15)
    assert planned(monkeypatch, config, 2, 512).dtype == torch.bfloat16


def test_the_estimate_grows_with_what_needs_memory():
    size = BaseModelSize(LARGE_CONFIG)
    assert size.parameters == pytest.approx(1.71e9, rel=0.01)

    def total(name="half", dtype=torch.bfloat16, tokens=512, **more):
        return sum(memory(size, name, dtype, "lora", tokens, **more).values())

    growing = [
        total("4bit", checkpointing=True), total(checkpointing=True), total(), total(tokens=1024),
        total("float32", torch.float32, 1024), total("float32", torch.float32, 1024, guided=True),
    ]  # fmt: skip
    assert all(less < more for less, more in pairwise(growing))


def test_the_estimate_counts_the_stored_tensors_of_a_step():
    """Compared with the bytes that autograd stores for the backward pass, without the logits."""
    from peft import LoraConfig, get_peft_model

    config = LlamaConfig(vocab_size=64, **TINY | {"hidden_size": 64, "intermediate_size": 256, "head_dim": 32})
    config.use_cache = False
    model = get_peft_model(
        AutoModelForCausalLM.from_config(config, dtype=torch.float32), LoraConfig(r=16, target_modules="all-linear")
    )
    stored = {}
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            stored[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(1, 128, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(input_ids=ids).logits.sum()
    parts = memory(BaseModelSize(config), "float32", torch.float32, "lora", 128)
    assert sum(stored.values()) == pytest.approx(parts["activations"], rel=0.3)
    assert output.requires_grad


def test_recipes_of_earlier_versions_stay_equal(trained):
    recipe = read_info(trained[0], GeneratorInfo).recipe
    assert "precision" not in recipe.settings
    assert recipe.settings_as(GeneratorSettings).precision == "auto"
    with pytest.raises(BadInput, match="--precision 4bit needs --method lora"):
        GeneratorSettings("d", "gpt2", "o", method="full", precision="4bit")


def test_the_config_of_a_base_model_is_read_without_its_weights(tiny_llama):
    assert BaseModelSize(AutoConfig.from_pretrained(tiny_llama)).vocabulary > 0
    with pytest.raises(BadInput, match="could not be fetched from the Hugging Face Hub"):
        plan_training("nobody/nothing", "lora", 1, 512)
