"""Structured self-attention: several looks at one sequence (Lin et al. 2017, section 2.1)."""

from typing import Any

import keras

from ._checks import check_size
from ._maths import Tensor, masked_softmax, ops, project, read
from ._sequence import SequenceLayer, Shape


@keras.saving.register_keras_serializable(package="heedful")
class SelfAttentivePooling(SequenceLayer):
    """`A x` with `A = softmax over the steps of W_2 tanh(W_1 x)`: each hop has weights and a vector of its own.

    The paper's sizes are 350 and 30; `keras.layers.Flatten` makes one vector of the hops.

    Args:
        units: features of the tanh layer.
        hops: how many times the sequence is looked at.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[batch, steps, features]`.
        mask: boolean `[batch, steps]`, True = a real step.
        return_attention_scores: return `(context, weights)`, with weights `[batch, hops, steps]`.

    Output: `[batch, hops, features]`; zeros for a sequence without a real step.

    Raises:
        ValueError: a size that is not positive, another rank, no steps, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> tuple(SelfAttentivePooling(units=7, hops=3)(np.ones((2, 4, 5))).shape)
    (2, 3, 5)
    """

    def __init__(self, units: int, hops: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_size("units", units)
        check_size("hops", hops)
        self.units, self.hops = units, hops

    def build_weights(self, shape: Any) -> None:
        self.inner_kernel = self.add_matrix("inner_kernel", shape[-1], self.units)
        self.hop_kernel = self.add_matrix("hop_kernel", self.units, self.hops)

    def look(self, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        scores = project(ops.tanh(project(steps, self.inner_kernel)), self.hop_kernel)
        weights = masked_softmax(ops.swapaxes(scores, 1, 2), None if mask is None else mask[:, None])
        return read(weights, steps), weights

    def weights_shape(self, shape: Any) -> Any:
        return (shape[0], self.hops, shape[1])

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """`(batch, hops, features)`."""
        return (input_shape[0], self.hops, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "hops": self.hops}
