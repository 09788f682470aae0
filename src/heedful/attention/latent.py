"""Latent attention: keys and values are rebuilt from a small vector, which alone is kept (DeepSeek-AI 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful._pytree import concatenate, register_pytree
from heedful.functional import check_mask, dot_product_attention, hide, masked_softmax, widen

from .contract import (
    AttentionLayer,
    AttentionOutput,
    AttentionState,
    check_key,
    check_query,
    check_state,
    first_state,
)
from .heads import join_heads, split_heads
from .latent_projections import LatentProjections, check_no_value, check_window
from .memory import full_mask, join_masks
from .source import DEEPSEEK_2024
from .windows import EverywhereWindow, View, Window


@register_pytree
@dataclass(frozen=True)
class LatentMemory:
    """What is kept of the keys: `latent_dim + rotary_dim` numbers each, whatever the number of heads.

    Attributes:
        latent: `[batch, keys, latent_dim]`, of which keys and values of all heads are linear functions.
        rotated: `[batch, keys, rotary_dim]`, the part of the keys that knows its place, the same for all heads.
        mask: `[batch, 1, keys]`, True = may look; `None` when nothing is hidden.
    """

    latent: Float[Tensor, "batch keys latent_dim"]
    rotated: Float[Tensor, "batch keys rotary_dim"]
    mask: Bool[Tensor, "batch 1 keys"] | None


class LatentAttention(LatentProjections, AttentionLayer):
    """`scores_h = (W_uk,h c . q_h + r . rotated q_h) / sqrt(head_dim + rotary_dim)`, `c = RMSNorm(W_dkv key)`.

    Values are `W_uv,h c`. A call rebuilds keys and values once for all queries; `step` never does, for
    `W_uk,h c . q = c . W_uk,h^T q`: queries are taken to the latent space and what they read comes back from there, as
    in multi-query attention (absorbed matrices, section 2.1.2 and its appendix).

    Args:
        query_dim: features of a query, and of the context.
        num_heads: heads.
        latent_dim: features of `c`, which alone (with `r`) is kept for each key.
        head_dim: features of a head, of its value, too; `query_dim / num_heads` when left out.
        rotary_dim: features of the rotated part, an even number.
        query_latent_dim: features of a normalised latent between query and heads; none when left out.
        key_dim: features of a key; those of a query when left out.
        window: which keys a query may see besides the mask: a stateless one.

    Parameters, linear layers without biases: `query_down` and its norm where there is a latent of the query,
    `query_up [heads (head_dim + rotary_dim), ..]`, `key_down [latent_dim, key_dim]` and its norm, `key_rotary
    [rotary_dim, key_dim]`, `key_up` and `value_up` `[heads head_dim, latent_dim]`, `output_proj`.

    State: none beside the memory, of each key a latent and a rotated part.

    Cost: time queries * keys * heads * (latent_dim + rotary_dim); memory keys * (latent_dim + rotary_dim) to cache,
    and heads * queries * keys.

    Raises:
        ValueError: a size that is not positive or does not divide, an odd `rotary_dim`, a stateful window.

    >>> attention = LatentAttention(query_dim=12, num_heads=3, latent_dim=5, rotary_dim=2)
    >>> memory = attention.remember(torch.ones(2, 7, 12))
    >>> memory.latent.shape, attention.step(torch.ones(2, 1, 12), memory)[0].context.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 1, 12]))
    """

    kind = "mechanism"
    source = DEEPSEEK_2024(place="section 2.1")
    memory_kind = LatentMemory

    def __init__(
        self,
        query_dim: int,
        num_heads: int,
        latent_dim: int,
        head_dim: int | None = None,
        rotary_dim: int = 64,
        query_latent_dim: int | None = None,
        key_dim: int | None = None,
        window: Window | None = None,
    ) -> None:
        super().__init__(query_dim, num_heads, latent_dim, head_dim, rotary_dim, query_latent_dim, key_dim)
        self.window = EverywhereWindow() if window is None else window
        check_window(self.window, query_dim)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: None = None,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once; equal to `step`, one query at a time.

        Args:
            query: `[batch, queries, query_dim]`.
            key: `[batch, keys, key_dim]`; the query itself for self-attention.
            value: none; the values are made of the keys.
            mask: boolean, broadcasts to `[batch, queries, keys]`, True = may look, the same for every head.
            need_weights: return the weights of every head, `[batch, heads, queries, keys]`, too.
        """
        check_no_value(value)
        check_key(key, self.key_dim, type(self).__name__)
        check_query(query, key.shape[0], self.query_dim, type(self).__name__)
        check_mask(mask, query.shape[0], query.shape[1], key.shape[1])
        memory = self._remember(key if mask is None else hide(key, mask.any(1)), None, 0)
        first = max(key.shape[1] - query.shape[1], 0) if self.window.aligned_to_end else 0
        position = self.begin(memory, first).position
        keys = torch.cat((split_heads(self.key_up(memory.latent), self.num_heads), self._for_all(memory.rotated)), -1)
        values = split_heads(self.value_up(memory.latent), self.num_heads)
        view = self._view(query, position, memory, mask)
        read, weights = self._read(torch.cat(self.queries(query, position), -1), keys, values, view, need_weights)
        return AttentionOutput(self.output_proj(join_heads(read)), weights)

    def remember(
        self,
        key: Float[Tensor, "batch keys key_dim"],
        value: None = None,
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> LatentMemory:
        """Take the keys to their latents once, for many calls of `step`.

        Args:
            key: `[batch, keys, key_dim]`.
            value: none; the values are made of the keys.
            mask: `[batch, 1, keys]`, as `padding_mask` gives it.
        """
        check_no_value(value)
        check_key(key, self.key_dim, type(self).__name__)
        return self._remember(key, mask, 0)

    def extend(
        self,
        memory: LatentMemory,
        key: Float[Tensor, "batch more key_dim"],
        value: None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> LatentMemory:
        self.check_memory(memory)
        check_no_value(value)
        check_key(key, self.key_dim, type(self).__name__)
        more = self._remember(key, mask, memory.latent.shape[1])
        joined = join_masks(memory.mask, memory.latent, more.mask, more.latent)
        return LatentMemory(*concatenate((memory.latent, memory.rotated), (more.latent, more.rotated), 1), joined)

    def begin(self, memory: LatentMemory, position: int = 0) -> AttentionState:
        """The state before the first query, whose place is `position`."""
        return first_state(memory.latent, position)

    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: LatentMemory,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        self.check_memory(memory)
        check_query(query, memory.latent.shape[0], self.query_dim, type(self).__name__)
        check_state(state, query.shape[0])
        state = self.begin(memory) if state is None else state
        sizes = (self.num_heads, self.head_dim)
        up, down = self.key_up.weight.unflatten(0, sizes), self.value_up.weight.unflatten(0, sizes)
        plain, rotated = self.queries(query, state.position)
        queries = torch.cat((torch.einsum("bhqd,hdl->bhql", plain, up), rotated), -1)
        keys = self._for_all(torch.cat((memory.latent, memory.rotated), -1))
        view = self._view(query, state.position, memory, memory.mask)
        read, weights = self._read(queries, keys, self._for_all(memory.latent), view, need_weights)
        context = self.output_proj(join_heads(torch.einsum("bhql,hdl->bhqd", read, down)))
        return AttentionOutput(context, weights), AttentionState(state.position + query.shape[1])

    def _remember(self, key: Tensor, mask: Tensor | None, position: int) -> LatentMemory:
        check_mask(mask, key.shape[0], 1, key.shape[1])
        if mask is not None:
            mask = mask.expand(key.shape[0], 1, key.shape[1])
            # before the projections: 0 * NaN is NaN in their gradient
            key = hide(key, mask.squeeze(1))
        return LatentMemory(*self.latents(key, position), mask)

    def _for_all(self, keys: Tensor) -> Tensor:
        return keys.unsqueeze(1).expand(-1, self.num_heads, -1, -1)

    def _view(self, query: Tensor, position: Tensor, memory: LatentMemory, mask: Tensor | None) -> View:
        """What the window shows of what the mask shows."""
        if isinstance(self.window, EverywhereWindow):
            view = View()
        else:
            lengths = full_mask(memory.mask, memory.latent).sum((1, 2))
            positions = position.unsqueeze(1) + torch.arange(query.shape[1], device=query.device)
            view, _ = self.window(query, positions, lengths, memory.latent.shape[1])
        if view.mask is not None:
            mask = view.mask if mask is None else mask & view.mask
        return View(mask, view.bias)

    def _read(
        self, query: Tensor, key: Tensor, value: Tensor, view: View, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        mask, bias = (None if part is None else part.unsqueeze(1) for part in (view.mask, view.bias))
        if bias is None and not need_weights:
            return dot_product_attention(query, key, value, mask, scale=self.scale), None
        scores = torch.einsum("bhqd,bhkd->bhqk", widen(query * self.scale), widen(key))
        weights = masked_softmax(scores if bias is None else scores + bias, mask).to(value.dtype)
        return torch.einsum("bhqk,bhkv->bhqv", weights, value), weights if need_weights else None
