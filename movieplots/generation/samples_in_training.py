"""A trainer callback that samples a few plots at each evaluation of a training run."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from transformers import LogitsProcessor, LogitsProcessorList, Trainer, TrainerCallback

from movieplots.generation.info import Written, WrittenAt
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.sampling_settings import Sampling

N_GENRES = 3
MAX_NEW_TOKENS = 72


class SampleWriter(TrainerCallback):
    """Samples one plot for each of the most frequent genres, always with the same seed.

    The plots are stored in the trainer's log, so a resumed run has all of them, and as text in TensorBoard. The random
    state of the training is not changed.
    """

    def __init__(self, tokenizer: PromptTokenizer, genres: list[str], out: Path, seed: int) -> None:
        self.tokenizer, self.genres, self.seed = tokenizer, genres[:N_GENRES], seed
        self.folder = out / "tensorboard"

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Sample the plots, unless the log has those of this step."""
        if any(entry["step"] == state.global_step and "samples" in entry for entry in state.log_history):
            return
        samples = write_samples(model, self.tokenizer, self.genres, self.seed)
        state.log_history.append({"step": state.global_step, "samples": [asdict(sample) for sample in samples]})
        if state.is_world_process_zero:
            text = "\n\n".join(f"**{s.genre}** {s.title} {s.plot}" for s in samples)
            with SummaryWriter(str(self.folder)) as writer:
                writer.add_text("samples", text, state.global_step)

    @staticmethod
    def samples_of(trainer: Trainer) -> list[WrittenAt]:
        """Return the samples of each evaluation."""
        return [
            WrittenAt(entry["step"], [Written(**sample) for sample in entry["samples"]])
            for entry in trainer.state.log_history
            if "samples" in entry
        ]


class _OneEndOfTitle(LogitsProcessor):
    """Suppresses the end-of-title token if it occurs already after the prompt of `width` tokens."""

    def __init__(self, tokenizer: PromptTokenizer, width: int) -> None:
        self.end_of_title, self.width = tokenizer.end_of_title, width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.end_of_title is not None:
            has_title = (input_ids[:, self.width :] == self.end_of_title).any(dim=1)
            scores[has_title, self.end_of_title] = -torch.inf
        return scores


@torch.inference_mode()
def write_samples(model: Any, tokenizer: PromptTokenizer, genres: list[str], seed: int) -> list[Written]:
    """Sample one plot per genre from a model during training."""
    prompts = [tokenizer.prompt(genre) for genre in genres]
    width = max(map(len, prompts))
    padded = [[tokenizer.end] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ids = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            do_sample=True,
            temperature=Sampling.temperature,
            top_p=Sampling.top_p,
            top_k=0,
            max_new_tokens=MAX_NEW_TOKENS,
            suppress_tokens=tokenizer.suppressed or None,
            logits_processor=LogitsProcessorList([_OneEndOfTitle(tokenizer, width)]),
            eos_token_id=tokenizer.end,
            pad_token_id=tokenizer.end,
            use_cache=True,
        )
    model.train(training)
    texts = [tokenizer.read(row[width:], has_title=False) for row in ids.tolist()]
    return [Written(genre, title, plot) for genre, (title, plot, _) in zip(genres, texts, strict=True)]
