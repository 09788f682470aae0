"""What does additive attention cost on a CUDA device, beside its peers, and how near is it to what the device can do?

python benchmarks/additive_gpu.py [--lengths N ...] [--units N] [--runs N]

First the kernels are held against direct tanh in float64 there, then each length is timed, sides in turn. A tanh takes
one special function at least; the roofline sets the rate of the elements of queries x keys x units beside the rate at
which the device does special functions, both measured. A side that finds no room leaves its cell empty.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from additive_peers import Side, eager, floor, inputs, interleaved
from record import append
from torch import Tensor

from heedful.functional import additive_attention, additive_scores

LENGTHS = [1024, 2048, 4096, 8192, 16384]
SIDES = ("heedful", "with weights", "floor", "eager", "torch.compile")
COLUMNS = [
    *("device", "length", "units", "direction"),
    *(f"{side} ms" for side in SIDES),
    *(f"{side} / heedful" for side in SIDES[2:]),
    *("elements per s", "special functions per s", "elements per special function"),
]
NO_CUDA = "additive_gpu.py measures on a CUDA device and torch sees none here; run it on a machine that has one."


def check() -> None:
    """Refuse to time what is wrong: every way to take a group of units, forward and backward, with a mask."""
    for scale in (0.01, 1.0, 10.0, 60.0, 1e30):
        query, key, value, energy = inputs(2, 70, 90, 33)
        own = (query.detach() * scale).requires_grad_(), key, value, energy
        exact = tuple(tensor.detach().double().requires_grad_() for tensor in own)
        scores = (torch.tanh(exact[0].unsqueeze(2) + exact[1].unsqueeze(1)) * exact[3]).sum(-1)
        error = (additive_scores(own[0], key, energy).double() - scores).abs().max() / energy.abs().sum()
        assert error <= 1e-6, f"scores are off by {error:.1e} x sum|energy| at scale {scale}"
        mask = torch.rand(2, 70, 90) < 0.7
        expected = torch.softmax(scores.masked_fill(~mask, -torch.inf), -1) @ exact[2]
        found = additive_attention(*own, mask)
        flow = torch.randn_like(found)
        pairs = zip(
            (found, *torch.autograd.grad(found, own, flow)),
            (expected, *torch.autograd.grad(expected, exact, flow.double())),
            strict=True,
        )
        for name, (a, b) in zip(("context", "query", "key", "value", "energy"), pairs, strict=True):
            # What is saturated has no gradient, and gets the rounding of its terms.
            worst, bound = (a - b).abs().max(), 1e-5 * b.abs().max().clamp(min=1)
            assert worst <= bound, f"{name} is off by {worst:.1e} at scale {scale}; {bound:.1e} is allowed"


def timed(function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> Side:
    """A side: called with "backward too?", it runs once and returns the device's milliseconds."""
    used = tensors[:3] if function is floor else tensors
    flow = torch.randn_like(tensors[0])

    def run(backward: bool) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        if backward:
            torch.autograd.grad(function(*tensors), used, flow)
        else:
            with torch.no_grad():
                function(*tensors)
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    return run


def with_room(sides: dict[str, Side], backward: bool) -> dict[str, Side]:
    """The sides that find room on the device."""
    kept = {}
    for name, side in sides.items():
        try:
            side(backward)
            kept[name] = side
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return kept


def row(length: int, units: int, runs: int, backward: bool, special: float) -> dict[str, object]:
    """Times of one length, and the roofline."""
    torch._dynamo.reset()
    tensors = inputs(1, length, length, units)
    functions = {
        "heedful": additive_attention,
        "with weights": lambda *given: additive_attention(*given, need_weights=True)[0],
        "floor": floor,
        "eager": eager,
        "torch.compile": torch.compile(eager),
    }
    sides = with_room({name: timed(functions[name], tensors) for name in SIDES}, backward)
    found = interleaved(sides, backward, runs)
    ours = found["heedful"].median
    rate = length * length * units / ours * 1000
    cells = (
        *(torch.cuda.get_device_name(), length, units, "forward and backward" if backward else "forward"),
        *(round(found[side].median, 4) if side in found else "" for side in SIDES),
        *(round(found[side].median / ours, 2) if side in found else "" for side in SIDES[2:]),
        *(f"{rate:.3e}", f"{special:.3e}", round(rate / special, 2)),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def main() -> None:
    """Check, then measure the lengths asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(NO_CUDA)
    torch.set_default_device("cuda")
    torch.manual_seed(0)
    check()
    from gpu_peak import special_functions_per_second

    special = special_functions_per_second()
    for length in given.lengths:
        for backward in (False, True):
            append("additive_gpu", **row(length, given.units, given.runs, backward, special))


if __name__ == "__main__":
    main()
