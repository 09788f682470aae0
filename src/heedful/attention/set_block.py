"""The block of attention over sets: one set attends to another (Lee et al. 2019, section 3.1)."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import hide, masked_softmax, visible_keys, widen
from heedful.layers import Linear

from .pooling import check_sequence
from .scores.base import check_sizes

Version = Literal["paper", "code"]


class AttentionBlock(nn.Module):
    """`norm(h + relu(F h))` with `h = norm(x + multi-head(x, y, y))`: the set `x` attends to the set `y` (MAB).

    The authors' code differs from their paper: it adds the projected query and not `x`, joins the heads without a
    projection, divides the scores by the root of `dim`, and has no norms.

    Args:
        dim: features of both sets.
        num_heads: of the attention; each compares `dim / num_heads` features, whose root divides the scores.
        faithful_to: "paper" or "code".

    Parameters: `query_proj`, `key_proj`, `value_proj` and `inner_proj [dim, dim]`, Glorot uniform, their biases 0; but
    for "code" `output_proj`, the same, and those of two layer norms, `first_norm` and `second_norm`.

    Raises:
        ValueError: a size is not positive, `dim` is no multiple of `num_heads`, or an unknown version.

    >>> AttentionBlock(dim=6, num_heads=2)(torch.ones(2, 3, 6), torch.ones(2, 5, 6), None)[0].shape
    torch.Size([2, 3, 6])
    """

    def __init__(self, dim: int, num_heads: int, faithful_to: Version = "paper") -> None:
        super().__init__()
        check_sizes(dim=dim, num_heads=num_heads)
        if faithful_to not in get_args(Version):
            raise _refusals.unknown_choice("faithful_to", faithful_to, get_args(Version))
        if dim % num_heads:
            raise ValueError(f"dim is {dim} and num_heads {num_heads}; expected a multiple. Try num_heads=1.")
        self.num_heads = num_heads
        self.query_proj, self.key_proj, self.value_proj = (projection(dim) for _ in range(3))
        self.inner_proj = projection(dim)
        self.compared = dim if faithful_to == "code" else dim // num_heads
        self.output_proj = self.first_norm = self.second_norm = None
        if faithful_to == "paper":
            self.output_proj, self.first_norm, self.second_norm = projection(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(
        self,
        query: Float[Tensor, "batch queries dim"],
        key: Float[Tensor, "batch keys dim"],
        visible: Bool[Tensor, "batch keys"] | None,
    ) -> tuple[Float[Tensor, "batch queries dim"], Float[Tensor, "batch queries keys"]]:
        """What each query became, and the weights, the mean over the heads; both 0 where no key is visible.

        Args:
            query: `[batch, queries, dim]`.
            key: `[batch, keys, dim]`, finite where hidden.
            visible: `[batch, keys]`; `None`: every key.
        """
        heads = (self.num_heads, -1)
        asked, known, read = (
            layer(steps).unflatten(2, heads).transpose(1, 2)
            for layer, steps in ((self.query_proj, query), (self.key_proj, key), (self.value_proj, key))
        )
        scores = widen(asked * self.compared**-0.5 @ known.transpose(2, 3))
        weights = masked_softmax(scores, None if visible is None else visible[:, None, None]).to(read.dtype)
        context = (weights @ read).transpose(1, 2).flatten(2)
        if self.output_proj is None or self.first_norm is None or self.second_norm is None:
            inner = asked.transpose(1, 2).flatten(2) + context
            output = inner + torch.relu(self.inner_proj(inner))
        else:
            inner = self.first_norm(query + self.output_proj(context))
            output = self.second_norm(inner + torch.relu(self.inner_proj(inner)))
        if visible is not None:
            output = output.masked_fill(~visible.any(1).view(-1, 1, 1), 0)
        return output, weights.mean(1)


def checked_set(steps: Tensor, mask: Tensor | None, dim: int) -> tuple[Tensor, Tensor | None]:
    """A batch of sets with zeros where hidden, and what may be seen."""
    check_sequence(steps, dim)
    visible = visible_keys(mask, steps.shape[0], steps.shape[1])
    return (steps if visible is None else hide(steps, visible)), visible


def projection(dim: int) -> Linear:
    """A square layer, Glorot uniform, with a bias of zeros."""
    layer = Linear(dim, dim)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def learned(name: str, many: int, dim: int) -> nn.Parameter:
    """So many learned elements."""
    check_sizes(**{name: many})
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(many, dim)))
