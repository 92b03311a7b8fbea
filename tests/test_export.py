"""GGUF files: their content, and that stock llama.cpp continues prompts like the original model."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from movieplots.errors import BadInput
from movieplots.generation.export import cached_gguf, export_gguf
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator
from movieplots.pretrained.base_models import cache_folder
from movieplots.runs.folder import read_info, write_info
from movieplots.runs.lineage import read_plot_ids
from tests.forked import killed_at


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request):
    found = request.getfixturevalue({"gpt2": "trained", "llama": "untitled"}[request.param])
    return found[0] if isinstance(found, tuple) else found


def _stock_server(file):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.verbosity, params.fit_params = str(file), 256, -1, False
    params.cpuparams.n_threads = 1
    return xllamacpp.Server(params)


def test_stock_llama_cpp_continues_a_prompt(folder, tmp_path):
    file = export_gguf(folder, tmp_path / "new" / "model.gguf", type="f32")
    model, tokenizer, _ = load_generator(folder)
    opening = "The sea gives back what it took in 1999."
    ids = tokenizer.prompt("horror", "Salt (2009)" if tokenizer.end_of_title is not None else None, opening)
    end = "Salt (2009)<|endoftitle|>" if tokenizer.end_of_title is not None else ""
    start = "" if tokenizer.end_of_title is not None else "<|startoftext|>"
    body = {"prompt": f"{start}horror<|endofgenre|>{end}{opening}", "max_tokens": 12, "temperature": 0}
    answer = _stock_server(file).handle_completions(body)
    assert answer["usage"]["prompt_tokens"] == len(ids)  # the same tokenization, without a prefix
    with torch.inference_mode():
        new = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12, eos_token_id=tokenizer.end)
    text = tokenizer.tokenizer.decode(new[0, len(ids) :], skip_special_tokens=False)
    assert answer["choices"][0]["text"] == text.replace("<filename>", "<|endoftitle|>")


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_1"])
def test_types_of_weights(folder, tmp_path, kind):
    from gguf import GGUFReader, dequantize

    file = export_gguf(folder, tmp_path / "model.gguf", type=kind)
    reader = GGUFReader(file)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert tensors["blk.0.ffn_down.weight"].tensor_type.name == kind.upper()
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    assert "output.weight" not in tensors or not load_generator(folder)[0].config.tie_word_embeddings
    model, tokenizer, _ = load_generator(folder)
    assert reader.fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.end
    rows = model.get_input_embeddings().weight.detach().numpy()
    found = dequantize(tensors["token_embd.weight"].data, tensors["token_embd.weight"].tensor_type)
    assert found.shape == rows.shape
    assert np.abs(found - rows).max() < np.abs(rows).max() / 100


def test_the_cached_file_is_reused_until_the_model_changes(folder, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "model")
    info = read_info(copy, GeneratorInfo)
    file, context = cached_gguf(copy, info)
    assert context == load_generator(copy)[0].config.max_position_embeddings
    assert cache_folder() in file.parents
    assert "Converting" in capsys.readouterr().err
    made = file.stat().st_mtime_ns
    assert cached_gguf(copy, info) == (file, context)
    assert file.stat().st_mtime_ns == made
    assert not capsys.readouterr().err
    write_info(copy, replace(info, history=[]), "", read_plot_ids(copy))
    newer, _ = cached_gguf(copy, read_info(copy, GeneratorInfo))
    assert newer != file
    assert list(file.parent.glob("*.gguf")) == [newer]
    weights = next(copy.glob("*.safetensors"))
    before = weights.stat()
    weights.write_bytes(b"half".ljust(before.st_size))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # as in an image, where all files have one time
    with pytest.raises(BadInput, match="cannot be loaded"):
        cached_gguf(copy, read_info(copy, GeneratorInfo))


def test_a_killed_export_leaves_no_incomplete_file(untitled, tmp_path):
    out = tmp_path / "model.gguf"
    change = 3  # the folder is looked for, the unfinished file is opened, and it would take its place
    assert killed_at(change, tmp_path, export_gguf, untitled, out) == -signal.SIGKILL
    assert [file.suffix for file in tmp_path.iterdir()] == [".tmp"]
    export_gguf(untitled, out)
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]


def test_an_adapter_alone(trained, tmp_path):
    """Names and the order of rows: llama.cpp rotates adjacent pairs, transformers the two halves of a head."""
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    model = tmp_path / "model"
    model.mkdir()
    rows = np.arange(576, dtype=np.float32)[:, None].repeat(2, 1)
    tensors = {
        "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight": np.ones((2, 576), np.float32),
        "base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight": rows,
        "base_model.model.model.layers.29.mlp.down_proj.lora_B.weight": rows,
    }
    save_file(tensors, model / "adapter_model.safetensors")
    (model / "adapter_config.json").write_text(json.dumps({"lora_alpha": 32, "r": 4, "use_rslora": True}))
    write_info(model, replace(trained[1], base_model="smollm2-135m"), "", read_plot_ids(trained[0]))
    reader = GGUFReader(export_gguf(model, tmp_path / "adapter.gguf", adapter=True))
    assert reader.fields["adapter.lora.alpha"].contents() == 64
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert set(found) == {"blk.3.attn_q.weight.lora_a", "blk.3.attn_q.weight.lora_b", "blk.29.ffn_down.weight.lora_b"}
    assert found["blk.3.attn_q.weight.lora_b"][:4, 0].tolist() == [0, 32, 1, 33]
    assert found["blk.29.ffn_down.weight.lora_b"][:4, 0].tolist() == [0, 1, 2, 3]
    save_file({"base_model.model.lm_head.weight": rows}, model / "adapter_model.safetensors")
    with pytest.raises(BadInput, match="export the whole model"):
        export_gguf(model, tmp_path / "adapter.gguf", adapter=True)


def test_errors_of_invalid_exports(untitled, tmp_path):
    with pytest.raises(BadInput, match="--type must be one of f32, f16,"):
        export_gguf(untitled, tmp_path / "model.gguf", type="q3")
    with pytest.raises(BadInput, match="is a folder"):
        export_gguf(untitled, tmp_path)
    with pytest.raises(BadInput, match="--adapter is always written as f16: leave out --type"):
        export_gguf(untitled, tmp_path / "adapter.gguf", type="f16", adapter=True)
    with pytest.raises(BadInput, match="without --adapter"):
        export_gguf(untitled, tmp_path / "adapter.gguf", adapter=True)
    assert not list(tmp_path.iterdir())
