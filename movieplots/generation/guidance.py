"""A loss that teaches a generator to heed its prompt: to write as it would under classifier-free guidance.

Guidance (Ho and Salimans 2022; for language models, with a prompt in place of none, Sanchez et al. 2023) moves each
prediction away from that for another prompt, by a weight w: log p = (1 + w) log p(token | own genre) - w log p(token |
another genre), w + 1 being Sanchez's gamma. Plots then keep to their genre, and are more alike; how much a token may
gain is bounded here, which keeps most of the variety. At each step of writing guidance costs a second run of the model,
which many decoders cannot do. So a generator is taught once what it would write itself under guidance, as Meng et al.
2023 do for images; afterwards it is sampled like any other. The other genre is drawn anew for each text, so what is
learned is the mean over all of them.
"""

import math
from typing import Any

import torch
from torch.nn.functional import kl_div, log_softmax

from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.runs.fit import Loss, half_precision

# A token less likely than this share of the likeliest gains nothing from guidance, though it may lose: far down,
# quotients of two probabilities are noise (after the plausibility constraint of Li et al. 2023).
PLAUSIBLE = 0.01
# Guidance raises no token more than this many times, before all sum to 1 again: else words that only one genre has,
# whose quotient is far higher, would stand in most of its plots. To make unlikely it is not bounded.
MOST_TIMES = 4.0


def guidance_loss(teacher: Any, weight: float, tokenizer: PromptTokenizer) -> Loss:
    """The loss of a batch of blocks with contrasts: the divergence from the `teacher` under guidance of this weight.

    `teacher` is the generator before. Titles are learned as they are: guided ones list what is typical ("Kids Songs
    Nursery Rhymes Kids Songs …") without an end. The loss is summed over target tokens and divided by those of the
    whole step.
    """
    teacher.requires_grad_(False)
    teacher.config.use_cache = False  # with one, packed plots would see their neighbours

    def predict(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Log-probabilities (target tokens, vocabulary)."""
        logits = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"]).logits
        return log_softmax(logits[:, :-1][_learned(inputs)].float(), -1)

    def loss(student: Any, inputs: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
        contrasts = {
            name.removeprefix("contrast_"): tensor for name, tensor in inputs.items() if name.startswith("contrast_")
        }
        weights = weight * _in_plots(inputs, tokenizer.end_of_title)[:, :-1][_learned(inputs)].float()
        with torch.no_grad(), half_precision(inputs["labels"].device):
            teacher.to(inputs["labels"].device)
            aim = guided(predict(teacher, inputs), predict(teacher, contrasts), weights, tokenizer.ends)
        return kl_div(predict(student, inputs), aim, reduction="sum", log_target=True) / tokens

    return loss


def _learned(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Which tokens have a target after them, shape (blocks, size - 1)."""
    return inputs["labels"][:, 1:] != -100


def _in_plots(inputs: dict[str, torch.Tensor], end_of_title: int | None) -> torch.Tensor:
    """Which tokens stand behind their text's title, its end included; all where texts have none. Shape as the ids'."""
    ids = inputs["input_ids"]
    if end_of_title is None:
        return torch.ones_like(ids, dtype=torch.bool)
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    start = torch.where(inputs["position_ids"] == 0, places, 0).cummax(dim=1).values  # of the text
    title_ended = torch.where(ids == end_of_title, places, -1).cummax(dim=1).values  # the last time
    return title_ended >= start


def guided(own: torch.Tensor, other: torch.Tensor, weights: torch.Tensor, ends: list[int]) -> torch.Tensor:
    """Log-probabilities under guidance, of those for a text's own prompt and for another one; shape (n, vocabulary).

    `weights`, shape (n,), are those of the guidance. No token becomes more than `MOST_TIMES` as likely, before all are
    made to sum to 1. A genre says what is written, not where it ends: `ends` stay as likely as they are, or plots would
    run on.
    """
    shift = (weights[:, None] * (own - other)).clamp(max=math.log(MOST_TIMES))
    plausible = own >= own.amax(-1, keepdim=True) + math.log(PLAUSIBLE)
    words = own + torch.where(plausible, shift, shift.clamp(max=0))
    words[:, ends] = -torch.inf
    going_on = torch.log1p(-own[:, ends].exp().sum(-1, keepdim=True).clamp(max=1 - 1e-6))
    aim = log_softmax(words, -1) + going_on
    aim[:, ends] = own[:, ends]
    return aim
