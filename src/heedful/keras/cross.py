"""Cross attention of a whole decoder over a whole encoder: the drop-in for the layer of attention_keras."""

from typing import Any

import keras

from ._checks import check_size
from ._layer import HeedfulLayer
from .additive import AdditiveAttention


@keras.saving.register_keras_serializable(package="heedful")
class AttentionLayer(HeedfulLayer):
    """`AdditiveAttention` for `[encoder_outputs, decoder_outputs]`; returns `(context, weights)`.

    Encoder and decoder may differ in features and in length.

    Args:
        units: features of the tanh layer; those of the encoder when left out.
        use_bias: add a vector inside the tanh.
        **kwargs: `kernel_initializer`, `kernel_regularizer`, and those of every Keras layer.

    Call arguments:
        inputs: `[encoder_outputs, decoder_outputs]`, `[batch, source, features]` and `[batch, target, features]`.
        mask: `[encoder_mask, decoder_mask]`, boolean, True = real, either may be None.
        return_attention_scores: True, unless the context is wanted alone.

    Output: context `[batch, target, encoder features]` and weights `[batch, target, source]`.

    Raises:
        ValueError: a size that is not positive, another rank, no steps, whole numbers, or a mask that does not fit.

    >>> import numpy as np
    >>> context, weights = AttentionLayer()([np.ones((2, 7, 5)), np.ones((2, 3, 4))])
    >>> tuple(context.shape), tuple(weights.shape)
    ((2, 3, 5), (2, 3, 7))
    """

    def __init__(self, units: int | None = None, use_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units is not None:
            check_size("units", units)
        self.units, self.use_bias = units, use_bias

    def build(self, input_shape: Any) -> None:
        """Make the weights for the shapes of encoder and decoder."""
        encoder, decoder = _two(input_shape)
        self.additive = AdditiveAttention(
            self.units or encoder[-1],
            self.use_bias,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="additive",
        )
        self.additive.build([decoder, encoder])

    def call(self, inputs: Any, mask: Any = None, return_attention_scores: bool = True) -> Any:
        """Context and weights."""
        how = {"mask": _turned(mask, "mask"), "return_attention_scores": return_attention_scores}
        return self.additive(_turned(inputs), **how)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the decoder, for the context; none for the weights."""
        return None if previous_mask is None else [previous_mask[1], None]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of context and weights."""
        encoder, decoder = _two(input_shape)
        return (*decoder[:-1], encoder[-1]), (decoder[0], decoder[1], encoder[1])

    def compute_output_spec(self, inputs: Any, mask: Any = None, return_attention_scores: bool = True) -> Any:
        """Shapes and types of what `call` returns."""
        how = {"mask": _turned(mask, "mask"), "return_attention_scores": return_attention_scores}
        return self.additive.compute_output_spec(_turned(inputs), **how)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}


def _two(inputs: Any, name: str = "inputs") -> tuple[Any, Any]:
    several = isinstance(inputs, list | tuple) and not (inputs and isinstance(inputs[0], int))
    if not several or len(inputs) != 2:
        came = f"{len(inputs)} of them" if several else "a single tensor"
        raise ValueError(f"{name} is {came}; expected a list of two, of the encoder and of the decoder.")
    return inputs[0], inputs[1]


def _turned(inputs: Any, name: str = "inputs") -> list[Any] | None:
    """Decoder before encoder: query before value."""
    return None if inputs is None else [*_two(inputs, name)][::-1]
