"""Masks: True means "may look"."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.functional import check_mask, hide, padding_mask


@given(st.lists(st.integers(0, 7), max_size=5), st.integers(7, 9))
def test_a_padding_mask_shows_the_first_keys_of_each_sentence(lengths, max_len):
    mask = padding_mask(torch.tensor(lengths, dtype=torch.long), max_len)
    assert mask.shape == (len(lengths), 1, max_len)
    assert mask.dtype == torch.bool
    assert mask.squeeze(1).tolist() == [[key < length for key in range(max_len)] for length in lengths]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_a_length_above_the_number_of_keys_is_refused_and_named(lengths):
    longest = max(lengths)
    padding_mask(torch.tensor(lengths), longest)
    message = rf"lengths has {longest}, above max_len, {longest - 1}; give the number of keys with padding as max_len\."
    with pytest.raises(ValueError, match=message):
        padding_mask(torch.tensor(lengths), longest - 1)


def test_lengths_elsewhere_than_on_the_cpu_are_not_waited_for():
    mask = padding_mask(torch.tensor([9, 2]).to("meta"), 3)  # a device whose numbers cannot be looked at
    assert mask.shape == (2, 1, 3)


@pytest.mark.compile
@pytest.mark.parametrize("dynamic", [False, True])
def test_lengths_are_not_looked_at_in_compiled_code(dynamic):
    compiled = torch.compile(padding_mask, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    lengths = torch.tensor([3, 1, 2])
    assert compiled(lengths, 4).equal(padding_mask(lengths, 4))


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
    with pytest.raises(
        ValueError, match=r"mask is int64; a mask is boolean, True = may look\. Write `mask=numbers > 0`"
    ):
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


@pytest.mark.messages
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 2], "lengths is a list; expected a tensor"),
        (torch.tensor([1.5]), r"lengths is float32; expected whole numbers\. Write `lengths.long\(\)`"),
        (torch.tensor([True]), "lengths is bool; expected whole numbers"),
        (torch.tensor([2, -1]), "lengths has -1; expected numbers of keys, from 0 up"),
    ],
)
def test_lengths_are_whole_numbers_from_0_up(lengths, message):
    with pytest.raises(ValueError, match=message):
        padding_mask(lengths, 5)
    assert padding_mask(torch.zeros(0, dtype=torch.long), 5).shape == (0, 1, 5)
