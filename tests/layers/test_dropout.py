import pytest
import torch

from heedful.layers import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_features_are_dropped_or_divided_by_what_is_kept(dtype):
    torch.manual_seed(3)
    x = torch.full((100, 1000), 3.0, dtype=dtype, requires_grad=True)
    y = Dropout(0.3)(x)
    assert y.dtype == dtype
    kept = y != 0
    # five standard deviations of the mean of 100,000 draws
    assert abs(kept.double().mean().item() - 0.7) < 5 * (0.21 / 100_000) ** 0.5
    factor = torch.tensor(1 / 0.7).to(dtype)
    assert torch.equal(y[kept], (factor * 3).expand(int(kept.sum())).to(dtype))
    y.sum().backward()
    assert torch.equal(x.grad, torch.where(kept, factor, 0.0))


def test_evaluation_and_a_share_of_nothing_change_nothing_and_all_is_all():
    x = torch.randn(5, 7)
    assert Dropout(0.9).eval()(x) is x or torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros(5, 7))


def test_a_seed_decides_what_is_dropped():
    x = torch.ones(11, 13)
    torch.manual_seed(1)
    first = Dropout(0.5)(x)
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.5)(x), first)
    assert not torch.equal(Dropout(0.5)(x), first)


def test_a_share_outside_0_and_1_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.5)
