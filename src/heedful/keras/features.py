"""Attention over features, and over time for each feature: it weighs and does not sum (keras-attention, 2019)."""

from typing import Any

import keras

from heedful import _refusals

from ._checks import check_features, check_floats, check_known, check_size, check_vector
from ._layer import HeedfulLayer
from ._maths import Tensor, masked_softmax, ops
from ._sequence import SequenceLayer, Shape


@keras.saving.register_keras_serializable(package="heedful")
class FeatureAttention(HeedfulLayer):
    """`weights * x` with `weights = softmax over the features of W x + b`: which features of a vector matter.

    Args:
        rescale: multiply by the number of features: the weights are its inverse on average, and would shrink what
            goes through.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[batch, features]`.
        return_attention_scores: return `(output, weights)`, both `[batch, features]`.

    Raises:
        ValueError: another rank, or whole numbers.

    >>> import numpy as np
    >>> tuple(FeatureAttention()(np.ones((2, 4))).shape)
    (2, 4)
    """

    def __init__(self, rescale: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rescale = rescale
        self.features: int | None = None

    def build(self, input_shape: Any) -> None:
        """Make the weights for `[batch, features]`."""
        check_vector(input_shape)
        check_known(input_shape, "the input", "[batch, features]")
        features = self.features = input_shape[-1]
        self.kernel = self.add_matrix("kernel", features, features)
        self.bias = self.add_weight(name="bias", shape=(features,), initializer="zeros")

    def call(self, inputs: Tensor, return_attention_scores: bool = False) -> Any:
        """The weighed features, and the weights if asked for."""
        self._check(inputs)
        weights = masked_softmax(ops.matmul(inputs, self.kernel) + self.bias)
        weights = ops.cast(weights, inputs.dtype)
        output = weights * inputs * (inputs.shape[-1] if self.rescale else 1)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """That of the input."""
        return tuple(input_shape)

    def compute_output_spec(self, inputs: Tensor, return_attention_scores: bool = False) -> Any:
        """Shapes and types of what `call` returns."""
        self._check(inputs)
        output = keras.KerasTensor(inputs.shape, self.compute_dtype)
        return (output, keras.KerasTensor(inputs.shape, self.compute_dtype)) if return_attention_scores else output

    def _check(self, inputs: Any) -> None:
        check_vector(inputs.shape)
        check_floats(inputs, "the input")
        check_features("the input", inputs.shape, "the layer", self.features)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rescale": self.rescale}


@keras.saving.register_keras_serializable(package="heedful")
class TemporalAttention(SequenceLayer):
    """`weights * x`, `weights[:, f] = softmax over the steps of W x[:, f] + b`: which steps matter to each feature.

    Use it before a recurrent layer, on its inputs, or behind one, on its outputs.

    Args:
        max_steps: the longest sequence; that of the input when left out. For a shorter one the first rows and columns
            of `W` are used.
        single_vector: one weight for each step, the mean over the features.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[batch, steps, features]`.
        mask: boolean `[batch, steps]`, True = a real step.
        return_attention_scores: return `(output, weights)`, both `[batch, steps, features]`.

    Output: `[batch, steps, features]`, zeros where a step is hidden.

    Raises:
        ValueError: an unknown or too large number of steps, another rank, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> tuple(TemporalAttention(max_steps=7)(np.ones((2, 5, 3))).shape)
    (2, 5, 3)
    """

    def __init__(self, max_steps: int | None = None, single_vector: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_steps is not None:
            check_size("max_steps", max_steps)
        self.max_steps, self.single_vector = max_steps, single_vector

    def build_weights(self, shape: Any) -> None:
        steps = self.max_steps or shape[1]
        if steps is None:
            raise ValueError(
                f"the sequence has shape {tuple(shape)}, an unknown number of steps; this layer has a weight for each "
                "pair of steps. Name the longest, TemporalAttention(max_steps=...)."
            )
        self.features = None  # the weights are of steps: any features will do
        self.kernel = self.add_matrix("kernel", steps, steps)
        self.bias = self.add_weight(name="bias", shape=(steps,), initializer="zeros")

    def look(self, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        count, longest = steps.shape[1], self.bias.shape[0]
        if count is not None and count > longest:
            raise _refusals.too_long(count, longest, "max_steps")
        count = ops.shape(steps)[1]
        scores = ops.matmul(ops.swapaxes(steps, 1, 2), self.kernel[:count, :count]) + self.bias[:count]
        weights = masked_softmax(scores, None if mask is None else mask[:, None])
        weights = ops.cast(ops.swapaxes(weights, 1, 2), steps.dtype)
        if self.single_vector:
            weights = ops.broadcast_to(ops.mean(weights, 2, keepdims=True), ops.shape(steps))
        return weights * steps, weights

    def weights_shape(self, shape: Any) -> Any:
        return shape

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the input."""
        return previous_mask

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """That of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_steps": self.max_steps, "single_vector": self.single_vector}
