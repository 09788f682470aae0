"""What does not compose is refused when it is built, and the message names what does."""

import inspect
import re

import pytest
import torch

from heedful import attention
from heedful.attention import Attention, LatentAttention, LinearTimeAttention, linear_time, normalizers, scores, windows
from heedful.attention.catalogue import catalogue
from heedful.attention.normalizers import (
    ChunkwiseNormalizer,
    ExponentialNormalizer,
    GumbelSoftmaxNormalizer,
    HardmaxNormalizer,
    MonotonicNormalizer,
    Normalizer,
    SampledHardNormalizer,
    SoftmaxNormalizer,
    StepwiseNormalizer,
    StraightThroughNormalizer,
)
from heedful.attention.scores import (
    AdditiveScore,
    CosineScore,
    DotScore,
    GaussianMixtureScore,
    NormalizedAdditiveScore,
    PairedScore,
    Score,
)
from heedful.attention.windows import (
    AlibiBias,
    AndWindow,
    AttentionWindow,
    BucketedRelativeBias,
    CausalWindow,
    LocalMonotonicWindow,
    LocalPredictiveWindow,
    RelativeBias,
    Window,
)
from heedful.attention.windows.alibi import alibi_slopes
from tests.attention.rows import exported

CHOICES = [GumbelSoftmaxNormalizer, HardmaxNormalizer, SampledHardNormalizer, StraightThroughNormalizer]
LOG_ODDS = [(MonotonicNormalizer, lambda score: score), (StepwiseNormalizer, lambda score: score)]
LOG_ODDS += [(ChunkwiseNormalizer, lambda score: PairedScore(score, DotScore(4)))]


def refused(build, *words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        build()


@pytest.mark.messages
@pytest.mark.parametrize("score", [AdditiveScore(4, 6, 5), DotScore(4), CosineScore(4)])
def test_what_reads_logarithms_of_weights_takes_those_of_mixtures_alone(score):
    name = type(score).__name__
    refused(
        lambda: Attention(score, normalizer=ExponentialNormalizer()),
        f"those of {name} are none. Use SoftmaxNormalizer with {name}, or ExponentialNormalizer with GaussianMixtureSc",
    )
    assert Attention(score)
    assert Attention(GaussianMixtureScore(4, 6), normalizer=ExponentialNormalizer())


@pytest.mark.messages
@pytest.mark.parametrize(("normalizer", "around"), LOG_ODDS)
def test_what_reads_log_odds_needs_a_score_that_can_leave_its_limits(normalizer, around):
    for bounded in (CosineScore(4), CosineScore(4, "learned"), CosineScore(4, offset=-1.0)):
        refused(
            lambda score=bounded: Attention(around(score), normalizer=normalizer()),
            f"{normalizer.__name__} reads scores as log-odds, but those of this ",
            "stay within fixed limits. Give",
            "a learned sharpness and an offset, or use NormalizedAdditiveScore with an offset.",
        )
    assert Attention(around(CosineScore(4, "learned", offset=-1.0)), normalizer=normalizer())
    if normalizer is not ChunkwiseNormalizer:
        assert Attention(NormalizedAdditiveScore(4, 6, 5, offset=-1.0), normalizer=normalizer())
    # nothing to divide by: temperature is an option of softmax alone
    assert "temperature" not in inspect.signature(normalizer).parameters


@pytest.mark.messages
@pytest.mark.parametrize("normalizer", CHOICES)
def test_a_choice_is_not_scaled(normalizer):
    refused(
        lambda: Attention(DotScore(4), LocalPredictiveWindow(4), normalizer()),
        f"LocalPredictiveWindow multiplies the weights, but {normalizer.__name__} chooses one key",
        "Use SoftmaxNormalizer with LocalPredictiveWindow, or a window without a gain, such as LocalMonotonicWindow.",
    )
    assert Attention(DotScore(4), LocalPredictiveWindow(4), SoftmaxNormalizer())
    assert Attention(DotScore(4), LocalMonotonicWindow(4), normalizer())


@pytest.mark.parametrize(
    ("package", "base"), [(scores, Score), (windows, Window), (normalizers, Normalizer)], ids=lambda one: one.__name__
)
def test_what_depends_on_earlier_queries_says_what_that_costs(package, base):
    """There is no fused path: a call over many queries takes them one by one."""
    for name in exported(package, base):
        part = getattr(package, name)
        # those around another score say it of themselves when they are built
        if part.stateful is True:
            assert "scan" in inspect.getdoc(part), f"{name} does not say that a call scans the queries"


@pytest.mark.parametrize(
    "entry", [entry for entry in catalogue() if entry.kind == "mechanism"], ids=lambda one: one.name
)
def test_a_named_mechanism_says_so_too(entry):
    build = getattr(attention, entry.name)
    needed = [one for one in inspect.signature(build).parameters.values() if one.default is one.empty]
    built = build(**{one.name: {"num_heads": 2, "kernel_size": 3}.get(one.name, 4) for one in needed})
    if getattr(built, "stateful", False):
        assert "scan" in inspect.getdoc(build)


@pytest.mark.messages
@pytest.mark.parametrize("name", sorted(exported(linear_time, LinearTimeAttention)))
def test_what_never_holds_a_matrix_takes_neither_biases_nor_normalisers_nor_any_mask(name):
    layer = getattr(linear_time, name)
    assert not {"window", "normalizer", "score", "attention"} & set(inspect.signature(layer).parameters)
    sizes = {"rank": 2, "max_keys": 9, "landmarks": 2, "left": 1, "right": 0, "kernel_size": 3}
    needed = [one for one in inspect.signature(layer).parameters.values() if one.default is one.empty]
    built = layer(8, **{one.name: sizes[one.name] for one in needed[1:]})
    steps = torch.zeros(2, 5, 8)
    refused(
        lambda: built(steps, steps, mask=torch.ones(2, 5, 5, dtype=torch.bool)),
        f"{name} expected [batch, 1, keys] = [2, 1, 5], the same keys hidden from every query. For other masks use "
        "Attention with ScaledDotScore.",
    )


@pytest.mark.messages
def test_latents_take_no_window_that_they_cannot_heed():
    heads = AlibiBias(alibi_slopes(2)), BucketedRelativeBias(heads=2)
    for window in (LocalPredictiveWindow(8), AttentionWindow(1, 1), RelativeBias(8, 2, value_dim=8), *heads):
        refused(
            lambda window=window: LatentAttention(8, 2, 3, window=AndWindow(CausalWindow(), window)),
            " with a state, a gain, vectors for the values or numbers for each head; ",
            "expected one without, such as CausalWindow or SlidingWindow. MultiHeadAttention takes any.",
        )
    refused(
        lambda: LatentAttention(8, 2, 3, window=RelativeBias(5, 2)), "query has 8 features; RelativeBias expected 5."
    )
    refused(lambda: LatentAttention(8, 2, 3, window="causal"), "window is 'causal'; expected an instance of Window.")
