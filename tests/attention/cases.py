"""Scores with windows and normalisers, and the inputs on which the facts of this folder are tried."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from heedful.attention import Attention, AttentionOutput
from tests.attention import oracle
from tests.attention.rows import BATCH, KEYS, QUERIES, VALUE_DIM, NormalizerRow, ScoreRow, WindowRow
from tests.attention.test_normalizers import NORMALIZERS
from tests.attention.test_scores import SCORES
from tests.attention.test_windows import WINDOWS


@dataclass(frozen=True)
class Case:
    """One composition: how to build it, and what it computes."""

    score: ScoreRow
    window: WindowRow
    normalizer: NormalizerRow

    def __str__(self) -> str:
        return f"{self.score}-{self.window}-{self.normalizer}"

    @property
    def refused(self) -> bool:
        """Whether a gain of the window meets a choice of one key."""
        return self.window.scales and self.normalizer.chooses

    @property
    def distribution(self) -> bool:
        """Whether the weights of a row that sees something sum to 1."""
        return self.normalizer.distribution and not self.window.scales

    def compose(self, dropout: float = 0.0) -> Attention:
        return Attention(self.score.build(), self.window.build(), self.normalizer.build(), dropout)

    def build(self, dtype: torch.dtype = torch.float64) -> Attention:
        """The attention, with every parameter random, so that none hides behind its start at 0."""
        attention = self.compose()
        for parameter in attention.parameters():
            torch.nn.init.normal_(parameter)
        return attention.to(dtype)

    def first_place(self, queries: int, keys: int) -> int:
        return max(keys - queries, 0) if self.window.aligned_to_end else 0

    def expected(
        self, attention: Attention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Context and weights by the loops of the oracle."""
        queries, keys = query.shape[1], key.shape[1]
        first = self.first_place(queries, keys)
        visible = None if mask is None else mask.expand(len(query), queries, keys).tolist()

        def may_look(item: int, place: int, other: int) -> bool:
            return self.window.rule(first + place, other) and (visible is None or visible[item][place][other])

        parameters = dict(attention.score.named_parameters())
        scores = oracle.scores(self.score.formula, query, key, parameters, self.score.positional)
        if self.window.bias is not None:
            parameters = dict(attention.window.named_parameters())
            scores = scores + oracle.biases(self.window.bias, query, keys, first, parameters)
        return oracle.look(scores, value, may_look, self.normalizer.weigh_for(attention.normalizer))


PRODUCT = list(itertools.starmap(Case, itertools.product(SCORES, WINDOWS, NORMALIZERS)))
# Every pair of two parts, beside some third: an attention does one after the other, and triples would take too long.
PAIRS = [
    Case(score, WINDOWS[place % len(WINDOWS)], NORMALIZERS[(place + number) % len(NORMALIZERS)])
    for number, score in enumerate(SCORES)
    for place in range(max(len(WINDOWS), len(NORMALIZERS)))
]


def spread(rounds: int) -> list[Case]:
    """Each window and normaliser at least `rounds` times, beside others each time: the product grows too fast."""
    longest = max(len(WINDOWS), len(NORMALIZERS))
    places = range(rounds * longest)
    triples = [
        (
            place % len(SCORES),
            (place + 3 * (place // longest)) % len(WINDOWS),
            (place + 2 * (place // longest)) % len(NORMALIZERS),
        )
        for place in places
    ]
    chosen = [Case(SCORES[score], WINDOWS[window], NORMALIZERS[normalizer]) for score, window, normalizer in triples]
    return [case for case in dict.fromkeys(chosen) if not case.refused]


# Every score alone and the plainest composition first: what is fused is tried with each of them.
CASES = list(dict.fromkeys([Case(row, WINDOWS[0], NORMALIZERS[0]) for row in SCORES] + spread(2)))
# Where the third part does not matter: each row of the three tables at least once.
FEW_CASES = list(dict.fromkeys([Case(row, WINDOWS[0], NORMALIZERS[0]) for row in SCORES] + spread(1)))

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_of_few = pytest.mark.parametrize("case", FEW_CASES, ids=str)
each_distribution = pytest.mark.parametrize("case", [case for case in CASES if case.distribution], ids=str)
# Weights that a small change of a score changes a little, or a choice that jumps.
each_smooth_of_few = pytest.mark.parametrize(
    "case", [case for case in FEW_CASES if not case.normalizer.chooses], ids=str
)
each_placeless_case = pytest.mark.parametrize(
    "case",
    [case for case in CASES if not (case.window.positional or case.score.positional or case.normalizer.positional)],
    ids=str,
)


def draw(
    attention: Attention,
    batch: int = BATCH,
    queries: int = QUERIES,
    keys: int = KEYS,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor]:
    """Random query, key and value that fit."""
    query = torch.randn(batch, queries, attention.query_dim, dtype=dtype, requires_grad=True)
    key = torch.randn(batch, keys, attention.key_dim, dtype=dtype, requires_grad=True)
    value = torch.randn(batch, keys, VALUE_DIM, dtype=dtype, requires_grad=True)
    return query, key, value


def some_mask() -> Tensor:
    """Random, with a row that sees nothing, a row that sees all, and a key hidden from all queries of its item."""
    mask = torch.rand(BATCH, QUERIES, KEYS) > 0.4
    mask[0, :, 3] = False
    mask[0, 1] = False
    mask[1, 2] = True
    return mask


def gradients(output: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a random weighing of the output, the same for every output of one shape; 0 where there is none."""
    if not output.requires_grad:
        # a choice without a gradient
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    upstream = upstream.to(output.dtype)
    return torch.autograd.grad(output, leaves, upstream, retain_graph=True, materialize_grads=True)


def weights_of(output: AttentionOutput) -> Tensor:
    """The weights, which were asked for."""
    assert output.weights is not None
    return output.weights
