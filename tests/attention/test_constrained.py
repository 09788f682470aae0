"""Normalisers with a budget for each key; what they share with others that have a state is in test_monotonic.py."""

import pytest
import torch

from heedful.attention.normalizers import ConstrainedSoftmaxNormalizer, ConstrainedSparsemaxNormalizer
from tests.attention.rows import KEYS
from tests.attention.test_monotonic import run
from tests.tolerances import assert_close

CONSTRAINED = [ConstrainedSoftmaxNormalizer, ConstrainedSparsemaxNormalizer]
each_constrained = pytest.mark.parametrize("kind", CONSTRAINED)


def sparsemax(row):
    """Martins and Astudillo 2016, algorithm 1."""
    ordered = row.sort(descending=True).values
    places = torch.arange(1, len(row) + 1, dtype=row.dtype)
    support = int((1 + places * ordered > ordered.cumsum(0)).sum())
    return (row - (ordered[:support].sum() - 1) / support).clamp_min(0)


def test_with_room_for_every_query_budgets_change_nothing():
    scores = torch.randn(1, 3, KEYS, dtype=torch.float64)
    weights, left = run(ConstrainedSoftmaxNormalizer(4.0), scores)
    assert_close(weights, torch.softmax(scores, -1))
    assert_close(left, 4 - weights.sum(1))
    assert_close(run(ConstrainedSparsemaxNormalizer(4.0), scores)[0][0], torch.stack([*map(sparsemax, scores[0])]))


@each_constrained
def test_nothing_else_within_the_budgets_is_nearer(kind):
    scores, budget = torch.randn(KEYS, dtype=torch.float64) * 2, torch.rand(KEYS, dtype=torch.float64) * 0.5 + 0.15
    weights = kind()(scores.view(1, 1, -1), None, budget.unsqueeze(0))[0][0, 0]
    assert_close(weights.sum(), torch.tensor(1.0).double())
    assert (weights <= budget).all()

    def distance(tried):
        if kind is ConstrainedSparsemaxNormalizer:
            return (tried - scores).square().sum(-1)
        return (torch.xlogy(tried, tried) - tried * torch.log_softmax(scores, 0)).sum(-1)

    tried = torch.cat((torch.rand(40000, KEYS).double(), weights + torch.randn(40000, KEYS).double() * 0.01))
    tried = tried / tried.sum(-1, keepdim=True)
    tried = tried[((tried >= 0) & (tried <= budget)).all(-1)]
    assert len(tried) > 100
    assert (distance(tried) >= distance(weights)).all()


@each_constrained
def test_no_key_receives_more_than_its_budget(kind):
    scores = torch.randn(3, 60, 40) * torch.tensor([1.0, 30.0, 1e4]).view(3, 1, 1)
    weights, left = run(kind(2.0), scores.requires_grad_())
    assert (weights.sum(1) <= 2 + 1e-5).all()
    assert (left >= 0).all()
    assert_close(weights.sum(-1), torch.ones(3, 60))
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
    spent, _ = run(kind(0.5), scores[:, :30])
    assert (spent[:, 20:].sum((1, 2)) < 1e-5).all(), "40 keys had 20 to give"


@each_constrained
def test_the_sink_takes_what_no_other_can(kind):
    scores, mask = torch.zeros(1, 5, 4), torch.tensor([[[True, True, True, False]]])
    weights, left = run(kind(0.5, sink=True), scores, mask)
    assert_close(weights.sum(-1), torch.ones(1, 5))
    assert_close(weights.sum(1), torch.tensor([[0.5, 0.5, 4.0, 0.0]]))
    assert left is not None
    assert left[0, 2] == torch.inf
    with pytest.raises(
        ValueError, match=r"fertility is 0\.0; expected the weight that a key may receive in all, above 0"
    ):
        kind(0.0)


@each_constrained
def test_exhaustion_draws_towards_what_is_left_of_the_budgets(kind):
    scores, budget = torch.randn(2, 1, KEYS, dtype=torch.float64), torch.rand(2, KEYS, dtype=torch.float64) + 0.3
    drawn, left = kind(exhaustion=0.2)(scores, None, budget)
    assert_close(drawn, kind()(scores + 0.2 * budget.unsqueeze(1), None, budget)[0])
    assert_close(left, budget - drawn[:, 0])
    # the endless budget of the sink draws nothing
    weights, _ = kind(exhaustion=0.2, sink=True)(torch.zeros(1, 1, 3).double(), None)
    expected, _ = kind(sink=True)(torch.tensor([[[0.4, 0.4, 0.0]]], dtype=torch.float64), None)
    assert_close(weights, expected)


@each_constrained
@pytest.mark.messages
def test_strict_refuses_a_query_that_cannot_be_shared_out(kind):
    scores, mask = torch.zeros(3, 1, 2), torch.tensor([[[True, True]], [[False, False]], [[True, False]]])
    left = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.25, 9.0]])
    message = r"visible keys of batch item 2 may receive 0\.25 more in all; expected 1 for each query.*sink=True"
    with pytest.raises(ValueError, match=message):
        kind(strict=True)(scores, mask, left)
    weights, _ = kind()(scores, mask, left)
    assert weights[2, 0].tolist() == [0.25, 0.0]
    assert kind(strict=True)(scores[:2], mask[:2], left[:2])[0].sum((1, 2)).tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="exhaustion is -1; expected 0 for none, or a positive number"):
        kind(exhaustion=-1)


@each_constrained
def test_budgets_carry_gradients_to_earlier_queries_unless_detached(kind):
    scores = torch.tensor([[[1.0, 0.8, 0.0], [3.0, 0.5, 0.0]]], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    slopes = {}
    for detach in (False, True):
        weights, _ = run(kind(1.0, detach_state=detach), scores)
        (slope,) = torch.autograd.grad((weights[0, 1] * upstream).sum(), scores)
        slopes[detach] = slope[0, 0].abs().sum()
    assert slopes[False] > 1e-3
    assert slopes[True] == 0
