"""Pooling by a learned query: the word level of hierarchical attention networks (Yang et al. 2016)."""

from typing import Any

import keras

from ._additive import additive_attention
from ._checks import check_size
from ._maths import Tensor, ops, project
from ._sequence import SequenceLayer, Shape


@keras.saving.register_keras_serializable(package="heedful")
class AttentionPooling(SequenceLayer):
    """`sum of weights * step`, `weights = softmax(context_vector . tanh(W step + b))` (Yang et al. 2016, eq. 5 to 7).

    Args:
        units: features of the tanh layer.
        time_major: the input is `[steps, batch, features]`, and so is its mask.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[batch, steps, features]`, or a pair of such, `(forward, backward)`, joined along the features.
        mask: boolean `[batch, steps]`, True = a real step; of a pair the first that is not None.
        return_attention_scores: return `(vector, weights)`, with weights `[batch, steps]`.

    Output: `[batch, features]`; zeros for a sequence without a real step.

    Raises:
        ValueError: a size that is not positive, another rank, no steps, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> forward, backward = np.ones((7, 2, 3)), np.ones((7, 2, 3))
    >>> tuple(AttentionPooling(units=5, time_major=True)((forward, backward)).shape)
    (2, 6)
    """

    def __init__(self, units: int, time_major: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_size("units", units)
        self.units, self.time_major = units, time_major

    def build_weights(self, shape: Any) -> None:
        self.kernel = self.add_matrix("kernel", shape[-1], self.units)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.context_vector = self.add_energy(self.units, "context_vector")

    def look(self, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        query = ops.broadcast_to(self.bias, (ops.shape(steps)[0], 1, self.units))
        mask = None if mask is None else mask[:, None]
        key = project(steps, self.kernel)
        context, weights = additive_attention(query, key, steps, self.context_vector, mask, need_weights)
        return context[:, 0], None if weights is None else weights[:, 0]

    def arrange(self, inputs: Any, mask: Any) -> tuple[Tensor, Tensor | None]:
        if isinstance(inputs, list | tuple):
            inputs = ops.concatenate(inputs, -1)
        if isinstance(mask, list | tuple):
            mask = next((part for part in mask if part is not None), None)
        if not self.time_major:
            return inputs, mask
        return ops.swapaxes(inputs, 0, 1), None if mask is None else ops.swapaxes(mask, 0, 1)

    def arranged_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape[0], list | tuple):
            input_shape = joined_shape(input_shape)
        if self.time_major and len(input_shape) == 3:
            return (input_shape[1], input_shape[0], input_shape[2])
        return input_shape

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """`(batch, features)`, from a shape with the batch in front."""
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "time_major": self.time_major}


def joined_shape(shapes: Any) -> Shape:
    """The shape of several sequences joined along their features. Raises ValueError where they do not fit."""
    first, *others = shapes
    if any(len(other) != len(first) or tuple(other[:-1]) != tuple(first[:-1]) for other in others):
        raise ValueError(
            f"the directions have shapes {', '.join(str(tuple(shape)) for shape in shapes)}; expected the same batch "
            "and steps, (forward, backward) of one recurrent layer."
        )
    return (*first[:-1], sum(shape[-1] for shape in shapes))
