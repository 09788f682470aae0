"""Which code computes additive attention on which device, and why."""

import warnings
from functools import cache
from importlib.util import find_spec
from types import ModuleType

from torch import Tensor

from heedful.kernels.additive import chunked


@cache
def choice(device: str) -> tuple[str, str]:
    """The path on a kind of device, and why: ("numba" | "triton" | "chunked", reason). Tries the path once.

    >>> choice("meta")[0]
    'chunked'
    """
    if device == "cpu":
        return _numba()
    if device == "cuda":
        if find_spec("triton") is None:
            return "chunked", "Triton is not installed"
        return "triton", "CUDA device, Triton is installed"
    return "chunked", f"no fused kernel for device {device!r}"


def _numba() -> tuple[str, str]:
    try:
        from heedful.kernels.additive import cpu

        cpu.kernels()
    except Exception as fault:
        reason = f"the Numba kernels do not run here ({type(fault).__name__}: {fault})"
        warnings.warn(f"additive attention takes its slower PyTorch path: {reason}", RuntimeWarning, stacklevel=2)
        return "chunked", reason
    return "numba", "Numba compiles the fused kernels for this CPU"


@cache
def _module(device: str) -> ModuleType:
    name = choice(device)[0]
    if name == "numba":
        from heedful.kernels.additive import cpu

        return cpu
    if name == "triton":
        from heedful.kernels.additive import gpu

        return gpu
    return chunked


def backend(tensor: Tensor) -> ModuleType:
    """The module whose `scores_forward`, `scores_backward`, `attention_forward`, `attention_backward` serve this
    device.
    """
    return _module(tensor.device.type)
