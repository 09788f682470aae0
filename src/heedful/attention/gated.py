"""Gated attention: a sigmoid of the query lets through what the heads read (Qiu et al. 2025)."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear

from .base import Attention
from .multi_head import MultiHeadAttention
from .source import QIU_2025, mechanism

Per = Literal["feature", "head"]


class HeadGate(nn.Module):
    """`contexts * sigmoid(W_g query)`, one gate for each feature of each head, or one for each head.

    Args:
        query_dim: features of a query, and of the heads' contexts side by side.
        num_heads: heads.
        per: "feature" (best in the paper) or "head".

    Parameters: `gate.weight [query_dim or num_heads, query_dim]`, Glorot, without a bias.

    >>> HeadGate(4, 2)(torch.ones(1, 3, 4), torch.zeros(1, 3, 4))[0, 0]
    tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<SelectBackward0>)
    """

    def __init__(self, query_dim: int, num_heads: int, per: Per = "feature") -> None:
        super().__init__()
        if per not in get_args(Per):
            raise _refusals.unknown_choice("per", per, get_args(Per))
        self.width = 1 if per == "feature" else query_dim // num_heads
        self.gate = Linear(query_dim, query_dim // self.width, bias=False)
        nn.init.xavier_uniform_(self.gate.weight)

    def forward(
        self, contexts: Float[Tensor, "batch queries query_dim"], query: Float[Tensor, "batch queries query_dim"]
    ) -> Float[Tensor, "batch queries query_dim"]:
        """The contexts, gated."""
        return contexts * torch.sigmoid(self.gate(query)).repeat_interleave(self.width, -1)


@mechanism(QIU_2025(place="section 2.2, position G1"))
def GatedAttention(  # noqa: N802
    query_dim: int,
    num_heads: int,
    key_dim: int | None = None,
    attention: Attention | None = None,
    per: Per = "feature",
) -> MultiHeadAttention:
    """`context = W_o (heads * sigmoid(W_g query))`, multi-head attention that needs no sink.

    The gate stands between reading and the last projection; the query is the input of the layer, after a pre-norm.

    Args:
        query_dim: features of a query, and of the context.
        num_heads: heads, which share out `query_dim`.
        key_dim: features of a key; those of a query when left out.
        attention: what every head does, as `MultiHeadAttention` takes it.
        per: a gate for each "feature" or for each "head".

    Cost: time queries * keys * dim, and projections steps * dim^2; memory (queries + keys) * dim, and heads *
    queries * keys for weights.

    Raises:
        ValueError: what `MultiHeadAttention` refuses, or an unknown `per`.

    >>> GatedAttention(8, num_heads=2)(torch.ones(3, 4, 8), torch.ones(3, 5, 8)).context.shape
    torch.Size([3, 4, 8])
    """
    layer = MultiHeadAttention(query_dim, num_heads, key_dim, attention=attention)
    layer.finish = HeadGate(query_dim, num_heads, per)
    return layer
