"""The projections of latent attention: queries to heads, keys to the small vector that is kept of them."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear, RotaryPositions

from .heads import split_heads
from .windows import Window


def check_window(window: Window, query_dim: int) -> None:
    """Refuse what latent attention cannot do with a window.

    Raises:
        ValueError: the window has a state, a gain, numbers for each head or vectors for the values, is for queries of
            another size, or is none (a TypeError, too).
    """
    _refusals.check_part("window", window, Window, "CausalWindow()")
    for part in (one for one in window.modules() if isinstance(one, Window)):
        if part.stateful or part.scales or part.reads or part.heads > 1:
            raise ValueError(
                f"window is a {type(part).__name__} with a state, a gain, vectors for the values or numbers for each "
                "head; expected one without, such as CausalWindow or SlidingWindow. MultiHeadAttention takes any."
            )
        if part.query_dim not in (None, query_dim):
            raise _refusals.other_features("query", query_dim, type(part).__name__, part.query_dim)


def check_no_value(value: object) -> None:
    """Refuse values: latent attention makes them of the keys.

    Raises:
        ValueError: some came.
    """
    if value is not None:
        raise ValueError(
            "value is given, but LatentAttention makes the values of the keys; leave it out, or use MultiHeadAttention."
        )


class LatentProjections(nn.Module):
    """What `LatentAttention` projects; its arguments, but for the window.

    Raises:
        ValueError: a size that is not positive or does not divide, an odd `rotary_dim`.
    """

    def __init__(
        self,
        query_dim: int,
        num_heads: int,
        latent_dim: int,
        head_dim: int | None,
        rotary_dim: int,
        query_latent_dim: int | None,
        key_dim: int | None,
    ) -> None:
        super().__init__()
        key_dim = query_dim if key_dim is None else key_dim
        sizes = {"query_dim": query_dim, "num_heads": num_heads, "latent_dim": latent_dim, "key_dim": key_dim}
        given = {"head_dim": head_dim, "query_latent_dim": query_latent_dim}
        _refusals.check_sizes(**sizes, **{name: size for name, size in given.items() if size is not None})
        if head_dim is None and query_dim % num_heads:
            raise ValueError(f"num_heads is {num_heads}, which does not divide query_dim, {query_dim}; give head_dim.")
        head_dim = query_dim // num_heads if head_dim is None else head_dim
        self.query_dim = self.context_dim = query_dim
        self.num_heads, self.head_dim, self.key_dim = num_heads, head_dim, key_dim
        self.scale = 1 / math.sqrt(head_dim + rotary_dim)
        self.positions = RotaryPositions(rotary_dim)
        features = query_dim if query_latent_dim is None else query_latent_dim
        self.query_down = None if query_latent_dim is None else Linear(query_dim, features, bias=False)
        self.query_norm = None if query_latent_dim is None else nn.RMSNorm(features)
        self.query_up = Linear(features, num_heads * (head_dim + rotary_dim), bias=False)
        self.key_down, self.key_norm = Linear(key_dim, latent_dim, bias=False), nn.RMSNorm(latent_dim)
        self.key_rotary = Linear(key_dim, rotary_dim, bias=False)
        self.key_up = Linear(latent_dim, num_heads * head_dim, bias=False)
        self.value_up = Linear(latent_dim, num_heads * head_dim, bias=False)
        self.output_proj = Linear(num_heads * head_dim, query_dim, bias=False)

    def queries(
        self, query: Float[Tensor, "batch queries query_dim"], position: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch heads queries head_dim"], Float[Tensor, "batch heads queries rotary_dim"]]:
        """The part that meets the latents, and the rotated one, of every head."""
        if self.query_down is not None and self.query_norm is not None:
            query = self.query_norm(self.query_down(query))
        plain, rotated = split_heads(self.query_up(query), self.num_heads).split_with_sizes(
            (self.head_dim, self.positions.dim), -1
        )
        return plain, self.positions(rotated, position)

    def latents(
        self, key: Float[Tensor, "batch keys key_dim"], position: int
    ) -> tuple[Float[Tensor, "batch keys latent_dim"], Float[Tensor, "batch keys rotary_dim"]]:
        """What is kept of the keys, the first of which stands at `position`."""
        return self.key_norm(self.key_down(key)), self.positions(self.key_rotary(key), position)
