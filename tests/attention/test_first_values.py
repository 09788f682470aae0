"""Where the parameters of every mechanism begin, as its docstring says: no parameter is left without a line."""

import math
from fnmatch import fnmatch

import pytest
import torch
from torch import Tensor

from heedful.attention import (
    AttBlstmPooling,
    AttentionPooling,
    AttentiveStatisticsPooling,
    AverageAttention,
    BidirectionalAttentionFlow,
    ChannelStatisticsPooling,
    CoAttention,
    CopyGate,
    CopyNet,
    DeltaRuleAttention,
    DifferentialAttention,
    DistanceAttention,
    DynamicConvolution,
    FeatureAttention,
    FeatureTemporalAttention,
    FlatMultiSourceAttention,
    FusedContexts,
    GatedAttention,
    GatedPooling,
    InducedAttention,
    IntraDecoderAttention,
    KeyValueAttention,
    LastStateAttention,
    LatentAttention,
    LearnedQueryPooling,
    LightConvolution,
    LinearAttention,
    LinformerAttention,
    LuongAttention,
    MultiHeadAttention,
    MultiSourceAttention,
    NystromAttention,
    ParallelCoAttention,
    PointerAttention,
    PointerGenerator,
    QueryKeyTransform,
    RetentionAttention,
    SeedPooling,
    StructuredSelfAttention,
    TalkingHeadsAttention,
    TransformerXLAttention,
    VisualAttention,
)
from heedful.layers import LearnedPositions

# large, so that few draws come far from what is expected; all different, so that a swapped fan shows
A, B, C = 200, 320, 500


def zeros(tensor: Tensor) -> None:
    assert not tensor.any()


def ones(tensor: Tensor) -> None:
    assert tensor.eq(1).all()


def identity(tensor: Tensor) -> None:
    assert tensor.equal(torch.eye(len(tensor)))


def uniform(bound: float):
    def check(tensor: Tensor) -> None:
        assert 0.96 * bound < tensor.abs().max().item() <= bound
        assert tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.12)
        assert abs(tensor.mean().item()) < 5 * bound / tensor.numel() ** 0.5

    return check


def normal(deviation: float):
    def check(tensor: Tensor) -> None:
        assert tensor.std().item() == pytest.approx(deviation, rel=0.12)
        # further out than anything uniform
        assert tensor.abs().max().item() > 2.2 * deviation
        assert abs(tensor.mean().item()) < 5 * deviation / tensor.numel() ** 0.5

    return check


def glorot(tensor: Tensor) -> None:
    uniform(math.sqrt(6 / sum(tensor.shape)))(tensor)


def third_of_glorot(tensor: Tensor) -> None:
    """A third of one matrix of three, as in torch.nn.MultiheadAttention."""
    uniform(math.sqrt(6 / (3 * tensor.shape[0] + tensor.shape[1])))(tensor)


def linear(tensor: Tensor) -> None:
    """As torch.nn.Linear begins."""
    uniform(tensor.shape[-1] ** -0.5)(tensor)


def additive(prefix: str) -> dict:
    return {f"{prefix}.query_proj": glorot, f"{prefix}.key_proj": glorot, f"{prefix}.energy": normal(C**-0.5)}


POOLED = {"*weight": glorot, "*bias": zeros, "context_vector": normal(C**-0.5)}
HEADS = {"*_proj.weight": third_of_glorot, "output_proj.weight": glorot, "*_proj.bias": zeros}
APART = {"*_proj.weight": glorot, "*_proj.bias": zeros}
PROJECTIONS = {"*_proj.weight": linear}
SET = {"*_proj.weight": glorot, "*_proj.bias": zeros, "*_norm.weight": ones, "*_norm.bias": zeros}

# built, and for each parameter by the last pattern that fits its name where it begins
ROWS = [
    (lambda: AttentionPooling(A, C), POOLED),
    (lambda: GatedPooling(A, C), POOLED),
    (lambda: AttentiveStatisticsPooling(A, C), POOLED),
    (lambda: ChannelStatisticsPooling(A, C), {"*": glorot, "bias": zeros}),
    (lambda: AttBlstmPooling(C), {"weight": normal(C**-0.5)}),
    (lambda: LastStateAttention(A, B), {"*": glorot}),
    (lambda: LearnedQueryPooling(LuongAttention(C, A)), {"attention.*": glorot, "query": normal(C**-0.5)}),
    (lambda: StructuredSelfAttention(A, C, 30), {"*": glorot}),
    (lambda: SeedPooling(A, 2, 7), {**SET, "seeds": glorot}),
    (lambda: InducedAttention(A, 2, 7), {**SET, "points": glorot}),
    (lambda: FeatureAttention(A), {"weight": glorot, "bias": zeros}),
    (lambda: FeatureTemporalAttention(A), {"weight": glorot, "bias": zeros}),
    (lambda: MultiHeadAttention(A, 2), HEADS),
    (lambda: MultiHeadAttention(A, 2, B, C), APART),
    (lambda: MultiHeadAttention(A, 2, num_kv_heads=1), APART),
    (
        lambda: MultiHeadAttention(A, 2, B, transform=QueryKeyTransform(A // 2, "layer")),
        {**APART, "transform.*.weight": ones, "transform.*.bias": zeros},
    ),
    (lambda: TalkingHeadsAttention(A, 4), {**HEADS, "*.mix_before": identity, "*.mix_after": identity}),
    (lambda: DistanceAttention(A, 2), HEADS),
    (lambda: GatedAttention(A, 2), {**HEADS, "finish.gate.weight": glorot}),
    (lambda: GatedAttention(A, 2, per="head"), {**HEADS, "finish.gate.weight": glorot}),
    (
        lambda: DifferentialAttention(4 * A, 2),
        {**HEADS, "*_vectors": normal(0.1), "finish.norm.weight": ones},
    ),
    (
        lambda: LatentAttention(A, 2, B, query_latent_dim=C),
        {"*": linear, "*_norm.weight": ones},
    ),
    (lambda: LinearAttention(A, 2), PROJECTIONS),
    (lambda: LinformerAttention(A, 30, 100), {**PROJECTIONS, "*_mix": normal(30**-0.5)}),
    (lambda: LinformerAttention(A, 30, 100, 2, per_head=True), {**PROJECTIONS, "*_mix": normal(30**-0.5)}),
    (lambda: NystromAttention(A, 3, 8, kernel_size=33), {**PROJECTIONS, "kernel": uniform(33**-0.5)}),
    (
        lambda: AverageAttention(A, B),
        {
            "*.weight": linear,
            "gate.bias": uniform((2 * A) ** -0.5),
            "network.inner.bias": uniform(A**-0.5),
            "network.outer.bias": uniform(B**-0.5),
        },
    ),
    (lambda: DeltaRuleAttention(A, 2), PROJECTIONS),
    (lambda: RetentionAttention(A, 2), PROJECTIONS),
    (lambda: LightConvolution(A, 31, 8), {"*.weight": linear, "kernel": glorot}),
    (lambda: DynamicConvolution(A, 31, 8), {"*.weight": linear}),
    (lambda: KeyValueAttention(2 * A, hidden_dim=C), additive("attention.score")),
    (lambda: IntraDecoderAttention(A), {"attention.score.weight": glorot}),
    (lambda: PointerAttention(A, A, C, 1), {**additive("pointing.score"), **additive("glimpse.score")}),
    (lambda: PointerGenerator(A, B, C), {"*": uniform(math.sqrt(6 / (A + B + C + 1))), "bias": zeros}),
    (lambda: CopyGate(C), {"weight": uniform(math.sqrt(6 / (C + 1))), "bias": zeros}),
    (lambda: CopyNet(A, B), {"weight": glorot}),
    (
        lambda: MultiSourceAttention([LuongAttention(A, B), LuongAttention(A, A)], C, B),
        {"*": glorot, "energy": normal(C**-0.5), "*.bias": zeros},
    ),
    (lambda: FlatMultiSourceAttention(LuongAttention(A, C), [A, B]), {"*": glorot}),
    (lambda: FusedContexts(A, B), {"gate.weight": glorot, "gate.bias": zeros}),
    (lambda: BidirectionalAttentionFlow(A), {"weight": uniform(math.sqrt(6 / (3 * A + 1)))}),
    (lambda: CoAttention(A), {"*.weight": glorot, "*.bias": zeros, "*_sentinel": normal(A**-0.5)}),
    (lambda: ParallelCoAttention(A, B, C), {"*": glorot, "*_energy": normal(C**-0.5)}),
    (
        lambda: VisualAttention(A, B, C, gate="vector"),
        {**additive("attention.score"), "*.bias": zeros, "gate.weight": glorot},
    ),
    (lambda: TransformerXLAttention(A, B), {"*.bias": zeros, "window.position_proj": glorot}),
    (lambda: LearnedPositions(A, B), {"table": normal(0.02)}),
]


@pytest.mark.parametrize(("build", "starts"), ROWS, ids=[type(build()).__name__ for build, _ in ROWS])
def test_every_parameter_begins_where_its_docstring_says(build, starts):
    for name, parameter in build().named_parameters():
        fitting = [check for pattern, check in starts.items() if fnmatch(name, pattern)]
        assert fitting, f"nothing says where {name} begins"
        fitting[-1](parameter.detach())
