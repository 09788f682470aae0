"""Dot-product attention, plain, scaled or through a matrix (Luong, Pham and Manning 2015)."""

from typing import Any

import keras

from heedful import _refusals

from ._checks import check_choice
from ._maths import Tensor, ops, project, widen
from ._pair import PairLayer


@keras.saving.register_keras_serializable(package="heedful")
class DotAttention(PairLayer):
    """`softmax_k(query . W key)`, or without the matrix (Luong et al. 2015, section 3.1, "general" and "dot").

    "scaled_dot" divides `query . key` by the root of its features (Vaswani et al. 2017, equation 1).

    Args:
        score: "general", whose query and key may have different sizes, "dot" or "scaled_dot".
        dropout: share of the weights that is dropped in training.
        seed: of the dropout.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments and output: `[query, value]` or `[query, value, key]`, `mask=[query_mask, value_mask]`,
    `return_attention_scores`, `use_causal_mask`, `training`, as `keras.layers.Attention` takes them. Queries without a
    key to look at get zeros.

    Raises:
        ValueError: an unknown score, sizes that a dot product cannot compare, another rank, no steps, whole numbers, or
            a mask that does not fit.

    >>> import numpy as np
    >>> states, sentence = np.ones((2, 3, 4)), np.ones((2, 7, 5))
    >>> context, weights = DotAttention()([states, sentence], return_attention_scores=True)
    >>> tuple(context.shape), tuple(weights.shape)
    ((2, 3, 5), (2, 3, 7))
    """

    def __init__(self, score: str = "general", dropout: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(dropout, seed, **kwargs)
        check_choice("score", score, "general", "dot", "scaled_dot")
        self.score = score

    def check_sizes(self, query: Any, key: Any) -> None:
        if self.score == "general":
            super().check_sizes(query, key)
        elif None not in (query[-1], key[-1]) and query[-1] != key[-1]:
            raise _refusals.no_direct_comparison(key[-1], query[-1], repr(self.score), 'score="general"')

    def build_score(self, query_dim: int, key_dim: int) -> None:
        if self.score == "general":
            self.score_kernel = self.add_matrix("score_kernel", query_dim, key_dim)

    def remember(self, key: Tensor) -> Tensor:
        if self.score == "general":
            return project(key, ops.transpose(self.score_kernel))
        return key / key.shape[-1] ** 0.5 if self.score == "scaled_dot" else key

    def compare(self, query: Tensor, remembered: Tensor) -> Tensor:
        # in half precision a product of many features overflows
        return ops.matmul(widen(query), ops.swapaxes(widen(remembered), 1, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score}
