"""Distance score: closeness instead of similarity (Kim, Papamakarios and Mnih 2021, section 3.2)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import KIM_2021, NADARAYA_1964, mechanism
from heedful.functional import widen

from .base import Score


def squared_distances(
    query: Float[Tensor, "batch queries features"], key: Float[Tensor, "batch keys features"]
) -> Float[Tensor, "batch queries keys"]:
    """`||query[q] - key[k]||^2` from the differences, which are not kept.

    Lengths and products would be faster, and lose the digits of vectors that are close together far from the origin.

    >>> squared_distances(torch.tensor([[[1e4, 1.0]]]), torch.tensor([[[1e4, 3.0]]]))
    tensor([[[4.]]])
    """
    query, key = widen(query), widen(key)
    if torch.compiler.is_compiling():
        # ONNX has no such operator, and a compiler keeps the differences no more than it does
        return (query.unsqueeze(2) - key.unsqueeze(1)).square().sum(3)
    return torch.cdist(query, key, compute_mode="donot_use_mm_for_euclid_dist").square()


class DistanceScore(Score):
    """`scores[q, k] = -gamma ||query[q] - key[k]||^2`, closeness instead of similarity.

    Its softmax is the Nadaraya-Watson estimate with a Gaussian (RBF) kernel of bandwidth `1 / sqrt(2 gamma)`. Keys of
    one length get the weights of the scaled dot score at the default gamma. The paper ties the projections of query
    and key, which are not part of a score.

    Args:
        dim: features of query and of key.
        gamma: how fast a score falls; `1 / (2 sqrt(dim))` when left out.
        learned: make the logarithm of gamma a parameter that starts there.

    Parameters: none, or `log_gamma []` if it is learned.

    Cost: time queries * keys * dim; memory queries * keys.

    Raises:
        ValueError: `dim` or `gamma` is not positive.

    >>> score = DistanceScore(dim=2, gamma=0.5)
    >>> score(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[1.0, 1.0], [3.0, 1.0]]]))[0]
    tensor([[[-0., -2.]]])
    """

    source = KIM_2021(place="section 3.2")
    compares_directly = True

    def __init__(self, dim: int, gamma: float | None = None, learned: bool = False) -> None:
        super().__init__(dim, dim)
        gamma = 1 / (2 * math.sqrt(dim)) if gamma is None else gamma
        _refusals.check_numbers(gamma=gamma)
        if not 0 < gamma < math.inf:
            raise ValueError(f"gamma is {gamma}; expected a number above 0, 1 / (2 bandwidth^2).")
        self.gamma = gamma
        self.log_gamma = nn.Parameter(torch.tensor(math.log(gamma))) if learned else None

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        gamma = self.gamma if self.log_gamma is None else widen(self.log_gamma).exp()
        return -gamma * squared_distances(query, key), state


@mechanism(NADARAYA_1964(place="section 1, with a Gaussian kernel"))
def RbfScore(dim: int, bandwidth: float = 1.0, learned: bool = False) -> DistanceScore:  # noqa: N802
    """`scores[q, k] = -||query[q] - key[k]||^2 / (2 bandwidth^2)`, whose softmax is a kernel regression.

    The distance score by the name and the number of the radial basis function.

    Args:
        dim: features of query and of key.
        bandwidth: standard deviation of the Gaussian around a query.
        learned: make the logarithm of gamma, `1 / (2 bandwidth^2)`, a parameter that starts there.

    Cost: time queries * keys * dim; memory queries * keys.

    Raises:
        ValueError: `dim` or `bandwidth` is not positive.

    >>> RbfScore(dim=2, bandwidth=0.5)(torch.zeros(1, 1, 2), torch.tensor([[[2.0, 0.0]]]))[0]
    tensor([[[-8.]]])
    """
    _refusals.check_numbers(bandwidth=bandwidth)
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"bandwidth is {bandwidth}; expected the standard deviation of the kernel, above 0.")
    return DistanceScore(dim, 1 / (2 * bandwidth**2), learned)
