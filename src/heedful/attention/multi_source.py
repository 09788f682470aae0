"""Attention over several sources, whose contexts are weighed in turn (Libovický and Helcl 2017, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.functional import additive_scores, linear, masked_softmax
from heedful.layers import Linear

from .base import Attention, AttentionState, Memory
from .scores.base import check_sizes
from .source import LIBOVICKY_2017


@register_pytree
@dataclass(frozen=True)
class MultiSourceOutput:
    """What a look at several sources returns.

    Attributes:
        context: `[batch, queries, out_dim]`.
        source_weights: how much each source counts, `[batch, queries, sources]`; `None` unless asked for.
        weights: of each source's keys, `[batch, queries, keys]`; `None` unless asked for.
    """

    context: Float[Tensor, "batch queries out_dim"]
    source_weights: Float[Tensor, "batch queries sources"] | None = None
    weights: Any = None


class MultiSourceAttention(nn.Module):
    """`sum_i beta_i P_i c_i` of the sources' contexts `c_i`, `beta = softmax_i(energy . tanh(W query + U_i c_i + b))`.

    The paper's hierarchical combination. A source that is all hidden has no part in it.

    Args:
        attentions: one for each source, all for the same queries; what they read has the size of their keys.
        hidden_dim: features of the tanh layer.
        out_dim: features of the context.

    Parameters: those of the attentions; `query_proj`, with the bias, `energy [hidden_dim]`, and for each source
    `context_projs.i [hidden_dim, key_dim_i]` and `output_projs.i [out_dim, key_dim_i]`; all as `AdditiveScore` begins.

    Raises:
        ValueError: a size is not positive, no attention, or attentions for queries of several sizes.

    >>> from heedful.attention import BahdanauAttention
    >>> attention = MultiSourceAttention([BahdanauAttention(4, 5, 7), BahdanauAttention(4, 3, 7)], 6, out_dim=8)
    >>> attention(torch.ones(2, 9, 4), [torch.ones(2, 6, 5), torch.ones(2, 2, 3)]).context.shape
    torch.Size([2, 9, 8])
    """

    source = LIBOVICKY_2017(place="section 3, hierarchical attention combination")
    kind = "layer"

    def __init__(self, attentions: Sequence[Attention], hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        check_sizes(hidden_dim=hidden_dim, out_dim=out_dim)
        sizes = {attention.query_dim for attention in attentions}
        if len(sizes) != 1:
            raise ValueError(
                f"there are {len(attentions)} attentions, for queries of {sorted(sizes)} features; expected at least "
                "one, all for queries of one size."
            )
        self.attentions: Any = nn.ModuleList(attentions)
        self.query_proj = Linear(sizes.pop(), hidden_dim)
        key_dims = [attention.key_dim for attention in attentions]
        self.context_projs = nn.ParameterList(torch.empty(hidden_dim, key_dim) for key_dim in key_dims)
        self.output_projs = nn.ParameterList(torch.empty(out_dim, key_dim) for key_dim in key_dims)
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        for matrix in (self.query_proj.weight, *self.context_projs, *self.output_projs):
            nn.init.xavier_uniform_(matrix)
        nn.init.zeros_(self.query_proj.bias)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        keys: Sequence[Tensor],
        masks: Sequence[Tensor | None] | None = None,
        need_weights: bool = False,
    ) -> MultiSourceOutput:
        """Look with every query at once.

        Args:
            query: `[batch, queries, query_dim]`.
            keys: for each source `[batch, keys_i, key_dim_i]`.
            masks: for each source `[batch, 1, keys_i]`, True = may look, or `None`; hidden keys may hold anything.
            need_weights: return the weights of sources and keys, too.

        Raises:
            ValueError: not as many sources as attentions; else as `Attention`.
        """
        return self.look(query, self.remember(keys, masks), need_weights=need_weights)[0]

    def remember(self, keys: Sequence[Tensor], masks: Sequence[Tensor | None] | None = None) -> tuple[Memory, ...]:
        """Prepare the sources once, for many calls of `look`."""
        masks = [None] * len(keys) if masks is None else masks
        if not len(keys) == len(masks) == len(self.attentions):
            raise ValueError(
                f"there are {len(keys)} sources and {len(masks)} masks; expected {len(self.attentions)}, one for each "
                "attention (None for a source without padding)."
            )
        parts = zip(self.attentions, keys, masks, strict=True)
        return tuple(attention.remember(key, mask=mask) for attention, key, mask in parts)

    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: tuple[Memory, ...],
        states: tuple[AttentionState, ...] | None = None,
        need_weights: bool = False,
    ) -> tuple[MultiSourceOutput, tuple[AttentionState, ...]]:
        """Any number of queries, over what was remembered.

        Args:
            query: `[batch, queries, query_dim]`.
            memory: from `remember`.
            states: what the last call returned; `None` to begin.
            need_weights: return the weights, too.
        """
        begun = [None] * len(memory) if states is None else states
        parts = zip(self.attentions, memory, begun, strict=True)
        looks = [attention.look(query, one, state, need_weights) for attention, one, state in parts]
        contexts = [output.context for output, _ in looks]
        asked = self.query_proj(query).unsqueeze(2)
        known = [linear(context, matrix) for context, matrix in zip(contexts, self.context_projs, strict=True)]
        scores = additive_scores(asked.flatten(0, 1), torch.stack(known, 2).flatten(0, 1), self.energy)
        source_weights = masked_softmax(scores.view(*query.shape[:2], len(memory)), _present(memory))
        read = [linear(context, matrix) for context, matrix in zip(contexts, self.output_projs, strict=True)]
        context = torch.einsum("bqs,bqsv->bqv", source_weights, torch.stack(read, 2))
        weights = tuple(output.weights for output, _ in looks) if need_weights else None
        output = MultiSourceOutput(context, source_weights if need_weights else None, weights)
        return output, tuple(state for _, state in looks)


def _present(memory: tuple[Memory, ...]) -> Tensor | None:
    """`[batch, 1, sources]`: whether anything of a source may be seen."""
    if all(one.mask is None for one in memory):
        return None
    whole = [torch.ones(len(one.value), 1, dtype=torch.bool, device=one.value.device) for one in memory]
    seen = [full if one.mask is None else one.mask.any(2) for one, full in zip(memory, whole, strict=True)]
    return torch.stack(seen, 2)
