"""What bounds the additive kernels: nanoseconds of the instructions alone, and of the kernels, on one thread.

python benchmarks/additive_ceiling.py

An element is one unit of one query and one key; a register holds 16 of them in float32 where the CPU has AVX-512, else
8. Everything lies in the nearer caches.
"""

import time
from statistics import median

import numpy as np
import torch
from numba import njit
from record import append

from heedful.kernels.additive import cpu, plan
from heedful.kernels.simd import OUTER, lanes, load, place_of, scratch, splat, store

ONE = np.float32(1)
STEPS = 100_000
# Chains of instructions side by side, more than what one must wait for.
CHAINS = 12
_OPTIONS = {name: value for name, value in OUTER.items() if name != "cache"}


@njit(**_OPTIONS)
def dividing(one, steps):
    """Divisions."""
    room = scratch(one, CHAINS * lanes(one))
    place = place_of(room)
    a = b = c = d = e = f = g = h = i = j = k = m = splat(one + one)
    for _ in range(steps):
        a, b, c, d = splat(one) / a, splat(one) / b, splat(one) / c, splat(one) / d
        e, f, g, h = splat(one) / e, splat(one) / f, splat(one) / g, splat(one) / h
        i, j, k, m = splat(one) / i, splat(one) / j, splat(one) / k, splat(one) / m
    store(place, 0, a + b + c + d + e + f + g + h + i + j + k + m)
    return room[0]


@njit(**_OPTIONS)
def multiplying(one, steps):
    """Multiplications with an addition in one instruction."""
    room = scratch(one, CHAINS * lanes(one))
    place = place_of(room)
    a = b = c = d = e = f = g = h = i = j = k = m = splat(one)
    x, y = splat(one / (one + one)), splat(one)
    for _ in range(steps):
        a, b, c, d = a * x + y, b * x + y, c * x + y, d * x + y
        e, f, g, h = e * x + y, f * x + y, g * x + y, h * x + y
        i, j, k, m = i * x + y, j * x + y, k * x + y, m * x + y
    store(place, 0, a + b + c + d + e + f + g + h + i + j + k + m)
    return room[0]


@njit(**_OPTIONS)
def loading(one, steps):
    """Loads, each with an addition."""
    room = scratch(one, CHAINS * lanes(one))
    place, n = place_of(room), lanes(one)
    for i in range(CHAINS):
        store(place, i * n, splat(one))
    a = b = c = d = splat(one)
    for _ in range(steps):
        a, b = a + load(one, place, 0), b + load(one, place, n)
        c, d = c + load(one, place, 2 * n), d + load(one, place, 3 * n)
        a, b = a + load(one, place, 4 * n), b + load(one, place, 5 * n)
        c, d = c + load(one, place, 6 * n), d + load(one, place, 7 * n)
        a, b = a + load(one, place, 8 * n), b + load(one, place, 9 * n)
        c, d = c + load(one, place, 10 * n), d + load(one, place, 11 * n)
        store(place, 0, a)
    store(place, 0, a + b + c + d)
    return room[0]


def nanoseconds(work, count: int) -> float:
    """Median of a few calls, for each of `count` things."""
    work()
    taken = []
    for _ in range(15):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1e9 * median(taken) / count


def kernels(queries: int = 256, keys: int = 256, units: int = 128) -> dict[str, float]:
    """Nanoseconds for a register of elements: scores by narrow and by wide factors, directly, and all gradients."""
    query, key, energy = torch.randn(1, queries, units), torch.randn(1, keys, units), torch.randn(units)
    narrow, shape = plan.plan(query, key, energy, None), (1, queries, keys)
    wide, direct = narrow._replace(wide=True), plan.Plan(None, plan.Side(query, key, energy))
    out, grad = torch.empty(shape), torch.randn(shape)
    registers = queries * keys * units // plan.lanes(torch.float32)

    def scores(sides: plan.Plan) -> float:
        return nanoseconds(lambda: cpu._forward(sides, shape, None, None, None, None, out, False), registers)

    def slopes(sides: plan.Plan) -> float:
        ((side, far, cut),) = sides.sides()
        rooms = torch.empty_like(query), torch.empty_like(key)
        return nanoseconds(lambda: cpu.gradients(side, far, cut, grad, None, *rooms, True, True), registers)

    return {
        "scores": scores(narrow),
        "scores, cut": scores(wide),
        "scores, direct": scores(direct),
        "gradients": slopes(narrow),
        "gradients, direct": slopes(direct),
    }


def main() -> None:
    """One row: each instruction, each kernel, and the share of the time that divisions alone would take."""
    torch.set_num_threads(1)
    alone = {
        "division": nanoseconds(lambda: dividing(ONE, STEPS), CHAINS * STEPS),
        "multiply-add": nanoseconds(lambda: multiplying(ONE, STEPS), CHAINS * STEPS),
        "load": nanoseconds(lambda: loading(ONE, STEPS), CHAINS * STEPS),
    }
    found = {**alone, **kernels()}
    found["divisions / scores"] = alone["division"] / 2 / found["scores"]
    append("additive_ceiling", lanes=plan.lanes(torch.float32), **{name: round(ns, 3) for name, ns in found.items()})


if __name__ == "__main__":
    main()
