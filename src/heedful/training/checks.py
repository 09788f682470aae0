"""Checks before the first step: shapes, memory, disk space, warm-up."""

import math
import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heedful._errors import OutputError, RecipeError
from heedful._files import write_whole

from .batches import TrainingBatch, share
from .engine import Engine
from .options import TrainingOptions

# Warn from this part of the free memory on; above all of it, refuse.
TIGHT = 0.8
# Examples, and tokens, of the smaller of two batches from which a larger one is estimated.
FEW, FEW_TOKENS = 8, 1000
# What the heap takes for the tensors that live in it: 1.0 to 1.25 times their bytes were measured.
HEAP = 1.15
# Numbers beside each weight that an optimiser keeps.
MOMENTS = {"adamw": 2, "adam": 2, "rmsprop": 1, "sgd": 1}


def check_before_training(engine: Engine, largest: TrainingBatch, epoch_len: int, folder: Path) -> list[str]:
    """Run the checks that take moments.

    Args:
        engine: At its start.
        largest: The batch that takes most memory.
        epoch_len: Batches of an epoch.
        folder: Of the run.

    Returns:
        Warnings, a sentence each.

    Raises:
        RecipeError: The model does not fit the data, or the largest batch not into the memory.
        OutputError: The folder cannot be written, or has no space for the checkpoints.
    """
    check_disk(engine.model, engine.options, folder)
    return [*check_memory(engine, largest), *check_warmup(engine.options, epoch_len)]


def check_warmup(options: TrainingOptions, epoch_len: int) -> Iterator[str]:
    """Warn of a learning rate that never reaches its peak."""
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


def check_memory(engine: Engine, largest: TrainingBatch) -> Iterator[str]:
    """Refuse a batch that cannot fit into the memory; warn of one that hardly does."""
    free = free_memory(engine.device)
    state = state_bytes(engine)
    activations = activation_bytes(engine, largest)
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


def state_bytes(engine: Engine) -> int:
    """Bytes that gradients and moments are going to take in this process, beside the weights that are there already."""
    weights = size_of(engine.model.parameters())
    parts = engine.processes.count if engine.options.strategy == "fsdp" else 1
    return weights * (1 + MOMENTS[engine.options.optimizer]) // parts


def activation_bytes(engine: Engine, batch: TrainingBatch) -> int:
    """Bytes that forward and backward pass take for this process's share of a batch.

    Measured on a few examples and on twice as many, padded as in the batch; each further one takes what these took
    more. Few: eight, or what holds so many tokens that the loss, which is computed in blocks, takes no more with more.

    Raises:
        RecipeError: The model cannot be applied to the batch.
    """
    own = share(batch, 0, engine.processes.count)
    rows = len(own.index)
    some = max(FEW, FEW_TOKENS * rows // max(own.num_target_tokens, 1))
    if rows <= 2 * some:
        return int(HEAP * most_bytes(engine, own.full(rows)))
    few, more = (most_bytes(engine, own.full(count)) for count in (some, 2 * some))
    return int(HEAP * (few + (more - few) * (rows - some) / some))


def most_bytes(engine: Engine, batch: TrainingBatch) -> int:
    """Most bytes of all tensors that live at once in a forward and a backward pass, without weights and gradients."""
    forcing, smoothing = engine.options.teacher_forcing, engine.options.label_smoothing
    options = {"teacher_forcing": min(forcing.start, forcing.end)} if forcing else {}
    counter = LiveBytes()
    learning = [one for one in engine.model.parameters() if one.requires_grad]
    hooks = [one.register_post_accumulate_grad_hook(counter.leave_out_gradient) for one in learning]
    try:
        with counter:
            with engine.fabric.autocast():
                loss = engine.loss(engine.model, batch.to(engine.device), smoothing=smoothing, **options)
            loss.total.backward()
    except (IndexError, RuntimeError) as error:
        raise RecipeError(
            f"the model cannot be applied to the training data: {error}; see that the sizes of both fit each other"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        engine.model.zero_grad()
    return counter.most


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, as long as they live.

    - `live`, `most`: now, and at most.

    >>> with LiveBytes() as counter:
    ...     _ = torch.ones(100) + torch.ones(100)
    >>> counter.most
    1200
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.most = 0
        self.known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given:
                self.count(tensor.untyped_storage())
        return made

    def count(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed."""
        name = storage._cdata
        if name not in self.known:
            self.live += storage.nbytes()
            self.most = max(self.most, self.live)
            self.known[name] = weakref.finalize(storage, self.forget, name, storage.nbytes())

    def forget(self, name: int, size: int) -> None:
        """One less."""
        del self.known[name]
        self.live -= size

    def leave_out_gradient(self, parameter: Tensor) -> None:
        """Do not count a gradient once it is in its parameter, which is counted elsewhere."""
        gradient = parameter.grad
        if gradient is not None and (known := self.known.get(gradient.untyped_storage()._cdata)):
            known()


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
    """Bytes as gigabytes, for messages.

    >>> gigabytes(1_234_567_890), gigabytes(3_456_000)
    ('1.2 GB', '3.5 MB')
    """
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
