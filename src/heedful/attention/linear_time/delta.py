"""The delta rule: a memory that is updated by its error (Schlag et al. 2021), in chunks (Yang et al. 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heedful._pytree import register_pytree
from heedful.attention.source import SCHLAG_2021
from heedful.functional import widen
from heedful.layers import Linear

from .base import LinearTimeAttention
from .sums import chunks_of


def solve_chunks(
    key: Float[Tensor, "*batch steps dim"],
    rate: Float[Tensor, "*batch steps 1"],
    right: Float[Tensor, "*batch steps more"],
) -> Float[Tensor, "*batch steps more"]:
    """`u` with `u[q] = rate[q] (right[q] - sum over k < q of (key[q] . key[k]) u[k])`: what each step writes.

    >>> key = torch.tensor([[1.0], [1.0]])
    >>> solve_chunks(key, torch.ones(2, 1), torch.tensor([[3.0], [5.0]])).flatten()
    tensor([3., 2.])
    """
    among = rate * (key @ key.mT).tril(-1)
    return torch.linalg.solve_triangular(among, rate * right, upper=False, unitriangular=True)


def write(
    key: Float[Tensor, "batch heads steps dim"],
    value: Float[Tensor, "batch heads steps value_dim"],
    rate: Float[Tensor, "batch heads steps 1"],
    state: Float[Tensor, "batch heads dim value_dim"],
    size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the rule `S[q] = S[q-1] + rate[q] key[q] (value[q] - key[q] S[q-1])` over all steps, chunk by chunk.

    Returns:
        the states before each chunk, what each step writes beside its key, and the last state.
    """
    keys, values, rates = (chunks_of(one, size) for one in (key, value, rate))
    # what a step writes is linear in the state before its chunk: `fresh - answers S`
    fresh, answers = solve_chunks(keys, rates, torch.cat((values, keys), -1)).split(
        (value.shape[-1], key.shape[-1]), -1
    )
    before, written = [], []
    for number in range(keys.shape[2]):
        now = fresh[:, :, number] - answers[:, :, number] @ state
        before.append(state)
        written.append(now)
        state = state + keys[:, :, number].mT @ now
    return torch.stack(before, 2), torch.stack(written, 2), state


def delta_rule(
    query: Float[Tensor, "batch heads steps dim"],
    key: Float[Tensor, "batch heads steps dim"],
    value: Float[Tensor, "batch heads steps value_dim"],
    rate: Float[Tensor, "batch heads steps 1"],
    size: int = 64,
) -> Float[Tensor, "batch heads steps value_dim"]:
    """`query[q] S[q]`, where step after step `S` comes closer to give `value` for `key`, by the share `rate`.

    Args:
        query: `[batch, heads, steps, dim]`.
        key: `[batch, heads, steps, dim]`, of length 1 at most.
        value: `[batch, heads, steps, value_dim]`.
        rate: `[batch, heads, steps, 1]`, from 0 (leave it) to 1 (replace what stands there).
        size: steps of a chunk.

    >>> one, value = torch.ones(1, 1, 3, 1), torch.tensor([3.0, 5.0, 9.0]).view(1, 1, 3, 1)
    >>> delta_rule(one, one, value, 0.5 * one, size=2).flatten()
    tensor([1.5000, 3.2500, 6.1250])
    """
    state = torch.zeros_like(key[:, :, :1].mT @ value[:, :, :1])
    before, written, _ = write(key, value, rate, state, size)
    queries, keys = chunks_of(query, size), chunks_of(key, size)
    read = queries @ before + (queries @ keys.mT).tril() @ written
    return read.flatten(2, 3)[:, :, : query.shape[2]]


@register_pytree
@dataclass(frozen=True)
class DeltaMemory:
    """All that is left of the keys.

    Attributes:
        state: `[batch, heads, head_dim, head_dim]`, a matrix from keys to values, float32 or wider.
    """

    state: Float[Tensor, "batch heads head_dim value_dim"]


class DeltaRuleAttention(LinearTimeAttention):
    """`S[q] = S[q-1] + rate key (value - key S[q-1])`, read by `query S[q]`; `rate = sigmoid(w . key input)` per head.

    DeltaNet: query and key are `silu(projection)` scaled to length 1, as Yang et al. do. Causal, with a constant memory
    for each head. The matrix by which the values are read exists: its weights may be negative and do not sum to 1. The
    norm after the heads, which Yang et al. put there, is left to the caller.

    Args:
        dim: features of a query and of the context.
        num_heads: heads of `dim / num_heads` features.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.

    Parameters: the projections, but `key_proj.weight [dim + num_heads, key_dim]`: in each head, `w` is the last row.

    State: none beside the memory, `S [batch, heads, head_dim, head_dim]`.

    Cost: time steps * dim * head_dim, one step after another; memory steps * dim * head_dim.

    Raises:
        ValueError: a size is not positive, or heads of one size do not fit.

    >>> attention = DeltaRuleAttention(6, num_heads=2)
    >>> attention(torch.ones(1, 5, 6), torch.ones(1, 5, 6)).context.shape
    torch.Size([1, 5, 6])
    """

    source = SCHLAG_2021(place="section 4.2")
    memory_kind = DeltaMemory
    causal = True

    def __init__(self, dim: int, num_heads: int = 1, key_dim: int | None = None, value_dim: int | None = None) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        self.key_proj = Linear(self.key_dim, dim + num_heads, bias=False)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        query = _unit(query)
        key, rate = self._unit_and_rate(key, visible)
        context = delta_rule(query, key, widen(value), rate).to(value.dtype)
        if not need_weights:
            return context, None
        unit = torch.eye(key.shape[2], dtype=key.dtype, device=key.device).expand(*key.shape[:3], -1)
        weights = (query @ key.mT).tril() @ solve_chunks(key, rate, unit)
        return context, weights.to(value.dtype)

    def gather(self, memory: DeltaMemory | None, key: Tensor, value: Tensor, visible: Tensor | None) -> DeltaMemory:
        key, rate = self._unit_and_rate(key, visible)
        value = widen(value)
        state = torch.zeros_like(key[:, :, :1].mT @ value[:, :, :1]) if memory is None else memory.state
        # no longer than the input: a single token is not padded to a chunk
        size = max(1, min(64, key.shape[2]))
        return DeltaMemory(write(key, value, rate, state, size)[2])

    def read(self, query: Tensor, memory: DeltaMemory) -> Tensor:
        return (_unit(query) @ memory.state).to(query.dtype)

    def _unit_and_rate(self, key: Tensor, visible: Tensor | None) -> tuple[Tensor, Tensor]:
        key, rate = key.split((self.head_dim, 1), -1)
        rate = widen(rate).sigmoid()
        # a hidden key is 0, so that it writes nothing; its rate matters no more
        return _unit(key), rate if visible is None else rate.masked_fill(~visible.unsqueeze(-1), 0)


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(functional.silu(widen(vectors)), dim=-1)
