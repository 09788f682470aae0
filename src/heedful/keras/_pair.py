"""Shared by the layers over a query and a value: Keras' own calling convention, checks, masks, dropout."""

from typing import Any

import keras

from heedful import _refusals

from ._checks import check_dropout, check_features, check_floats, check_known, check_mask, check_sequence
from ._layer import HeedfulLayer
from ._maths import Tensor, hide, masked_softmax, ops, read


class PairLayer(HeedfulLayer):
    """Queries look at keys and read values, called as `keras.layers.Attention` is.

    Call arguments:
        inputs: `[query, value]` or `[query, value, key]`, each `[batch, queries or keys, features]`.
        mask: `[query_mask, value_mask]`, boolean `[batch, queries]` and `[batch, keys]`, True = real, either may be
            None; comes by itself from `Embedding(mask_zero=True)`.
        return_attention_scores: return `(context, weights)`, with weights `[batch, queries, keys]`, before dropout.
        training: whether weights are dropped.
        use_causal_mask: query `i` sees no key after `i`.

    Output: `[batch, queries, value features]`. Hidden queries, and those that see no key, get zeros; a hidden key may
    hold anything, NaN too.
    """

    def __init__(self, dropout: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_dropout(dropout)
        self.dropout, self.seed = dropout, seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.query_dim: int | None = None
        self.key_dim: int | None = None

    def build(self, input_shape: Any) -> None:
        """Make the weights for the shapes of query, value and, if given, key."""
        query, value, key = _named(input_shape)
        _check_shapes(query, value, key)
        for name, shape, axes in (("query", query, "queries"), ("key", key, "keys")):
            check_known(shape, name, f"[batch, {axes}, features]")
        self.check_sizes(query, key)
        self.query_dim, self.key_dim = query[-1], key[-1]
        self.build_score(query[-1], key[-1])

    def check_sizes(self, query: Any, key: Any) -> None:
        """Refuse the shapes of a query and a key that the score has no weights for."""
        check_features("query", query, type(self).__name__, self.query_dim)
        check_features("key", key, type(self).__name__, self.key_dim)

    def build_score(self, query_dim: int, key_dim: int) -> None:
        """Make the weights of the score; a layer without any makes none."""

    def remember(self, key: Tensor) -> Tensor:
        """What of the keys does not depend on the query: computed once, for all queries and decoding steps."""
        return key

    def compare(self, query: Tensor, remembered: Tensor) -> Tensor:
        """Scores `[batch, queries, keys]`."""
        raise NotImplementedError

    def look(
        self,
        query: Tensor,
        remembered: Tensor,
        value: Tensor,
        mask: Tensor | None,
        need_weights: bool = False,
        dropped: bool = False,
    ) -> tuple[Tensor, Any]:
        """Context, and weights if they are wanted or come for free; `mask` broadcasts to the scores."""
        weights = masked_softmax(self.compare(query, remembered), mask)
        return self.read(weights, value, dropped), weights

    def read(self, weights: Tensor, value: Tensor, dropped: bool) -> Tensor:
        """The weighted sums of the values, with dropout if `dropped`."""
        if dropped:
            weights = keras.random.dropout(weights, self.dropout, seed=self.seed_generator)
        return read(weights, value)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The context, and the weights if asked for."""
        query, value, key = _named(inputs)
        query_mask, value_mask = self._check(inputs, mask)
        key, value = (hide(key, value_mask),) * 2 if key is value else (hide(key, value_mask), hide(value, value_mask))
        seen = None if value_mask is None else value_mask[:, None]
        if query_mask is not None:
            query = hide(query, query_mask)
            seen = _both(seen, query_mask[:, :, None])
        if use_causal_mask:
            places, others = ops.arange(ops.shape(query)[1]), ops.arange(ops.shape(key)[1])
            seen = _both(seen, (places[:, None] >= others)[None])
        dropped = bool(training and self.dropout)
        context, weights = self.look(query, self.remember(key), value, seen, return_attention_scores, dropped)
        return (context, ops.cast(weights, context.dtype)) if return_attention_scores else context

    def _check(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Refuse what does not fit; the masks of query and value."""
        query, value, key = _named(inputs)
        _check_shapes(query.shape, value.shape, key.shape)
        self.check_sizes(query.shape, key.shape)
        for name, tensor in (("query", query), ("value", value), ("key", key)):
            check_floats(tensor, name)
        query_mask, value_mask = _masks(mask)
        check_mask(query_mask, query.shape[:2], "[batch, queries]", "the query's mask")
        check_mask(value_mask, value.shape[:2], "[batch, keys]", "the value's mask")
        return query_mask, value_mask

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the query."""
        return _masks(previous_mask)[0]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """`(batch, queries, value features)`."""
        query, value, _ = _named(input_shape)
        return (*query[:-1], value[-1])

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Shapes and types of what `call` returns."""
        self._check(inputs, mask)
        query, value, key = _named(inputs)
        context = keras.KerasTensor(self.compute_output_shape([query.shape, value.shape]), self.compute_dtype)
        weights = keras.KerasTensor((*query.shape[:-1], key.shape[1]), self.compute_dtype)
        return (context, weights) if return_attention_scores else context

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropout": self.dropout, "seed": self.seed}


def _named(inputs: Any) -> tuple[Any, Any, Any]:
    """Query, value and key, of tensors or of shapes; the key is the value when left out."""
    # a list of numbers or None is the shape of one tensor
    several = isinstance(inputs, list | tuple) and not (inputs and isinstance(inputs[0], int | None))
    if not several or len(inputs) not in (2, 3):
        came = f"{len(inputs)} of them" if several else "a single tensor"
        raise ValueError(f"inputs is {came}; expected a list, [query, value] or [query, value, key].")
    query, value, *key = inputs
    return query, value, key[0] if key else value


def _masks(mask: Any) -> tuple[Any, Any]:
    """The masks of query and value."""
    if mask is None:
        return None, None
    if not isinstance(mask, list | tuple) or len(mask) not in (2, 3):
        raise ValueError(
            f"mask is a {type(mask).__name__}; expected a list, [query_mask, value_mask], either of which may be None."
        )
    return mask[0], mask[1]


def _both(mask: Tensor | None, other: Tensor) -> Tensor:
    return other if mask is None else ops.logical_and(mask, other)


def _check_shapes(query: Any, value: Any, key: Any) -> None:
    for name, shape, axes in (("query", query, "queries"), ("value", value, "keys"), ("key", key, "keys")):
        check_sequence(shape, name, f"[batch, {axes}, features]")
    if None not in (query[0], key[0]) and query[0] != key[0]:
        raise _refusals.other_batch(query[0], key[0])
    if any(None not in pair and pair[0] != pair[1] for pair in zip(value[:2], key[:2], strict=True)):
        raise _refusals.not_a_value_for_each_key(value, key)
