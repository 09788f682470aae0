"""What holds for the Triton path alone; run by its interpreter, in a process of its own (see test_gpu.py)."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heedful.functional import additive_attention, additive_scores
from tests.kernels import oracle
from tests.kernels.oracle import largest, leaves
from tests.tolerances import assert_close

pytestmark = [
    pytest.mark.usefixtures("path"),
    pytest.mark.skipif(
        not os.environ.get("TRITON_INTERPRET"), reason="for Triton's interpreter: test_gpu.py starts it"
    ),
]


@pytest.fixture
def gpu():
    from heedful.kernels.additive import gpu

    return gpu


def inputs(batch=2, queries=5, keys=37, units=6, value_dim=3) -> list[torch.Tensor]:
    shapes = (batch, queries, units), (batch, keys, units), (batch, keys, value_dim), (units,)
    return [torch.randn(*shape) for shape in shapes]


def gradients(own, mask=None) -> list[torch.Tensor]:
    """Context, weights and all gradients, with something flowing into both."""
    context, weights = additive_attention(*own, mask, need_weights=True)
    flows = [torch.linspace(-1, 1, out.numel()).view(out.shape) for out in (context, weights)]
    return [context, weights, *oracle.gradients((context, weights), own, flows)]


def test_many_blocks_are_one_attention(gpu, monkeypatch):
    tensors, mask = inputs(queries=40), torch.rand(2, 40, 37) < 0.6
    whole = gradients(leaves(*tensors), mask)
    monkeypatch.setattr(gpu, "_BLOCK", 37 * 16)
    for found, expected in zip(gradients(leaves(*tensors), mask), whole, strict=True):
        assert_close(found, expected)
    # Nothing kept: the backward pass computes the weights again.
    own = leaves(*tensors)
    again = torch.autograd.grad(additive_attention(*own, mask).sum(), own)
    exact = leaves(*tensors, dtype=torch.float64)
    for found, wanted in zip(again, torch.autograd.grad(oracle.attention(*exact, mask)[0].sum(), exact), strict=True):
        assert_close(found, wanted)


def storage(tensor: torch.Tensor) -> tuple[int, int]:
    """Where it begins, and its bytes."""
    memory = tensor.untyped_storage()
    return memory.data_ptr(), memory.nbytes()


class Watch(TorchDispatchMode):
    """Refuses what would wait for the device, and notes the bytes of the largest tensor that is made."""

    WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        assert name not in self.WAITS, f"{name} waits for the device"
        found = func(*args, **(kwargs or {}))
        before = {storage(tensor)[0] for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)}
        for tensor in tree_leaves(found):
            place, size = storage(tensor)
            self.largest = max(self.largest, 0 if place in before else size)
        return found


class Launched:
    """A kernel that is launched and does nothing."""

    def __getitem__(self, grid):
        return lambda *args, **options: None


def test_nothing_waits_for_the_device_and_no_tensor_is_larger_than_a_block(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "_BLOCK", 64 * 8)
    # The interpreter itself reads numbers back; the kernels are left out here, what is around them is watched.
    for kernel in ("scores_kernel", "softmax_kernel", "softmax_slope_kernel", "slopes_kernel"):
        monkeypatch.setattr(gpu.kernels, kernel, Launched())
    query, key, value, energy = inputs(1, 64, 64, 8, 4)
    mask = torch.ones(1, 64, 64, dtype=torch.bool).tril()
    with Watch() as watch:
        gpu.attention_forward(query, key, value, energy, mask, False, True)
        gpu.attention_backward(query, key, value, energy, torch.ones(1, 64, 4), None, mask)
    assert watch.largest == 4 * 64 * 8


MODES = {"narrow": (0, 1.0), "wide": (1, 12.0), "as they are": (2, 60.0)}


@pytest.mark.parametrize("mode", MODES)
def test_each_way_to_take_a_group_is_exact(gpu, mode):
    number, scale = MODES[mode]
    query, key, value, energy = inputs(units=8)
    query[..., :4] *= scale / query[..., :4].abs().max()
    query[..., 4:] *= 0.5 / query[..., 4:].abs().max()
    key *= 0.5 / key.abs().max()
    assert gpu._plan(query, key, energy).modes.tolist() == [number, 0]
    exact = leaves(query, key, value, energy, dtype=torch.float64)
    context, weights = oracle.attention(*exact)
    flows = [torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape) for out in (context, weights)]
    wanted = [context, weights, *oracle.gradients((context, weights), exact, flows)]
    for found, expected in zip(gradients(leaves(query, key, value, energy)), wanted, strict=True):
        assert largest(found - expected) <= 1e-5 * max(1.0, largest(expected))


def test_units_that_fill_the_last_group_leave_it_its_factors(gpu):
    query, key, _, energy = inputs(units=5)
    assert gpu._plan(query, key, energy).modes.tolist() == [0, 0]


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_an_energy_of_any_size(size):
    query, key, _, energy = inputs()
    scale = energy.double() * size
    found = additive_scores(query * 4, key * 4, scale.float()).double()
    assert largest(found - oracle.scores(query * 4, key * 4, scale.float())) <= 1e-6 * scale.abs().sum().item()


@settings(max_examples=15)
@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 4)] * 3), units=st.sampled_from([1, 3, 9]))
def test_any_finite_numbers(data, sizes, units):
    batch, queries, keys = sizes
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)

    def draw(*shape: int) -> torch.Tensor:
        count = torch.Size(shape).numel()
        return torch.tensor(data.draw(st.lists(finite, min_size=count, max_size=count))).view(shape)

    query, key, energy, flow = draw(batch, queries, units), draw(batch, keys, units), torch.randn(units), torch.randn(1)
    own, exact = leaves(query, key, energy), leaves(query, key, energy, dtype=torch.float64)
    found, expected = additive_scores(*own), oracle.scores(*exact)
    assert largest(found - expected) <= 1e-6 * energy.double().abs().sum().item()
    flow = flow.expand(batch, queries, keys)
    pairs = zip(oracle.gradients(found, own, [flow]), oracle.gradients(expected, exact, [flow]), strict=True)
    bound = 1e-6 * flow.abs().sum().item() * max(1.0, largest(energy))
    assert all(largest(a - b) <= bound for a, b in pairs)


def test_gradcheck_in_float64():
    tensors = (torch.randn(*shape, dtype=torch.float64) for shape in ((1, 2, 2), (1, 3, 2), (1, 3, 1), (2,)))
    query, key, value, energy = leaves(*tensors)
    mask = torch.tensor([[[True, True, False], [True, False, True]]])

    def run(*own):
        return additive_attention(*own, mask, need_weights=True)

    assert torch.autograd.gradcheck(run, (query, key, value, energy), fast_mode=True)
