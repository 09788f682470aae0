"""Sine attention: additive in form, a dot product in fact (heedful 2026, docs/sine_attention.md)."""

from typing import Any

import keras

from ._checks import check_size
from ._maths import Tensor, ops, project, widen
from ._pair import PairLayer


@keras.saving.register_keras_serializable(package="heedful")
class SineAttention(PairLayer):
    """`softmax_k(energy . sin(W query + U key + b))` (docs/sine_attention.md, section 1).

    `AdditiveAttention` with sine in place of tanh; since `sin(x + y) = sin x cos y + cos x sin y`, the scores are one
    matrix product.

    Args:
        units: features of the sine layer.
        harmonics: sines of each unit, `sum over m of energy_m sin(m x + b_m)`.
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
    >>> tuple(SineAttention(units=6)([states, sentence]).shape)
    (2, 3, 5)
    """

    def __init__(
        self, units: int, harmonics: int = 1, dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(dropout, seed, **kwargs)
        check_size("units", units)
        check_size("harmonics", harmonics)
        self.units, self.harmonics = units, harmonics

    def build_score(self, query_dim: int, key_dim: int) -> None:
        self.query_kernel = self.add_matrix("query_kernel", query_dim, self.units)
        self.key_kernel = self.add_matrix("key_kernel", key_dim, self.units)
        shape = (self.harmonics, self.units)
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")
        self.energy = self.add_weight(name="energy", shape=shape, initializer=self._first_energy)

    def _first_energy(self, shape: Any, dtype: Any = None) -> Tensor:
        start = keras.random.normal(shape, stddev=self.units**-0.5, dtype=dtype)
        return start / ops.cast(self._counts(), start.dtype)

    def _counts(self) -> Tensor:
        """`[harmonics, 1]`."""
        return ops.arange(1, self.harmonics + 1)[:, None]

    def _phases(self, steps: Tensor, kernel: Any) -> Tensor:
        """`[batch, steps, harmonics, units]`."""
        projected = widen(project(steps, kernel))[:, :, None]
        return projected * ops.cast(self._counts(), projected.dtype)

    def _features(self, parts: list[Tensor]) -> Tensor:
        joined = ops.concatenate(parts, -1)
        return ops.reshape(joined, (-1, ops.shape(joined)[1], 2 * self.harmonics * self.units))

    def remember(self, key: Tensor) -> Tensor:
        phase = self._phases(key, self.key_kernel)
        phase = phase + ops.cast(self.bias, phase.dtype)
        return self._features([ops.cos(phase), ops.sin(phase)])

    def compare(self, query: Tensor, remembered: Tensor) -> Tensor:
        phase = self._phases(query, self.query_kernel)
        energy = ops.cast(self.energy, phase.dtype)
        features = self._features([ops.sin(phase) * energy, ops.cos(phase) * energy])
        return ops.matmul(features, ops.swapaxes(remembered, 1, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "harmonics": self.harmonics}
