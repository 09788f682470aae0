"""Context gate: how much of each of two contexts goes on (Tu et al. 2017, section 3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear

from .scores.base import check_sizes
from .source import TU_2017


class FusedContexts(nn.Module):
    """`g * c1 + (1 - g) * c2` with `g = sigmoid(W [query; c1; c2] + b)`, feature by feature.

    The paper gates a source context and a target context; any two of one size will do, after a projection if need be.

    Args:
        query_dim: features of a query.
        context_dim: features of each context.

    Parameters: `gate.weight [context_dim, query_dim + 2 context_dim]`, Glorot uniform; `gate.bias`, 0.

    Cost: time steps * dim^2; memory steps * dim.

    Raises:
        ValueError: a size is not positive.

    >>> fuse = FusedContexts(query_dim=4, context_dim=5)
    >>> fuse(torch.ones(2, 3, 4), torch.ones(2, 3, 5), torch.ones(2, 3, 5)).shape
    torch.Size([2, 3, 5])
    """

    source = TU_2017(place="section 3")
    kind = "layer"

    def __init__(self, query_dim: int, context_dim: int) -> None:
        super().__init__()
        check_sizes(query_dim=query_dim, context_dim=context_dim)
        self.context_dim = context_dim
        self.gate = Linear(query_dim + 2 * context_dim, context_dim)
        nn.init.xavier_uniform_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        first: Float[Tensor, "batch queries first_dim"],
        second: Float[Tensor, "batch queries second_dim"],
    ) -> Float[Tensor, "batch queries context_dim"]:
        """Mix.

        Args:
            query: `[batch, queries, query_dim]`, a decoder state.
            first: `[batch, queries, context_dim]`, of which the share `g` goes on.
            second: the same shape, of which `1 - g` goes on.

        Raises:
            ValueError: a context of another size.
        """
        for name, context in (("first", first), ("second", second)):
            if context.shape[-1] != self.context_dim:
                raise _refusals.other_features(name, context.shape[-1], type(self).__name__, self.context_dim)
        gate = torch.sigmoid(self.gate(torch.cat((query, first, second), -1)))
        return gate * first + (1 - gate) * second
