"""The best tokens of a row in one pass: torch's own operators say what they are."""

import pytest
import torch

from heedful.kernels.best_tokens.op import best_tokens
from tests.tolerances import assert_close

NEVER = float("-inf")


@pytest.mark.parametrize(("rows", "width"), [(3, 8192), (5, 6007), (251, 71)])
@pytest.mark.parametrize("count", [1, 4])
def test_best_tokens_are_those_of_log_softmax(rows, width, count):
    logits, banned = torch.randn(rows, width), torch.tensor([0, 2, width - 1])
    # the best of some rows are banned, others hold a tie or minus infinity
    logits[0, 2] = logits[0, width - 1] = 9.0
    logits[1, 40] = logits[1, 50] = logits[1].amax() + 1
    logits[2, 3:60] = NEVER
    before = logits.clone()
    found = best_tokens(logits, count, banned)
    assert found is not None
    values, tokens, norms = found
    assert logits.equal(before)
    allowed = logits.log_softmax(1).index_fill(1, banned, NEVER)
    expected = allowed.sort(dim=1, descending=True, stable=True)
    assert_close(values, expected.values[:, :count])
    assert tokens.equal(expected.indices[:, :count])
    assert_close(norms, logits.double().logsumexp(1), torch.float32)


def test_another_default_device_changes_nothing():
    logits, banned = torch.randn(3, 8192), torch.tensor([0])
    expected = best_tokens(logits, 2, banned)
    with torch.device("meta"):
        found = best_tokens(logits, 2, banned)
    assert expected is not None
    assert found is not None
    assert all(one.equal(other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "nothing finite", "nothing allowed"])
def test_a_row_that_is_broken_or_empty_is_left_to_the_slow_path(odd):
    logits, banned = torch.randn(4, 5000), torch.tensor([0])
    if odd == "nothing finite":
        logits[2] = NEVER
    elif odd == "nothing allowed":
        logits[2, 1:] = NEVER
    else:
        logits[2, 17] = odd
    assert best_tokens(logits, 3, banned) is None


def test_what_the_kernel_does_not_take_is_left_to_torch():
    banned = torch.tensor([0])
    for logits in (torch.randn(2, 7), torch.randn(4, 9000).double(), torch.randn(2, 9000).half()):
        assert best_tokens(logits, 2, banned) is None
