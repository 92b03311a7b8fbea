"""A few plots written at each evaluation of a training run: seen to grow from the base's prose into plots."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback

from movieplots.generation.markup import MarkupTokenizer

GENRES = 3
NEW_TOKENS = 72
TEMPERATURE, TOP_P = 0.8, 0.9


class SampleWriter(TrainerCallback):
    """Writes one plot in each of the commonest genres, always from the same random numbers.

    They are kept in the trainer's log (so a resumed run has them all) and shown as text in TensorBoard. The random
    state of the training is left as it was.
    """

    def __init__(self, tokenizer: MarkupTokenizer, genres: list[str], out: Path, seed: int) -> None:
        self.tokenizer, self.genres, self.seed = tokenizer, genres[:GENRES], seed
        self.folder = out / "tensorboard"

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if any(entry["step"] == state.global_step and "samples" in entry for entry in state.log_history):
            return
        samples = write_samples(model, self.tokenizer, self.genres, self.seed)
        state.log_history.append({"step": state.global_step, "samples": samples})
        if state.is_world_process_zero:
            text = "\n\n".join(f"**{s['genre']}** {s['title']} {s['plot']}" for s in samples)
            with SummaryWriter(str(self.folder)) as writer:
                writer.add_text("samples", text, state.global_step)

    @staticmethod
    def kept(trainer: Trainer) -> list[dict[str, Any]]:
        """What was written, one dict an evaluation: `step` and `samples`, each with `genre`, `title` and `plot`."""
        keys = ("genre", "title", "plot")  # a log that went through a checkpoint has them in another order
        return [
            {"step": entry["step"], "samples": [{key: sample[key] for key in keys} for sample in entry["samples"]]}
            for entry in trainer.state.log_history
            if "samples" in entry
        ]


@torch.inference_mode()
def write_samples(model: Any, tokenizer: MarkupTokenizer, genres: list[str], seed: int) -> list[dict[str, str]]:
    """One plot a genre from a model in the middle of its training, as dicts of `genre`, `title` and `plot`."""
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
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=0,
            max_new_tokens=NEW_TOKENS,
            suppress_tokens=tokenizer.suppressed or None,
            eos_token_id=tokenizer.end,
            pad_token_id=tokenizer.end,
            use_cache=True,
        )
    model.train(training)
    texts = [tokenizer.read(row[width:], has_title=False) for row in ids.tolist()]
    return [{"genre": g, "title": title, "plot": plot} for g, (title, plot, _) in zip(genres, texts, strict=True)]
