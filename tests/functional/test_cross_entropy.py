"""The loss of an output layer in blocks, against torch's over all logits."""

import pytest
import torch
from torch.nn import functional

from heedful.functional import TokenTarget, cross_entropy, output_cross_entropy
from tests.tolerances import assert_close

TOKENS, FEATURES, VOCABULARY, IGNORED = 7, 3, 11, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Two tokens a block, so that the last block is not full."""
    module = __import__("heedful.functional.cross_entropy", fromlist=["BLOCK"])
    monkeypatch.setitem(module.BLOCK, "cpu", 2 * VOCABULARY)


def draw(dtype=torch.float64, tokens=TOKENS):
    """Features, matrix, bias and right ids, some of which do not count."""
    generator = torch.Generator().manual_seed(5)
    shapes = (tokens, FEATURES), (VOCABULARY, FEATURES), (VOCABULARY,)
    parts = [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]
    ids = torch.randint(VOCABULARY, (tokens,), generator=generator)
    ids[1::3] = IGNORED
    return parts, ids


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_counts_and_gradients_are_torchs(smoothing):
    parts, ids = draw()
    loss = output_cross_entropy(*parts, TokenTarget(ids, smoothing, IGNORED))
    logits = functional.linear(*parts)
    settings = {"ignore_index": IGNORED, "label_smoothing": smoothing, "reduction": "sum"}
    expected = functional.cross_entropy(logits, ids, **settings)
    assert_close(loss.total, expected)
    real = ids != IGNORED
    assert loss.tokens == real.sum()
    assert loss.correct == ((logits.argmax(1) == ids) & real).sum()
    found = torch.autograd.grad(loss.total / 3, parts)
    for ours, theirs in zip(found, torch.autograd.grad(expected / 3, parts), strict=True):
        assert_close(ours, theirs)
    for ours, theirs in zip(cross_entropy(logits, TokenTarget(ids, smoothing, IGNORED)), loss, strict=True):
        assert_close(ours.double(), theirs.double())


def test_only_what_needs_a_gradient_gets_one_and_none_without():
    parts, ids = draw()
    frozen = [parts[0], parts[1].detach(), parts[2].detach()]
    (slope,) = torch.autograd.grad(output_cross_entropy(*frozen, TokenTarget(ids)).total, parts[0])
    (expected,) = torch.autograd.grad(cross_entropy(functional.linear(*parts), TokenTarget(ids)).total, parts[0])
    assert_close(slope, expected)
    with torch.no_grad():
        assert not output_cross_entropy(*parts, TokenTarget(ids)).total.requires_grad


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_summed_in_float32(autocast):
    parts, ids = draw(torch.float32, 40)
    given = parts if autocast else [part.detach().bfloat16().requires_grad_() for part in parts]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = output_cross_entropy(*given, TokenTarget(ids, 0.1, IGNORED))
    assert loss.total.dtype == torch.float32
    expected = cross_entropy(functional.linear(*parts), TokenTarget(ids, 0.1, IGNORED))
    assert_close(loss.total / 40, expected.total / 40, dtype=torch.bfloat16)
    found = torch.autograd.grad(loss.total / 40, given)
    for ours, theirs in zip(found, torch.autograd.grad(expected.total / 40, parts), strict=True):
        assert ours.dtype == given[0].dtype
        assert_close(ours.float(), theirs, dtype=torch.bfloat16)


def test_far_logits_are_finite_and_no_token_is_no_loss():
    parts, ids = draw()
    far = [parts[0] * 1e4, *parts[1:]]
    loss = output_cross_entropy(*far, TokenTarget(ids))
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(loss.total, parts))
    nothing = output_cross_entropy(parts[0][:0], *parts[1:], TokenTarget(ids[:0]))
    assert (nothing.total.item(), nothing.tokens.item(), nothing.correct.item()) == (0, 0, 0)
    assert not any(slope.any() for slope in torch.autograd.grad(nothing.total, parts))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_that_is_no_share_is_refused(smoothing):
    parts, ids = draw()
    with pytest.raises(ValueError, match=f"smoothing is {smoothing}; it must lie in"):
        output_cross_entropy(*parts, TokenTarget(ids, smoothing))
