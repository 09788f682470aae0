"""Threads, forks, read-only folders, missing packages: the kernels fit in, or say why not."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import heedful
from heedful.functional import additive_attention
from heedful.kernels import threads
from tests.kernels import oracle
from tests.tolerances import assert_close

PACKAGE = Path(heedful.__file__).parent

CALL = """
import torch
from heedful.functional import additive_attention
def call():
    torch.manual_seed(0)
    own = [torch.randn(*shape, requires_grad=True) for shape in ((2, 5, 16), (2, 7, 16), (2, 7, 4), (16,))]
    context = additive_attention(*own)
    return [context.detach(), *torch.autograd.grad(context.sum(), own)]
"""


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python; what it wrote, and how it ended."""
    return subprocess.run(
        [sys.executable, "-c", CALL + code],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def inputs(batch=8, queries=64, keys=96, units=64) -> list[torch.Tensor]:
    return [
        torch.randn(batch, queries, units),
        torch.randn(batch, keys, units),
        torch.randn(batch, keys, 32),
        torch.randn(units),
    ]


@pytest.fixture
def _three_threads(monkeypatch):
    monkeypatch.setattr(threads, "_SHARE", 1000)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize("batch", [1, 8])
def test_slices_on_threads_are_the_whole(batch):
    tensors = inputs(batch)
    own = [tensor.requires_grad_() for tensor in tensors]
    shared = additive_attention(*own)
    gradients = torch.autograd.grad(shared.sum(), own)
    torch.set_num_threads(1)
    alone = additive_attention(*own)
    assert torch.equal(shared, alone)
    for a, b in zip(gradients, torch.autograd.grad(alone.sum(), own), strict=True):
        assert_close(a, b)


@pytest.mark.usefixtures("_three_threads")
def test_many_callers_at_once():
    tensors = inputs()
    expected, _ = oracle.attention(*tensors)
    found: list[torch.Tensor] = []
    callers = [threading.Thread(target=lambda: found.append(additive_attention(*tensors))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 6
    for context in found:
        assert_close(context, expected)


def test_no_more_threads_than_torch_has(monkeypatch):
    asked = []
    monkeypatch.setattr(threads, "_SHARE", 1)
    monkeypatch.setattr(threads, "_workers", lambda process, count: asked.append(count))
    assert threads.share(lambda start, stop: (start, stop), (), 10, 1000) == [(0, 10)]
    assert not asked
    monkeypatch.undo()


def test_a_failing_slice_fails_the_call(_three_threads):  # noqa: PT019
    def kernel(start, stop):
        if start:
            raise ZeroDivisionError("slice")
        return stop

    with pytest.raises(ZeroDivisionError, match="slice"):
        threads.share(kernel, (), 9, 9000)


FORK = """
import heedful.kernels.threads as threads, os, sys
threads._SHARE = 10
torch.set_num_threads(2)
first = call()
child = os.fork()
if not child:
    torch.set_num_threads(2)
    os._exit(0 if all(map(torch.equal, call(), first)) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

LOADER = """
import sys
class Set(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, index): return call()[0]
if __name__ == "__main__":
    expected = call()[0]
    loader = torch.utils.data.DataLoader(Set(), num_workers=2, multiprocessing_context="fork")
    sys.exit(0 if all(torch.equal(found[0], expected) for found in loader) else 3)
"""


@pytest.mark.parametrize("code", [FORK, LOADER])
def test_after_a_fork_it_works_on(code):
    done = child(code)
    assert done.returncode == 0, done.stderr


def test_in_a_spawned_process(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(
        CALL
        + "import torch.multiprocessing as mp\n"
        + "if __name__ == '__main__':\n"
        + "    with mp.get_context('spawn').Pool(1) as pool:\n"
        + "        assert torch.equal(pool.apply(call)[0], call()[0])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


REPORT = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = call(); call()
from heedful.kernels.additive.backend import choice
print(choice("cpu")[0], [str(warning.message) for warning in caught])
"""


def test_without_numba_the_chunked_path_takes_over_with_one_warning():
    done = child("import sys; sys.modules['numba'] = None\n" + REPORT)
    assert done.returncode == 0, done.stderr
    path, _, warned = done.stdout.strip().partition(" ")
    assert path == "chunked"
    assert warned.count("slower PyTorch path") == 1
    assert "numba" in warned


def test_where_nothing_can_be_cached_it_compiles_with_one_warning(tmp_path):
    # Root writes to read-only folders, so Numba is told that no folder serves.
    hide = "import numba.core.caching as c\nc.CacheImpl._locator_classes = []\n"
    done = child(hide + REPORT)
    assert done.returncode == 0, done.stderr
    path, _, warned = done.stdout.strip().partition(" ")
    assert path == "numba"
    assert warned.count("no folder for compiled kernels can be written") == 1


def test_a_second_process_finds_compiled_kernels(tmp_path):
    listing = "call()\nfrom heedful.kernels.additive.cpu_kernels import forward\n"
    listing += "print(len(forward.stats.cache_hits), len(forward.stats.cache_misses))"
    first, second = (child(listing, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.stdout.split() == ["0", "1"], first.stderr
    assert second.stdout.split() == ["1", "0"], second.stderr


def test_importing_the_functions_does_not_import_numba():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import heedful.functional, sys; sys.exit('numba' in sys.modules or 'triton' in sys.modules)",
        ],
        check=False,
    )
    assert done.returncode == 0


FEWER = """
import llvmlite.binding
features = llvmlite.binding.get_host_cpu_features()
for name in list(features):
    features[name] = features[name] and not name.startswith("avx512")
llvmlite.binding.get_host_cpu_features = lambda: features
import numpy, heedful.kernels.simd
print(heedful.kernels.simd.lanes_of(numpy.dtype("float32")), call()[0].sum().item())
"""


def test_without_avx_512_the_registers_are_half_as_wide(tmp_path):
    done = child(FEWER, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lanes, total = done.stdout.split()
    assert lanes == "8"
    torch.manual_seed(0)
    tensors = [torch.randn(*shape) for shape in ((2, 5, 16), (2, 7, 16), (2, 7, 4), (16,))]
    assert float(total) == pytest.approx(oracle.attention(*tensors)[0].sum().item(), rel=1e-5)
