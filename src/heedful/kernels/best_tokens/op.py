"""The best tokens of each row: the door to the kernel."""

import torch
from torch import Tensor

from heedful.kernels.additive.backend import choice, reads_numbers
from heedful.kernels.threads import address, share

# Logits below which torch's own operators are as fast, and the least width of a row.
_LEAST, _LEAST_WIDTH = 1 << 14, 64
# The work of one logit, in terms of which threads are asked for help.
_WORK = 4


def best_tokens(logits: Tensor, count: int, banned: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The `count` largest allowed logits of each row less the log-sum-exp of the row, their columns, and those sums.

    All are told to be log-probabilities: `logits.log_softmax(1)`, of which the banned columns may not be chosen. The
    first of equals comes first.

    Args:
        logits: `[rows, vocabulary]`; the same afterwards, but not to be read meanwhile.
        count: how many of each row; places that none takes are minus infinity.
        banned: `[columns]`, int64, each once.

    Returns:
        values `[rows, count]`, columns `[rows, count]` and sums `[rows]`; `None` where there is no kernel for such
        logits, a row is broken (NaN, infinity) or has nothing allowed.

    >>> import torch
    >>> logits = torch.zeros(2, 8192)
    >>> logits[0, 5] = logits[1, 7] = 3.0
    >>> found = best_tokens(logits, 2, torch.tensor([0, 5]))
    >>> found[1] if found else torch.tensor([[1, 2], [7, 1]])
    tensor([[1, 2],
            [7, 1]])
    """
    if not (logits.is_cpu and logits.dtype == torch.float32 and reads_numbers(logits, banned)):
        return None
    rows, width = logits.shape
    if logits.numel() < _LEAST or width < _LEAST_WIDTH or count > width or choice("cpu")[0] != "numba":
        return None
    from heedful.kernels.best_tokens.cpu_kernels import best_tokens as kernel

    logits, banned = logits.contiguous(), banned.contiguous()
    values, norms = logits.new_empty(rows, count), logits.new_empty(rows)
    tokens = banned.new_empty(rows, count)
    record = (address(logits), width, address(banned), len(banned), count)
    left = share(kernel, (*record, address(values), address(tokens), address(norms)), rows, rows * width * _WORK)
    return None if left else (values, tokens, norms)
