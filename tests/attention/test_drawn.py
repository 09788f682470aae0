"""Normalisers that draw lots in training mode: how often each key, what gradient, and that evaluation draws none."""

import pytest
import torch

from heedful.attention import Attention
from heedful.attention.normalizers import (
    GumbelSoftmaxNormalizer,
    HardmaxNormalizer,
    Normalizer,
    SampledHardNormalizer,
    SoftmaxNormalizer,
)
from heedful.attention.scores import DotScore
from heedful.attention.state import reorder
from heedful.training.score_function import score_function_loss
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close

DRAWING = {
    "gumbel": GumbelSoftmaxNormalizer,
    "gumbel, hard": lambda: GumbelSoftmaxNormalizer(0.7, hard=True),
    "sampled": lambda: SampledHardNormalizer(expected=0.0),
    "sampled, half": SampledHardNormalizer,
    "sampled, straight-through": lambda: SampledHardNormalizer(0.0, straight_through=True),
}
each_drawing = pytest.mark.parametrize("build", DRAWING.values(), ids=DRAWING)


def weigh(normalizer: Normalizer, scores, mask=None, seed=3):
    torch.manual_seed(seed)
    return normalizer(scores, mask)[0]


@each_drawing
def test_a_seed_repeats_a_draw_and_no_other_does(build):
    scores = torch.randn(BATCH, QUERIES, KEYS)
    assert weigh(build(), scores).equal(weigh(build(), scores))
    assert not torch.stack([weigh(build(), scores, seed=seed) for seed in range(9)]).std(0).eq(0).all()
    for normalizer in (build().eval(), SampledHardNormalizer(evaluation="best").eval()):
        before = torch.get_rng_state()
        assert weigh(normalizer, scores, seed=1).equal(weigh(normalizer, scores, seed=2))
        torch.set_rng_state(before)
        normalizer(scores, None)
        assert torch.get_rng_state().equal(before)


@each_drawing
def test_a_draw_of_exactly_0_is_a_number_too(build, monkeypatch):
    """Its logarithm would be minus infinity."""
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: self.zero_())
    mask = torch.tensor([[[True, False, True]]])
    weights = weigh(build(), torch.tensor([[[1.0, 5.0, 2.0]]]), mask)
    assert_close(weights.sum(-1), torch.ones(1, 1))
    assert weights[0, 0, 1] == 0


def test_in_evaluation_mode_it_is_what_was_asked_for():
    scores, mask = torch.randn(BATCH, QUERIES, KEYS), some_mask()
    soft, hard = SoftmaxNormalizer()(scores, mask)[0], HardmaxNormalizer()(scores, mask)[0]
    for normalizer, expected in (
        (GumbelSoftmaxNormalizer(0.3), soft),
        (GumbelSoftmaxNormalizer(0.3, hard=True), hard),
        (SampledHardNormalizer(), soft),
        (SampledHardNormalizer(evaluation="best", straight_through=True), hard),
    ):
        assert_close(normalizer.eval()(scores, mask)[0], expected)


@each_drawing
def test_hidden_keys_are_never_drawn_and_send_nothing_back(build):
    mask = some_mask()
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    expected = weigh(build(), scores, mask)
    assert_close(expected.sum(-1), mask.any(-1).double())
    for anything in (torch.nan, torch.inf, -torch.inf, 1e30):
        spoilt = scores.masked_fill(~mask, anything).requires_grad_()
        actual = weigh(build(), spoilt, mask)
        assert actual.equal(expected)
        if actual.requires_grad:
            (slope,) = torch.autograd.grad(actual.square().sum(), spoilt)
            assert slope.isfinite().all()
            assert not slope[~mask].any()


@pytest.mark.parametrize("name", ["gumbel, hard", "sampled", "sampled, straight-through"])
def test_keys_are_drawn_as_often_as_softmax_says(name):
    scores = torch.tensor([1.0, -1.0, 0.5, 0.0])
    weights = weigh(DRAWING[name](), scores.expand(1, 40_000, 4))
    assert weights.eq(1).sum(-1).eq(1).all()
    assert (weights.mean(1)[0] - torch.softmax(scores, 0)).abs().max() < 0.01
    sampling = SampledHardNormalizer(evaluation="sample").eval()
    assert (weigh(sampling, scores.expand(1, 40_000, 4)).mean(1)[0] - torch.softmax(scores, 0)).abs().max() < 0.01


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_weights_are_a_softmax_of_noisy_scores_with_its_gradient(hard):
    """The noise is read off the weights of equal scores at temperature 1: their logarithms, up to a constant."""
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64, requires_grad=True)
    noise = weigh(GumbelSoftmaxNormalizer(), torch.zeros_like(scores)).log()
    soft = torch.softmax((scores + noise) / 0.7, -1)
    weights = weigh(GumbelSoftmaxNormalizer(0.7, hard), scores)
    assert_close(weights, HardmaxNormalizer()(scores + noise, None)[0] if hard else soft)
    upstream = torch.randn_like(weights)
    for ours, theirs in zip(
        torch.autograd.grad((weights * upstream).sum(), scores),
        torch.autograd.grad((soft * upstream).sum(), scores),
        strict=True,
    ):
        assert_close(ours, theirs)
    if not hard:
        assert torch.autograd.gradcheck(lambda scores: weigh(GumbelSoftmaxNormalizer(0.7), scores), scores)
        assert torch.autograd.gradgradcheck(lambda scores: weigh(GumbelSoftmaxNormalizer(0.7), scores), scores)
        cold = weigh(GumbelSoftmaxNormalizer(1e-9), scores)
        assert_close(cold, HardmaxNormalizer()(scores + noise, None)[0])


def test_half_of_the_items_read_the_expectation_for_all_their_queries():
    scores = torch.randn(2000, 1, KEYS)
    torch.manual_seed(0)
    normalizer = SampledHardNormalizer()
    first, state = normalizer(scores, None)
    second, after = normalizer(scores, None, state)
    soft = first.ne(1).all(-1).squeeze(1)
    assert 900 < soft.sum() < 1100
    assert second.ne(1).all(-1).squeeze(1).equal(soft)
    assert state.expected.equal(soft)
    assert_close(first[soft], torch.softmax(scores, -1)[soft])
    assert not after.log_prob[soft].any()
    assert after.log_prob[~soft].lt(0).all()


def test_the_state_sums_log_chances_and_entropies_of_what_was_drawn():
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64, requires_grad=True)
    mask = some_mask()
    normalizer, state, log_prob, entropy = SampledHardNormalizer(0.0), None, 0.0, 0.0
    for query in range(QUERIES):
        row = slice(query, query + 1)
        weights, state = normalizer(scores[:, row], mask[:, row], state)
        for item in range(BATCH):
            visible = mask[item, query]
            if visible.any():
                chances = torch.softmax(scores[item, query, visible], 0)
                one = torch.nn.functional.one_hot(torch.tensor(item), BATCH).double()
                log_prob = log_prob + one * chances[weights[item, 0, visible].bool()].log()
                entropy = entropy - one * (chances * chances.log()).sum()
    assert_close(state.log_prob, log_prob)
    assert_close(state.entropy, entropy)
    for ours, theirs in ((state.log_prob, log_prob), (state.entropy, entropy)):
        assert_close(*(torch.autograd.grad(each.sum(), scores, retain_graph=True)[0] for each in (ours, theirs)))
    moved = reorder(state, torch.tensor([1, 0]))
    assert_close(moved.log_prob, log_prob.flip(0))
    whole, drawn = SampledHardNormalizer(evaluation="best").eval()(scores, mask)
    assert_close(drawn.log_prob, (whole * torch.log_softmax(scores.masked_fill(~mask, -1e9), -1)).sum((1, 2)))


def test_the_mean_gradient_of_the_loss_is_that_of_the_expectation():
    """Every outcome of one draw among four keys, weighed by its chance; then many draws of the normaliser."""
    scores = torch.randn(4, dtype=torch.float64, requires_grad=True)
    likelihoods = torch.randn(4, dtype=torch.float64, requires_grad=True)
    chances = torch.softmax(scores, 0)
    exact = torch.autograd.grad(-(chances * likelihoods).sum(), (scores, likelihoods))
    found = [torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)]
    for key in range(4):
        logs = torch.log_softmax(scores, 0)[key : key + 1]
        loss = score_function_loss(likelihoods[key : key + 1], logs, torch.zeros(1).double(), 0.7, 1.0, 0.0)
        slopes = torch.autograd.grad(loss.total, (scores, likelihoods))
        found = [sum_ + chances[key].detach() * slope for sum_, slope in zip(found, slopes, strict=True)]
    for ours, theirs in zip(found, exact, strict=True):
        assert_close(ours, theirs)

    torch.manual_seed(0)
    draws = 40_000
    weights, drawn = SampledHardNormalizer(0.0)(scores.expand(draws, 1, 4), None)
    likelihood = (weights.squeeze(1) * likelihoods).sum(-1)
    loss = score_function_loss(likelihood, drawn.log_prob, drawn.entropy, 0.7, 1.0, 0.0)
    for ours, theirs in zip(torch.autograd.grad(loss.total / draws, (scores, likelihoods)), exact, strict=True):
        assert (ours - theirs).abs().max() < 0.02


A, B = torch.tensor([0.3, -0.9, 1.2, 0.1]).double(), torch.tensor([1.0, -0.5, 0.8, -1.5]).double()


def slope_of_a_bent_loss(weights):
    """Gradient of `A . w + B . w^2` by the weights: another one for every outcome."""
    return A[: weights.shape[-1]] + 2 * B[: weights.shape[-1]] * weights


def mean_gradient(normalizer, scores, draws=100_000):
    """Of that loss by the scores, over many draws."""
    torch.manual_seed(0)
    leaf = scores.clone().requires_grad_()
    weights, _ = normalizer(leaf.expand(draws, 1, len(scores)), None)
    return torch.autograd.grad((weights * slope_of_a_bent_loss(weights.detach())).sum() / draws, leaf)[0]


def test_the_mean_gradient_of_straight_through_draws_is_that_of_all_outcomes():
    scores = torch.randn(4, dtype=torch.float64)
    chances = torch.softmax(scores, 0)
    jacobian = torch.diag(chances) - torch.outer(chances, chances)
    exact = sum(chances[key] * jacobian @ slope_of_a_bent_loss(torch.eye(4).double()[key]) for key in range(4))
    found = mean_gradient(SampledHardNormalizer(0.0, straight_through=True), scores)
    assert (found - exact).abs().max() < 0.01


@pytest.mark.parametrize("hard", [False, True])
def test_the_mean_gradient_of_gumbel_draws_is_the_integral_over_the_noise(hard):
    """Of two keys: the difference of two Gumbel numbers is logistic, so that one integral has all outcomes."""
    scores, temperature = torch.tensor([0.4, -0.2]).double(), 0.7
    noise = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    density = torch.sigmoid(noise) * torch.sigmoid(-noise) * (noise[1] - noise[0])
    first = torch.sigmoid((scores[0] - scores[1] + noise) / temperature)
    read = (first > 0.5).double() if hard else first
    upstream = slope_of_a_bent_loss(torch.stack([read, 1 - read], -1))
    slope = (density * first * (1 - first) / temperature * (upstream[:, 0] - upstream[:, 1])).sum()
    found = mean_gradient(GumbelSoftmaxNormalizer(temperature, hard=hard), scores)
    assert (found - torch.stack([slope, -slope])).abs().max() < 0.01


def test_the_entropy_is_rewarded_and_the_baseline_runs_on():
    numbers = torch.tensor([-1.0, -3.0], requires_grad=True)
    entropy = torch.tensor([0.5, 0.5], requires_grad=True)
    loss = score_function_loss(numbers, torch.tensor([-0.2, -0.4]), entropy, torch.tensor(-2.0), 0.5, 0.1)
    assert_close(loss.total, torch.tensor(4 - 0.5 * (1 * -0.2 - 1 * -0.4) - 0.1))
    assert_close(loss.baseline, torch.tensor(-2.0))
    loss.total.backward()
    assert_close(numbers.grad, torch.tensor([-1.0, -1.0]))
    assert_close(entropy.grad, torch.tensor([-0.1, -0.1]))
    assert not loss.baseline.requires_grad
    usual = score_function_loss(numbers, torch.tensor([-0.2, -0.4]), entropy, -2.0)
    assert usual == score_function_loss(numbers, torch.tensor([-0.2, -0.4]), entropy, -2.0, 0.1, 0.002)
    assert usual != score_function_loss(numbers, torch.tensor([-0.2, -0.4]), entropy, -2.0, 0.1, 0.0)
    empty = torch.zeros(0)
    assert score_function_loss(empty, empty, empty, -2.0) == (0, -2)


def test_a_key_is_learned_by_reinforcement():
    """One key of five holds the value that is asked for: REINFORCE finds it."""
    torch.manual_seed(0)
    attention = Attention(DotScore(4), normalizer=SampledHardNormalizer(expected=0.0))
    query, key = torch.zeros(64, 1, 4, requires_grad=True), torch.eye(5, 4)
    value = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]).view(1, 5, 1)
    optimizer, baseline = torch.optim.Adam([query], 0.1), 0.0
    for _ in range(100):
        memory = attention.remember(key.expand(64, 5, 4), value.expand(64, 5, 1))
        output, state = attention.look(query, memory)
        drawn = state.normalizer
        log_likelihood = -((1 - output.context[:, 0, 0]) ** 2)
        total, baseline = score_function_loss(log_likelihood, drawn.log_prob, drawn.entropy, baseline, 1.0)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    weights = weights_of(attention.eval()(query, key.expand(64, 5, 4), need_weights=True))
    assert weights[..., 2].mean() > 0.8


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GumbelSoftmaxNormalizer(0.0), r"temperature is 0.0; expected a number above 0 \(1 to begin with\)"),
        (lambda: SampledHardNormalizer(1.5), r"expected is 1.5; it is the chance of no draw, from 0 to 1"),
        (
            lambda: SampledHardNormalizer(evaluation="soft"),
            "evaluation is 'soft'; expected one of 'expected'",
        ),
    ],
)
def test_what_is_no_chance_temperature_or_way_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.compile
@each_drawing
def test_compiled_in_one_graph(build):
    attention = Attention(DotScore(4), normalizer=build()).double()
    arguments, mask = draw(attention), some_mask()
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    weights = weights_of(compiled(*arguments, mask, need_weights=True))
    assert_close(weights.sum(-1), mask.any(-1).double())
    assert all(each.isfinite().all() for each in gradients(weights @ arguments[2], *arguments))
    plain = Attention(DotScore(4), normalizer=SoftmaxNormalizer())
    expected = plain(*arguments, mask).context
    if build is SampledHardNormalizer:
        assert_close(compiled.eval()(*arguments, mask).context, expected)
