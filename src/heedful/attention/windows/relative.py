"""Relative window: a bias for the distance, asked for by the query (Dai et al. 2019, section 3.3)."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.attention.source import DAI_2019
from heedful.functional import widen
from heedful.layers.positions import angles

from .base import View, Window, check_reach
from .causal import causal_mask


def distance_products(
    features: Float[Tensor, "batch queries dim"], positions: Int[Tensor, "batch queries"], keys: int
) -> Float[Tensor, "batch queries {keys}"]:
    """`features[q] . R[position[q] - k]`, `R[x]` with `sin(x / 10000^(2i/dim))` and the cosine in turn.

    The sine of a difference is a sum of products, so that one product with `R[k]` gives all distances: there is no
    table of them to shift.

    >>> distance_products(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[2]]), 3)
    tensor([[[0.9093, 0.8415, 0.0000]]])
    """
    here = angles(positions, features.shape[-1])
    there = angles(torch.arange(keys, device=positions.device), features.shape[-1])
    sin, cos = here.sin().to(features.dtype), here.cos().to(features.dtype)
    for_sine, for_cosine = features[..., ::2], features[..., 1::2]
    turned = torch.cat((for_sine * sin + for_cosine * cos, for_cosine * sin - for_sine * cos), -1)
    return turned @ torch.cat((there.cos(), there.sin()), -1).to(features.dtype).mT


class RelativeWindow(Window):
    """Bias `(query + v) . W R[position[q] - k] / sqrt(query_dim)`, `R` sines and cosines of the distance.

    The two terms of Transformer-XL in which places take part; `ContentBiasScore` has the other two. In `R` sine and
    cosine take turns, in the authors' code they are two halves: the columns of their `W` stand in another order.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        query_dim: features of a query.
        position_dim: features of `R`, an even number; `query_dim` when left out.
        causal: hide the keys after the query's place.

    Parameters: `position_proj [query_dim, position_dim]`, `W`, Glorot uniform; `bias [query_dim]`, `v`, zeros.

    Cost: time queries * (queries + keys) * query_dim; memory queries * keys.

    Raises:
        ValueError: a size is not positive, or `position_dim` is odd.

    >>> view, _ = RelativeWindow(4)(torch.ones(1, 2, 4), torch.tensor([[1, 2]]), torch.tensor([3]), keys=3)
    >>> view.bias.shape, view.mask[0, 0]
    (torch.Size([1, 2, 3]), tensor([ True,  True, False]))
    """

    source = DAI_2019(place="section 3.3")
    biases = True
    aligned_to_end = True

    def __init__(self, query_dim: int, position_dim: int | None = None, causal: bool = True) -> None:
        super().__init__()
        position_dim = query_dim if position_dim is None else position_dim
        check_reach(1, query_dim=query_dim, position_dim=position_dim)
        if position_dim % 2:
            raise ValueError(f"position_dim is {position_dim}; expected an even number, a sine and a cosine each.")
        self.query_dim, self.causal = query_dim, causal
        self.position_proj = nn.Parameter(torch.empty(query_dim, position_dim))
        self.bias = nn.Parameter(torch.zeros(query_dim))
        nn.init.xavier_uniform_(self.position_proj)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        asked = widen((query + self.bias) / math.sqrt(query.shape[-1])) @ widen(self.position_proj)
        mask = causal_mask(positions, keys) if self.causal else None
        return View(mask=mask, bias=distance_products(asked, positions, keys)), state
