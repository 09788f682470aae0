"""Many steps in, one vector out, asked by the last step: the drop-in for the layer of keras-attention."""

from typing import Any

import keras

from ._additive import additive_attention
from ._checks import check_choice, check_size
from ._maths import Tensor, last_visible, masked_softmax, ops, project, read, widen
from ._sequence import SequenceLayer, Shape


@keras.saving.register_keras_serializable(package="heedful")
class Attention(SequenceLayer):
    """`tanh(W [context; last])`: the last real step is the query (Luong et al. 2015, section 3.1, equation 5).

    Scores of a step: "luong" `last . W step`, "bahdanau" `energy . tanh(W last + U step)`, "dot" `last . step`,
    "scaled_dot" the same over the root of the features; no biases. That the last step stands for the decoder state is
    from the package `attention` 5.0; here steps that the mask hides count neither as steps nor as the last.

    Args:
        units: features of the vector that comes out.
        score: "luong", "bahdanau", "dot" or "scaled_dot".
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[batch, steps, features]`, as `LSTM(..., return_sequences=True)` gives them; any number of steps.
        mask: boolean `[batch, steps]`, True = a real step; comes by itself from `Embedding(mask_zero=True)`.
        return_attention_scores: return `(vector, weights)`, with weights `[batch, steps]`.

    Output: `[batch, units]`; zeros for a sequence without a real step.

    Raises:
        ValueError: an unknown score, another rank, no steps, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> vector, weights = Attention(units=3)(np.ones((2, 7, 5)), return_attention_scores=True)
    >>> tuple(vector.shape), tuple(weights.shape)
    ((2, 3), (2, 7))
    """

    def __init__(self, units: int = 128, score: str = "luong", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_size("units", units)
        check_choice("score", score, "luong", "bahdanau", "dot", "scaled_dot")
        self.units, self.score = units, score

    def build_weights(self, shape: Any) -> None:
        features = shape[-1]
        if self.score == "luong":
            self.score_kernel = self.add_matrix("score_kernel", features, features)
        if self.score == "bahdanau":
            self.query_kernel = self.add_matrix("query_kernel", features, features)
            self.key_kernel = self.add_matrix("key_kernel", features, features)
            # Glorot uniform as of a matrix of one column, which it is in the layer that this one replaces
            limit = (6 / (features + 1)) ** 0.5
            start = keras.initializers.RandomUniform(-limit, limit)
            self.energy = self.add_weight(name="energy", shape=(features,), initializer=start)
        self.output_kernel = self.add_matrix("output_kernel", 2 * features, self.units)

    def look(self, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        last = last_visible(steps, mask)[:, None]
        context, weights = self._context(last, steps, None if mask is None else mask[:, None], need_weights)
        vector = ops.tanh(project(ops.concatenate([context, last], -1), self.output_kernel))
        return vector[:, 0], None if weights is None else weights[:, 0]

    def _context(self, last: Tensor, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        if self.score == "bahdanau":
            query, key = project(last, self.query_kernel), project(steps, self.key_kernel)
            return additive_attention(query, key, steps, self.energy, mask, need_weights)
        # there is one query: W is taken to it, not to every step
        query = project(last, ops.transpose(self.score_kernel)) if self.score == "luong" else last
        query = query / steps.shape[-1] ** 0.5 if self.score == "scaled_dot" else query
        # in half precision a product of many features overflows
        weights = masked_softmax(ops.matmul(widen(query), ops.swapaxes(widen(steps), 1, 2)), mask)
        return read(weights, steps), weights

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """`(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "score": self.score}
