"""What every pooling is: one sequence in and one vector out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.functional import additive_attention, hide, visible_keys

from .scores.base import check_sizes


@register_pytree
@dataclass(frozen=True)
class Pooled:
    """What a pooling returns; `vector, weights = output` takes it apart.

    Attributes:
        vector: `[batch, features]`.
        weights: `[batch, keys]`, or `[batch, features, keys]` where each feature has its own; `None` unless asked for.
    """

    vector: Float[Tensor, "batch features"]
    weights: Float[Tensor, "batch *features keys"] | None = None

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter((self.vector, self.weights))


class Pooling(nn.Module, ABC):
    """Reads a sequence into one vector. Subclasses are final: one mechanism each.

    Args:
        dim: features of a step; `None` where any number will do.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        if dim is not None:
            check_sizes(dim=dim)
        self.dim = dim

    def forward(
        self,
        steps: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> Pooled:
        """Read a batch of sequences.

        Args:
            steps: `[batch, keys, dim]`, such as the outputs of a recurrent layer.
            mask: boolean, `[batch, keys]` or as `padding_mask` gives it, True = a real step. Hidden steps may hold
                anything, NaN too; a sequence without a visible step gives zeros.
            need_weights: return the weights beside the same vector.

        Raises:
            ValueError: a shape that does not fit, or a mask that is not boolean (a TypeError, too).
        """
        check_sequence(steps, self.dim)
        visible = visible_keys(mask, steps.shape[0], steps.shape[1])
        return self.pool(steps if visible is None else hide(steps, visible), visible, need_weights)

    @abstractmethod
    def pool(
        self,
        steps: Float[Tensor, "batch keys dim"],
        visible: Bool[Tensor, "batch keys"] | None,
        need_weights: bool,
    ) -> Pooled:
        """`forward` for steps that are checked and zero where hidden; `visible` is `None` where none is hidden."""


def check_sequence(steps: Tensor, dim: int | None = None) -> None:
    """Refuse what is no batch of sequences, has no steps, holds ids, or has other features than the layer is for.

    Raises:
        ValueError: names what came, what was expected and the way out.
    """
    if steps.dim() != 3:
        raise _refusals.not_a_sequence(steps.shape)
    if steps.shape[1] == 0:
        raise _refusals.no_steps(steps.shape)
    if not steps.is_floating_point():
        raise _refusals.not_floats(steps.dtype)
    if dim is not None and steps.shape[2] != dim:
        raise _refusals.other_features("the sequence", steps.shape[2], "the layer", dim)


def additive_pool(
    query: Tensor, key: Tensor, steps: Tensor, energy: Tensor, visible: Tensor | None, need_weights: bool
) -> Pooled:
    """One learned query per sequence, through the fused operator."""
    mask = None if visible is None else visible.unsqueeze(1)
    if not need_weights:
        return Pooled(additive_attention(query, key, steps, energy, mask).squeeze(1))
    context, weights = additive_attention(query, key, steps, energy, mask, need_weights=True)
    return Pooled(context.squeeze(1), weights.squeeze(1))
