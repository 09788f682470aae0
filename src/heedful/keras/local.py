"""Local attention: a window of keys around one place (Luong, Pham and Manning 2015, section 3.2)."""

from typing import Any

import keras

from ._checks import check_choice, check_features, check_size
from ._maths import Tensor, masked_softmax, ops, project, widen
from .dot import DotAttention


@keras.saving.register_keras_serializable(package="heedful")
class LuongLocalAttention(DotAttention):
    """Looks at most `half_width` keys away from `p` (Luong et al. 2015, section 3.2, equations 9 and 10).

    "predictive" (local-p) takes `p = S sigmoid(v . tanh(W query))`, S being the number of real keys, and multiplies the
    softmax inside the window by `exp(-(s - p)^2 / (2 sigma^2))`, `sigma = half_width / 2`: the weights sum to less than
    1. "monotonic" (local-m) takes `p = t`, the number of the query. Places count real keys, wherever padding is.

    Args:
        mode: "predictive" or "monotonic".
        score: "general", "dot" or "scaled_dot".
        half_width: keys on each side of the place; 10 in the paper.
        clamp: with "monotonic", stay at the last key once the target is longer than the source.
        dropout: share of the weights that is dropped in training.
        seed: of the dropout.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments and output: as `DotAttention`. Queries without a key to look at get zeros.

    Raises:
        ValueError: an unknown mode or score, sizes that a dot product cannot compare, another rank, no steps, whole
            numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> attention = LuongLocalAttention("monotonic", half_width=1, clamp=True)
    >>> _, weights = attention([np.ones((1, 3, 4)), np.ones((1, 5, 4))], return_attention_scores=True)
    >>> [int(keras.ops.sum(row > 0)) for row in weights[0]]
    [2, 3, 3]
    """

    def __init__(
        self,
        mode: str = "predictive",
        score: str = "general",
        half_width: int = 10,
        clamp: bool = False,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(score, dropout, seed, **kwargs)
        check_choice("mode", mode, "predictive", "monotonic")
        check_size("half_width", half_width)
        self.mode, self.half_width, self.clamp = mode, half_width, clamp

    def check_sizes(self, query: Any, key: Any) -> None:
        super().check_sizes(query, key)
        if self.mode == "predictive":
            check_features("query", query, type(self).__name__, self.query_dim)

    def build_score(self, query_dim: int, key_dim: int) -> None:
        super().build_score(query_dim, key_dim)
        if self.mode == "predictive":
            self.place_kernel = self.add_matrix("place_kernel", query_dim, query_dim)
            self.place_vector = self.add_matrix("place_vector", query_dim, 1)

    def look(
        self,
        query: Tensor,
        remembered: Tensor,
        value: Tensor,
        mask: Tensor | None,
        need_weights: bool = False,
        dropped: bool = False,
    ) -> tuple[Tensor, Any]:
        scores = self.compare(query, remembered)
        # real keys are those that some query may see; padding may stand in front of them
        real = (
            ops.ones_like(scores[:1, :1]) if mask is None else ops.cast(ops.any(mask, 1, keepdims=True), scores.dtype)
        )
        places = ops.cumsum(real, -1) - 1
        center = self._center(query, ops.sum(real, -1, keepdims=True))
        window = ops.abs(places - ops.round(center)) <= self.half_width
        weights = masked_softmax(scores, window if mask is None else ops.logical_and(window, mask))
        if self.mode == "predictive":
            weights = weights * ops.exp(-2 * ops.square((places - center) / self.half_width))
        return self.read(weights, value, dropped), weights

    def _center(self, query: Tensor, count: Tensor) -> Tensor:
        """The place of each query, `[batch, queries, 1]`, counted from 0."""
        if self.mode == "predictive":
            inner = ops.tanh(project(query, self.place_kernel))
            return count * ops.sigmoid(widen(project(inner, self.place_vector)))
        place = ops.cast(ops.arange(ops.shape(query)[1]), count.dtype)[:, None]
        place = ops.broadcast_to(place, (ops.shape(query)[0], ops.shape(query)[1], 1))
        return ops.minimum(place, count - 1) if self.clamp else place

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "half_width": self.half_width, "clamp": self.clamp}
