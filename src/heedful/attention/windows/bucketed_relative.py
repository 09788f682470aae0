"""Bucketed relative bias: a learned number for each range of distances (Raffel et al. 2020, section 2.1)."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.attention.heads import heads_of
from heedful.attention.source import RAFFEL_2020
from heedful.functional import widen

from .base import View, Window, check_reach, distances


def relative_buckets(
    distance: Int[Tensor, "*shape"], num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True
) -> Int[Tensor, "*shape"]:
    """The bucket of each distance `k - position[q]`, as in the paper's code.

    Half of the buckets hold one small distance each; the others grow with the logarithm, up to `max_distance`, and the
    last one holds all beyond. Keys behind the query have the second half of all buckets where it is bidirectional, and
    otherwise share that of distance 0.

    >>> relative_buckets(torch.tensor([-200, -20, -1, 0, 1, 20]))
    tensor([15, 10,  1,  0, 17, 26])
    """
    half = num_buckets // 2 if bidirectional else num_buckets
    far = distance.abs() if bidirectional else (-distance).clamp_min(0)
    exact = half // 2
    # in float32, as in the code: the edges of the buckets are rounded
    growth = torch.log(far.clamp_min(exact).float() / exact) / math.log(max_distance / exact)
    bucket = torch.where(far < exact, far, (exact + (growth * (half - exact)).long()).clamp_max(half - 1))
    return bucket + half * (distance > 0) if bidirectional else bucket


def bucketed_bias(
    positions: Int[Tensor, "*batch queries"],
    keys: int,
    table: Float[Tensor, "buckets heads"],
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Float[Tensor, "*batch heads queries {keys}"]:
    """`table[bucket, h]` for every head, query and key.

    >>> bucketed_bias(torch.tensor([1]), 3, torch.arange(8.0).view(4, 2))
    tensor([[[2., 0., 6.]],
    <BLANKLINE>
            [[3., 1., 7.]]])
    """
    bucket = relative_buckets(distances(positions, keys), len(table), max_distance, bidirectional)
    return table[bucket].movedim(-1, -3)


class BucketedRelativeBias(Window):
    """`bias[q, k] = table[bucket(k - position[q]), head]`, a learned number for each range of distances.

    The paper does not divide scores by the square root of the features: `DotScore`. With fewer queries than keys, the
    last query stands at the last key, as in `CausalWindow`. `bucketed_bias` is the same for layers that keep heads on
    an axis of their own.

    Args:
        num_buckets: ranges of distances.
        max_distance: from where on all distances are one range.
        bidirectional: tell keys behind the query from those before; otherwise they share one bucket with distance 0,
            for use beside `CausalWindow`.
        heads: 1, or how many heads of an item stand side by side in the batch, as multi-head attention folds them.

    Parameters: `table [num_buckets, heads]`, 0 (not from the paper, which does not say).

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: fewer than 2 buckets (4, and an even number, if bidirectional), a `max_distance` that leaves no
            range for the larger ones, or no heads; in a call, a batch that is no multiple of the heads.

    >>> window = BucketedRelativeBias(num_buckets=4)
    >>> _ = window.table.data.copy_(torch.arange(4.0).unsqueeze(1))
    >>> window(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([4]), keys=4)[0].bias
    tensor([[[1., 0., 3., 3.]]], grad_fn=<...>)
    """

    source = RAFFEL_2020(place="section 2.1")
    aligned_to_end = True
    biases = True

    def __init__(
        self, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True, heads: int = 1
    ) -> None:
        super().__init__()
        check_reach(1, heads=heads)
        check_reach(4 if bidirectional else 2, num_buckets=num_buckets)
        if bidirectional and num_buckets % 2:
            raise ValueError(
                f"num_buckets is {num_buckets}; expected an even number, half for keys on each side: {num_buckets + 1}?"
            )
        exact = num_buckets // (4 if bidirectional else 2)
        check_reach(exact + 1, max_distance=max_distance)
        self.max_distance, self.bidirectional = max_distance, bidirectional
        self.table = nn.Parameter(torch.zeros(num_buckets, heads))
        self.heads = heads

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        buckets, heads = self.table.shape
        bucket = relative_buckets(distances(positions, keys), buckets, self.max_distance, self.bidirectional)
        head = heads_of(positions.shape[0], heads, positions.device).view(-1, 1, 1)
        return View(bias=widen(self.table)[bucket, head]), state
