"""Products through oneDNN are those of PyTorch."""

import pytest
import torch
from torch.nn import functional

from heedful.functional import linear, products, suits_onednn
from tests.tolerances import assert_close

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch without oneDNN")


@pytest.fixture(autouse=True)
def onednn_for_all(monkeypatch):
    monkeypatch.setattr(products, "has_slow_mkl", lambda: True)
    monkeypatch.setattr(products, "LEAST", 1)


def _factors(*rows, bias=True):
    torch.manual_seed(3)
    tensors = torch.randn(*rows, 5), torch.randn(7, 5), torch.randn(7) if bias else None
    return [None if tensor is None else tensor.requires_grad_() for tensor in tensors]


def _in_float64(tensors):
    return [None if tensor is None else tensor.detach().double().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(3,), (2, 3), (2, 3, 1), ()], ids=str)
def test_value_and_gradients_are_those_of_float64(rows, bias):
    ours = _factors(*rows, bias=bias)
    theirs = _in_float64(ours)
    flow = torch.randn(*rows, 7)
    for tensors, function in ((ours, linear), (theirs, functional.linear)):
        function(*tensors).backward(flow.to(tensors[0].dtype))
    assert_close(linear(*ours), functional.linear(*theirs))
    for own, reference in zip(ours, theirs, strict=True):
        if own is not None:
            assert_close(own.grad, reference.grad)


def test_strides_and_one_number_as_gradient_of_all_make_no_difference():
    _, weight, bias = _factors(3)
    rows = torch.randn(5, 12)[:, ::3].t().requires_grad_()
    (gradient,) = torch.autograd.grad(linear(rows, weight, bias).sum(), rows)
    assert_close(gradient, weight.sum(0).expand(4, 5))
    turned = torch.randn(5, 7).t()
    assert_close(linear(rows, turned), functional.linear(rows.double(), turned.double()))


def test_the_gradient_has_a_gradient():
    rows, weight, bias = _factors(3)
    (gradient,) = torch.autograd.grad(linear(rows, weight, bias).pow(2).sum(), rows, create_graph=True)
    (twice,) = torch.autograd.grad(gradient.sum(), rows)
    assert_close(twice, (2 * weight.t() @ weight).sum(1).expand(3, 5))


def test_no_rows_are_no_product():
    assert linear(torch.empty(0, 5), torch.randn(7, 5)).shape == (0, 7)


def test_only_large_products_of_float32_on_the_cpu_and_without_autocast_suit(monkeypatch):
    weight, rows = torch.empty(7, 5), torch.empty(3, 5)
    assert suits_onednn(3, weight, rows)
    assert not suits_onednn(3, weight, rows.double())
    assert not suits_onednn(3, weight.to("meta"), rows)
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits_onednn(3, weight, rows)
        assert linear(rows, weight).dtype == torch.bfloat16
    monkeypatch.setattr(products, "LEAST", 3 * 7 * 5 + 1)
    assert not suits_onednn(3, weight, rows)


def test_where_mkl_is_not_slow_torch_multiplies(monkeypatch):
    monkeypatch.setattr(products, "has_slow_mkl", lambda: False)
    assert not suits_onednn(3, torch.empty(7, 5))


@pytest.mark.parametrize(("text", "slow"), [("vendor_id : AuthenticAMD", True), ("vendor_id : GenuineIntel", False)])
def test_mkl_is_slow_on_another_makers_processor(monkeypatch, tmp_path, text, slow):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.undo()
    monkeypatch.setattr(products, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert products.has_slow_mkl.__wrapped__() is slow
