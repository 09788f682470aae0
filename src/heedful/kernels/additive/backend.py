"""Which code computes additive attention on which device, and why."""

import threading
import warnings
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from heedful.kernels.additive import chunked

_lock = threading.Lock()
_PLAIN = {Tensor, torch.nn.Parameter}


def reads_numbers(*tensors: Tensor) -> bool:
    """Whether a kernel may read these tensors' addresses, and no transform or mode of torch has to see the call.

    All are on one device. Where a graph is made (torch.compile, make_fx, TorchScript), under torch.func and for fake
    tensors, only operators that torch knows are seen.

    >>> reads_numbers(torch.zeros(3)), reads_numbers(torch.zeros(3, device="meta"))
    (True, False)
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return False
    if torch._C._get_tracing_state() is not None or peek_interpreter_stack() is not None:
        return False
    for tensor in tensors:
        if type(tensor) not in _PLAIN:
            return False
    return not tensors[0].is_meta


def records_gradients() -> bool:
    """In a backward pass: whether its gradients are to have gradients (`create_graph`), or what calls it is compiled;
    either way operators must compute them, not kernels that torch does not see.
    """
    return torch.is_grad_enabled() or torch.compiler.is_compiling()


def choice(device: str) -> tuple[str, str]:
    """The path on a kind of device, and why: ("numba" | "triton" | "chunked", reason). Tries the path once.

    >>> choice("meta")[0]
    'chunked'
    """
    # Of two threads that ask first, one tries.
    with _lock:
        return _choice(device)


@cache
def _choice(device: str) -> tuple[str, str]:
    if device == "cpu":
        return _numba()
    if device == "cuda":
        if find_spec("triton") is None:
            return "chunked", "Triton is not installed"
        return "triton", "CUDA device, Triton is installed"
    return "chunked", f"no fused kernel for device {device!r}"


def _numba() -> tuple[str, str]:
    try:
        lanes = _try_numba()
    except Exception as fault:  # Numba, LLVM, the cache and the linker each have errors of their own
        reason = f"the Numba kernels do not run here ({type(fault).__name__}: {fault})"
        warnings.warn(f"additive attention takes its slower PyTorch path: {reason}", RuntimeWarning, stacklevel=2)
        return "chunked", reason
    return "numba", f"Numba compiles the fused kernels for this CPU, {lanes} float32 in a register"


def _try_numba() -> int:
    """Run the smallest kernel: whatever stands between Numba and this CPU shows here. Returns the lanes."""
    from heedful.kernels.additive import plan
    from heedful.kernels.cache import config

    if config.DISABLE_JIT:
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    factors, _ = plan.exponentials(torch.zeros(1, 1, 1, device="cpu", dtype=torch.float32))
    if factors[0, 0, 0] != 1.0:
        raise ArithmeticError(f"e^0 came out as {factors[0, 0, 0].item()}")
    return plan.lanes(torch.float32)


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
