"""A long memory whose normaliser asks for the scores of a few keys: those alone are scored and read."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful._pytree import map_tensors
from heedful.functional import widen

from .contract import Memory
from .normalizers import Normalizer
from .scores import Score


def choose_keys(
    score: Score,
    normalizer: Normalizer,
    query: Float[Tensor, "batch 1 query_dim"],
    memory: Memory,
    visible: Bool[Tensor, "batch keys"],
    state: Any,
) -> tuple[Int[Tensor, "batch chosen"], Float[Tensor, "batch 1 chosen"], Any]:
    """Places and weights of the keys that the normaliser chose, and its state."""

    def ask(items: Tensor, places: Tensor) -> Tensor:
        key = map_tensors(lambda tensor: tensor[items.unsqueeze(1), places], memory.key)
        return widen(score(query[items], key)[0])

    places, weights, after = normalizer.choose(ask, visible, state)
    return places, weights.to(memory.value.dtype).unsqueeze(1), after


def read_chosen(
    weights: Float[Tensor, "batch 1 chosen"],
    value: Float[Tensor, "batch keys value_dim"],
    places: Int[Tensor, "batch chosen"],
) -> Float[Tensor, "batch 1 value_dim"]:
    """The weighted sum of the chosen values."""
    batch = torch.arange(value.shape[0], device=value.device).unsqueeze(1)
    return torch.einsum("bqk,bkv->bqv", weights, value[batch, places])


def spread(
    weights: Float[Tensor, "batch 1 chosen"], places: Int[Tensor, "batch chosen"], keys: int
) -> Float[Tensor, "batch 1 {keys}"]:
    """The weights of all keys, 0 where none was chosen.

    >>> spread(torch.tensor([[[0.4, 0.6]]]), torch.tensor([[2, 0]]), 3)
    tensor([[[0.6000, 0.0000, 0.4000]]])
    """
    whole = weights.new_zeros(weights.shape[0], keys)
    return whole.scatter_add(1, places, weights.squeeze(1)).unsqueeze(1)
