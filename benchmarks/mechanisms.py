"""What every mechanism costs, beside dot-product attention: python benchmarks/mechanisms.py [--only NAME ...].

Each line of the catalogue gets a row for each length: as many queries as keys, 64 features, one batch item per
thread, float32. A score, a window or a normaliser is measured with the plain others: `ScaledDotScore`, every key,
softmax. A pooling reads the keys alone, the other layers what `mechanism_layers.py` gives them. Time is the median of
interleaved runs, beside `scaled_dot_product_attention` on the same numbers; memory is the most that tensors take
beyond what went in. A mechanism with state scans its queries.
"""

import argparse
import csv
import inspect
import itertools
import time
from collections.abc import Callable
from statistics import median

import torch
from mechanism_layers import makers, total
from record import RESULTS, append
from torch import Tensor, nn

import heedful.attention
from heedful.attention import Attention, normalizers, scores, windows
from heedful.attention.catalogue import Entry, catalogue
from heedful.attention.scores import ScaledDotScore
from heedful.training.checks import LiveBytes

DIM, LENGTHS, ROUNDS, SECONDS, PATIENCE = 64, (64, 256, 1024), 5, 0.2, 10.0
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
    "attention_dim": DIM,
    "state_dim": DIM,
    "input_dim": DIM,
    "context_dim": DIM,
    "region_dim": DIM,
    "word_dim": DIM,
    "hops": 4,
    "points": 32,
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
    "back": 16,
    "forward": 16,
    "wait": 8,
    "prefix_len": 8,
    "slopes": 0.1,
    "ids": [place // 32 for place in range(max(LENGTHS))],
}


def additive() -> scores.Score:
    """What parts that read another score are given."""
    return scores.AdditiveScore(DIM, DIM, DIM)


# parts that work with certain others only, or upon others
TOGETHER: dict[str, Callable[[], nn.Module]] = {
    "PairedScore": lambda: Attention(
        scores.PairedScore(additive(), additive()), normalizer=normalizers.ChunkwiseNormalizer(8)
    ),
    "TransitionScore": lambda: Attention(
        scores.TransitionScore(additive()), normalizer=normalizers.ForwardTransitionNormalizer()
    ),
    "PerHeadScore": lambda: heedful.attention.MultiHeadAttention(
        DIM,
        2,
        attention=Attention(scores.PerHeadScore([scores.AdditiveScore(DIM // 2, DIM // 2, DIM) for _ in range(2)])),
    ),
    "SoftcapScore": lambda: Attention(scores.SoftcapScore(ScaledDotScore(DIM))),
    "AndWindow": lambda: Attention(
        ScaledDotScore(DIM), windows.AndWindow(windows.CausalWindow(), windows.SlidingWindow(16, 16))
    ),
    "OrWindow": lambda: Attention(
        ScaledDotScore(DIM), windows.OrWindow(windows.PrefixWindow(8), windows.SlidingWindow(16, 16))
    ),
    "ScoreBias": lambda: Attention(
        ScaledDotScore(DIM), windows.ScoreBias(lambda query, key: -0.1 * (query - key).abs())
    ),
    "ExponentialNormalizer": lambda: heedful.attention.GaussianMixtureAttention(DIM, DIM, DIM),
    "ChunkwiseNormalizer": lambda: TOGETHER["PairedScore"](),
    "ForwardTransitionNormalizer": lambda: TOGETHER["TransitionScore"](),
}


def build(thing: Callable[..., nn.Module]) -> nn.Module:
    """A mechanism of the sizes above; raises KeyError where its constructor asks for another."""
    asked = inspect.signature(thing).parameters.values()
    named = [one for one in asked if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    wanted = [one.name for one in named if one.default is one.empty]
    return thing(**{name: SIZES[name] for name in wanted})


def attention_of(entry: Entry) -> nn.Module:
    """The attention that a line of the catalogue stands for."""
    ready = TOGETHER | makers(DIM)
    if entry.name in ready:
        return ready[entry.name]()
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


def sides(entry: Entry, attention: nn.Module) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The two that are timed in turn, each giving what is summed for a gradient."""
    if entry.kind in ("pooling", "layer"):
        return {"mechanism": lambda query, key: total(attention, entry.name, query, key), "dot": dot_product}
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


def compare(entry: Entry, length: int) -> dict[str, str]:
    """Times of a mechanism and of the dot product, in turn, and the memory of both."""
    calls = sides(entry, attention_of(entry))
    for call in calls.values():
        once(call, length, backward=True)
    numbers: dict[str, str] = {}
    for direction, backward in (("forward", False), ("both", True)):
        own, dots = in_turn(calls, length, backward)
        numbers[f"{direction}_ms"], numbers[f"{direction}_dot_ms"] = f"{median(own):.3g}", f"{median(dots):.3g}"
        numbers[f"{direction}_ratio"] = f"{median(own) / median(dots):.3g}"
        numbers[f"{direction}_range_ms"] = f"{min(own):.3g}-{max(own):.3g}"
    return numbers | {f"{name}_mib": f"{peak(call, length):.3g}" for name, call in calls.items()}


def in_turn(calls: dict[str, Callable[[Tensor, Tensor], Tensor]], length: int, backward: bool) -> list[list[float]]:
    """Milliseconds of each, over as many rounds as its patience allows."""
    begun, rounds = time.perf_counter(), []
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() - begun < PATIENCE):
        rounds.append([seconds(call, length, backward) * 1e3 for call in calls.values()])
    return [list(times) for times in zip(*rounds, strict=True)]


def done() -> set[tuple[str, str]]:
    """Name and length of what has a row."""
    path = RESULTS / "mechanisms.csv"
    rows = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
    return {(row["mechanism"], row["length"]) for row in rows}


def main() -> None:
    """A row for each mechanism and length; what has one already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of the catalogue")
    only = parser.parse_args().only
    named = [entry for entry in catalogue() if not only or entry.name in only]
    earlier = done()
    for entry, length in itertools.product(named, LENGTHS):
        if (entry.name, str(length)) not in earlier:
            numbers = compare(entry, length)
            threads = torch.get_num_threads()
            append("mechanisms", mechanism=entry.name, kind=entry.kind, length=length, threads=threads, **numbers)


if __name__ == "__main__":
    main()
