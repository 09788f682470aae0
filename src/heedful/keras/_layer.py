"""Shared by all layers: initialisation, and a configuration that builds the same layer again."""

from typing import Any

import keras


class HeedfulLayer(keras.layers.Layer):
    """A layer that understands masks and whose matrices share one initialiser and one regulariser.

    Args:
        kernel_initializer: how every matrix starts.
        kernel_regularizer: a penalty on every matrix.
        **kwargs: those of every Keras layer, such as `name` and `dtype`.
    """

    def __init__(
        self, kernel_initializer: Any = "glorot_uniform", kernel_regularizer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def add_matrix(self, name: str, *shape: int) -> Any:
        """A matrix `[inputs, outputs]`, multiplied from the right."""
        return self.add_weight(
            name=name, shape=shape, initializer=self.fresh_initializer(), regularizer=self.kernel_regularizer
        )

    def fresh_initializer(self) -> Any:
        """A copy: an initialiser without a seed of the user's draws the same numbers each time it is called."""
        start = self.kernel_initializer
        return start.clone() if isinstance(start, keras.initializers.Initializer) else start

    def add_energy(self, units: int, name: str = "energy") -> Any:
        """The vector of an additive score, normal with standard deviation `units ** -0.5`."""
        start = keras.initializers.RandomNormal(stddev=units**-0.5)
        return self.add_weight(name=name, shape=(units,), initializer=start)

    def get_config(self) -> dict[str, Any]:
        """All that is needed to build the layer again."""
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """No mask: the output has no steps."""
        return None
