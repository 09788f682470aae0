"""How late a monotonic model answers, as a loss: Arivazhagan et al. 2019 (https://arxiv.org/abs/1906.05218)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.functional import widen


def expected_delay(
    stops: Float[Tensor, "batch queries keys"], source_lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch queries"]:
    """Keys read before each query is answered, `sum_k (k + 1) stops[q, k]`.

    A query that stops nowhere has read all keys (the paper does not say): what a row lacks to 1 counts as the length.

    Args:
        stops: chance that query q stops at key k, rows of at most 1, 0 at padding: the weights of `MonotonicAttention`
            and `StepwiseAttention`; of `MochaAttention` and `MilkAttention` `state.normalizer` of each training step.
        source_lengths: real keys of each item.

    >>> expected_delay(torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.5]]]), torch.tensor([3]))
    tensor([[1.5000, 3.0000]])
    """
    stops = widen(stops)
    read = torch.arange(1, stops.shape[2] + 1, device=stops.device).to(stops.dtype)
    lacking = (1 - stops.sum(-1)).clamp_min(0)
    return stops @ read + lacking * source_lengths.unsqueeze(1)


def latency_loss(
    stops: Float[Tensor, "batch queries keys"],
    source_lengths: Int[Tensor, " batch"],
    target_lengths: Int[Tensor, " batch"],
    lagging: bool = True,
) -> Float[Tensor, ""]:
    """Mean over the items of the differentiable average lagging, in keys: how many more are read than needed by then.

    With delays g of `queries` answers to `keys` keys, `mean_q (g'[q] - q keys / queries)`, where g'[q] is g[q], but at
    least `g'[q - 1] + keys / queries`: an answer takes its time, so that reading all and then answering at once is as
    late as it seems. A model that reads k keys and then one for each answer lags by k, at equal lengths.

    Args:
        stops: as in `expected_delay`.
        source_lengths: real keys of each item.
        target_lengths: real queries of each item; an item without one counts nowhere.
        lagging: otherwise the mean delay itself.

    Source: Arivazhagan et al.: Monotonic Infinite Lookback Attention for Simultaneous Machine Translation, 2019,
    section on latency-augmented training.

    Cost: time queries * keys; memory queries * keys.

    >>> diagonal = torch.eye(3).unsqueeze(0)
    >>> latency_loss(diagonal, torch.tensor([3]), torch.tensor([3]))
    tensor(1.)
    """
    delay = expected_delay(stops, source_lengths)
    queries = torch.arange(stops.shape[1], device=stops.device)
    if lagging:
        pace = source_lengths.to(delay.dtype) / target_lengths.clamp_min(1)
        # g'[q] - q pace is the largest g[i] - i pace so far
        ahead = delay - queries * pace.unsqueeze(1)
        delay = ahead.cummax(1).values if stops.shape[1] else ahead
    real = queries < target_lengths.unsqueeze(1)
    means = torch.where(real, delay, 0.0).sum(1) / target_lengths.clamp_min(1)
    return means.sum() / (target_lengths > 0).sum().clamp_min(1)
