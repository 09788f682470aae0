"""The Triton kernels on a CPU: the tests of the other paths, run by Triton's interpreter in processes of their own; and
they compile for GPUs that are not there.

Triton is absent from CPU builds of torch. Install it apart (`pip install --no-deps --target FOLDER -r .ci/triton.txt`)
and name the folder in HEEDFUL_TRITON; without it these tests skip.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
FOLDER = os.environ.get("HEEDFUL_TRITON", "")
needs_triton = pytest.mark.skipif(
    not FOLDER and find_spec("triton") is None,
    reason="needs Triton: HEEDFUL_TRITON names no folder, and it is not installed",
)
# Drawn examples and finite differences by the dozen would take the interpreter an hour: test_interpreter.py has a few
# of each. The others are about one of the other paths.
LEFT_OUT = {
    "test_exactness.py": "not any_finite and not wild_unit_is_taken",
    "test_attention.py": "not any_sizes and not gradcheck and not blocks_are",
    "test_interpreter.py": "",
}
# The interpreter is NumPy, which warns of the overflow that the kernel cuts.
QUIET = ("overflow encountered", "invalid value encountered")


def started(command: list[str], **environment: str) -> subprocess.Popen[str]:
    """Python with Triton in its path."""
    path = os.pathsep.join(filter(None, (FOLDER, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment},
        cwd=HERE.parent.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def interpreted() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process for each file, all at once."""
    quiet = [word for warning in QUIET for word in ("-W", f"ignore:{warning}:RuntimeWarning")]
    command = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *quiet]
    runs = {
        file: started([*command, "-k", left_out, str(HERE / file)], TRITON_INTERPRET="1")
        for file, left_out in LEFT_OUT.items()
    }
    yield runs
    for run in runs.values():
        run.kill()


@needs_triton
@pytest.mark.parametrize("file", LEFT_OUT)
def test_the_same_tests_pass_in_the_interpreter(interpreted, file):
    said, _ = interpreted[file].communicate(timeout=1200)
    assert interpreted[file].returncode == 0, said[-3000:]
    assert " passed" in said
    assert "skipped" not in said


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from heedful.kernels.additive import gpu_kernels as kernels

FIXED = {"tile": 1024, "tile_rows": 32, "tile_columns": 32, "masked": True, "add": True, "weigh": True}
KINDS = {"modes": "*i32", "mask": "*u8", "cut": "fp32", "small": "fp32"}
ARRAYS = {"x", "y", "energy", "bias", "scale", "out", "scores", "weights", "flow", "grad", "found", "mass"}
number, architecture = sys.argv[1], int(sys.argv[2])
for name in ("scores_kernel", "softmax_kernel", "softmax_slope_kernel", "slopes_kernel"):
    kernel = getattr(kernels, name)
    fixed = {argument: FIXED[argument] for argument in kernel.arg_names if argument in FIXED}
    kinds = {**KINDS, **dict.fromkeys(ARRAYS, "*" + number), **dict.fromkeys(fixed, "constexpr")}
    kinds = {argument: kinds.get(argument, "i32") for argument in kernel.arg_names}
    made = triton.compile(
        ASTSource(kernel, kinds, fixed), target=GPUTarget("cuda", architecture, 32), options={"enable_fp_fusion": True}
    )
    print(name, len(made.asm["cubin"]))
"""


@needs_triton
@pytest.mark.parametrize(("number", "architecture"), [("fp32", "80"), ("fp32", "90"), ("fp64", "90")])
def test_they_compile_for_gpus_that_are_not_there(tmp_path, number, architecture):
    run = started(["-c", COMPILE, number, architecture], TRITON_CACHE_DIR=str(tmp_path))
    said, _ = run.communicate(timeout=600)
    assert run.returncode == 0, said[-3000:]
    sizes = [int(line.split()[1]) for line in said.splitlines() if "_kernel " in line]
    assert len(sizes) == 4
    assert min(sizes) > 1000


BENCHMARKS = HERE.parent.parent / "benchmarks"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, which it would measure")
def test_without_cuda_the_benchmark_ends_with_one_sentence():
    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / "additive_gpu.py")], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr == (
        "additive_gpu.py measures on a CUDA device and torch sees none here; run it on a machine that has one.\n"
    )


def test_its_results_wait_with_the_columns_that_it_writes():
    code = "import additive_gpu, record; print(','.join([*record.machine(), *additive_gpu.COLUMNS]))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    header, *_ = (BENCHMARKS / "results" / "additive_gpu.csv").read_text().splitlines()
    assert header == said.strip()
