"""The Triton kernels on a CPU: the tests of the other paths, run by Triton's interpreter in a process of its own.

Triton is absent from CPU builds of torch. Install it apart (`pip install --no-deps --target FOLDER triton`) and name
the folder in HEEDFUL_TRITON; without it these tests skip.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Drawn examples and finite differences would take the interpreter an hour; tests of one path have nothing to say here.
LEFT_OUT = "not any_ and not gradcheck and not wild_unit_is_taken and not blocks_are"


@pytest.mark.parametrize("file", ["test_exactness.py", "test_attention.py"])
def test_the_same_tests_pass_in_the_interpreter(file):
    folder = os.environ.get("HEEDFUL_TRITON", "")
    if not folder and find_spec("triton") is None:
        pytest.skip("needs Triton: HEEDFUL_TRITON names no folder, and it is not installed")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", LEFT_OUT, str(HERE / file), "-p", "no:cacheprovider"]
    # The interpreter is NumPy, which warns of the overflow that the kernel cuts.
    quiet = [
        "-W",
        "ignore:overflow encountered:RuntimeWarning",
        "-W",
        "ignore:invalid value encountered:RuntimeWarning",
    ]
    done = subprocess.run(
        [*command, *quiet], env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
