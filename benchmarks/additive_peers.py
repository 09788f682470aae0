"""The sides of the additive benchmarks: each a function of the same inputs, and how they are timed, interleaved."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from heedful.functional import additive_attention

Side = Callable[[bool], float]
Shape = tuple[int, int, int, int]
# Seconds in which the threads of another process stop waiting for work.
REST = 0.01
# Milliseconds in which a side's own threads wake and its caches fill; of a call to which that is nothing.
SHORT, LONG = 5, 100


def inputs(batch: int, queries: int, keys: int, units: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value (as wide as the units) and energy, all wanting gradients."""
    shapes = (batch, queries, units), (batch, keys, units), (batch, keys, units), (units,)
    query, key, value, energy = (torch.randn(*shape, requires_grad=True) for shape in shapes)
    return query, key, value, energy


def eager(query: Tensor, key: Tensor, value: Tensor, energy: Tensor) -> Tensor:
    """Additive attention as everyone writes it in PyTorch."""
    scores = torch.tanh(query.unsqueeze(2) + key.unsqueeze(1)) @ energy
    return torch.softmax(scores, -1) @ value


def floor(query: Tensor, key: Tensor, value: Tensor, energy: Tensor) -> Tensor:  # noqa: ARG001
    """Dot-product attention of the same sizes."""
    return scaled_dot_product_attention(query[:, None], key[:, None], value[:, None]).squeeze(1)


def timed(function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> Side:
    """A side: called with "backward too?", it runs once and returns milliseconds."""
    used = tensors if function is not floor else tensors[:3]
    flow = torch.randn(tensors[0].shape[0], tensors[0].shape[1], tensors[2].shape[2])

    def run(backward: bool) -> float:
        start = time.perf_counter()
        if backward:
            torch.autograd.grad(function(*tensors), used, flow)
        else:
            with torch.no_grad():
                function(*tensors)
        return 1000 * (time.perf_counter() - start)

    return run


def torch_sides(shape: Shape, compiled: bool = True) -> dict[str, Side]:
    """The sides that live in this process."""
    tensors = inputs(*shape)
    sides = {
        "heedful": timed(additive_attention, tensors),
        "with weights": timed(lambda *given: additive_attention(*given, need_weights=True)[0], tensors),
        "floor": timed(floor, tensors),
        "eager": timed(eager, tensors),
    }
    if compiled:
        torch._dynamo.reset()
        sides["torch.compile"] = timed(torch.compile(eager), tensors)
    return sides


class KerasEngine:
    """Keras' AdditiveAttention on one engine, in a process of its own, which runs once for every line it is sent."""

    def __init__(self, engine: str, folder: str, threads: int) -> None:
        self.engine = engine
        worker = Path(__file__).with_name("keras_additive.py")
        command = [sys.executable, str(worker), engine, folder, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.version = self._read()

    def side(self, shape: Shape) -> Side:
        """A side of one shape."""

        def run(backward: bool) -> float:
            assert self.process.stdin is not None
            self.process.stdin.write(f"{' '.join(map(str, shape))} {int(backward)}\n")
            self.process.stdin.flush()
            return float(self._read())

        return run

    def close(self) -> None:
        """End the process."""
        self.process.communicate("")

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"Keras on {self.engine} ended:\n{self.process.communicate()[1][-2000:]}")
        return line.strip()


class Timing(NamedTuple):
    """Milliseconds of a side: medians and the least over all turns; `first` is the first call of a turn."""

    median: float
    least: float
    first: float


def interleaved(sides: dict[str, Side], backward: bool, runs: int, warm_up: int = 2) -> dict[str, Timing]:
    """Time sides in turn, `runs` turns each after those that warm up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for run in range(warm_up + runs):
        for name, side in sides.items():
            turn = _turn(side, backward)
            if run >= warm_up:
                found[name].append(turn)
    timings = {}
    for name, turns in found.items():
        steady, first = zip(*turns, strict=True)
        timings[name] = Timing(statistics.median(steady), min(steady), statistics.median(first))
    return timings


def _turn(side: Side, backward: bool) -> tuple[float, float]:
    """Milliseconds of a call as one of many, and of the first call, once the threads of the side before sleep.

    A short side is called for a while, and then for a while again that counts: what the side before left in caches and
    allocator is not this side's cost. A long side has no need of that.
    """
    time.sleep(REST)
    first = side(backward)
    if first > LONG:
        return first, first
    _for_a_while(side, backward, first)
    return statistics.median(_for_a_while(side, backward, 0.0)), first


def _for_a_while(side: Side, backward: bool, spent: float) -> list[float]:
    taken: list[float] = []
    while spent < SHORT or not taken:
        taken.append(side(backward))
        spent += taken[-1]
    return taken
