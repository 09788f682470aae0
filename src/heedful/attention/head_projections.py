"""The four projections of multi-head attention, and heads of keys that several heads of queries share."""

from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear

from .base import Attention
from .contract import check_key, check_value
from .heads import split_heads
from .normalizers import Normalizer
from .projections import merge_heads
from .query_key_transform import QueryKeyTransform
from .scores import Score
from .windows import Window


class HeadProjections(nn.Module):
    """What a layer with heads projects: queries, keys and values to heads, and what they read back to features.

    Args:
        query_dim: features of a query, and of the context.
        num_heads: heads, which share out `query_dim`.
        key_dim: features of a key; those of a query when left out.
        value_dim: features of a value; those of a key when left out.
        num_kv_heads: heads of keys and values, a divisor of `num_heads`, which is the default.
        bias: add biases to the four projections.

    Parameters: `query_proj`, `key_proj`, `value_proj`, `output_proj`, linear layers; Glorot, the first three as parts
    of one matrix where their sizes are equal; biases 0.

    Raises:
        ValueError: heads that do not divide the features or each other.
    """

    def __init__(
        self,
        query_dim: int,
        num_heads: int,
        key_dim: int | None = None,
        value_dim: int | None = None,
        num_kv_heads: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        key_dim = query_dim if key_dim is None else key_dim
        value_dim = key_dim if value_dim is None else value_dim
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        _refusals.check_sizes(query_dim=query_dim, key_dim=key_dim, value_dim=value_dim)
        _refusals.check_sizes(num_heads=num_heads, num_kv_heads=num_kv_heads)
        check_divides("num_heads", num_heads, "query_dim", query_dim)
        check_divides("num_kv_heads", num_kv_heads, "num_heads", num_heads)
        head_dim = query_dim // num_heads
        self.query_dim, self.key_dim, self.value_dim, self.context_dim = query_dim, key_dim, value_dim, query_dim
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, head_dim
        self.query_proj = Linear(query_dim, query_dim, bias)
        self.key_proj = Linear(key_dim, num_kv_heads * head_dim, bias)
        self.value_proj = Linear(value_dim, num_kv_heads * head_dim, bias)
        self.output_proj = Linear(query_dim, query_dim, bias)
        self._init_parameters()

    def _init_parameters(self) -> None:
        packed = len({self.query_dim, self.key_dim, self.value_dim, self.num_kv_heads * self.head_dim}) == 1
        for layer in (self.query_proj, self.key_proj, self.value_proj, self.output_proj):
            # a third of a matrix with fan-out 3 dim has a bound smaller by sqrt(2)
            nn.init.xavier_uniform_(layer.weight, 2**-0.5 if packed and layer is not self.output_proj else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def check_pair(self, key: Tensor, value: Tensor | None) -> Tensor:
        """The values, where they fit the keys, and both fit the layer."""
        check_key(key, self.key_dim, type(self).__name__)
        value = key if value is None else value
        check_value(value, key)
        if value.shape[2] != self.value_dim:
            raise _refusals.other_features("value", value.shape[2], type(self).__name__, self.value_dim)
        return value

    def project_pair(
        self, key: Float[Tensor, "batch keys key_dim"], value: Float[Tensor, "batch keys value_dim"]
    ) -> tuple[Float[Tensor, "batch kv_heads keys head_dim"], Float[Tensor, "batch kv_heads keys head_dim"]]:
        """Keys and values of every head that has its own."""
        pair = (self.key_proj(key), self.value_proj(value))
        keys, values = (split_heads(one, self.num_kv_heads) for one in pair)
        return keys, values

    def merge_kv_heads(self, num_kv_heads: int) -> None:
        """Have fewer heads for keys and values, each the mean of those that it replaces.

        Raises:
            ValueError: the number is no divisor of those that there are.
        """
        _refusals.check_sizes(num_kv_heads=num_kv_heads)
        check_divides("num_kv_heads", num_kv_heads, "that of the layer", self.num_kv_heads)
        self.num_kv_heads = num_kv_heads
        for projection in (self.key_proj, self.value_proj):
            merge_heads(projection, num_kv_heads, self.head_dim)

    def share(self, heads: Tensor) -> Tensor:
        """One head of keys or values for each head of queries: neighbours share."""
        times = self.num_heads // self.num_kv_heads
        return heads if times == 1 else heads.repeat_interleave(times, 1)


def check_divides(name: str, number: int, of_name: str, of: int, each: int = 1) -> None:
    """Refuse a number of heads, of `each` parts, that does not divide another.

    Raises:
        ValueError: it does not; the message names the nearest that do.
    """
    if of % (each * number):
        fits = [one for one in range(1, of + 1) if of % (each * one) == 0]
        near = sorted(sorted(fits, key=lambda one: abs(one - number))[:2])
        times = f", of {each} parts each" if each > 1 else ""
        advice = f"Use {' or '.join(map(str, near))}." if near else f"Make {of_name} a multiple of {each}."
        raise ValueError(f"{name} is {number}{times}, which does not divide {of_name}, {of}. {advice}")


def check_heads(query_dim: int, num_heads: int, each: int = 1) -> None:
    """Refuse heads, of `each` parts, that do not share out the features of a query.

    Raises:
        ValueError: they do not.
    """
    _refusals.check_sizes(query_dim=query_dim, num_heads=num_heads)
    check_divides("num_heads", num_heads, "query_dim", query_dim, each)


def check_parts_of_heads(attention: Attention, num_heads: int, num_kv_heads: int) -> None:
    """Refuse parts with numbers for another number of heads, and scores of each head where heads share keys.

    Raises:
        ValueError: it is so.
    """
    for part in attention.modules():
        heads = part.heads if isinstance(part, Score | Window | Normalizer) else 1
        if heads not in (1, num_heads):
            raise ValueError(
                f"{type(part).__name__} has numbers for {heads} heads, but num_heads is {num_heads}; expected as many, "
                f"or those that all share. Build it for {num_heads}."
            )
        if isinstance(part, Score) and heads not in (1, num_kv_heads):
            raise ValueError(
                f"{type(part).__name__} has a score for each of {heads} heads, but num_kv_heads is {num_kv_heads}; "
                f"expected keys for each head. Leave num_kv_heads out, or give a score that all heads share."
            )


def check_head_dim(attention: Attention, transform: QueryKeyTransform | None, head_dim: int) -> None:
    """Refuse an attention or a transform that is not for the features of a head.

    Raises:
        ValueError: it is not, or the attention is no `Attention` (a TypeError, too).
    """
    _refusals.check_part("attention", attention, Attention, "Attention(ScaledDotScore(64))")
    for name, size in (("query_dim", attention.query_dim), ("key_dim", attention.key_dim)):
        if size != head_dim:
            raise ValueError(
                f"attention has {name} {size}, but a head has {head_dim} features, query_dim / num_heads. "
                f"Build it for {head_dim}, as Attention(ScaledDotScore({head_dim})) is."
            )
    if transform is not None:
        _refusals.check_part("transform", transform, QueryKeyTransform, "QueryKeyTransform(64)")
    if transform is not None and transform.head_dim != head_dim:
        raise ValueError(
            f"transform has head_dim {transform.head_dim}, but a head has {head_dim} features, query_dim / num_heads. "
            f"Build it with head_dim={head_dim}."
        )
