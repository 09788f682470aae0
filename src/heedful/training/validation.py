"""Loss and accuracy of a model over a held-out set."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .batches import TrainingBatch
from .losses import Loss, sequence_loss


@torch.no_grad()
def validation_loss(
    model: nn.Module,
    batches: Iterable[TrainingBatch],
    loss: Callable[..., Loss] = sequence_loss,
    summed: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> dict[str, float]:
    """Cross-entropy without smoothing, perplexity and accuracy, each over all real tokens of the batches.

    Args:
        model: In evaluation mode.
        batches: The held-out set, read once; moved to the model's device.
        loss: As given to `train`.
        summed: Adds what other processes measured on their batches, see `heedful.training.processes.Processes.total`.

    Returns:
        `{"loss": nats per token, "perplexity": its exponential, "accuracy": part of the tokens that are right}`.

    Raises:
        ValueError: If there is no token to measure.
    """
    found = mean_loss(model, batches, loss, summed)
    return {"loss": found["loss"], "perplexity": math.exp(min(found["loss"], 700.0)), "accuracy": found["accuracy"]}


@torch.no_grad()
def mean_loss(
    model: nn.Module,
    batches: Iterable[TrainingBatch],
    loss: Callable[..., Loss],
    summed: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> dict[str, float]:
    """Loss and accuracy, each over all that counts in the batches; arguments and errors as of `validation_loss`."""
    device = next(model.parameters()).device
    total, tokens, correct = 0.0, 0.0, 0.0
    for batch in batches:
        part = loss(model, batch.to(device))
        total, tokens, correct = total + part.total.item(), tokens + part.tokens.item(), correct + part.correct.item()
    total, tokens, correct = summed(torch.tensor([total, tokens, correct], dtype=torch.float64)).tolist()
    if not tokens:
        raise ValueError("the held-out set has no tokens; give at least one pair")
    return {"loss": total / tokens, "accuracy": correct / tokens}
