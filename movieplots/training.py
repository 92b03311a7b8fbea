"""What both kinds of training share: the Hugging Face `Trainer` with a time limit, progress bar and safe checkpoints.

A run that is killed continues at its last complete checkpoint when it is started again with the same settings.
A time limit shortens the learning-rate schedule with it: progress is whichever is further, steps or time.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from movieplots.errors import BadInput
from movieplots.files import read_json, write_json
from movieplots.progress import bar, console, say

WARMUP_SHARE = 0.06
SECONDS_PER_LINE = 30


def mixed_precision() -> dict[str, bool]:
    """The `TrainingArguments` for mixed precision that this machine's hardware is fast at; none elsewhere.

    bfloat16 without hardware support is not slow but unusable: some 30 times slower than float32 on an AVX2 CPU.
    """
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return {"bf16": bf16, "fp16": not bf16}
    return {"bf16": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()}


def check_time_limit(minutes: float | None) -> None:
    """Raise BadInput for a time limit that leaves no time."""
    if minutes is not None and minutes <= 0:
        raise BadInput(f"--time-limit must be more than 0 minutes, not {minutes:g}.")


class Clock:
    """Seconds of training so far, over all starts of a run, against an optional limit in minutes."""

    def __init__(self, limit_minutes: float | None) -> None:
        self.limit = math.inf if limit_minutes is None else limit_minutes * 60
        self._before = 0.0
        self._started = time.monotonic()

    def start(self, spent_before: float) -> None:
        """Start counting, `spent_before` seconds having been spent in earlier starts of the run."""
        self._before, self._started = spent_before, time.monotonic()

    @property
    def spent(self) -> float:
        return self._before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        return self.spent / self.limit


class _Safekeeping(TrainerCallback):
    """Stops at the time limit, evaluates at the end, and marks each checkpoint complete once it is written."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.clock.share >= 1:
            control.should_training_stop = control.should_save = True
        if control.should_training_stop or state.global_step >= state.max_steps:
            control.should_evaluate = True  # so that the curve reaches the end

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / "complete.json", {"seconds": self.clock.spent})


class _Bar(TrainerCallback):
    """A progress bar over the steps with the latest losses; in a log file, a line now and then instead."""

    def __init__(self, what: str, clock: Clock) -> None:
        self.what, self.clock = what, clock
        self.progress: Any = None
        self.notes: dict[str, str] = {}
        self.last_line = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.progress = bar()
            self.progress.start()
            self.task = self.progress.add_task(self.what, total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.progress:
            # A time limit may leave room for fewer steps than were planned: then the bar ends where they will.
            total = min(state.max_steps, max(state.global_step, round(state.global_step / max(self.clock.share, 1e-9))))
            self.progress.update(self.task, completed=state.global_step, total=total)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if self.progress and logs:
            names = {"loss": "loss", "eval_loss": "held-out"}
            self.notes |= {label: f"{label} {logs[key]:.3f}" for key, label in names.items() if key in logs}
            note = " · ".join(self.notes.values())
            self.progress.update(self.task, note=note)
            if not console.is_terminal and time.monotonic() - self.last_line > SECONDS_PER_LINE:
                self.last_line = time.monotonic()
                say(f"{self.what}: step {state.global_step} of {state.max_steps} · {note}")

    def stop(self) -> None:
        """Give the terminal back, also after an interrupt."""
        if self.progress:
            self.progress.stop()


def fit(
    *,
    what: str,
    model: torch.nn.Module,
    parameter_groups: list[dict[str, Any]],
    out: Path,
    recipe: dict[str, Any],
    max_steps: int,
    time_limit: float | None,
    save_every: int,
    arguments: dict[str, Any],
    **trainer_arguments: Any,
) -> Trainer:
    """Train `model` with AdamW on `parameter_groups` (each with its own `lr`), warm-up and linear decay.

    `arguments` go to `TrainingArguments`, `trainer_arguments` to the `Trainer`, which is returned. Checkpoints go to
    `out/checkpoints`.
    """
    folder = out / "checkpoints"
    checkpoint = last_checkpoint(folder)
    write_json(folder / "recipe.json", {"recipe": recipe})
    clock = Clock(time_limit)
    optimizer = torch.optim.AdamW(parameter_groups, weight_decay=0.01, fused=True)
    scheduler = LambdaLR(optimizer, _schedule(max_steps, clock))
    progress = _Bar(what, clock)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=max_steps,
            max_grad_norm=1.0,
            logging_strategy="steps",
            logging_steps=max(1, min(10, max_steps // 100)),
            save_strategy="steps",
            save_steps=save_every,
            save_total_limit=2,
            report_to="none",
            use_cpu=not torch.cuda.is_available(),  # otherwise the Trainer refuses bfloat16 on CPUs that have it
            disable_tqdm=True,
            seed=recipe["seed"],
            dataloader_num_workers=0,
            dataloader_pin_memory=torch.cuda.is_available(),
            **mixed_precision(),
            **arguments,
        ),
        optimizers=(optimizer, scheduler),
        callbacks=[_Safekeeping(clock), progress],
        **trainer_arguments,
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if checkpoint:
        clock.start(read_json(checkpoint / "complete.json", "give --fresh to start over")["seconds"])
        step = int(checkpoint.name.rpartition("-")[2])
        say(f"Continuing at step {step}.")
        if step >= max_steps or clock.share >= 1:  # killed after the last step: nothing is left to train
            trainer._load_from_checkpoint(str(checkpoint))
            trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            return trainer
        trainer.args.eval_on_start = False
    else:
        clock.start(0.0)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        progress.stop()
    say(f"{what}: {trainer.state.global_step} steps in {clock.spent / 60:.1f} minutes.")
    return trainer


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written completely, or None."""
    complete = [file.parent for file in folder.glob("checkpoint-*/complete.json")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _schedule(max_steps: int, clock: Clock) -> Callable[[int], float]:
    """Factor on the learning rate by step: up over the first `WARMUP_SHARE` of the run, then linearly down to 0."""

    def factor(step: int) -> float:
        begun = max((step + 1) / max_steps, clock.share)
        done = max(step / max_steps, clock.share)
        return max(0.0, min(begun / WARMUP_SHARE, (1 - done) / (1 - WARMUP_SHARE), 1.0))

    return factor


def history(trainer: Trainer) -> list[dict[str, float]]:
    """The losses logged during training, one dict a log: `step` and `loss` or `eval_loss`."""
    kept = ("step", "loss", "eval_loss")
    entries = [{key: entry[key] for key in kept if key in entry} for entry in trainer.state.log_history]
    return [entry for entry in entries if len(entry) > 1]
