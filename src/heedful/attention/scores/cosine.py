"""Cosine score: the angle alone, times a sharpness (Graves, Wayne and Danihelka 2014, section 3.3.1)."""

import math
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from heedful import _refusals
from heedful.attention.source import GRAVES_2014
from heedful.functional import widen

from .base import Score
from .dot import dot_attention, dot_scores

Sharpness = Literal["fixed", "learned", "query"]


def unit(vectors: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch features"]:
    """Each vector over its length, for every length but 0: a vector of zeros stays one, with a finite gradient.

    >>> unit(torch.tensor([[3e-30, 4e-30], [3e30, 4e30], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    wide = widen(vectors)
    # the squares of what is divided by its largest neither overflow nor vanish, and the direction is the same
    largest = wide.detach().abs().amax(-1, keepdim=True)
    wide = wide / torch.where(largest > 0, largest, 1.0)
    squares = wide.square().sum(-1, keepdim=True)
    return wide * torch.where(squares > 0, squares, 1.0).rsqrt()


class CosineScore(Score):
    """`scores[q, k] = beta query[q] . key[k] / (||query[q]|| ||key[k]||) + r`, the angle alone, times a sharpness.

    With a beta of 1 all scores lie within 2 of each other, and softmax over many keys is nearly uniform. There is no
    epsilon: the shortest vector has its angle, and a vector of zeros scores 0.

    Args:
        dim: features of query and of key.
        sharpness: beta is "fixed", one "learned" number, or from each "query", `softplus(w . query + b)`, the key
            strength of the paper.
        start: beta at the beginning, above 0.
        offset: first value of a learned `r` that is added to every score, for normalisers that read scores as log-odds;
            none by default, since softmax does not see it.

    Parameters: none, or `beta []`, or `strength_weight [dim]`, 0, and `strength_bias []`; `offset []` if asked for.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: `dim` or `start` is not positive, or `sharpness` is unknown.

    >>> score = CosineScore(dim=2, start=5.0)
    >>> score(torch.tensor([[[3.0, 0.0]]]), score.remember(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])))[0]
    tensor([[[5., 0.]]])
    """

    source = GRAVES_2014(place="section 3.3.1")
    fused = True
    compares_directly = True

    def __init__(
        self, dim: int, sharpness: Sharpness = "fixed", start: float = 1.0, offset: float | None = None
    ) -> None:
        super().__init__(dim, dim)
        if sharpness not in get_args(Sharpness):
            raise _refusals.unknown_choice("sharpness", sharpness, get_args(Sharpness))
        _refusals.check_numbers(start=start)
        if not 0 < start < math.inf:
            raise ValueError(f"start is {start}; expected a sharpness above 0 (1 is the cosine itself).")
        self.sharpness, self.start = sharpness, start
        self.bounded = sharpness == "fixed" or offset is None
        if sharpness == "learned":
            self.beta = nn.Parameter(torch.tensor(float(start)))
        if sharpness == "query":
            self.strength_weight = nn.Parameter(torch.zeros(dim))
            # the inverse of softplus
            self.strength_bias = nn.Parameter(torch.tensor(start + math.log(-math.expm1(-start))))
        self.offset = None if offset is None else nn.Parameter(torch.tensor(float(offset)))

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys key_dim"]:
        """Keys of length 1, computed once per memory."""
        return unit(key).to(key.dtype)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        scores = dot_scores(self._sharpened(query), key)
        return scores if self.offset is None else scores + widen(self.offset), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(self._sharpened(query).to(query.dtype), key, value, mask), None

    def _sharpened(self, query: Tensor) -> Tensor:
        if self.sharpness == "fixed":
            return unit(query) * self.start
        if self.sharpness == "learned":
            return unit(query) * widen(self.beta)
        strength = softplus(widen(query) @ widen(self.strength_weight) + widen(self.strength_bias))
        return unit(query) * strength.unsqueeze(-1)
