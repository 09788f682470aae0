"""How close is equal: the one table, by dtype. Loosening a test beyond it needs a written reason beside the number."""

import torch

# dtype -> (relative, absolute)
TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float64: (1e-9, 1e-11),
    torch.float32: (1e-4, 1e-5),
    torch.bfloat16: (3e-2, 2e-2),
    torch.float16: (5e-3, 3e-3),
}


def assert_close(actual: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype | None = None) -> None:
    """`actual` equals `expected` within the row of `dtype` (that of `actual` when left out); NaN equals nothing.

    Both are compared in float64, so an oracle in float64 stands beside a result of any dtype.
    """
    relative, absolute = TOLERANCES[dtype or actual.dtype]
    torch.testing.assert_close(actual.detach().double(), expected.detach().double(), rtol=relative, atol=absolute)
