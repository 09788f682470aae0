"""Nyström attention: softmax attention through a few landmarks (Xiong et al. 2021)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from heedful.attention.scores.base import check_sizes
from heedful.attention.source import XIONG_2021
from heedful.functional import masked_softmax, widen

from .base import LinearTimeAttention


def segments_of(
    visible: Bool[Tensor, "batch 1 steps"], landmarks: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "batch 1 {landmarks} steps"]:
    """Weights of the means over `landmarks` segments of the visible steps, all as long as each other or one longer.

    A segment without a step has only zeros: with fewer visible steps than landmarks, each step is a segment.

    >>> segments_of(torch.tensor([[[True, True, False, True]]]), 2).squeeze()
    tensor([[0.5000, 0.5000, 0.0000, 0.0000],
            [0.0000, 0.0000, 0.0000, 1.0000]])
    """
    count = visible.sum(-1, keepdim=True)
    rank = visible.cumsum(-1) - 1
    segment = torch.div(rank * count.clamp(max=landmarks), count.clamp_min(1), rounding_mode="floor")
    inside = segment.unsqueeze(2) == torch.arange(landmarks, device=visible.device).unsqueeze(1)
    member = (inside & visible.unsqueeze(2)).to(dtype)
    return member / member.sum(-1, keepdim=True).clamp_min(1)


def iterative_pinv(matrix: Float[Tensor, "*batch rows rows"], rounds: int) -> Float[Tensor, "*batch rows rows"]:
    """The pseudo-inverse by products alone: `Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4`.

    Begun at `A^T` over its largest row sum times its largest column sum, of each matrix alone (the authors' first code
    took the largest of the batch). Rows and columns of zeros stay zeros.

    >>> iterative_pinv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), 8)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    sizes = matrix.abs()
    bound = sizes.sum(-1).amax(-1) * sizes.sum(-2).amax(-1)
    inverse = matrix.mT / bound.where(bound > 0, 1)[..., None, None]
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    for _ in range(rounds):
        product = matrix @ inverse
        inverse = inverse @ (13 * unit - product @ (15 * unit - product @ (7 * unit - product))) / 4
    return inverse


class NystromAttention(LinearTimeAttention):
    """`softmax(Q K~^T) pinv(softmax(Q~ K~^T)) softmax(Q~ K^T) V + conv(V)` in each head, `Q~`, `K~` segment means.

    All products are divided by `sqrt(d)`. Self-attention: query and key `i` are one step, and what the mask hides is
    neither. Segments are of visible steps alone, so that padding changes nothing. Not causal, and there is no memory:
    the landmarks are means over all steps. The weights may be negative; they include the convolution.

    Args:
        dim: features of a query and of the context.
        landmarks: number of segments.
        num_heads: heads of `dim / num_heads` features.
        kernel_size: steps of the convolution over the values, odd (33 in the authors' code); none when left out.
        rounds: of the iteration for the pseudo-inverse, 6 in the paper.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.

    Parameters beside the projections: `kernel [num_heads, kernel_size]` as torch starts a convolution, or none.

    Cost: time (queries + keys) * landmarks * dim; memory (queries + keys) * landmarks * heads.

    Raises:
        ValueError: a size is not positive, `kernel_size` is even, or heads of one size do not fit.

    >>> steps = torch.randn(1, 9, 6)
    >>> NystromAttention(6, landmarks=3)(steps, steps).context.shape
    torch.Size([1, 9, 6])
    """

    source = XIONG_2021(place="equations 11-15")
    self_only = True
    no_memory = "its landmarks are means over all steps, of queries, too"

    def __init__(
        self,
        dim: int,
        landmarks: int,
        num_heads: int = 1,
        kernel_size: int | None = None,
        rounds: int = 6,
        key_dim: int | None = None,
        value_dim: int | None = None,
    ) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        check_sizes(landmarks=landmarks, rounds=rounds, kernel_size=1 if kernel_size is None else kernel_size)
        if kernel_size is not None and kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; expected an odd number, as many steps on each side.")
        self.landmarks, self.rounds = landmarks, rounds
        self.kernel = None if kernel_size is None else nn.Parameter(torch.empty(num_heads, kernel_size))
        if self.kernel is not None:
            nn.init.uniform_(self.kernel, -(self.kernel.shape[1] ** -0.5), self.kernel.shape[1] ** -0.5)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        if visible is None:
            visible = torch.ones(key.shape[0], 1, key.shape[2], dtype=torch.bool, device=key.device)
        wide = widen(value)
        left, right = self._halves(widen(query), widen(key), visible)
        context = left @ (right @ wide)
        weights = left @ right if need_weights else None
        if self.kernel is not None:
            kernel = self.kernel.to(wide.dtype)
            reach = kernel.shape[1] // 2
            # the convolution, value by value, each head with its kernel
            # one more window, so that there is one where there are no steps, too
            around = functional.pad(wide, (0, 0, reach, reach + 1)).unfold(2, kernel.shape[1], 1)[:, :, :-1]
            context = context + torch.einsum("bhsdk,hk->bhsd", around, kernel).masked_fill(~visible.unsqueeze(-1), 0)
            weights = None if weights is None else weights + self._toeplitz(kernel, visible)
        return context.to(value.dtype), None if weights is None else weights.to(value.dtype)

    def _halves(self, query: Tensor, key: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The weights as a product of `[queries, landmarks]` and `[landmarks, keys]`."""
        query = query.masked_fill(~visible.unsqueeze(-1), 0) * query.shape[-1] ** -0.5
        means = segments_of(visible, self.landmarks, query.dtype)
        real = means.any(-1)
        query_means, key_means = means @ query, means @ key
        outer = masked_softmax(query @ key_means.mT, real.unsqueeze(2) & visible.unsqueeze(-1))
        inner = masked_softmax(query_means @ key_means.mT, real.unsqueeze(2) & real.unsqueeze(-1))
        right = masked_softmax(query_means @ key.mT, visible.unsqueeze(2) & real.unsqueeze(-1))
        return outer @ iterative_pinv(inner, self.rounds), right

    @staticmethod
    def _toeplitz(kernel: Tensor, visible: Tensor) -> Tensor:
        steps, reach = visible.shape[2], kernel.shape[1] // 2
        place = torch.arange(steps, device=kernel.device)
        tap = place - place.unsqueeze(1) + reach
        matrix = kernel[:, tap.clamp(0, 2 * reach)].masked_fill((tap < 0) | (tap > 2 * reach), 0)
        return matrix * (visible.unsqueeze(2) & visible.unsqueeze(-1))
