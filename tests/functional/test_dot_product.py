import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from heedful.functional import dot_product_attention
from tests.tolerances import assert_close

MASK = torch.tensor([[[[True, True, False, True, True], [False] * 5, [False, True, True, True, False]]]])


def draw(dtype, keys=5):
    generator = torch.Generator().manual_seed(7)
    shapes = (2, 3, 3, 4), (2, 3, keys, 4), (2, 3, keys, 6)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask", [None, MASK], ids=["everything", "mask"])
def test_half_precision_with_gradients_is_float32_inside(dtype, mask):
    inputs = draw(dtype)
    wide = [tensor.detach().float().requires_grad_() for tensor in inputs]
    found = dot_product_attention(*inputs, mask, scale=0.3)
    expected = scaled_dot_product_attention(*wide, mask, scale=0.3)
    assert torch.equal(found, expected.to(dtype))
    upstream = torch.linspace(-1, 1, found.numel()).view_as(found)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, upstream.to(dtype)),
        torch.autograd.grad(expected, wide, upstream.to(dtype).float()),
        strict=True,
    ):
        assert torch.equal(ours, theirs.to(dtype))


def test_autocast_gets_its_type_back_and_float32_gradients():
    inputs = draw(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = dot_product_attention(*inputs, MASK)
        assert found.dtype == torch.bfloat16
        found.sum().backward()
    assert_close(found.float(), scaled_dot_product_attention(*inputs, MASK), dtype=torch.bfloat16)
    assert all(tensor.grad.dtype == torch.float32 for tensor in inputs)


@pytest.mark.parametrize(("keys", "grad"), [(5, False), (256, True)])
def test_torch_does_it_alone_where_half_precision_is_not_slow(keys, grad):
    query, key, value = draw(torch.bfloat16, keys)
    with torch.set_grad_enabled(grad):
        assert torch.equal(dot_product_attention(query, key, value), scaled_dot_product_attention(query, key, value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_stay_as_they_are_under_no_autocast(dtype):
    inputs = draw(dtype)
    assert torch.equal(dot_product_attention(*inputs, MASK), scaled_dot_product_attention(*inputs, MASK))
