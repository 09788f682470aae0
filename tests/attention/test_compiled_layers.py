"""torch.compile in one graph and torch.export of the layers that no other table of rows has, and what refuses both."""

import pytest
import torch
from torch import nn

from heedful.attention import (
    Attention,
    AttentionOutput,
    CopyDistribution,
    CopyGate,
    CopyNet,
    DifferentialAttention,
    DistanceAttention,
    FeatureAttention,
    FlatMultiSourceAttention,
    FusedContexts,
    GatedAttention,
    HierarchicalAttention,
    IntraDecoderAttention,
    KeyValueAttention,
    LatentAttention,
    MultiHeadAttention,
    MultiSourceAttention,
    PointerGenerator,
    TalkingHeadsAttention,
)
from heedful.attention.catalogue import catalogue
from heedful.attention.scores import AdditiveScore, DotScore, PerHeadScore
from tests.attention.test_hierarchical import network
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

MASK = torch.tensor([[[True] * 5], [[True, False, True, True, False]]])


class Copying(nn.Module):
    """A gate and the distribution it makes."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, logits, weights, *rest):
        look = AttentionOutput(weights @ torch.ones(2, 5, 8), weights)
        return self.gate(logits, look, *rest).log_probs(4).exp()


class Mixed(nn.Module):
    """The probabilities of a distribution that is made by hand."""

    def forward(self, *parts):
        return CopyDistribution(*parts).log_probs(4).exp()


class CopyNetWords(CopyNet):
    """The distribution that the layer makes."""

    def forward(self, *inputs):
        return super().forward(*inputs).log_probs(4).exp()


def draw(*sizes):
    return torch.randn(2, *sizes)


def heads(layer):
    return layer, (draw(3, 8), draw(5, 8), None, MASK, True)


def copying(gate, *sizes):
    ids = torch.randint(9, (2, 5))
    return Copying(gate), (draw(3, 7), draw(3, 5).softmax(2), ids, *(draw(3, size) for size in sizes))


def two_sources():
    return draw(3, 4), [draw(5, 4), draw(2, 4)]


LAYERS = {
    "heads": lambda: heads(MultiHeadAttention(8, 2)),
    "difference": lambda: heads(DifferentialAttention(8, 2)),
    "gate": lambda: heads(GatedAttention(8, 2)),
    "latent": lambda: heads(LatentAttention(8, 2, 5, rotary_dim=2)),
    "talking": lambda: heads(TalkingHeadsAttention(8, 2)),
    "distance": lambda: heads(DistanceAttention(8, 2)),
    "own scores": lambda: heads(
        MultiHeadAttention(8, 2, attention=Attention(PerHeadScore([AdditiveScore(4, 4, 5), AdditiveScore(4, 4, 5)])))
    ),
    "features": lambda: (FeatureAttention(8), (draw(8), True)),
    "key and value": lambda: (KeyValueAttention(8), (draw(3, 8), None, True)),
    "own past": lambda: (IntraDecoderAttention(8), (draw(3, 8), None, True)),
    "context gate": lambda: (FusedContexts(8, 6), (draw(3, 8), draw(3, 6), draw(3, 6))),
    "copy gate": lambda: copying(CopyGate(8), 8),
    "copy distribution": lambda: (
        Mixed(),
        (draw(3, 7).log_softmax(2), draw(3, 5).softmax(2), torch.randint(9, (2, 5)), draw(3)),
    ),
    "copy net": lambda: (
        CopyNetWords(8, 6),
        (draw(3, 7), draw(3, 8), draw(5, 6), torch.randint(9, (2, 5)), MASK),
    ),
    "pointer": lambda: copying(PointerGenerator(8, 8, 3), 8, 3),
    "flat": lambda: (FlatMultiSourceAttention(Attention(DotScore(4)), [4, 4]), two_sources()),
    "sources": lambda: (MultiSourceAttention([Attention(DotScore(4)) for _ in range(2)], 7, 6), two_sources()),
}


def compiled(layer, arguments):
    return torch.compile(layer, fullgraph=True, backend="aot_eager")(*arguments)


def exported(layer, arguments):
    return torch.export.export(layer, arguments).module()(*arguments)


def tensors(output):
    return torch.utils._pytree.tree_leaves(output)


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_compiled_in_one_graph_and_exported(name):
    layer, arguments = LAYERS[name]()
    expected = tensors(layer(*arguments))
    for run in (compiled, exported):
        for ours, theirs in zip(tensors(run(layer, arguments)), expected, strict=True):
            assert_close(ours, theirs)


REFUSED = {
    HierarchicalAttention.__name__: lambda: (network().float(), (draw(3, 4, 2), torch.tensor([[4, 2, 0], [1, 0, 0]]))),
}


def test_what_is_marked_refuses_for_the_reason_that_it_states():
    assert {entry.name for entry in catalogue() if entry.uncompiled} == {*REFUSED}
    for make in REFUSED.values():
        layer, arguments = make()
        for run in (compiled, exported):
            with pytest.raises(Exception, match="data-dependent expression"):
                run(layer, arguments)
