"""Additive attention with its projections (Bahdanau, Cho and Bengio 2015)."""

from typing import Any

import keras

from ._additive import additive_attention, additive_scores
from ._checks import check_size
from ._maths import Tensor, project
from ._pair import PairLayer


@keras.saving.register_keras_serializable(package="heedful")
class AdditiveAttention(PairLayer):
    """`softmax_k(energy . tanh(W query + U key + b))` (Bahdanau et al. 2015, section 3.1, appendix A.1.2).

    `keras.layers.AdditiveAttention` adds query and key as they are; this is the paper's, with its two matrices, so that
    query and key may have different sizes. The tensor `batch x queries x keys x units` is never built.

    Args:
        units: features of the tanh layer.
        use_bias: add the vector `b`, which starts at 0.
        dropout: share of the weights that is dropped in training.
        seed: of the dropout.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments and output: `[query, value]` or `[query, value, key]`, `mask=[query_mask, value_mask]`,
    `return_attention_scores`, `use_causal_mask`, `training`, as `keras.layers.Attention` takes them. Queries without a
    key to look at get zeros.

    Raises:
        ValueError: a size that is not positive, another rank, no steps, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> states, sentence = np.ones((2, 3, 4)), np.ones((2, 7, 5))
    >>> tuple(AdditiveAttention(units=6)([states, sentence]).shape)
    (2, 3, 5)
    """

    def __init__(
        self, units: int, use_bias: bool = False, dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(dropout, seed, **kwargs)
        check_size("units", units)
        self.units, self.use_bias = units, use_bias

    def build_score(self, query_dim: int, key_dim: int) -> None:
        self.query_kernel = self.add_matrix("query_kernel", query_dim, self.units)
        self.key_kernel = self.add_matrix("key_kernel", key_dim, self.units)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros") if self.use_bias else None
        self.energy = self.add_energy(self.units)

    def remember(self, key: Tensor) -> Tensor:
        key = project(key, self.key_kernel)
        return key if self.bias is None else key + self.bias

    def compare(self, query: Tensor, remembered: Tensor) -> Tensor:
        return additive_scores(project(query, self.query_kernel), remembered, self.energy)

    def look(
        self,
        query: Tensor,
        remembered: Tensor,
        value: Tensor,
        mask: Tensor | None,
        need_weights: bool = False,
        dropped: bool = False,
    ) -> tuple[Tensor, Any]:
        if dropped:
            return super().look(query, remembered, value, mask, need_weights, dropped)
        query = project(query, self.query_kernel)
        return additive_attention(query, remembered, value, self.energy, mask, need_weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}
