"""`input weight^T + bias`, through the faster of the two libraries that PyTorch has for float32 products on the CPU.

PyTorch gives them to MKL, which keeps its AVX-512 code from processors that are not Intel's: one Zen 5 core makes 100
GFLOP/s there, and 210 through oneDNN, which PyTorch uses for bfloat16. Either way the products are float32; the order
of the sums differs.
"""

import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heedful import _refusals

# Multiplications below which the longer way to oneDNN does not repay itself.
LEAST = 1 << 22


def linear(
    input: Float[Tensor, "*rows in_dim"],  # noqa: A002
    weight: Float[Tensor, "out_dim in_dim"],
    bias: Float[Tensor, " out_dim"] | None = None,
) -> Float[Tensor, "*rows out_dim"]:
    """`torch.nn.functional.linear`, sooner where MKL is slow.

    Args:
        input: `[..., in_dim]`.
        weight: `[out_dim, in_dim]`.
        bias: `[out_dim]`; none when left out.

    >>> linear(torch.ones(2, 3), torch.ones(5, 3), torch.ones(5))
    tensor([[4., 4., 4., 4., 4.],
            [4., 4., 4., 4., 4.]])
    """
    # the number of rows would tie a graph to it
    if torch.compiler.is_compiling() or not suits_onednn(input.shape[:-1].numel(), weight, input):
        return functional.linear(input, weight, bias)
    product = _Product.apply(input.reshape(-1, input.shape[-1]), weight, bias)
    return product.view(*input.shape[:-1], weight.shape[0])  # pyright: ignore[reportOptionalMemberAccess]


def suits_onednn(rows: int, weight: Tensor, *others: Tensor) -> bool:
    """Whether a product of so many rows with `weight` goes to oneDNN: large, float32 all of it, on such a CPU."""
    if torch.compiler.is_compiling() or not has_slow_mkl() or torch.is_autocast_enabled("cpu"):
        return False
    if not all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in (weight, *others)):
        return False
    return rows * weight.numel() >= LEAST


@cache
def has_slow_mkl() -> bool:
    """Whether float32 products would go to MKL on a processor of another maker that has AVX-512."""
    if not torch.backends.mkl.is_available() or _onednn() is None:
        return False
    info = Path("/proc/cpuinfo")
    maker = info.read_text() if info.exists() else platform.processor()
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "GenuineIntel" not in maker


def onednn_product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows weight^T + bias` through oneDNN where PyTorch has it, without a gradient of its own.

    Raises:
        ValueError: a tensor is not on the CPU.
    """
    for tensor in (rows, weight) if bias is None else (rows, weight, bias):
        if not tensor.is_cpu:
            raise _refusals.not_on_cpu(tensor.shape, tensor.device)
    operator = _onednn()
    return functional.linear(rows, weight, bias) if operator is None else operator(rows, weight, bias, "none", [], "")


@cache
def _onednn() -> Callable[..., Tensor] | None:
    """The operator by which compiled models multiply; it has no public name."""
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, weight, bias):
        ctx.save_for_backward(rows, weight)
        return onednn_product(rows, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        rows, weight = ctx.saved_tensors
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        grad_rows = linear(grad, weight.t()) if needs_rows else None
        grad_weight = linear(grad.t(), rows.t()) if needs_weight else None
        return grad_rows, grad_weight, grad.sum(0) if needs_bias else None
