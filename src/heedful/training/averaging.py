"""The mean of several checkpoints' weights, which often translates better than any one of them.

Seen in Junczys-Dowmunt et al. 2016 (https://arxiv.org/abs/1610.01108), section 4.1.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor


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
