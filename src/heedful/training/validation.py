"""Loss and accuracy of a model over a held-out set."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from heedful.data.batching import Batch

from .losses import Loss, sequence_loss


@torch.no_grad()
def validation_loss(
    model: nn.Module,
    batches: Iterable[Batch],
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
    device = next(model.parameters()).device
    total, tokens, correct = 0.0, 0, 0
    for batch in batches:
        part = loss(model, batch.to(device))
        total, tokens, correct = total + part.total.item(), tokens + int(part.tokens), correct + int(part.correct)
    total, tokens, correct = summed(torch.tensor([total, tokens, correct], dtype=torch.float64)).tolist()
    if not tokens:
        raise ValueError("the held-out set has no tokens; give at least one pair")
    mean = total / tokens
    return {"loss": mean, "perplexity": math.exp(min(mean, 700.0)), "accuracy": correct / tokens}
