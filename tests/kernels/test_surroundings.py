"""Threads, forks, read-only folders, other CPUs, missing packages: the kernels fit in, or say why not."""

import json
import os
import shutil
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
# Beyond what takes the plain formula because it is so small.
SHAPES = (2, 15, 32), (2, 17, 32), (2, 17, 4), (32,)

CALL = f"""
import torch
from heedful.functional import additive_attention
def call():
    torch.manual_seed(0)
    own = [torch.randn(*shape, requires_grad=True) for shape in {SHAPES}]
    context = additive_attention(*own)
    return [context.detach(), *torch.autograd.grad(context.sum(), own)]
def exponentials():
    # the smallest kernel
    from heedful.kernels.additive.backend import choice
    from heedful.kernels.additive.plan import exponentials
    return [choice("cpu")[0], exponentials(torch.zeros(32))[0].tolist()]
"""


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python; what it wrote, and how it ended."""
    return subprocess.run(
        [sys.executable, "-c", CALL + code],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def said_by(code: str, **environment: str):
    """What a child that ends well wrote, as JSON."""
    done = child(code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected() -> list[torch.Tensor]:
    """What `call` must give, from the formula."""
    torch.manual_seed(0)
    own = oracle.leaves(*(torch.randn(*shape) for shape in SHAPES), dtype=torch.float64)
    context, _ = oracle.attention(*own)
    return [context.detach(), *torch.autograd.grad(context.sum(), own)]


def inputs(batch=8, queries=64, keys=96, units=64) -> list[torch.Tensor]:
    shapes = (batch, queries, units), (batch, keys, units), (batch, keys, 32), (units,)
    return [torch.randn(*shape, requires_grad=True) for shape in shapes]


@pytest.fixture
def _three_threads(monkeypatch):
    monkeypatch.setattr(threads, "_SHARE", 1000)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize("batch", [1, 8])
def test_slices_on_threads_are_the_whole(batch):
    own = inputs(batch)
    shared = additive_attention(*own)
    gradients = torch.autograd.grad(shared.sum(), own)
    torch.set_num_threads(1)
    alone = additive_attention(*own)
    assert torch.equal(shared, alone)
    for a, b in zip(gradients, torch.autograd.grad(alone.sum(), own), strict=True):
        assert_close(a, b)


def at_once(count: int, work) -> None:
    """Call it from several threads, all ready before the first begins."""
    barrier, faults = threading.Barrier(count), []

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    callers = [threading.Thread(target=run) for _ in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not faults


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize("callers", [2, 6])
def test_many_callers_go_forth_and_back_at_once(callers):
    tensors = inputs()
    exact = oracle.leaves(*tensors, dtype=torch.float64)
    context, _ = oracle.attention(*exact)
    wanted = [context, *torch.autograd.grad(context.sum(), exact)]
    found: list[list[torch.Tensor]] = []

    def call() -> None:
        own = oracle.leaves(*tensors)
        mine = additive_attention(*own)
        found.append([mine, *torch.autograd.grad(mine.sum(), own)])

    at_once(callers, call)
    assert len(found) == callers
    for results in found:
        for a, b in zip(results, wanted, strict=True):
            assert_close(a, b)


@pytest.mark.usefixtures("_three_threads")
def test_backward_in_other_threads_than_forward_over_shared_leaves():
    own = inputs()
    losses = [additive_attention(*own).sum() for _ in range(4)]
    (wanted,) = torch.autograd.grad(losses[0], own[:1], retain_graph=True)
    at_once(4, lambda: losses.pop().backward())
    assert_close(own[0].grad, 4 * wanted)


def test_a_backward_pass_inside_a_backward_pass():
    own = inputs()
    inner = torch.utils.checkpoint.checkpoint(additive_attention, *own, use_reentrant=True)
    found = torch.autograd.grad(additive_attention(*own).sum(), own)
    inner.sum().backward()
    for tensor, gradient in zip(own, found, strict=True):
        assert_close(tensor.grad, gradient)


BUSY = """
import json, os, sys
from pathlib import Path
def spent():
    tasks = Path("/proc/self/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}
threads = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 0
if os.environ.get("THREADS"): torch.set_num_threads(int(os.environ["THREADS"]))
own = [torch.randn(*shape, requires_grad=True) for shape in ((8, 256, 128), (8, 256, 128), (8, 256, 64), (128,))]
def train(): torch.autograd.grad(additive_attention(*own).sum(), own)
train()
before = spent()
for _ in range(20): train()
after = spent()
used = [after[task] - before.get(task, 0) for task in after]
print(json.dumps([torch.get_num_threads(), sum(time > 0.05 * max(used) for time in used)]))
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's count of each thread's time")
@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "1", "THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "2", "THREADS": "1"}, 1),
    ],
)
def test_as_many_threads_work_as_torch_is_told(environment, wanted):
    assert said_by(BUSY, **environment) == [wanted, wanted]


FORK = """
import heedful.kernels.threads as threads, os, sys
threads._SHARE = 10
torch.set_num_threads(2)
first = call()
child = os.fork()
if not child:
    torch.set_num_threads(2)
    os._exit(0 if all(map(torch.equal, call(), first)) else 3)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(ended or (0 if all(map(torch.equal, call(), first)) else 4))
"""


def test_after_a_fork_both_sides_work_on_with_threads():
    done = child(FORK)
    assert done.returncode == 0, done.stderr


LOADER = """
import sys
class Set(torch.utils.data.Dataset):
    def __len__(self): return 6
    def __getitem__(self, index): return torch.cat([found.flatten() for found in call()])
if __name__ == "__main__":
    expected = Set()[0]
    loader = torch.utils.data.DataLoader(Set(), num_workers=2, multiprocessing_context=sys.argv[1])
    for epoch in range(2):
        assert [torch.equal(found[0], expected) for found in loader] == [True] * 6
        assert torch.equal(Set()[0], expected)
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_in_the_workers_of_a_data_loader(tmp_path, start):
    script = tmp_path / "loader.py"
    script.write_text(CALL + LOADER)
    done = subprocess.run(
        [sys.executable, str(script), start], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


REPORT = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    results = [call() for _ in range(3)]
from heedful.kernels.additive.backend import choice
warned = [str(warning.message) for warning in caught]
print(json.dumps({"choice": choice("cpu"), "warned": warned, "found": [t.tolist() for t in results[2]]}))
"""

SMALLEST = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = [exponentials() for _ in range(2)][1]
print(json.dumps({"warned": [str(warning.message) for warning in caught], "found": found}))
"""

RACE = f"""
shapes = {SHAPES}
import json, threading, warnings
barrier, wrong = threading.Barrier(4), []
def run():
    barrier.wait()
    try:
        with torch.no_grad(): additive_attention(*(torch.ones(shape) for shape in shapes))
    except BaseException as fault: wrong.append(repr(fault))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(json.dumps([wrong, len(caught)]))
"""

# Numba is not there, refuses the NumPy that is there, is switched off, or compiles what does not compute.
NO_NUMBA = {
    "missing": ("import sys; sys.modules['numba'] = None\n", {}, "numba"),
    "refusing": ("import numpy; numpy.__version__ = '9.9.9'\n", {}, "Numba needs NumPy"),
    "switched off": ("", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
    "wrong": (
        "import heedful.kernels.additive.plan as p; p.exponentials = lambda x: (torch.full_like(x, 2), 0)\n",
        {},
        "came out as 2",
    ),
}


@pytest.mark.parametrize("case", NO_NUMBA)
def test_without_numba_the_chunked_path_takes_over_with_one_warning(case):
    code, environment, reason = NO_NUMBA[case]
    said = said_by(code + REPORT, **environment)
    path, why = said["choice"]
    assert path == "chunked"
    assert reason in why
    assert len(said["warned"]) == 1
    assert "slower PyTorch path" in said["warned"][0]
    assert reason in said["warned"][0]
    for found, wanted in zip(said["found"], expected(), strict=True):
        assert_close(torch.tensor(found), wanted)


@pytest.mark.parametrize("case", ["missing", "none"])
def test_many_first_calls_at_once(case, tmp_path):
    code, _, _ = NO_NUMBA.get(case, ("", {}, ""))
    assert said_by(code + RACE, NUMBA_CACHE_DIR=str(tmp_path)) == [[], int(case == "missing")]


PEAK = """
import json, warnings
from pathlib import Path
warnings.simplefilter("ignore")
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**10
def eager(query, key, value, energy):
    return torch.softmax(torch.tanh(query.unsqueeze(2) + key.unsqueeze(1)) @ energy, -1) @ value
own = [torch.randn(*shape, requires_grad=True) for shape in ((1, 600, 128), (1, 500, 128), (1, 500, 64), (128,))]
call()
grown = []
for attention in (additive_attention, eager):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    torch.autograd.grad(attention(*own).sum(), own)
    grown.append(peak() - before)
print(json.dumps(grown))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's count of the peak of memory")
def test_without_numba_the_largest_tensor_is_still_not_there():
    code, _, _ = NO_NUMBA["missing"]
    fused, eager = said_by(code + PEAK)
    largest = 600 * 500 * 128 * 4 / 2**20
    assert fused < 0.5 * largest
    assert eager > largest


DOCTOR = """
import sys
from heedful.cli.main import main
sys.argv = ["heedful", "doctor"]
main()
"""


@pytest.mark.parametrize("case", ["missing", "refusing", "switched off"])
def test_the_doctor_says_which_path_runs_and_why(case):
    code, environment, reason = NO_NUMBA[case]
    done = child(code + DOCTOR, **environment)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("additive attention"))
    assert "chunked on cpu: the Numba kernels do not run here" in line
    assert reason in line
    assert "RuntimeWarning" not in done.stderr
    assert "BROKEN" not in done.stdout


def copy_of_the_package(folder: Path) -> Path:
    """A heedful whose files may be changed, to stand before the installed one."""
    kept = shutil.ignore_patterns("__pycache__", "bundled")
    shutil.copytree(PACKAGE, folder / "heedful", ignore=kept)
    return folder / "heedful"


def test_where_nothing_can_be_written_it_compiles_with_one_warning_and_the_doctor_says_so(tmp_path):
    package = copy_of_the_package(tmp_path)
    # A file where the folder should be stops root, too.
    for place in (package / "kernels", package / "kernels" / "additive"):
        (place / "__pycache__").write_text("")
    nowhere = tmp_path / "home"
    nowhere.write_text("")
    environment = {"PYTHONPATH": str(tmp_path), "HOME": str(nowhere), "XDG_CACHE_HOME": str(nowhere / "cache")}
    environment["NUMBA_CACHE_DIR"] = str(nowhere / "numba")
    said = said_by(SMALLEST, **environment)
    assert said["found"] == ["numba", [1.0] * 32]
    (warned,) = said["warned"]
    folders = nowhere / "numba", package / "kernels" / "__pycache__", nowhere
    assert all(str(folder) in warned for folder in folders)
    assert "Set NUMBA_CACHE_DIR to a folder that can be written" in warned
    done = child(DOCTOR, **environment, MPLCONFIGDIR=str(tmp_path / "fonts"))
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("kernel cache"))
    assert "no folder for it can be written" in line
    assert "set NUMBA_CACHE_DIR" in line


def test_a_second_process_finds_compiled_kernels_until_one_of_their_files_changes(tmp_path):
    products = copy_of_the_package(tmp_path) / "kernels" / "products.py"
    environment = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_DEBUG_CACHE": "1"}

    def saved_and_loaded() -> list[bool]:
        done = child("exponentials()", **environment)
        assert done.returncode == 0, done.stderr
        return [f"data {verb}" in done.stdout for verb in ("saved", "loaded")]

    assert saved_and_loaded() == [True, False]
    assert saved_and_loaded() == [False, True]
    # No kernel that Python calls stands in this file.
    products.write_text(products.read_text() + "\n# changed\n")
    assert saved_and_loaded() == [True, False]


def test_importing_the_functions_does_not_import_numba():
    code = "import heedful.functional, sys; sys.exit('numba' in sys.modules or 'triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CPUS = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+avx,+sse4.2"},
    "x86-64": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
}
FACTS = "ordinary_ranges or very_wide or wild_unit or from_1e_30"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the names of other CPUs")
def test_cpus_without_avx_512_compute_the_same(tmp_path):
    for name, cpu in CPUS.items():
        environment = {**cpu, "NUMBA_CACHE_DIR": str(tmp_path / name)}
        lanes = "import json, numpy, heedful.kernels.simd as s\nprint(json.dumps(s.lanes_of(numpy.dtype('float32'))))"
        assert said_by(lanes, **environment) == 8
        said = said_by(REPORT, **environment)
        assert said["choice"][0] == "numba"
        for found, wanted in zip(said["found"], expected(), strict=True):
            assert_close(torch.tensor(found), wanted)
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", f"numba and ({FACTS})"]
    done = subprocess.run(
        [*command, str(here / "test_exactness.py")],
        env={**os.environ, **CPUS["AVX2"], "NUMBA_CACHE_DIR": str(tmp_path / "AVX2")}, cwd=here.parent.parent,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
