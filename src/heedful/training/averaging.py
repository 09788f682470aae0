"""Means of weights, which often translate better than any of those they are made of: of checkpoints, and over time.

Of checkpoints: Junczys-Dowmunt et al. 2016 (https://arxiv.org/abs/1610.01108), section 4.1. Over time: Polyak and
Juditsky 1992, with exponential weights.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def average_weights(weights: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each floating-point entry, summed in float64; entries of integers and flags are those of the last.

    Args:
        weights: State dicts of one model, read one at a time, so that only two are in memory.

    Returns:
        A state dict with the names, shapes and types of the last one given.

    Raises:
        ValueError: If there are none, or if they do not hold the same names.

    Example:
        >>> import torch
        >>> average_weights([{"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}])
        {'w': tensor([1.5000])}
    """
    sums: dict[str, Tensor] = {}
    last: Mapping[str, Tensor] = {}
    count = 0
    for state in weights:
        if count and state.keys() != last.keys():
            raise ValueError(f"weights differ in {sorted(state.keys() ^ last.keys())}; average those of one model")
        for name, tensor in state.items():
            if tensor.is_floating_point():
                sums[name] = sums[name] + tensor.double() if count else tensor.double()
        last, count = state, count + 1
    if not count:
        raise ValueError("no weights were given to average; give the state dict of one checkpoint at least")
    return {name: (sums[name] / count).to(tensor.dtype) if name in sums else tensor for name, tensor in last.items()}


def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the weights of an average towards those of a model, in place: `decay` of the old, the rest of the new.

    In the first steps, when the average knows little, the decay is at most `(1 + step) / (10 + step)`.

    Args:
        average: Of the same class and sizes as the model.
        model: What it follows.
        decay: In (0, 1), such as 0.999.
        step: Updates made, from 1.

    Example:
        >>> import torch
        >>> average, model = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = average.weight.fill_(0.0), model.weight.fill_(8.0)
        >>> follow(average, model, decay=0.75, step=1000)
        >>> average.weight.item()
        2.0
    """
    decay = min(decay, (1 + step) / (10 + step))
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(model.parameters()), step)
