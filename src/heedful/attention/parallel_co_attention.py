"""Parallel co-attention: a picture and a question weighed from one affinity matrix (Lu et al. 2016, section 3.3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.functional import hide, linear, masked_softmax, visible_keys, widen

from .pooling import check_sequence
from .scores.base import check_sizes
from .source import LU_2016


@register_pytree
@dataclass(frozen=True)
class CoPooled:
    """One vector for each side: `regions [batch, region_dim]`, `words [batch, word_dim]`; weights if asked for."""

    regions: Float[Tensor, "batch region_dim"]
    words: Float[Tensor, "batch word_dim"]
    region_weights: Float[Tensor, "batch regions"] | None = None
    word_weights: Float[Tensor, "batch words"] | None = None


class ParallelCoAttention(nn.Module):
    """`softmax(w_v . tanh(W_v V + C^T W_q Q))`, `softmax(w_q . tanh(W_q Q + C W_v V))`, with `C = tanh(Q W_b V^T)`.

    Args:
        region_dim: features of a region of the picture, `V`.
        word_dim: features of a word of the question, `Q`.
        hidden_dim: features of the tanh layers.

    Parameters: `affinity [word_dim, region_dim]`, `region_proj [hidden_dim, region_dim]`, `word_proj [hidden_dim,
    word_dim]`, Glorot uniform; `region_energy` and `word_energy [hidden_dim]`, normal with standard deviation
    `hidden_dim ** -0.5`; no biases.

    Cost: time regions * words * (dim + hidden_dim); memory regions * words.

    Raises:
        ValueError: a size is not positive.

    >>> pooled = ParallelCoAttention(region_dim=5, word_dim=4, hidden_dim=7)(torch.ones(2, 9, 5), torch.ones(2, 3, 4))
    >>> pooled.regions.shape, pooled.words.shape
    (torch.Size([2, 5]), torch.Size([2, 4]))
    """

    source = LU_2016(place="section 3.3, parallel co-attention")
    kind = "layer"

    def __init__(self, region_dim: int, word_dim: int, hidden_dim: int) -> None:
        super().__init__()
        check_sizes(region_dim=region_dim, word_dim=word_dim, hidden_dim=hidden_dim)
        self.region_dim, self.word_dim = region_dim, word_dim
        self.affinity = nn.Parameter(torch.empty(word_dim, region_dim))
        self.region_proj = nn.Parameter(torch.empty(hidden_dim, region_dim))
        self.word_proj = nn.Parameter(torch.empty(hidden_dim, word_dim))
        for matrix in (self.affinity, self.region_proj, self.word_proj):
            nn.init.xavier_uniform_(matrix)
        self.region_energy, self.word_energy = (
            nn.Parameter(torch.empty(hidden_dim).normal_(std=hidden_dim**-0.5)) for _ in range(2)
        )

    def forward(
        self,
        regions: Float[Tensor, "batch regions region_dim"],
        words: Float[Tensor, "batch words word_dim"],
        region_mask: Bool[Tensor, "..."] | None = None,
        word_mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> CoPooled:
        """Read both sides into a vector each.

        Args:
            regions: `[batch, regions, region_dim]`.
            words: `[batch, words, word_dim]`.
            region_mask: `[batch, regions]` or as `padding_mask` gives it, True = real.
            word_mask: the same of the words. What is hidden may hold anything; a side without anything visible gives
                zeros.
            need_weights: return the weights of both sides, too.

        Raises:
            ValueError: a shape does not fit, or a mask is not boolean (a TypeError, too).
        """
        check_sequence(regions, self.region_dim)
        check_sequence(words, self.word_dim)
        shown = visible_keys(region_mask, *regions.shape[:2])
        heard = visible_keys(word_mask, *words.shape[:2])
        # rows of zeros are rows of zeros in the affinity, and in both projections: what is hidden adds nothing
        regions = regions if shown is None else hide(regions, shown)
        words = words if heard is None else hide(words, heard)
        affinity = torch.tanh(linear(words, self.affinity.t()) @ regions.transpose(1, 2))
        seen, said = linear(regions, self.region_proj), linear(words, self.word_proj)
        of_regions = torch.tanh(seen + affinity.transpose(1, 2) @ said)
        of_words = torch.tanh(said + affinity @ seen)
        region_vector, region_weights = _read(of_regions, self.region_energy, regions, shown)
        word_vector, word_weights = _read(of_words, self.word_energy, words, heard)
        if not need_weights:
            return CoPooled(region_vector, word_vector)
        return CoPooled(region_vector, word_vector, region_weights, word_weights)


def _read(hidden: Tensor, energy: Tensor, value: Tensor, visible: Tensor | None) -> tuple[Tensor, Tensor]:
    scores = (widen(hidden) @ widen(energy)).unsqueeze(1)
    weights = masked_softmax(scores, None if visible is None else visible.unsqueeze(1)).to(value.dtype)
    return (weights @ value).squeeze(1), weights.squeeze(1)
