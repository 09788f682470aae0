"""What every mechanism costs, beside dot-product attention: python benchmarks/mechanisms.py [--only NAME ...].

Each line of the catalogue that is called as `Attention` is gets a row for each length: as many queries as keys, 64
features, one batch item per thread, float32. A score, a window or a normaliser is measured with the plain others:
`ScaledDotScore`, every key, softmax. Time is the median of interleaved runs, beside `scaled_dot_product_attention` on
the same numbers; memory is the most that tensors take beyond what went in. A mechanism with state scans its queries.
"""

import argparse
import inspect
import time
from collections.abc import Callable
from statistics import median

import torch
from record import append
from torch import Tensor, nn

import heedful.attention
from heedful.attention import Attention, normalizers, scores, windows
from heedful.attention.catalogue import Entry, catalogue
from heedful.attention.scores import ScaledDotScore
from heedful.training.checks import LiveBytes

DIM, LENGTHS, ROUNDS, SECONDS = 64, (64, 256, 1024), 5, 0.2
# what a constructor asks for, by name
SIZES = {
    "query_dim": DIM,
    "key_dim": DIM,
    "value_dim": DIM,
    "dim": DIM,
    "hidden_dim": DIM,
    "num_heads": 4,
    "latent_dim": 16,
    "rotary_dim": 16,
    "k": 8,
    "left": 16,
    "right": 16,
    "before": 16,
    "after": 16,
    "reach": 16,
    "size": 64,
    "max_span": 64,
    "kernel_size": 31,
    "max_keys": max(LENGTHS),
    "dilation": 2,
    "stride": 16,
    "prefix": 8,
    "sinks": 4,
    "rank": 32,
    "landmarks": 32,
    "max_len": max(LENGTHS),
}


def build(thing: Callable[..., nn.Module]) -> nn.Module:
    """A mechanism of the sizes above; raises KeyError where its constructor asks for another."""
    asked = inspect.signature(thing).parameters.values()
    named = [one for one in asked if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    wanted = [one.name for one in named if one.default is one.empty]
    return thing(**{name: SIZES[name] for name in wanted})


def attention_of(entry: Entry) -> nn.Module:
    """The attention that a line of the catalogue stands for."""
    if entry.kind == "score":
        return Attention(build(getattr(scores, entry.name)))  # pyright: ignore[reportArgumentType]
    if entry.kind == "window":
        return Attention(ScaledDotScore(DIM), build(getattr(windows, entry.name)))  # pyright: ignore[reportArgumentType]
    if entry.kind == "normalizer":
        normalizer = build(getattr(normalizers, entry.name))
        return Attention(ScaledDotScore(DIM), normalizer=normalizer)  # pyright: ignore[reportArgumentType]
    return build(getattr(heedful.attention, entry.name))


def dot_product(query: Tensor, key: Tensor) -> Tensor:
    """What every row stands beside."""
    heads = query.unsqueeze(1), key.unsqueeze(1), key.unsqueeze(1)
    return nn.functional.scaled_dot_product_attention(*heads).squeeze(1)


def sides(attention: nn.Module) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The two that are timed in turn."""
    return {"mechanism": lambda query, key: attention(query, key).context, "dot": dot_product}


def once(call: Callable[[Tensor, Tensor], Tensor], length: int, backward: bool) -> None:
    """One call on fresh numbers, and its gradient."""
    torch.manual_seed(length)
    query, key = (torch.randn(torch.get_num_threads(), length, DIM, requires_grad=backward) for _ in range(2))
    with torch.set_grad_enabled(backward):
        context = call(query, key)
    if backward:
        context.sum().backward()


def seconds(call: Callable[[Tensor, Tensor], Tensor], length: int, backward: bool) -> float:
    """Of one call, as the mean of as many as fit into `SECONDS`."""
    begun, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - begun < SECONDS / ROUNDS:
        once(call, length, backward)
        calls += 1
    return (time.perf_counter() - begun) / calls


def peak(call: Callable[[Tensor, Tensor], Tensor], length: int) -> float:
    """Mebibytes that a call and its gradient hold at most, beyond the numbers that go in."""
    with LiveBytes() as live:
        once(call, length, backward=True)
    return live.most / 2**20


def main() -> None:
    """A row for each mechanism and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of the catalogue")
    only = parser.parse_args().only
    for entry in catalogue():
        if entry.kind in ("pooling", "layer") or (only and entry.name not in only):
            continue
        attention = attention_of(entry)
        for length in LENGTHS:
            calls = sides(attention)
            for call in calls.values():
                once(call, length, backward=True)
            numbers: dict[str, object] = {}
            for direction, backward in (("forward", False), ("both", True)):
                times: dict[str, list[float]] = {name: [] for name in calls}
                for _ in range(ROUNDS):
                    for name, call in calls.items():
                        times[name].append(seconds(call, length, backward) * 1e3)
                found = {name: median(values) for name, values in times.items()}
                numbers |= {
                    f"{direction}_ms": f"{found['mechanism']:.3g}",
                    f"{direction}_dot_ms": f"{found['dot']:.3g}",
                }
                numbers[f"{direction}_ratio"] = f"{found['mechanism'] / found['dot']:.3g}"
                numbers[f"{direction}_range_ms"] = f"{min(times['mechanism']):.3g}-{max(times['mechanism']):.3g}"
            numbers |= {f"{name}_mib": f"{peak(call, length):.3g}" for name, call in calls.items()}
            append(
                "mechanisms",
                mechanism=entry.name,
                kind=entry.kind,
                length=length,
                threads=torch.get_num_threads(),
                **numbers,
            )


if __name__ == "__main__":
    main()
