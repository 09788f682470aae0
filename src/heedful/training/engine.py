"""The model, its optimiser and the device: what one update does, and what it leaves to be validated and saved."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .averaging import follow
from .batches import TrainingBatch, share
from .losses import Loss
from .optimizers import make_optimizer, set_rates
from .options import TrainingOptions
from .processes import Processes


class Numbers(NamedTuple):
    """What an update gave, still on the device: sums over this process's tokens, and the gradient's norm."""

    total: Tensor
    tokens: Tensor
    correct: Tensor
    norm: Tensor


def reseed(device: torch.device, *numbers: int) -> None:
    """Set the random state from whole numbers, hashed so that no two sequences of them meet."""
    number = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    # torch.manual_seed asks every kind of device, which takes as long as a small step.
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(number)


class Engine:
    """A model that learns, in one process or in its share of several.

    `model` is what is validated and kept. What the optimiser changes is the same module, or with an average over time a
    twin of it, whose path `model` follows.

    Args:
        processes: Those of the run.
        model: Moved to the device.
        options: Name the optimiser and all that an update does.
        loss: As given to `train`.
        seed: Of whatever an update draws.
    """

    def __init__(
        self,
        processes: Processes,
        model: nn.Module,
        options: TrainingOptions,
        loss: Callable[..., Loss],
        seed: int,
    ):
        self.processes, self.model, self.options, self.loss, self.seed = processes, model, options, loss, seed
        self.fabric = processes.fabric
        self.trained = self.choose_trained()
        # lengths change from batch to batch: without `dynamic` each of them would be compiled anew
        module: Any = torch.compile(self.trained, dynamic=True) if options.compile else self.trained
        self.prepared = self.fabric.setup_module(module)
        self.optimizer: Any = self.fabric.setup_optimizers(make_optimizer(self.trained, options))
        self.model.to(self.device)
        self.model.train()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.fabric.device

    def choose_trained(self) -> nn.Module:
        """The module whose weights the optimiser changes."""
        return copy.deepcopy(self.model) if self.options.ema else self.model

    # --- one update ---

    def update(self, batches: Sequence[TrainingBatch], step: int, rate: float, forcing: Mapping[str, float]) -> Numbers:
        """Change the weights once, along the mean gradient over all tokens of the batches and of all processes.

        Args:
            batches: The same in every process, which takes its share of each.
            step: Number of the update, from 1.
            rate: What the peak rates are multiplied by.
            forcing: Further arguments of the loss.
        """
        set_rates(self.optimizer, rate)
        ranks = [self.processes.rank] if self.processes.rank else []
        reseed(self.device, self.seed, step, 0, *ranks)
        # several processes end up with the mean of their gradients
        tokens = sum(batch.num_target_tokens for batch in batches) / self.processes.count
        losses = []
        for place, batch in enumerate(batches, start=1):
            own = share(batch, self.processes.rank, self.processes.count).to(self.device)
            last = place == len(batches)
            with nullcontext() if last else self.fabric.no_backward_sync(self.prepared):
                loss = self.loss(self.prepared, own, smoothing=self.options.label_smoothing, **forcing)
                self.fabric.backward(loss.total / tokens)
            losses.append(Loss(loss.total.detach(), loss.tokens, loss.correct))
        norm = self.fabric.clip_gradients(
            self.prepared, self.optimizer, max_norm=self.options.gradient_clip or math.inf, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.options.ema:
            follow(self.model, self.trained, self.options.ema, step)
        sums = losses[0] if len(losses) == 1 else Loss(*(torch.stack(part).sum() for part in zip(*losses, strict=True)))
        return Numbers(sums.total, sums.tokens, sums.correct, self.norm_of(norm))

    def norm_of(self, norm: Any) -> Tensor:
        """The gradient's norm as a plain tensor."""
        return norm

    # --- what is kept ---

    def publish(self) -> None:
        """Bring `model` up to date with what was learnt."""

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as tensors and plain values; every process must ask for it."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }
        return state | ({"trained": self.trained.state_dict()} if self.options.ema else {})

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: It is of another model.
        """
        self.model.load_state_dict(state["model"])
        if self.options.ema:
            self.trained.load_state_dict(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])


class ShardedEngine(Engine):
    """A model whose weights, gradients and moments are shared out over the processes (FSDP).

    `model` stays whole and plain; it gets the weights before each validation and each checkpoint.

    Takes the arguments of `Engine`.
    """

    def choose_trained(self) -> nn.Module:
        return copy.deepcopy(self.model)

    def norm_of(self, norm: Any) -> Tensor:
        return norm.full_tensor()

    def publish(self) -> None:
        torch_state, whole = state_dicts()
        self.model.load_state_dict(torch_state.get_model_state_dict(self.trained, options=whole))

    def state(self) -> dict[str, Any]:
        self.publish()
        torch_state, whole = state_dicts()
        moments = torch_state.get_optimizer_state_dict(self.trained, self.bare, options=whole)
        return {"model": self.model.state_dict(), "optimizer": moments}

    def load(self, state: Mapping[str, Any]) -> None:
        torch_state, whole = state_dicts()
        self.model.load_state_dict(state["model"])
        torch_state.set_model_state_dict(self.trained, dict(state["model"]), options=whole)
        torch_state.set_optimizer_state_dict(self.trained, self.bare, state["optimizer"], options=whole)

    @property
    def bare(self) -> torch.optim.Optimizer:
        """The optimiser without Fabric's wrapper, which torch's functions do not know."""
        return self.optimizer.optimizer


def state_dicts() -> tuple[Any, Any]:
    """Torch's functions for states that are shared out, and how to ask them for whole ones; slow to load."""
    from torch.distributed.checkpoint import state_dict

    return state_dict, state_dict.StateDictOptions(full_state_dict=True)
