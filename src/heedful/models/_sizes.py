"""Checks that the sizes of combined blocks fit."""


def check_size(name: str, came: int, expected: int, because: str) -> None:
    """Refuse a size that does not fit its neighbour's.

    Args:
        name: the argument, as the caller wrote it.
        came: its size.
        expected: the only size that fits.
        because: what that size is, and the way out.

    Raises:
        ValueError: the two differ.

    >>> check_size("context_dim", 4, 6, "the features of a key")
    Traceback (most recent call last):
    ValueError: context_dim is 4; expected 6, the features of a key.
    """
    if came != expected:
        raise ValueError(f"{name} is {came}; expected {expected}, {because}.")
