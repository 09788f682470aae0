"""How close is equal: the one table, by dtype. Loosening a test beyond it needs a written reason beside the number."""

import torch

TOLERANCES: dict[torch.dtype, dict[str, float]] = {
    torch.float64: {"rtol": 1e-9, "atol": 1e-11},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.bfloat16: {"rtol": 3e-2, "atol": 2e-2},
    torch.float16: {"rtol": 5e-3, "atol": 3e-3},
}


def assert_close(actual: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype | None = None) -> None:
    """`actual` equals `expected` within the row of `dtype` (that of `actual` when left out); NaN equals nothing.

    Both are compared in float64, so an oracle in float64 stands beside a result of any dtype.
    """
    tolerance = TOLERANCES[dtype or actual.dtype]
    torch.testing.assert_close(actual.detach().double(), expected.detach().double(), **tolerance)
