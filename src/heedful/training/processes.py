"""The processes of one run: started by lightning_fabric, they share every batch, agree on what to do, and end together.

One process is a team too; everything here then costs nothing. Fabric starts the others on this machine by running the
same command again, and finds those that SLURM or torchrun started; on further machines a person starts the same command
(docs/scaling.md).
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from heedful._errors import HeedfulError, RecipeError

from .options import TrainingOptions

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
# One process may read and prepare its data for as long as this while the others wait.
PATIENCE = timedelta(days=1)
# Seconds that a failed process waits for the first one to report, which mostly failed for the same reason.
SECONDS_TO_SPEAK = 3.0


def start(options: TrainingOptions) -> "Processes":
    """Start the processes that the options ask for; once they stand, another call finds them.

    Raises:
        RecipeError: If the machine has not the devices.
    """
    # loading it takes longer than translating: code that only reads the options does not wait for it
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    _check_devices(options)
    count = options.devices * options.nodes
    strategy: Any = "auto"
    if options.strategy == "fsdp":
        strategy = ModelParallelStrategy(_shard, data_parallel_size=count, tensor_parallel_size=1)
    elif count > 1:
        strategy = DDPStrategy()
    fabric = Fabric(
        accelerator=options.device,
        strategy=strategy,
        devices=options.devices,
        num_nodes=options.nodes,
        precision=PRECISIONS[options.precision],  # pyright: ignore[reportArgumentType]: one of Fabric's names
    )
    fabric.launch()
    if fabric.local_rank > 0:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return Processes(fabric)


class Processes:
    """One process among those of a run. As a context, it ends the others of this machine when an error passes.

    Args:
        fabric: Already launched.

    Attributes:
        rank: Number of this process among all, from 0.
        count: How many there are, on all machines.
        first: Whether this is the one that writes files and speaks to people.
    """

    def __init__(self, fabric: "Fabric"):
        self.fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self.first = self.rank == 0
        self.group: Any = None
        if self.count > 1:
            # a process group on the CPU for small messages, which never waits for a GPU
            self.group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.count == 1 or error is None or isinstance(error, SystemExit):
            return
        if not self.first:
            time.sleep(SECONDS_TO_SPEAK)
        for child in self.children:
            child.kill()
        if isinstance(error, RuntimeError) and not isinstance(error, HeedfulError) and "peer" in str(error):
            raise HeedfulError(
                "another process of this run has ended; what it said stands above, and the same command goes on from "
                "the last checkpoint"
            ) from error

    @property
    def children(self) -> list[Any]:
        """The processes that this one started."""
        return getattr(self.fabric.strategy.launcher, "procs", [])

    def agree(self, now: float, requested: bool) -> tuple[float, bool]:
        """The time of the first process's clock, and whether any process was asked to stop: the same in all."""
        if self.count == 1:
            return now, requested
        both = torch.tensor([now if self.first else 0.0, float(requested)], dtype=torch.float64)
        torch.distributed.all_reduce(both, group=self.group)
        return both[0].item(), both[1].item() > 0

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of a tensor on the CPU over all processes."""
        if self.count > 1:
            torch.distributed.all_reduce(numbers, group=self.group)
        return numbers

    def gather(self, items: Sequence[Any]) -> list[Any]:
        """The items of all processes, of which each has every `count`-th: the inverse of `items[rank::count]`.

        Every process gets them all, in their order.
        """
        if self.count == 1:
            return list(items)
        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, list(items), group=self.group)
        whole: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            whole[rank :: self.count] = part
        return whole

    def from_first(self, value: Any) -> Any:
        """What the first process has for `value`."""
        if self.count > 1:
            held = [value]
            torch.distributed.broadcast_object_list(held, src=0, group=self.group)
            value = held[0]
        return value

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            torch.distributed.barrier(group=self.group)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process goes through the block alone, then all others: what it leaves on disk, they find."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def leave(self) -> None:
        """End all processes but the first, which goes on alone."""
        if self.count == 1:
            return
        self.wait()
        torch.distributed.destroy_process_group()
        self.rank, self.count, self.group = 0, 1, None
        if not self.first:
            sys.exit(0)


def _check_devices(options: TrainingOptions) -> None:
    """Refuse missing devices in one sentence instead of Fabric's many."""
    if options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available()):
        here = torch.cuda.device_count()
        if here < options.devices:
            raise RecipeError(
                f"training.devices is {options.devices}, but this machine has {here} GPUs; lower it, or set "
                "training.device"
            )
    elif options.device == "mps" and not torch.backends.mps.is_available():
        raise RecipeError("training.device is mps, but this machine has no GPU of that kind; set training.device: auto")
    elif options.precision == "16" and options.device == "auto" and not torch.backends.mps.is_available():
        raise RecipeError(
            "training.precision is 16, which needs a GPU, and there is none; set training.precision: bf16"
        )


def _shard(model: nn.Module, mesh: Any) -> nn.Module:
    """Share a model out over the processes, as one piece: its parts are called in other ways than by their forward."""
    from torch.distributed.fsdp import fully_shard

    # the warning is about in-place changes of the logits, and there are none
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor", category=UserWarning)
    fully_shard(model, mesh=mesh["data_parallel"])
    return model


def _end_with_parent(parent: int) -> None:
    """End this process soon after the one that started it, which may have been killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(1)
