"""Distillation of classifier-free guidance into a generator, so that its plots follow the prompted genre more closely.

Guidance moves each prediction away from the prediction for another prompt, with a weight w:

    log p = (1 + w) log p(token | prompted genre) - w log p(token | another genre)

The guidance scale is w + 1. The method is by Ho and Salimans (2022, https://arxiv.org/abs/2207.12598), for language
models by Sanchez et al. (2023, https://arxiv.org/abs/2306.17806). Guided plots match their genre more often, but are
less diverse. A bound on the gain of each token, which is specific to this project, keeps most of the diversity.

At sampling time guidance needs a second forward pass per token, which many backends do not support. Therefore the
generator is trained once to match its own guided predictions (for images: Meng et al. 2023,
https://arxiv.org/abs/2210.03142), and is sampled without guidance afterwards. The other genre is sampled for each
training example, so the generator learns the mean over all other genres.
"""

import math
from typing import Any

import torch
from torch.nn.functional import kl_div, log_softmax

from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.runs.fit import Loss, half_precision

# Guidance does not raise tokens less probable than this fraction of the most probable one, but may lower them: ratios
# of two small probabilities are noise (like the plausibility constraint of Li et al. 2023).
MIN_RELATIVE_PROBABILITY = 0.01
# Guidance multiplies a probability by at most this, before normalization. Without the bound, words that occur in one
# genre only have far higher ratios and appear in most plots of this genre. Lowering a probability is not bounded.
MAX_RATIO = 4.0


def guidance_loss(teacher: Any, weight: float, tokenizer: PromptTokenizer) -> Loss:
    """Return a loss function: the KL divergence of the student from the `teacher` under guidance of this weight.

    `teacher` is the generator before this training. The function takes a batch of packed sequences with
    contrasts. It sums the loss over the batch's target tokens and divides by the number of target tokens in the step.
    Titles are not guided: guided titles repeat what is typical ("Kids Songs Nursery Rhymes Kids Songs …") and do not
    stop.
    """
    teacher.requires_grad_(False)
    teacher.config.use_cache = False  # with a cache, packed plots would attend to each other

    def predict(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return log-probabilities of shape (target tokens, vocabulary)."""
        logits = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"]).logits
        return log_softmax(logits[:, :-1][_has_target(inputs)].float(), -1)

    def loss(student: Any, inputs: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
        contrasts = {
            name.removeprefix("contrast_"): tensor for name, tensor in inputs.items() if name.startswith("contrast_")
        }
        weights = weight * _in_plots(inputs, tokenizer.end_of_title)[:, :-1][_has_target(inputs)].float()
        with torch.no_grad(), half_precision(inputs["labels"].device, teacher.config):
            teacher.to(inputs["labels"].device)
            target = guided(predict(teacher, inputs), predict(teacher, contrasts), weights, tokenizer.end_tokens)
        return kl_div(predict(student, inputs), target, reduction="sum", log_target=True) / tokens

    return loss


def _has_target(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return which tokens have a target after them, shape (sequences, size - 1)."""
    return inputs["labels"][:, 1:] != -100


def _in_plots(inputs: dict[str, torch.Tensor], end_of_title: int | None) -> torch.Tensor:
    """Return which tokens follow the title of their example, its end-of-title token included.

    The shape is that of `input_ids`. Without titles all tokens count.
    """
    ids = inputs["input_ids"]
    if end_of_title is None:
        return torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    example_start = torch.where(inputs["position_ids"] == 0, positions, 0).cummax(dim=1).values
    last_title_end = torch.where(ids == end_of_title, positions, -1).cummax(dim=1).values
    return last_title_end >= example_start


def guided(own: torch.Tensor, other: torch.Tensor, weights: torch.Tensor, end_tokens: list[int]) -> torch.Tensor:
    """Return guided log-probabilities from those for the prompted genre and for another genre.

    `own`, `other` and the result have shape (n, vocabulary); `weights`, the guidance weights, have shape (n,). No token
    becomes more than `MAX_RATIO` times as probable, before normalization. `end_tokens` keep their probability, because
    the genre does not determine the length, and guided plots would otherwise not stop.
    """
    shift = (weights[:, None] * (own - other)).clamp(max=math.log(MAX_RATIO))
    plausible = own >= own.amax(-1, keepdim=True) + math.log(MIN_RELATIVE_PROBABILITY)
    words = own + torch.where(plausible, shift, shift.clamp(max=0))
    words[:, end_tokens] = -torch.inf
    log_not_end = torch.log1p(-own[:, end_tokens].exp().sum(-1, keepdim=True).clamp(max=1 - 1e-6))
    target = log_softmax(words, -1) + log_not_end
    target[:, end_tokens] = own[:, end_tokens]
    return target
