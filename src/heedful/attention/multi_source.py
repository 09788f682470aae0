"""Attention over several sources, whose contexts are weighed in turn (Libovický and Helcl 2017, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.functional import additive_scores, linear, masked_softmax
from heedful.layers import Linear

from .base import Attention
from .contract import AttentionState, Memory
from .scores.base import check_sizes
from .source import LIBOVICKY_2017

Combination = Literal["attention", "sum", "concat"]


@register_pytree
@dataclass(frozen=True)
class MultiSourceOutput:
    """What a look at several sources returns.

    Attributes:
        context: `[batch, queries, out_dim]`.
        source_weights: how much each source counts, `[batch, queries, sources]`; `None` unless asked for, or where
            nothing weighs them.
        weights: of each source's keys, `[batch, queries, keys]`; `None` unless asked for.
    """

    context: Float[Tensor, "batch queries out_dim"]
    source_weights: Float[Tensor, "batch queries sources"] | None = None
    weights: Any = None


class MultiSourceAttention(nn.Module):
    """`sum_i beta_i P_i c_i` of the sources' contexts `c_i`, `beta = softmax_i(energy . tanh(W query + U_i c_i + b))`.

    The paper's hierarchical combination. A source that is all hidden has no part in it. The simpler combinations beside
    it: "sum", `sum_i P_i c_i`, which is a projection of the contexts side by side, and "concat", these as they are.

    Args:
        attentions: one for each source, all for the same queries; what they read has the size of their keys.
        hidden_dim: features of the tanh layer of "attention".
        out_dim: features of the context of "attention" and "sum".
        combine: "attention", "sum" or "concat".

    Parameters: those of the attentions; with "attention" `query_proj`, with the bias, `energy [hidden_dim]`, and for
    each source `context_projs.i [hidden_dim, key_dim_i]`; with "attention" and "sum" `output_projs.i [out_dim,
    key_dim_i]`; all as `AdditiveScore` begins.

    Cost: time that of the attention of each source; memory that of the attention of each source.

    Raises:
        ValueError: a size that is needed is not positive, no attention, attentions for queries of several sizes, or an
            unknown combination.

    >>> from heedful.attention import BahdanauAttention
    >>> attention = MultiSourceAttention([BahdanauAttention(4, 5, 7), BahdanauAttention(4, 3, 7)], 6, out_dim=8)
    >>> attention(torch.ones(2, 9, 4), [torch.ones(2, 6, 5), torch.ones(2, 2, 3)]).context.shape
    torch.Size([2, 9, 8])
    """

    source = LIBOVICKY_2017(place="section 3, hierarchical attention combination")
    kind = "layer"

    def __init__(
        self,
        attentions: Sequence[Attention],
        hidden_dim: int | None = None,
        out_dim: int | None = None,
        combine: Combination = "attention",
    ) -> None:
        super().__init__()
        if combine not in get_args(Combination):
            raise _refusals.unknown_choice("combine", combine, get_args(Combination))
        if not isinstance(attentions, Sequence):
            raise _refusals.WrongTypeError(
                f"attentions is of the type {type(attentions).__name__}; expected a list, one for each source."
            )
        for attention in attentions:
            _refusals.check_part("an attention", attention, Attention, "LuongAttention(32, 32)")
        sizes = {attention.query_dim for attention in attentions}
        if len(sizes) != 1:
            raise ValueError(
                f"there are {len(attentions)} attentions, for queries of {sorted(sizes)} features; expected at least "
                "one, all for queries of one size."
            )
        self.attentions: Any = nn.ModuleList(attentions)
        self.combine = combine
        if combine != "concat":
            self.output_projs = self._projections("out_dim", out_dim)
        if combine == "attention":
            self.context_projs = self._projections("hidden_dim", hidden_dim)
            width = len(self.context_projs[0])
            self.query_proj = Linear(sizes.pop(), width)
            self.energy = nn.Parameter(torch.empty(width))
            nn.init.xavier_uniform_(self.query_proj.weight)
            nn.init.zeros_(self.query_proj.bias)
            nn.init.normal_(self.energy, std=width**-0.5)

    def _projections(self, name: str, size: Any) -> nn.ParameterList:
        """A matrix for the context of each source."""
        check_sizes(**{name: size})
        matrices = [torch.empty(size, attention.key_dim) for attention in self.attentions]
        return nn.ParameterList(nn.init.xavier_uniform_(matrix) for matrix in matrices)

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
        context, source_weights = self._join(query, contexts, memory)
        weights = tuple(output.weights for output, _ in looks)
        output = MultiSourceOutput(context, source_weights, weights) if need_weights else MultiSourceOutput(context)
        return output, tuple(state for _, state in looks)

    def _join(self, query: Tensor, contexts: list[Tensor], memory: tuple[Memory, ...]) -> tuple[Tensor, Tensor | None]:
        """One context of those of the sources, and how much each of these counts."""
        if self.combine == "concat":
            return torch.cat(contexts, -1), None
        read = [linear(context, matrix) for context, matrix in zip(contexts, self.output_projs, strict=True)]
        read = torch.stack(read, 2)
        if self.combine == "sum":
            return read.sum(2), None
        asked = self.query_proj(query).unsqueeze(2)
        known = [linear(context, matrix) for context, matrix in zip(contexts, self.context_projs, strict=True)]
        scores = additive_scores(asked.flatten(0, 1), torch.stack(known, 2).flatten(0, 1), self.energy)
        weights = masked_softmax(scores.view(*query.shape[:2], len(memory)), _present(memory))
        return torch.einsum("bqs,bqsv->bqv", weights, read), weights


def _present(memory: tuple[Memory, ...]) -> Tensor | None:
    """`[batch, 1, sources]`: whether anything of a source may be seen."""
    if all(one.mask is None for one in memory):
        return None
    whole = [torch.ones(len(one.value), 1, dtype=torch.bool, device=one.value.device) for one in memory]
    seen = [full if one.mask is None else one.mask.any(2) for one, full in zip(memory, whole, strict=True)]
    return torch.stack(seen, 2)
