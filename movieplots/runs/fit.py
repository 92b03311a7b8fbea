"""The shared training loop: the Hugging Face `Trainer` with a time limit, complete checkpoints, logs and progress.

An interrupted run resumes from its last complete checkpoint when it is started again with the same settings. A time
limit also shortens the learning-rate schedule: progress is the larger share of steps and time. With `accelerate launch`
a run uses several processes; the first one keeps the time and writes the files.
"""

import contextlib
import ctypes
import datetime
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
import transformers
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback

from movieplots.errors import BadInput
from movieplots.files import disk_full, read_json, write_json
from movieplots.formatting import plural
from movieplots.progress import bar, console, notify
from movieplots.runs.folder import Circumstances, Logged, last_checkpoint

WARMUP_SHARE = 0.06
SECONDS_BETWEEN_CHECKPOINTS = 180.0
SECONDS_PER_LINE = 30
WEIGHT_DECAY = 0.01
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


class Group(TypedDict):
    """A parameter group of an optimizer: parameters and their learning rate."""

    params: list[torch.nn.Parameter]
    lr: float


Groups = Callable[[torch.nn.Module], list[Group]]
Loss = Callable[[torch.nn.Module, dict[str, torch.Tensor], Any], torch.Tensor]


def mixed_precision() -> dict[str, bool]:
    """Return the `TrainingArguments` for the mixed precision that this machine's hardware supports; none otherwise.

    Without hardware support, bfloat16 is some 30 times slower than float32 on an AVX2 CPU.
    """
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return {"bf16": bf16, "fp16": not bf16}
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # missing in old versions of torch
    return {"bf16": bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))}


def half_dtype() -> torch.dtype:
    """Return the type of half-precision weights: float16 on a GPU without bfloat16 in its hardware, else bfloat16."""
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def needs_float32(config: Any) -> bool:
    """Return whether a model must be trained in float32 here.

    The activations of Gemma models exceed the range of float16, and some GPUs, such as the T4, have no bfloat16.
    """
    return str(getattr(config, "model_type", "")).startswith("gemma") and half_dtype() == torch.float16


def mixed_precision_of(config: Any) -> dict[str, bool]:
    """Return the `TrainingArguments` for the mixed precision of a model with this config."""
    return {"bf16": False, "fp16": False} if needs_float32(config) else mixed_precision()


class _SingleGpuArguments(TrainingArguments):
    """`TrainingArguments` with one GPU per process.

    Several GPUs in one process would mean DataParallel, which has no mixed precision and larger steps than asked for.
    With `accelerate launch`, all GPUs are used.
    """

    @property
    def n_gpu(self) -> int:
        """Number of GPUs: at most 1."""
        return min(int(super().n_gpu), 1)


def training_arguments(model: Any = None, **arguments: Any) -> TrainingArguments:
    """Return `TrainingArguments` with the values that all our training runs share, in the precision of the model."""
    return _SingleGpuArguments(
        max_grad_norm=1.0,
        logging_strategy="steps",
        report_to="none",
        use_cpu=not torch.cuda.is_available(),  # otherwise the Trainer refuses bfloat16 on CPUs that have it
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        **mixed_precision_of(getattr(model, "config", None)),
        **arguments,
    )


def reuse_memory() -> None:
    """Make the C library keep freed memory for later allocations, until the process ends.

    On a CPU a training step allocates hundreds of megabytes, which glibc would request from the system and return each
    time. The system clears every page, which takes up to half of the step (`M_MMAP_MAX` and `M_TRIM_THRESHOLD` of
    mallopt(3)). Does nothing with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def can_compile() -> bool:
    """Return whether `torch.compile` works on this machine's GPU."""
    return bool(torch.cuda.is_available() and find_spec("triton") and torch.cuda.get_device_capability() >= (7, 0))


def main_process() -> bool:
    """Return whether this process writes files: the only one, or the first of several."""
    return not _distributed() or torch.distributed.get_rank() == 0


def _distributed() -> bool:
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def half_precision(device: torch.device, config: Any = None) -> torch.autocast:
    """Return an autocast context for computations outside a model's `forward`, where the `Trainer` sets none."""
    numbers = {"bf16": torch.bfloat16, "fp16": torch.float16}
    half = next((numbers[name] for name, on in mixed_precision_of(config).items() if on), None)
    return torch.autocast(device.type, half, enabled=half is not None)


class Clock:
    """Training time in seconds, over all starts of a run, and its share of an optional limit in minutes.

    `share` and `due` (whether a checkpoint is due) change only in `tick`, in the same way on all processes. With a
    clock per process, their learning rates would differ.
    """

    def __init__(self, limit_minutes: float | None) -> None:
        self.limit = math.inf if limit_minutes is None else limit_minutes * 60
        self.start(0.0)

    def start(self, spent_before: float) -> None:
        """Start the clock, after `spent_before` seconds in earlier starts of the run."""
        self._before, self._started = spent_before, time.monotonic()
        self._saved = self._started
        self.tick()

    @property
    def spent(self) -> float:
        """Training time so far, in seconds."""
        return self._before + time.monotonic() - self._started

    def tick(self) -> None:
        """Read the clock of the first process."""
        now = [self.spent / self.limit, float(time.monotonic() - self._saved >= SECONDS_BETWEEN_CHECKPOINTS)]
        if _distributed():
            device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
            shared = torch.tensor(now, dtype=torch.float64, device=device)
            torch.distributed.broadcast(shared, src=0)
            now = shared.tolist()
        self.share, self.due = now[0], now[1] > 0

    def saved(self) -> None:
        """Restart the time until the next checkpoint."""
        self._saved = time.monotonic()


class _CheckpointCallback(TrainerCallback):
    """Schedules evaluations and checkpoints, stops at the time limit, and marks each checkpoint when it is complete.

    With `save_evaluated`, each evaluation is followed by a checkpoint, so that the best weights can be restored.
    """

    def __init__(self, clock: Clock, evaluations: int, save_evaluated: bool) -> None:
        self.clock, self.evaluations, self.save_evaluated = clock, evaluations, save_evaluated
        self.evaluated = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the evaluations that an interrupted run has behind it."""
        self.evaluated = self._planned(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Decide whether to evaluate, save or stop."""
        self.clock.tick()
        # Right after a log entry, no losses are pending that a resumed run would lack.
        if self.clock.due and state.global_step % args.logging_steps == 0:
            control.should_save = True
        if self._planned(state) > self.evaluated:
            self.evaluated = self._planned(state)
            control.should_evaluate = control.should_log = True
            control.should_save |= self.save_evaluated
        if self.clock.share >= 1:
            control.should_training_stop = True
        if control.should_training_stop or state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True  # so that the loss curve includes the last step

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint as complete."""
        self.clock.saved()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / "complete.json", {"seconds": self.clock.spent})

    def _planned(self, state: Any) -> int:
        return int(self.evaluations * max(state.global_step / state.max_steps, self.clock.share))


class _StopIfNotFinite(TrainerCallback):
    """Ends a training whose loss is not a finite number, before a checkpoint with its weights is saved."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Raise BadInput if the training loss or the validation loss is infinite or NaN."""
        for key, what in {"loss": "training loss", "eval_loss": "validation loss"}.items():
            if not math.isfinite((logs or {}).get(key, 0.0)):
                raise not_finite(what, f"at step {state.global_step}")


def not_finite(what: str, when: str) -> BadInput:
    """Return the error for a loss that is not a finite number."""
    return BadInput(
        f"The {what} is not a finite number {when}, so no model was saved: start again with --overwrite and a lower "
        "--learning-rate, or with another base model."
    )


class _ProgressBar(TrainerCallback):
    """A progress bar with the latest losses. In a log file it is a line now and then."""

    def __init__(self, what: str, clock: Clock) -> None:
        self.what, self.clock = what, clock
        self.progress: Any = None
        self.notes: dict[str, str] = {}
        self.last_line, self.last_step = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the progress bar."""
        if state.is_world_process_zero:
            self.progress = bar()
            self.progress.start()
            self.task = self.progress.add_task(self.what, total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the progress bar."""
        if self.progress:
            # With a time limit there may be fewer steps than planned: estimate their number.
            total = min(state.max_steps, max(state.global_step, round(state.global_step / max(self.clock.share, 1e-9))))
            self.progress.update(self.task, completed=state.global_step, total=total)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the latest losses."""
        if self.progress and logs:
            names = {"loss": "loss", "eval_loss": "validation"}
            self.notes |= {label: f"{label} {logs[key]:.3f}" for key, label in names.items() if key in logs}
            note = " · ".join(self.notes.values())
            self.progress.update(self.task, note=note)
            due = time.monotonic() - self.last_line > SECONDS_PER_LINE
            # The loss and the validation loss of one step are logged separately; the step is printed once.
            if not console.is_terminal and due and state.global_step > self.last_step:
                self.last_line, self.last_step = time.monotonic(), state.global_step
                notify(f"{self.what}: step {state.global_step} of {state.max_steps} · {note}")

    def stop(self) -> None:
        """Stop the progress bar, also after an interrupt."""
        if self.progress:
            self.progress.stop()


class _Trainer(Trainer):
    """The `Trainer` with AdamW on our parameter groups, our schedule, and optionally our loss.

    It creates the optimizer itself because FSDP has to wrap the model first.
    """

    optimizer: torch.optim.Optimizer | None
    lr_scheduler: LambdaLR | None
    minutes = 0.0  # training time, over all starts of the run

    def __init__(self, groups: Groups, factor: Callable[[int], float], loss: Loss | None, **arguments: Any) -> None:
        self.groups, self.factor, self.loss = groups, factor, loss
        super().__init__(**arguments)
        if loss:
            self.loss_is_scaled_for_ga = True

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Create AdamW on the parameter groups."""
        if self.optimizer is None:
            groups = self.groups(self.model if model is None else model)
            self.optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Create the learning-rate schedule."""
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.factor)
        return self.lr_scheduler

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute our loss in training, and the model's own in evaluation."""
        if self.loss is None or not model.training:
            return super().compute_loss(model, inputs, *args, **kwargs)
        # Our loss sums over this process's tokens and divides by those of all; DDP then averages the gradients.
        return self.loss(model, inputs, kwargs["num_items_in_batch"]) * self.accelerator.num_processes


def fit(
    *,
    what: str,
    model: torch.nn.Module,
    parameter_groups: Groups,
    output_dir: Path,
    seed: int,
    max_steps: int,
    time_limit: float | None,
    evaluations: int,
    lr_scheduler_type: str = "linear",
    patience: int | None = None,
    loss: Loss | None = None,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback] | None = None,
    **trainer_arguments: Any,
) -> _Trainer:
    """Train `model` with AdamW on the groups that `parameter_groups(model)` returns, each with its own `lr`.

    The learning rate warms up and then falls to 0 according to `lr_scheduler_type`. `evaluations` is their number,
    evenly spaced over the run. With `patience`, training stops after this number of consecutive evaluations without a
    lower validation loss, and the best weights are kept. `loss(model, inputs, tokens in the step)` replaces the model's
    own loss in training. `arguments` are passed to `TrainingArguments` and `trainer_arguments` to the `Trainer`, which
    is returned with its `minutes`. Checkpoints are written to `output_dir/checkpoints`, TensorBoard logs to
    `output_dir/tensorboard`.
    """
    reuse_memory()
    folder = output_dir / "checkpoints"
    checkpoint = last_checkpoint(folder)
    clock = Clock(time_limit)
    progress = _ProgressBar(what, clock)
    stopping: dict[str, Any] = {}
    more = list(callbacks or [])
    never = max_steps + 1  # _CheckpointCallback schedules evaluations and checkpoints
    if patience is not None:
        stopper = EarlyStoppingCallback(patience)
        more.append(stopper)
        stopping = {
            "load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "save_strategy": "steps",
            "save_steps": never,
        }  # fmt: skip
    trainer = _Trainer(
        parameter_groups,
        _schedule(lr_scheduler_type, max_steps, clock),
        loss,
        model=model,
        args=training_arguments(
            model,
            output_dir=str(folder),
            max_steps=max_steps,
            logging_steps=max(1, min(10, max_steps // 100)),
            save_total_limit=2,
            seed=seed,
            eval_steps=never,
            prediction_loss_only=True,
            logging_nan_inf_filter=False,
            **({"save_strategy": "no"} | stopping | arguments),
        ),
        callbacks=[
            _StopIfNotFinite(), _CheckpointCallback(clock, evaluations, save_evaluated=patience is not None), progress,
            *more,
        ],
        **trainer_arguments,
    )  # fmt: skip
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if main_process():
        _remove_incomplete(folder)
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(output_dir / "tensorboard"))))
    if checkpoint:
        clock.start(read_json(checkpoint / "complete.json", "give --overwrite to start over")["seconds"])
        step = int(checkpoint.name.rpartition("-")[2])
        notify(f"Continuing at step {step}.")
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if (
            step >= max_steps
            or clock.share >= 1
            or (patience is not None and _evaluations_without_improvement(state) >= patience)
        ):
            # Interrupted after the last step: only load the weights. The Trainer has no public method for that.
            trainer._load_from_checkpoint(state.best_model_checkpoint or str(checkpoint))
            trainer.state, trainer.minutes = state, clock.spent / 60
            return trainer
        trainer.args.eval_on_start = False
        if patience is not None:
            stopper.early_stopping_patience_counter = _evaluations_without_improvement(state)
    else:
        clock.start(0.0)
    try:
        with _report_full_disk(folder):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        progress.stop()
    # Measure the model as it will be saved: without the mixed precision of training.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trainer.minutes = clock.spent / 60
    notify(f"{what}: {trainer.state.global_step} steps in {trainer.minutes:.1f} minutes.")
    return trainer


def _remove_incomplete(folder: Path) -> None:
    """Remove incomplete checkpoints, which would count among the latest two and displace complete ones."""
    for path in folder.glob("checkpoint-*"):
        if not (path / "complete.json").is_file():
            shutil.rmtree(path)


def _evaluations_without_improvement(state: TrainerState) -> int:
    """Return the number of consecutive evaluations without improvement at the time of the checkpoint."""
    return int(state.stateful_callbacks["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"])


@contextlib.contextmanager
def _report_full_disk(folder: Path) -> Iterator[None]:
    """Turn the errors of safetensors and torch on a full disk into BadInput."""
    try:
        yield
    except Exception as error:
        if not disk_full(error):
            raise
        last = last_checkpoint(folder)
        kept = f"the one of step {last.name.rpartition('-')[2]} is kept" if last else "there is no complete one yet"
        raise BadInput(
            f"There is no room on the disk for a checkpoint in {folder} ({kept}): free some space, then run the same "
            "command again to resume."
        ) from None


def _schedule(name: str, max_steps: int, clock: Clock) -> Callable[[int], float]:
    """Return the factor on the learning rate by step: linear warm-up over `WARMUP_SHARE` of the run, then down to 0.

    `linear` decays linearly, `cosine` along half a cosine
    (`Loshchilov and Hutter 2017 <https://arxiv.org/abs/1608.03983>`_).
    """

    def factor(step: int) -> float:
        begun = max((step + 1) / max_steps, clock.share)
        done = max(step / max_steps, clock.share)
        left = max(0.0, min((1 - done) / (1 - WARMUP_SHARE), 1.0))
        fall = left if name == "linear" else (1 - math.cos(math.pi * left)) / 2
        return min(begun / WARMUP_SHARE, fall)

    return factor


def circumstances(trainer: _Trainer) -> Circumstances:
    """Return date, device, duration and versions of a run, which are not part of its recipe."""
    return run_circumstances(trainer.minutes, trainer.accelerator.num_processes)


def run_circumstances(minutes: float, processes: int = 1) -> Circumstances:
    """Return the same for training without the `Trainer`."""
    threads = torch.get_num_threads()
    cpu = f"CPU, {plural(threads, 'thread')}"
    return {
        "date": datetime.date.today().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "processes": processes,
        "minutes": round(minutes, 1),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def history(trainer: Trainer) -> list[Logged]:
    """Return the logged losses: `step` with `loss` or `eval_loss`."""
    kept = ("step", "loss", "eval_loss")
    entries = [cast(Logged, {key: entry[key] for key in kept if key in entry}) for entry in trainer.state.log_history]
    return [entry for entry in entries if len(entry) > 1]
