"""Masks: True means "may look"."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.functional import check_mask, hide, padding_mask


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 7))
def test_a_padding_mask_shows_the_first_keys_of_each_sentence(lengths, max_len):
    mask = padding_mask(torch.tensor(lengths, dtype=torch.long), max_len)
    assert mask.shape == (len(lengths), 1, max_len)
    assert mask.dtype == torch.bool
    assert mask.squeeze(1).tolist() == [[key < length for key in range(max_len)] for length in lengths]


@pytest.mark.messages
@pytest.mark.parametrize("shape", [(), (2, 1)], ids=str)
def test_lengths_are_one_number_for_each_sentence(shape):
    message = r"lengths has shape .*; expected \[batch\], one number for each sentence\."
    with pytest.raises(ValueError, match=message):
        padding_mask(torch.ones(shape, dtype=torch.long), 3)


@given(st.tuples(*[st.booleans()] * 3))
def test_a_mask_may_broadcast_along_any_axis(ones):
    sizes = (2, 3, 5)
    shape = [1 if one else size for one, size in zip(ones, sizes, strict=True)]
    check_mask(torch.ones(shape, dtype=torch.bool), *sizes)


def test_no_mask_is_a_mask():
    check_mask(None, 2, 3, 5)


@pytest.mark.parametrize("shape", [(3, 5), (5,), (2, 5, 3), (1, 2, 3, 5), (2, 3, 2)], ids=str)
def test_a_mask_that_does_not_broadcast_is_refused(shape):
    with pytest.raises(ValueError, match=r"mask has shape .* \[batch, queries, keys\] = \[2, 3, 5\]"):
        check_mask(torch.ones(shape, dtype=torch.bool), 2, 3, 5)


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(TypeError, match=r"mask is torch\.int64; a mask is boolean, True where a query may look"):
        check_mask(torch.ones(2, 3, 5, dtype=torch.long), 2, 3, 5)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_what_is_hidden_is_zero_and_sends_no_gradient_back(poison):
    tensor = torch.randn(2, 5, 3, dtype=torch.float64)
    visible = torch.tensor([[True, False, True, True, False], [False, False, True, False, True]])
    kept = tensor[visible]
    tensor[~visible] = poison
    shown = hide(tensor.requires_grad_(), visible)
    assert shown[visible].equal(kept)
    assert not shown[~visible].any()
    (gradient,) = torch.autograd.grad((shown * 3).sum(), tensor)
    assert gradient.equal(3.0 * visible.unsqueeze(-1).expand_as(tensor))


def test_whole_numbers_can_be_hidden_too():
    assert hide(torch.tensor([[[7], [8]]]), torch.tensor([[False, True]])).flatten().tolist() == [0, 8]
