"""Attention whose looks depend on the looks before, over any number of queries: one scan in a graph."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from heedful.attention import Attention, AttentionOutput, AttentionState, Memory
from heedful.attention.memory import full_mask

from .trees import filled, named, structure


class _Look(nn.Module):
    """One look of an attention, whose weights `functional_call` can give anew."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, memory: Memory, state: AttentionState) -> Any:
        return self.attention.look(query, memory, state, need_weights=True)


def scan_looks(
    attention: Attention,
    query: Tensor,
    memory: Memory,
    mask: Tensor | None,
    state: AttentionState,
    need_weights: bool = False,
) -> tuple[AttentionOutput, AttentionState]:
    """What `attention` sees with query after query, `[batch, queries, query_dim]`, and the state after them.

    Args:
        attention: whose looks depend on the looks before.
        query: `[batch, queries, query_dim]`.
        memory: what is looked at.
        mask: `[batch, 1, keys]`, the same for all queries.
        state: the place of the first query.
        need_weights: return the weights, too.
    """
    look = _Look(attention)
    memory = replace(memory, mask=None if mask is None else full_mask(mask, memory.value))
    start = replace(attention.start(memory), position=state.position)
    # clones: what goes into a scan has no other name
    begun, kept = ({name: one.clone() for name, one in named(tree).items()} for tree in (start, memory))
    own = {**dict(look.named_parameters()), **dict(look.named_buffers())}
    before, seen = structure(start), structure(memory)

    def step(*given: Tensor) -> list[Tensor]:
        rest = iter(given)
        state, row = filled(before, {name: next(rest) for name in begun}), next(rest)
        what = filled(seen, {name: next(rest) for name in kept})
        weights = {name: next(rest) for name in own}
        output, after = functional_call(look, weights, (row.unsqueeze(1), what, state))
        said = (output.context.squeeze(1), output.weights.squeeze(1))
        return [one.clone() for one in (*named(after).values(), *said)]

    rows, others = [query.transpose(0, 1)], (*kept.values(), *own.values())
    *lasts, context, weights = torch.ops.higher_order.scan(step, list(begun.values()), rows, others)
    output = AttentionOutput(context.transpose(0, 1), weights.transpose(0, 1) if need_weights else None)
    return output, filled(before, dict(zip(begun, lasts, strict=True)))
