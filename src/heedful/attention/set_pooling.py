"""Attention over sets: learned seeds ask the set, and points induced from it (Lee et al. 2019, section 3)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.functional import hide, masked_softmax, visible_keys, widen
from heedful.layers import Linear

from .base import AttentionOutput
from .pooling import check_sequence
from .scores.base import check_sizes
from .source import LEE_2019


class AttentionBlock(nn.Module):
    """`norm(h + relu(F h))` with `h = norm(x + multi-head(x, y, y))`: the set `x` asks the set `y` (MAB).

    Args:
        dim: features of both sets.
        num_heads: of the attention; each compares `dim / num_heads` features, whose root divides the scores.

    Parameters: `query_proj`, `key_proj`, `value_proj`, `output_proj` and `inner_proj [dim, dim]`, Glorot uniform, their
    biases 0, and those of two layer norms.

    Raises:
        ValueError: a size is not positive, or `dim` is no multiple of `num_heads`.

    >>> AttentionBlock(dim=6, num_heads=2)(torch.ones(2, 3, 6), torch.ones(2, 5, 6), None)[0].shape
    torch.Size([2, 3, 6])
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        check_sizes(dim=dim, num_heads=num_heads)
        if dim % num_heads:
            raise ValueError(f"dim is {dim} and num_heads {num_heads}; expected a multiple. Try num_heads=1.")
        self.num_heads = num_heads
        self.query_proj, self.key_proj, self.value_proj = (_projection(dim) for _ in range(3))
        self.output_proj, self.inner_proj = _projection(dim), _projection(dim)
        self.first_norm, self.second_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

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
            projection(steps).unflatten(2, heads).transpose(1, 2)
            for projection, steps in ((self.query_proj, query), (self.key_proj, key), (self.value_proj, key))
        )
        scores = widen(asked * asked.shape[-1] ** -0.5 @ known.transpose(2, 3))
        weights = masked_softmax(scores, None if visible is None else visible[:, None, None]).to(read.dtype)
        context = self.output_proj((weights @ read).transpose(1, 2).flatten(2))
        inner = self.first_norm(query + context)
        output = self.second_norm(inner + torch.relu(self.inner_proj(inner)))
        if visible is not None:
            output = output.masked_fill(~visible.any(1).view(-1, 1, 1), 0)
        return output, weights.mean(1)


class SeedPooling(nn.Module):
    """`block(seeds, relu(F x))`: learned seeds ask the set, one vector for each (PMA); their order says nothing.

    Args:
        dim: features of an element.
        num_heads: heads of the attention.
        seeds: how many vectors come out.

    Parameters: `seeds [seeds, dim]`, Glorot uniform; `inner_proj`, and those of `AttentionBlock` under `block`.

    Raises:
        ValueError: a size is not positive, or `dim` is no multiple of `num_heads`.

    >>> context, weights = SeedPooling(dim=6, num_heads=2, seeds=3)(torch.ones(2, 4, 6), need_weights=True)
    >>> context.shape, weights.shape
    (torch.Size([2, 3, 6]), torch.Size([2, 3, 4]))
    """

    source = LEE_2019(place="section 3.2")

    def __init__(self, dim: int, num_heads: int, seeds: int = 1) -> None:
        super().__init__()
        self.block = AttentionBlock(dim, num_heads)
        self.dim = dim
        self.seeds = _learned("seeds", seeds, dim)
        self.inner_proj = _projection(dim)

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
        steps, visible = _checked(steps, mask, self.dim)
        seeds = self.seeds.expand(len(steps), -1, -1)
        output, weights = self.block(seeds, torch.relu(self.inner_proj(steps)), visible)
        return AttentionOutput(output, weights if need_weights else None)


class InducedAttention(nn.Module):
    """`block(x, block(points, x))`: elements of a set see each other through a few learned points (ISAB).

    It costs `keys * points`, not `keys * keys`; the weights, on request, are those of both blocks multiplied.

    Args:
        dim: features of an element.
        num_heads: heads of the attention.
        points: how many learned points.

    Parameters: `points [points, dim]`, Glorot uniform; those of `AttentionBlock`, under `gather` and `spread`.

    Raises:
        ValueError: a size is not positive, or `dim` is no multiple of `num_heads`.

    >>> context, weights = InducedAttention(dim=6, num_heads=2, points=3)(torch.ones(2, 4, 6), need_weights=True)
    >>> context.shape, weights.shape
    (torch.Size([2, 4, 6]), torch.Size([2, 4, 4]))
    """

    source = LEE_2019(place="section 3.1")

    def __init__(self, dim: int, num_heads: int, points: int) -> None:
        super().__init__()
        self.gather, self.spread = AttentionBlock(dim, num_heads), AttentionBlock(dim, num_heads)
        self.dim = dim
        self.points = _learned("points", points, dim)

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
        steps, visible = _checked(steps, mask, self.dim)
        gathered, gathering = self.gather(self.points.expand(len(steps), -1, -1), steps, visible)
        output, spreading = self.spread(steps, gathered, None)
        weights = spreading @ gathering if need_weights else None
        if visible is not None:
            output = hide(output, visible)
            weights = weights if weights is None else hide(weights, visible)
        return AttentionOutput(output, weights)


def _checked(steps: Tensor, mask: Tensor | None, dim: int) -> tuple[Tensor, Tensor | None]:
    check_sequence(steps, dim)
    visible = visible_keys(mask, steps.shape[0], steps.shape[1])
    return (steps if visible is None else hide(steps, visible)), visible


def _projection(dim: int) -> Linear:
    projection = Linear(dim, dim)
    nn.init.xavier_uniform_(projection.weight)
    nn.init.zeros_(projection.bias)
    return projection


def _learned(name: str, many: int, dim: int) -> nn.Parameter:
    check_sizes(**{name: many})
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(many, dim)))
