"""Every fact about additive attention is held on every path: compiled kernels, plain PyTorch, Triton's interpreter.

The interpreter wants a process of its own: `TRITON_INTERPRET=1 pytest tests/kernels/test_exactness.py ...`. On a CUDA
machine the same tests run on the device: `HEEDFUL_DEVICE=cuda pytest tests/kernels/test_exactness.py ...`.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch

from heedful.kernels.additive import backend, op, plan

MODULES = {"numba": "cpu", "chunked": "chunked", "triton": "gpu"}
DEVICE = os.environ.get("HEEDFUL_DEVICE", "cpu")
PATHS = ["triton"] if os.environ.get("TRITON_INTERPRET") or DEVICE == "cuda" else ["numba", "chunked"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take one of the paths, whatever the device would choose."""
    module = importlib.import_module(f"heedful.kernels.additive.{MODULES[request.param]}")
    monkeypatch.setattr(backend, "_module", lambda device: module)
    monkeypatch.setattr(backend, "choice", lambda device: (request.param, "a test chose it"))
    with nullcontext() if DEVICE == "cpu" else torch.device(DEVICE):
        yield request.param


@pytest.fixture(autouse=True, scope="module")
def _no_call_is_too_small():
    """Small tensors would take the plain formula and test no kernel, or take no factors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(op, "_is_small", lambda *_: False)
        patch.setattr(plan, "_LITTLE", 0)
        yield
