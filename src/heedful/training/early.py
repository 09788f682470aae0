"""What can be known before the first step, so that no long run ends with it: shapes, memory, disk space, warm-up."""

import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from heedful._errors import OutputError, RecipeError
from heedful._files import write_whole

from .feed import TrainingBatch, share
from .learner import Learner
from .options import TrainingOptions

# Warn from this part of the free memory on; above all of it, refuse.
TIGHT = 0.8
# What the backward pass takes on top of what was kept for it: measured, 1.3 to 1.5 (tests/training/test_early.py).
BACKWARD = 1.4
# Numbers beside each weight that an optimiser keeps.
MOMENTS = {"adamw": 2, "adam": 2, "rmsprop": 1, "sgd": 1}


def check_before_training(learner: Learner, largest: TrainingBatch, epoch_len: int, folder: Path) -> list[str]:
    """Try what can be tried in a moment.

    Args:
        learner: At its start.
        largest: The batch that takes most memory.
        epoch_len: Batches of an epoch.
        folder: Of the run.

    Returns:
        Warnings, a sentence each.

    Raises:
        RecipeError: The model does not fit the data, or the largest batch not into the memory.
        OutputError: The folder cannot be written, or has no space for the checkpoints.
    """
    check_disk(learner.model, learner.options, folder)
    return [*check_memory(learner, largest), *check_warmup(learner.options, epoch_len)]


def check_warmup(options: TrainingOptions, epoch_len: int) -> Iterator[str]:
    """A rate that never reaches its peak is hardly what was meant."""
    limits = [options.max_steps or math.inf]
    limits += [options.max_epochs * math.ceil(epoch_len / options.accumulate)] if options.max_epochs else []
    if options.warmup_steps > min(limits):
        yield (
            f"Warning: training.warmup_steps is {options.warmup_steps:,}, but the run ends after {min(limits):,} "
            "steps, before the learning rate reaches its peak; lower warmup_steps."
        )


def check_disk(model: nn.Module, options: TrainingOptions, folder: Path) -> None:
    """Refuse a folder that cannot be written, or that the checkpoints would fill."""
    write_whole(folder / ".writable", b"")
    (folder / ".writable").unlink()
    weights = size_of(model.state_dict().values())
    checkpoint = weights * (1 + MOMENTS[options.optimizer] + bool(options.ema))
    # The best, the last ones, and what is under its temporary name while the old one still stands; then the model.
    wanted = 2 * checkpoint + weights * (options.average_last + 2)
    there = sum(path.stat().st_size for path in folder.rglob("*.pt"))
    free = shutil.disk_usage(folder).free
    if wanted - there > free:
        raise OutputError(
            f"cannot write the checkpoints to {folder}: they take about {gigabytes(wanted)}, and {gigabytes(free)} are "
            "free; free some space, or choose another output folder"
        )


def check_memory(learner: Learner, largest: TrainingBatch) -> Iterator[str]:
    """Refuse a batch that cannot fit into the memory; warn of one that hardly does."""
    free = free_memory(learner.device)
    state = state_bytes(learner)
    activations = activation_bytes(learner, largest)
    if free is None or state + activations <= TIGHT * free:
        return
    text = (
        f"training needs about {gigabytes(state + activations)} of memory, {gigabytes(activations)} of them for its "
        f"largest batch, and {gigabytes(free)} are free; lower training.tokens_per_batch, and raise "
        "training.accumulate to make up for it"
    )
    if state + activations > free:
        raise RecipeError(text)
    yield f"Warning: {text}."


def state_bytes(learner: Learner) -> int:
    """Bytes that gradients and moments are going to take in this process, beside the weights that are there already."""
    weights = size_of(learner.model.parameters())
    parts = learner.processes.count if learner.options.strategy == "fsdp" else 1
    return weights * (1 + MOMENTS[learner.options.optimizer]) // parts


def activation_bytes(learner: Learner, batch: TrainingBatch) -> int:
    """Bytes that forward and backward pass take for this process's share of a batch.

    Measured on one pair and on two, padded as in the batch; each further pair takes what the second one took.

    Raises:
        RecipeError: The model cannot be applied to the batch.
    """
    own = share(batch, 0, learner.processes.count)
    one, two = (kept_bytes(learner, own.full(rows)) for rows in (1, 2))
    return int(BACKWARD * (one + (two - one) * (len(own.index) - 1)))


def kept_bytes(learner: Learner, batch: TrainingBatch) -> int:
    """Bytes of all tensors that autograd keeps of one forward pass, parameters not among them, and of one gradient.

    The gradient is that of the largest of them, commonly the logits: the backward pass begins beside all that was kept.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in learner.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    forcing, smoothing = learner.options.teacher_forcing, learner.options.label_smoothing
    options = {"teacher_forcing": min(forcing.start, forcing.end)} if forcing else {}
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), learner.fabric.autocast():
            # the loss holds what was kept, so that no two tensors have the same address
            loss = learner.loss(learner.model, batch.to(learner.device), smoothing=smoothing, **options)
    except (IndexError, RuntimeError) as error:
        raise RecipeError(
            f"the model cannot be applied to the training data: {error}; see that the sizes of both fit each other"
        ) from error
    del loss
    return sum(kept.values()) + max(kept.values(), default=0)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of some tensors, each storage once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def free_memory(device: torch.device) -> int | None:
    """Bytes that a process may still take on a device, by what its system says; None where it does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, ValueError):
        # a container may have less than its machine
        group = Path("/sys/fs/cgroup")
        used, stat = int((group / "memory.current").read_text()), (group / "memory.stat").read_text()
        cached = sum(int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file "))
        free.append(int((group / "memory.max").read_text()) - used + cached)
    if not free and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        free.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(free) if free else None


def gigabytes(number: int) -> str:
    """Bytes for a person.

    >>> gigabytes(1_234_567_890), gigabytes(3_456_000)
    ('1.2 GB', '3.5 MB')
    """
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
