"""Tensors from an untrusted safetensors file."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

LARGEST_HEADER = 2**20
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Finite floating-point numbers by name; they take as much memory as the file has bytes.

    Raises:
        ValueError: it holds anything else; says what, and the caller adds the way out.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > LARGEST_HEADER:
                raise SafetensorError("its header is too large")
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None
    for name, tensor in weights.items():
        if tensor.dtype not in FLOATS:
            raise ValueError(f"{path}: {name!r} is of {tensor.dtype}; expected floating-point numbers")
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name!r} holds NaN or infinity")
    return weights
