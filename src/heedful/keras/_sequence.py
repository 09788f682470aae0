"""Shared by the layers over one sequence: checks, masks, shapes."""

from typing import Any

import keras

from ._checks import check_features, check_floats, check_known, check_mask, check_sequence
from ._layer import HeedfulLayer
from ._maths import Tensor, hide, ops

Shape = tuple[int | None, ...]


class SequenceLayer(HeedfulLayer):
    """A layer over `[batch, steps, features]`; subclasses say what is made of the steps.

    Call arguments:
        inputs: `[batch, steps, features]`, as `LSTM(..., return_sequences=True)` gives them; any number of steps.
        mask: boolean `[batch, steps]`, True = a real step; comes by itself from `Embedding(mask_zero=True)`.
        return_attention_scores: return the weights, too.
    """

    features: int | None = None

    def build(self, input_shape: Any) -> None:
        """Make the weights for `[batch, steps, features]`."""
        shape = self.arranged_shape(input_shape)
        check_sequence(shape)
        check_known(shape)
        self.features = shape[-1]
        self.build_weights(shape)

    def build_weights(self, shape: Any) -> None:
        """Make the weights; `shape` is checked."""
        raise NotImplementedError

    def look(self, steps: Tensor, mask: Tensor | None, need_weights: bool) -> tuple[Tensor, Any]:
        """Output and weights (or None, if they are not needed) of steps that hold zeros where the mask hides them."""
        raise NotImplementedError

    def arrange(self, inputs: Any, mask: Any) -> tuple[Tensor, Tensor | None]:
        """Inputs and mask as `[batch, steps, features]` and `[batch, steps]`."""
        return inputs, mask

    def arranged_shape(self, input_shape: Any) -> Any:
        """`arrange` of shapes."""
        return input_shape

    def weights_shape(self, shape: Any) -> Any:
        """The shape of the weights for `[batch, steps, features]`."""
        return shape[:2]

    def call(self, inputs: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """The output, and the weights if asked for."""
        steps, mask = self._arrange(inputs, mask)
        output, weights = self.look(hide(steps, mask), mask, return_attention_scores)
        return (output, ops.cast(weights, output.dtype)) if return_attention_scores else output

    def _arrange(self, inputs: Any, mask: Any) -> tuple[Tensor, Tensor | None]:
        """`arrange`, after a look at ranks and types."""
        shape = self.arranged_shape(keras.tree.map_structure(lambda tensor: tuple(tensor.shape), inputs))
        check_sequence(shape)
        check_features("the sequence", shape, "the layer", self.features)
        keras.tree.map_structure(check_floats, inputs)
        steps, mask = self.arrange(inputs, mask)
        check_mask(mask, steps.shape[:2])
        return steps, mask

    def compute_output_spec(self, inputs: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """Shapes and types of what `call` returns."""
        steps, _ = self._arrange(inputs, mask)
        output = keras.KerasTensor(self.compute_output_shape(steps.shape), self.compute_dtype)
        weights = keras.KerasTensor(self.weights_shape(steps.shape), self.compute_dtype)
        return (output, weights) if return_attention_scores else output
