"""Bad input is refused here, for every layer in the same words: what came, what was expected, the way out."""

from collections.abc import Sequence
from typing import Any

from keras import backend

Shape = Sequence[int | None]


def check_choice(name: str, given: Any, *expected: str) -> None:
    """Refuse a word that is not one of `expected`. Raises ValueError."""
    if given not in expected:
        raise ValueError(f"{name} is {given!r}; expected one of {', '.join(map(repr, expected))}.")


def check_size(name: str, given: Any) -> None:
    """Refuse a size that is not a whole number from 1 up. Raises ValueError."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{name} is {given!r}; expected a positive number of features.")


def check_dropout(given: float) -> None:
    """Refuse what is no share from 0 to below 1. Raises ValueError."""
    if not 0 <= given < 1:
        raise ValueError(f"dropout is {given!r}; expected a share of the weights from 0 to below 1.")


def check_sequence(shape: Shape, name: str = "the sequence", axes: str = "[batch, steps, features]") -> None:
    """Refuse the shape of what is no batch of sequences of known features. Raises ValueError."""
    if len(shape) != 3:
        raise ValueError(
            f"{name} has shape {tuple(shape)}; expected {axes}. For one sequence write sequence[None]; a recurrent "
            "layer must return all its steps, return_sequences=True."
        )
    if shape[1] == 0:
        raise ValueError(f"{name} has shape {tuple(shape)}, no steps; expected {axes} with at least one step.")
    if shape[2] is None:
        raise ValueError(f"{name} has shape {tuple(shape)}; expected {axes} with a known number of features.")


def check_floats(tensor: Any, name: str = "the sequence") -> None:
    """Refuse whole numbers, which are token ids more often than not. Raises ValueError."""
    dtype = backend.standardize_dtype(tensor.dtype)
    if not backend.is_float_dtype(dtype):
        raise ValueError(
            f"{name} is {dtype}; expected floating-point features. Put keras.layers.Embedding before this layer, or "
            "cast them."
        )


def check_mask(mask: Any, shape: Shape, axes: str = "[batch, steps]", name: str = "mask") -> None:
    """Refuse a mask that is not boolean or not of `shape`, where `None` stands for any size. Raises ValueError."""
    if mask is None:
        return
    dtype = getattr(mask, "dtype", None)
    came = f"a {type(mask).__name__}" if dtype is None else backend.standardize_dtype(dtype)
    if came != "bool":
        raise ValueError(f"{name} is {came}; a mask is boolean, True where one may look. Write `mask=numbers > 0`.")
    fits = len(mask.shape) == len(shape)
    fits = fits and all(None in pair or pair[0] == pair[1] for pair in zip(mask.shape, shape, strict=True))
    if not fits:
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}; expected {axes} = {list(shape)}. "
            "`keras.layers.Embedding(mask_zero=True)` and `keras.layers.Masking` give such a mask."
        )
