"""Pooling of sets: learned seeds attend to the set (Lee et al. 2019, section 3.2)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .contract import AttentionOutput
from .set_block import AttentionBlock, Version, checked_set, learned, projection
from .source import LEE_2019


class SeedPooling(nn.Module):
    """`block(seeds, relu(F x))`: learned seeds attend to the set, one vector for each (PMA), in no order.

    The authors' code leaves `relu(F x)` out; see `AttentionBlock` for what else it does.

    Args:
        dim: features of an element.
        num_heads: heads of the attention.
        seeds: how many vectors come out.
        faithful_to: "paper" or "code".

    Parameters: `seeds [seeds, dim]`, Glorot uniform; those of `AttentionBlock` under `block`; but for "code"
    `inner_proj`.

    Cost: time steps * seeds * dim; memory steps * seeds * heads.

    Raises:
        ValueError: a size is not positive, `dim` is no multiple of `num_heads`, or an unknown version.

    >>> context, weights = SeedPooling(dim=6, num_heads=2, seeds=3)(torch.ones(2, 4, 6), need_weights=True)
    >>> context.shape, weights.shape
    (torch.Size([2, 3, 6]), torch.Size([2, 3, 4]))
    """

    source = LEE_2019(place="section 3.2")

    def __init__(self, dim: int, num_heads: int, seeds: int = 1, faithful_to: Version = "paper") -> None:
        super().__init__()
        self.block = AttentionBlock(dim, num_heads, faithful_to)
        self.dim = dim
        self.seeds = learned("seeds", seeds, dim)
        self.inner_proj = projection(dim) if faithful_to == "paper" else None

    def forward(
        self,
        steps: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Read a batch of sets; seeds stand where other attention has queries.

        Args:
            steps: `[batch, keys, dim]`.
            mask: boolean, `[batch, keys]` or as `padding_mask` gives it, True = a real element. Hidden ones may hold
                anything, NaN too; a set without a visible element gives zeros.
            need_weights: return the weights, the mean over the heads, too.

        Raises:
            ValueError: a shape that does not fit, or a mask that is not boolean (a TypeError, too).
        """
        steps, visible = checked_set(steps, mask, self.dim)
        seeds = self.seeds.expand(steps.shape[0], -1, -1)
        inner = steps if self.inner_proj is None else torch.relu(self.inner_proj(steps))
        output, weights = self.block(seeds, inner, visible)
        return AttentionOutput(output, weights if need_weights else None)
