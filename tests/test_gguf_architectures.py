"""Generators on Llama 3, Qwen 3 and Gemma 3: what is trained, saved, loaded and run by llama.cpp is one model."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from movieplots.errors import BadInput
from movieplots.generation.export import UnsupportedModel, cached_gguf, export_gguf, write_gguf
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator, new_generator
from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer
from movieplots.plots import load_plots
from movieplots.runs.folder import read_info

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
    "max_position_embeddings": 1024, "initializer_range": 0.3,
}  # fmt: skip
POSITIONS = 320  # far more than a sliding window, and than the context before Llama 3's rope scaling
TEXTS = [
    "The sea gives back what it took in 1999.",
    "She'll say I'M WE'VE it's 12345 67, 8.9 % of 1234567!",
    "Zoë’s 3rd café – «no» naïve Ærø, straße, Łódź",
    "two  blanks,   three and\ta tab\t\tor two   ",
    "  first\n\n\nthird \n last\r\n\n",
    "🧟 and 👩‍🚀🏽 met 東京で in Москва",
    "<table>a<b>bold</b> <unk> <bos>",
    "   ",
]


def llama_tokenizer(texts):
    """A tokenizer with the parts of Llama 3's."""
    return byte_level(texts, ["<|begin_of_text|>", "<|end_of_text|>"], r"\p{N}{1,3}", None, ignore_merges=True)


def qwen_tokenizer(texts):
    """A tokenizer with the parts of Qwen 3's."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|repo_name|>", "<|file_sep|>"]
    return byte_level(texts, special, r"\p{N}", normalizers.NFC())


def byte_level(texts, special, digits, normalizer, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    split = pre_tokenizers.Split(Regex(WORDS % digits), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def gemma_tokenizer(texts):
    """A tokenizer with the parts of Gemma 3's: all pairs of tokens that make a token are merges."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, show_progress=False))
    learned = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    added = ["\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "<table>", "<b>", "\t\t"]
    merged, letters = [t for t in learned if len(t) > 1], [t for t in learned if len(t) == 1 and t != "\n"]
    names = [*special, *added, *(f"<0x{i:02X}>" for i in range(256)), *merged, *letters]
    vocabulary = {name: i for i, name in enumerate(names)}
    merges = [
        (token[:i], token[i:])
        for token in (*added, *merged)
        for i in range(1, len(token))
        if token[:i] in vocabulary and token[i:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in added])
    return tokenizer


def llama_model(size):
    from transformers import LlamaConfig, LlamaForCausalLM

    scaling = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    return LlamaForCausalLM(
        LlamaConfig(**SIZES, vocab_size=size, num_hidden_layers=2, rope_parameters=scaling, tie_word_embeddings=False)
    )


def qwen_model(size):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(
        Qwen3Config(**SIZES, vocab_size=size + 40, num_hidden_layers=2, tie_word_embeddings=True)  # unused rows
    )


def gemma_model(size):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    ropes = {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    config = Gemma3TextConfig(
        **SIZES, vocab_size=size, num_hidden_layers=4, sliding_window=16, sliding_window_pattern=3,
        query_pre_attn_scalar=32, rope_parameters=ropes,
    )  # fmt: skip
    return Gemma3ForCausalLM(config)


MODELS = {
    "llama": (llama_model, llama_tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}),
    "qwen3": (qwen_model, qwen_tokenizer, {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}),
    "gemma3": (
        gemma_model, gemma_tokenizer,
        {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
    ),
}  # fmt: skip


def checkpoint(name, texts, folder):
    """Write a random base model whose norms are not 1, and return its folder."""
    from transformers import PreTrainedTokenizerFast

    make_model, make_tokenizer, names = MODELS[name]
    tokenizer = make_tokenizer(texts)
    torch.manual_seed(0)
    model = make_model(tokenizer.get_vocab_size())
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("norm.weight"):
            parameter.data += torch.empty_like(parameter).uniform_(-0.5, 0.5)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return str(folder)


class Server:
    """Stock llama.cpp with a GGUF file."""

    def __init__(self, file):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.verbosity, params.fit_params = str(file), 1024, -1, False
        params.n_parallel, params.ui, params.cpuparams.n_threads = 1, False, 1
        # Otherwise attention is computed in float16.
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.server = xllamacpp.Server(params)

    def ask(self, path, **body):
        request = urllib.request.Request(
            self.server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def log_probabilities(self, ids):
        """The ids of the most probable next tokens after each prefix, and their log probabilities."""
        found = []
        for end in range(1, len(ids) + 1):
            answer = self.ask("/completion", prompt=ids[:end], n_predict=1, n_probs=5, temperature=0.0)
            found.append(
                {each["id"]: each["logprob"] for each in answer["completion_probabilities"][0]["top_logprobs"]}
            )
        return found


@dataclass
class Generator:
    """A trained generator: the folder, and log probabilities of the next tokens in a text before it was saved."""

    folder: Path
    ids: list[int]
    before: torch.Tensor


@torch.inference_mode()
def log_probabilities(model, ids):
    return model.eval()(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)


@pytest.fixture(scope="module", params=MODELS)
def generator(request, small_corpus, tmp_path_factory, _short_samples):
    from movieplots.generation import training

    plots = load_plots(small_corpus)
    base_model = checkpoint(request.param, [*plots["plot"], *plots["title"]], tmp_path_factory.mktemp(request.param))
    folder = tmp_path_factory.mktemp("generator")
    kept = {}

    def finish(run, setup, result):
        ids = [setup.tokenizer.end]
        for genres, title, plot in zip(plots["genres"], plots["title"], plots["plot"], strict=True):
            ids += setup.tokenizer.example(genres[0], title, plot, 1000).input_ids[1:]
        model = result.trainer.accelerator.unwrap_model(result.trainer.model)
        kept.update(ids=ids[:POSITIONS], before=log_probabilities(model, ids[:POSITIONS]))
        return training_finish(run, setup, result)

    with pytest.MonkeyPatch.context() as patch:
        training_finish = training._finish
        patch.setattr(training, "_finish", finish)
        patch.setattr("movieplots.runs.fit.mixed_precision", dict)
        training.train_generator(
            small_corpus, base_model, folder, max_steps=4, batch_size=1, block_size=256, sampler="uniform"
        )
    return Generator(folder, **kept)


def test_it_is_loaded_as_it_was_trained(generator):
    model, tokenizer, _ = load_generator(generator.folder)
    after = log_probabilities(model, generator.ids)
    assert torch.allclose(after, generator.before, atol=0.05)
    assert (after.argmax(-1) == generator.before.argmax(-1)).float().mean() > 0.98
    prompt = tokenizer.prompt("horror", "Salt (2009)", TEXTS[0])
    assert prompt[0] == tokenizer.end
    written = prompt[len(tokenizer.prompt("horror")) :]
    assert tokenizer.read([*written, tokenizer.end], has_title=False) == ("Salt (2009)", TEXTS[0], False)


def test_llama_cpp_predicts_the_same_next_tokens(generator, tmp_path):
    model, tokenizer, _ = load_generator(generator.folder)
    write_gguf(model, tokenizer, tmp_path / "model.gguf", "f32", "tiny", spelled=False)
    expected = log_probabilities(model, generator.ids)
    found = Server(tmp_path / "model.gguf").log_probabilities(generator.ids)
    agreeing = sum(max(row, key=row.get) == wanted.argmax() for row, wanted in zip(found, expected, strict=True))
    worst = max(abs(p - wanted[i]) for row, wanted in zip(found, expected, strict=True) for i, p in row.items())
    assert agreeing >= 0.99 * len(found)
    assert worst < (0.01 if model.config.model_type == "gemma3_text" else 0.001)  # llama.cpp rounds GELU to float16


def test_stock_llama_cpp_tokenizes_and_continues(generator, tmp_path):
    model, tokenizer, _ = load_generator(generator.folder)
    server = Server(export_gguf(generator.folder, tmp_path / "model.gguf", type="f32"))
    light = PromptTokenizer.of(SavedTokenizer(generator.folder), read_info(generator.folder, GeneratorInfo))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert light.encode(text) == ids
        assert server.ask("/tokenize", content=text, parse_special=False)["tokens"] == ids, text
    opening = TEXTS[0]
    ids = tokenizer.prompt("horror", "Salt (2009)", opening)
    prompt = f"horror<|endofgenre|>Salt (2009)<|endoftitle|>{opening}"
    assert server.ask("/tokenize", content=prompt, add_special=True)["tokens"] == ids
    answer = server.ask("/completion", prompt=prompt, n_predict=12, temperature=0.0)
    with torch.inference_mode():
        new = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12, eos_token_id=tokenizer.end)
    assert new.shape[1] == len(ids) + 12
    text = tokenizer.tokenizer.decode(new[0, len(ids) :], skip_special_tokens=False)
    assert answer["content"] == text


def test_the_cached_file_is_that_of_the_backend(generator):
    from gguf import GGUFReader

    file, context = cached_gguf(generator.folder, read_info(generator.folder, GeneratorInfo))
    assert context == SIZES["max_position_embeddings"]
    reader = GGUFReader(file)
    model, _, _ = load_generator(generator.folder)
    names = {tensor.name for tensor in reader.tensors}
    assert ("output.weight" in names) != model.config.tie_word_embeddings
    assert ("rope_freqs.weight" in names) == (model.config.model_type == "llama")
    (token_types,) = set(reader.fields["tokenizer.ggml.token_type"].contents())
    assert (token_types, len(reader.fields["tokenizer.ggml.tokens"].data)) == (3, model.config.vocab_size)


def test_new_rows_of_an_output_matrix_of_its_own_are_trained(generator):
    base_model = read_info(generator.folder, GeneratorInfo).base_model
    untrained, tokenizer = new_generator(base_model, True, "full")
    trained, _, _ = load_generator(generator.folder)
    for matrix in ("get_input_embeddings", "get_output_embeddings"):
        before, after = (getattr(model, matrix)().weight[tokenizer.new_tokens] for model in (untrained, trained))
        assert (before != after).any(-1).all()
        assert torch.equal(before[0], before[1])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama", {"hidden_act": "relu"}),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}}),
        ("qwen3", {"attention_bias": True}),
        ("qwen3", {"use_sliding_window": True}),
        ("qwen3", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}),
        ("gemma3", {"query_pre_attn_scalar": 64}),
        ("gemma3", {"final_logit_softcapping": 30.0}),
    ],
)
def test_settings_that_llama_cpp_does_not_have(name, changes, tmp_path):
    model = MODELS[name][0](300)
    for key, value in changes.items():
        setattr(model.config, key, value)
    with pytest.raises(UnsupportedModel, match=r"^GGUF export [^.]*\.") as raised:
        write_gguf(model, None, tmp_path / "model.gguf", "f32", "tiny")
    assert len(raised.value.args[0].splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_another_architecture(tmp_path):
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {**SIZES, "vocab_size": 300, "num_hidden_layers": 1}
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision))
    with pytest.raises(BadInput, match=r"llama, gpt2, qwen3, gemma3_text, not gemma3: .*convert_hf_to_gguf.py"):
        write_gguf(model, None, tmp_path / "model.gguf", "f32", "tiny")


def test_unknown_tokenizers_are_rejected(generator, tmp_path):
    """Each has one part that llama.cpp's tokenizer of this name does not have."""
    model, tokenizer, _ = load_generator(generator.folder)
    fast = json.loads(tokenizer.tokenizer.backend_tokenizer.to_str())
    if model.config.model_type == "gemma3_text":
        changes = [
            ("pre_tokenizer", None),
            ("normalizer", None),
            ("model", {**fast["model"], "byte_fallback": False}),
            ("model", {**fast["model"], "merges": fast["model"]["merges"][:-1]}),  # llama.cpp would merge them
        ]
    else:
        split, byte_level = fast["pre_tokenizer"]["pretokenizers"]
        other = {**split, "pattern": {"Regex": split["pattern"]["Regex"].replace(r"\p{N}", r"\p{N}{1,4}")}}
        changes = [
            ("pre_tokenizer", {**fast["pre_tokenizer"], "pretokenizers": [other, byte_level]}),
            ("pre_tokenizer", {**fast["pre_tokenizer"], "pretokenizers": [split, {**byte_level, "use_regex": True}]}),
            ("normalizer", {"type": "NFKC"}),
            ("model", {**fast["model"], "ignore_merges": not fast["model"]["ignore_merges"]}),
        ]
    for part, value in changes:
        tokenizer.tokenizer = _Fast({**fast, part: value})
        with pytest.raises(UnsupportedModel, match="supports only the tokenizers of GPT-2, SmolLM2, Llama 3"):
            write_gguf(model, tokenizer, tmp_path / "model.gguf", "f32", "tiny")
    tokenizer.tokenizer = _Fast(fast)
    write_gguf(model, tokenizer, tmp_path / "model.gguf", "f32", "tiny")


class _Fast:
    """A tokenizer with this content of tokenizer.json."""

    def __init__(self, content):
        self.backend_tokenizer = self
        self.to_str = lambda: json.dumps(content)
