"""Induced attention: a set attends to itself through a few learned points (Lee et al. 2019, section 3.1)."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.functional import hide

from .contract import AttentionOutput
from .set_block import AttentionBlock, Version, checked_set, learned
from .source import LEE_2019


class InducedAttention(nn.Module):
    """`block(x, block(points, x))`: elements of a set see each other through a few learned points (ISAB).

    It costs `keys * points`, not `keys * keys`; the weights, on request, are those of both blocks multiplied.

    Args:
        dim: features of an element.
        num_heads: heads of the attention.
        points: how many learned points.
        faithful_to: "paper" or "code", see `AttentionBlock`.

    Parameters: `points [points, dim]`, Glorot uniform; those of `AttentionBlock`, under `gather` and `spread`.

    Cost: time steps * points * dim; memory steps * points * heads.

    Raises:
        ValueError: a size is not positive, `dim` is no multiple of `num_heads`, or an unknown version.

    >>> import torch
    >>> context, weights = InducedAttention(dim=6, num_heads=2, points=3)(torch.ones(2, 4, 6), need_weights=True)
    >>> context.shape, weights.shape
    (torch.Size([2, 4, 6]), torch.Size([2, 4, 4]))
    """

    source = LEE_2019(place="section 3.1")

    def __init__(self, dim: int, num_heads: int, points: int, faithful_to: Version = "paper") -> None:
        super().__init__()
        self.gather, self.spread = (AttentionBlock(dim, num_heads, faithful_to) for _ in range(2))
        self.dim = dim
        self.points = learned("points", points, dim)

    def forward(
        self,
        steps: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """What each element became; 0 where it is hidden.

        Args:
            steps: `[batch, keys, dim]`.
            mask: boolean, `[batch, keys]` or as `padding_mask` gives it, True = a real element. Hidden ones may hold
                anything, NaN too.
            need_weights: return the weights `[batch, keys, keys]`, too.

        Raises:
            ValueError: a shape that does not fit, or a mask that is not boolean (a TypeError, too).
        """
        steps, visible = checked_set(steps, mask, self.dim)
        gathered, gathering = self.gather(self.points.expand(steps.shape[0], -1, -1), steps, visible)
        output, spreading = self.spread(steps, gathered, None)
        weights = spreading @ gathering if need_weights else None
        if visible is not None:
            output = hide(output, visible)
            weights = weights if weights is None else hide(weights, visible)
        return AttentionOutput(output, weights)
