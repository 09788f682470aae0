"""Bad input is refused here, for every layer, in the words of `heedful._refusals`."""

from typing import Any

from keras import backend

from heedful import _refusals
from heedful._refusals import SEQUENCE, Shape


def check_choice(name: str, given: Any, *expected: str) -> None:
    """Refuse a word that is not one of `expected`. Raises ValueError."""
    if given not in expected:
        raise _refusals.unknown_choice(name, given, expected)


def check_size(name: str, given: Any) -> None:
    """Refuse a size that is not a whole number from 1 up. Raises ValueError."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise _refusals.no_size(name, given)


def check_dropout(given: float) -> None:
    """Refuse a dropout outside [0, 1). Raises ValueError."""
    if not isinstance(given, int | float) or not 0 <= given < 1:
        raise _refusals.no_share(given)


def check_sequence(shape: Shape, name: str = "the sequence", axes: str = SEQUENCE) -> None:
    """Refuse a shape that is not that of a batch of sequences. Raises ValueError."""
    if len(shape) != 3:
        raise _refusals.not_a_sequence(shape) if axes == SEQUENCE else _refusals.not_three_axes(name, shape, axes)
    if shape[1] == 0:
        raise _refusals.no_steps(shape, name, axes)


def check_known(shape: Shape, name: str = "the sequence", axes: str = SEQUENCE) -> None:
    """Refuse to make weights for features whose number is not known. Raises ValueError."""
    if shape[-1] is None:
        raise ValueError(f"{name} has shape {tuple(shape)}; expected {axes} with a known number of features.")


def check_vector(shape: Shape) -> None:
    """Refuse a shape that is not that of a batch of vectors. Raises ValueError."""
    if len(shape) != 2:
        raise _refusals.not_a_vector(shape, "TemporalAttention")


def check_features(name: str, shape: Shape, who: str, expected: int | None) -> None:
    """Refuse other features than the layer was built for; `None`: it is not built, or takes any. Raises ValueError."""
    came = shape[-1]
    if expected is not None and came is not None and came != expected:
        raise _refusals.other_features(name, came, who, expected)


def check_floats(tensor: Any, name: str = "the sequence") -> None:
    """Refuse integers, which are usually token ids. Raises ValueError."""
    dtype = backend.standardize_dtype(tensor.dtype)
    if not backend.is_float_dtype(dtype):
        raise _refusals.not_floats(dtype, name)


def check_mask(mask: Any, shape: Shape, axes: str = "[batch, steps]", name: str = "mask") -> None:
    """Refuse a mask that is not boolean or not of `shape`, where `None` stands for any size. Raises ValueError."""
    if mask is None:
        return
    dtype = getattr(mask, "dtype", None)
    came = f"a {type(mask).__name__}" if dtype is None else backend.standardize_dtype(dtype)
    if came != "bool":
        raise _refusals.not_boolean(came, name)
    fits = len(mask.shape) == len(shape)
    if not fits or any(None not in pair and pair[0] != pair[1] for pair in zip(mask.shape, shape, strict=True)):
        raise _refusals.mask_misfits(mask.shape, shape, axes, name)
