"""How `mechanisms.py` calls poolings and other layers: with the same queries and keys as everything else."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import heedful.attention as layers
from heedful.attention import Attention, AttentionOutput, AttentionPooling
from heedful.attention.scores import AdditiveScore, ScaledDotScore

Call = Callable[[nn.Module, Tensor, Tensor], object]
# words that a copying decoder may generate; keys of a section or a sentence
VOCABULARY, SECTION = 1000, 32


class AsTheyAre(nn.Module):
    """An encoder that gives back what it gets: what is measured is the attention."""

    def forward(self, steps: Tensor, lengths: Tensor) -> SimpleNamespace:
        return SimpleNamespace(outputs=steps)


def places(key: Tensor, size: int) -> Tensor:
    """Of each key, the number of its section."""
    return (torch.arange(key.shape[1]) // size).expand(len(key), -1)


def sections(key: Tensor) -> Tensor:
    """The keys in sections, each with its first key in the place of what an encoder makes of it."""
    return key[:, ::SECTION]


def look(query: Tensor, key: Tensor) -> AttentionOutput:
    """What a decoder's attention gives to a layer that copies."""
    weights = weights_of(query, key)
    return AttentionOutput(weights @ key, weights)


def weights_of(query: Tensor, key: Tensor) -> Tensor:
    """Plain weights, for layers that take them from elsewhere."""
    return torch.softmax(query @ key.transpose(1, 2), -1)


def logits(query: Tensor) -> Tensor:
    """Scores of the vocabulary: each feature again and again."""
    return query.repeat(1, 1, -(-VOCABULARY // query.shape[2]))[..., :VOCABULARY]


def ids(key: Tensor) -> Tensor:
    """Of each key, a word of the vocabulary."""
    return places(key, 1) % VOCABULARY


def documents(layer: nn.Module, _query: Tensor, key: Tensor) -> object:
    """Sentences of `SECTION` words."""
    words = key.unflatten(1, (-1, SECTION))
    return layer(words, torch.full(words.shape[:2], SECTION))


def makers(dim: int) -> dict[str, Callable[[], nn.Module]]:
    """Layers that are put together of others, or whose sizes have names of their own."""
    return {
        "LearnedQueryPooling": lambda: layers.LearnedQueryPooling(Attention(ScaledDotScore(dim))),
        "HierarchicalAttention": lambda: layers.HierarchicalAttention(
            AsTheyAre(), AttentionPooling(dim, dim), AsTheyAre(), AttentionPooling(dim, dim)
        ),
        "TwoLevelAttention": lambda: layers.TwoLevelAttention(
            AdditiveScore(dim, dim, dim), AdditiveScore(dim, dim, dim)
        ),
        "FlatMultiSourceAttention": lambda: layers.FlatMultiSourceAttention(
            Attention(AdditiveScore(dim, dim, dim)), [dim, dim]
        ),
        "MultiSourceAttention": lambda: layers.MultiSourceAttention(
            [Attention(AdditiveScore(dim, dim, dim)) for _ in range(2)], dim, dim
        ),
        # a value, no module: its numbers come with the call
        "CopyDistribution": nn.Identity,
    }


# a pooling takes the keys alone, as does whatever is not here
CALLS: dict[str, Call] = {
    "FeatureAttention": lambda layer, _, key: layer(key.flatten(0, 1)),
    "HierarchicalAttention": documents,
    "PointerAttention": lambda layer, query, key: layer(query, key),
    "VisualAttention": lambda layer, query, key: layer(query, key),
    "ParallelCoAttention": lambda layer, query, key: layer(key, query),
    "BidirectionalAttentionFlow": lambda layer, query, key: layer(key, query),
    "CoAttention": lambda layer, query, key: layer(key, query),
    "TwoLevelAttention": lambda layer, query, key: layer(query, key, sections(key), places(key, SECTION)),
    "FlatMultiSourceAttention": lambda layer, query, key: layer(query, key.chunk(2, 1)),
    "MultiSourceAttention": lambda layer, query, key: layer(query, key.chunk(2, 1)),
    "FusedContexts": lambda layer, query, key: layer(query, key, key.flip(1)),
    "CopyDistribution": lambda _, query, key: layers.CopyDistribution(
        logits(query).log_softmax(-1), weights_of(query, key), ids(key), query[..., 0]
    ).log_probs(),
    "CopyNet": lambda layer, query, key: layer(logits(query), query, key, ids(key)).log_probs(),
    "CopyGate": lambda layer, query, key: layer(logits(query), look(query, key), ids(key), query).log_probs(),
    "PointerGenerator": lambda layer, query, key: layer(
        logits(query), look(query, key), ids(key), query, query
    ).log_probs(),
}


def total(layer: nn.Module, name: str, query: Tensor, key: Tensor) -> Tensor:
    """The sum of all numbers that a layer returns."""
    call = CALLS.get(name, lambda layer, _, key: layer(key))
    output = call(layer, query, key)
    parts = pytree.tree_leaves(output if isinstance(output, Tensor) else vars(output))
    return torch.stack([part.sum() for part in parts if isinstance(part, Tensor)]).sum()
