"""Scores that only know where one looked before: dynamic convolution, and Gaussians that move; see test_history.py."""

import itertools
import math

import pytest
import torch

from heedful.attention import Attention, GaussianMixtureAttention
from heedful.attention.normalizers import ExponentialNormalizer, SoftmaxNormalizer
from heedful.attention.scores import DotScore, DynamicConvolutionScore, GaussianMixtureScore
from heedful.attention.scores.dynamic_convolution import advance_prior
from heedful.attention.scores.gaussian_mixture import mixture, mixture_log_weights
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH
from tests.attention.test_history import build
from tests.tolerances import assert_close


def test_the_prior_moves_on_by_one_key_on_average():
    published = [0.7400, 0.0747, 0.0416, 0.0295, 0.0232, 0.0193, 0.0168, 0.0150, 0.0138, 0.0130, 0.0132]
    prior = torch.tensor(advance_prior(11, 0.1, 0.9), dtype=torch.float64)
    assert (prior - torch.tensor(published)).abs().max() < 5e-5
    assert_close(prior.sum(), torch.tensor(1.0))
    assert_close((prior * torch.arange(11)).sum(), torch.tensor(1.0))


def test_without_energy_weights_are_the_last_ones_moved_on_by_the_prior():
    attention = Attention(DynamicConvolutionScore(4, 6, 11)).double()
    torch.nn.init.zeros_(attention.score.energy)
    query, key, _ = draw(attention, queries=2, keys=30)
    weights = weights_of(attention(query, key, need_weights=True))
    prior = torch.tensor(advance_prior(11, 0.1, 0.9), dtype=torch.float64)
    once = torch.cat((prior, torch.full((19,), 1e-6, dtype=torch.float64)))
    assert_close(weights[0, 0], once / once.sum())
    moved = sum(prior[n] * torch.cat((torch.zeros(n).double(), weights[0, 0, : 30 - n])) for n in range(11))
    assert_close(weights[0, 1], moved.clamp_min(1e-6) / moved.clamp_min(1e-6).sum())
    assert (weights[..., 1:] > 0).all()


@pytest.mark.parametrize("name", ["dynamic", "v0", "v1", "v2"])
def test_what_the_keys_hold_has_no_part_in_where_one_looks(name):
    attention = build(name)
    query, key, value = draw(attention)
    before = weights_of(attention(query, key, value, need_weights=True))
    assert weights_of(attention(query, torch.randn_like(key), value, need_weights=True)).equal(before)


@pytest.mark.parametrize("version", ["v0", "v1", "v2"])
def test_centers_only_move_forward_and_huge_queries_stay_finite(version):
    attention = GaussianMixtureAttention(4, 6, 11, version=version, initial_bias=False)
    query, key, _ = (each.float() for each in draw(attention, queries=6, keys=9))
    for size in (1.0, 1e4):
        memory, state, last = attention.remember(key), None, torch.zeros(BATCH, 5)
        for place in range(6):
            output, state = attention.step(size * query[:, place : place + 1], memory, state, need_weights=True)
            assert state.score.shape == (BATCH, 5)
            assert (state.score >= last).all()
            assert size > 1 or (state.score > last).all()
            last = state.score.detach()
            assert weights_of(output).isfinite().all()
            assert (weights_of(output) >= 0).all()
        leaves = (query.detach().requires_grad_(), *attention.parameters())
        context = attention(leaves[0] * size, key).context
        assert all(each.isfinite().all() for each in gradients(context, *leaves))


def one_gaussian(version, share, step, width):
    """A mixture of one, whose raw numbers are these whatever the query."""
    attention = Attention(GaussianMixtureScore(4, 6, 2, 1, version), normalizer=ExponentialNormalizer()).double()
    with torch.no_grad():
        attention.score.mixture_proj.zero_()
        attention.score.mixture_bias.copy_(torch.tensor([[share], [step], [width]], dtype=torch.float64))
    return attention


def test_a_narrow_gaussian_looks_at_one_key_and_a_wide_one_sums_to_one():
    for version, step, width in (("v1", math.log(3), 2 * math.log(0.05)), ("v2", math.log(math.expm1(3)), -2.97)):
        attention = one_gaussian(version, 0.7, step, width)
        weights = weights_of(attention(*draw(attention, queries=2, keys=9), need_weights=True))
        assert (weights[:, 0].argmax(-1) == 3).all()
        assert (weights[:, 1].argmax(-1) == 6).all()
        sigma = 0.05 if version == "v1" else math.log1p(math.exp(-2.97))
        assert_close(weights[0, 0, 3], torch.tensor(1 / (math.sqrt(2 * math.pi) * sigma), dtype=torch.float64))
        assert weights[0, 0, [2, 4]].max() < 1e-60
    for sigma, center in itertools.product((1.0, 1.3, 4.0), (0.01, 0.5, 4.25, 8.0, 20.0)):
        near = one_gaussian("v1", 0.0, math.log(center), 2 * math.log(sigma))
        total = weights_of(near(*draw(near, queries=1, keys=9), need_weights=True)).sum(-1)
        assert (total < 1.1).all()
        # the share of a bell that lies between the ends of the keys
        share = torch.special.ndtr(torch.tensor([(8.5 - center) / sigma, (-0.5 - center) / sigma]))
        assert (total - (share[0] - share[1])).abs().max() < 0.03
    wide = one_gaussian("v1", 0.0, math.log(50), 2 * math.log(5))
    total = weights_of(wide(*draw(wide, queries=1, keys=101), need_weights=True)).sum(-1)
    assert_close(total, torch.ones(BATCH, 1, dtype=torch.float64))
    graves = one_gaussian("v0", math.log(3), math.log(2), 0.0)
    weights = weights_of(graves(*draw(graves, queries=1), need_weights=True))
    assert_close(weights[0, 0], 3 * torch.exp(-((torch.arange(5.0).double() - 2) ** 2)))


@pytest.mark.parametrize("version", ["v0", "v1", "v2"])
@pytest.mark.parametrize("size", [100.0, 1e4, -1e4])
def test_raw_numbers_of_any_size_give_finite_weights_and_slopes_in_float32(version, size):
    raw = (torch.randn(2, 3, 4).sign() * size).requires_grad_()
    height, step, width = mixture(raw, version)
    logs = mixture_log_weights(height, step, width, keys=5)
    (slopes,) = torch.autograd.grad(logs.exp().sum() + logs.sum(), raw)
    assert logs.isfinite().all()
    assert slopes.isfinite().all()


def test_a_query_that_saw_nothing_leaves_the_weights_before_it():
    score, last = DynamicConvolutionScore(4, 6, 11), torch.rand(2, 1, 5)
    weights = torch.rand(2, 1, 5)
    weights[1] = 0
    assert score.update(last, weights).equal(torch.stack((weights[0], last[1])))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_initial_bias_moves_one_key_at_a_time_ten_keys_wide(version):
    bias = GaussianMixtureScore(4, 6, 11, 5, version, initial_bias=True).mixture_bias
    published = {"v1": (0.0, 4.6052), "v2": (0.541325, 9.999955)}[version]
    assert_close(bias.mean(1), torch.tensor([0.0, *published]))
    _, step, width = mixture(bias.unsqueeze(0), version)
    assert_close(step, torch.ones(1, 5))
    assert_close(width, torch.full((1, 5), 10.0))
    attention = GaussianMixtureAttention(4, 6, 11, version=version).double()
    weights = weights_of(attention(*draw(attention, queries=9, keys=30), need_weights=True))
    assert (weights.sum(-1) < 1.1).all()


def test_a_mixture_is_divided_by_its_sum_where_softmax_reads_it():
    attention = build("v2")
    divided = Attention(attention.score, normalizer=SoftmaxNormalizer())
    arguments, mask = draw(attention), some_mask()
    weights = weights_of(attention(*arguments, mask, need_weights=True))
    total = weights.sum(-1, keepdim=True)
    expected = torch.where(total > 0, weights / total, 0.0)
    assert_close(weights_of(divided(*arguments, mask, need_weights=True)), expected)


@pytest.mark.messages
def test_what_a_mixture_cannot_be():
    message = (
        r"ExponentialNormalizer reads scores as logarithms of weights, but those of DotScore are none\. Use "
        r"SoftmaxNormalizer with DotScore, or ExponentialNormalizer with GaussianMixtureScore"
    )
    with pytest.raises(ValueError, match=message):
        Attention(DotScore(4), normalizer=ExponentialNormalizer())
    with pytest.raises(ValueError, match="version is 'v3'; expected one of 'v0', 'v1', 'v2'"):
        GaussianMixtureScore(4, 6, version="v3")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="initial_bias is True with version 'v0', which has none; set it to False"):
        GaussianMixtureAttention(4, 6, version="v0")
