"""Products of fewer bits: exactly what rounding says, and near enough to float32."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from heedful.layers.cheaper import CheaperLinear, check_int8, quantize_rows
from heedful.layers.cheaper_recurrent import CheaperRecurrent
from heedful.models.cheaper import cheaper
from tests.tolerances import assert_close

# the largest error of a state: that of a product of rounded numbers, through gates whose slope is at most 1
BOUNDS = {"bf16": 0.02, "int8": 0.04}


@pytest.mark.parametrize("bias", [True, False])
def test_an_int8_product_is_the_one_by_hand(bias):
    weight, rows = torch.randn(37, 53), torch.randn(5, 3, 53) * torch.tensor([1e-3, 1.0, 1e3])[:, None]
    rows[2, 1] = 0
    layer = CheaperLinear(weight, torch.randn(37) if bias else None, "int8")
    for place, row in ((place, rows[place]) for place in ((0, 0), (1, 2), (2, 1), (4, 0))):
        scale, scales = max(float(row.abs().max()), 1e-30) / 127, weight.abs().amax(1).double() / 127
        rounded = [round(float(number) / scale) for number in row]
        sums = (weight.double() / scales[:, None]).round() @ torch.tensor(rounded, dtype=torch.float64)
        assert_close(layer(rows)[place], sums * scale * scales + layer.bias, torch.float32)


def test_no_row_of_int8_depends_on_the_others():
    layer, rows = CheaperLinear(torch.randn(21, 40), torch.randn(21), "int8"), torch.randn(7, 40)
    with_a_large_one = torch.cat((rows, 1e4 * torch.randn(1, 40)))
    assert layer(with_a_large_one)[:7].equal(layer(rows))
    assert layer(rows[3:4]).equal(layer(rows)[3:4])


@pytest.mark.parametrize("precision", BOUNDS)
def test_products_are_near_to_float32_and_rows_can_be_chosen(precision):
    layer, rows = nn.Linear(64, 30), torch.randn(11, 64)
    found = CheaperLinear(layer.weight, layer.bias, precision)
    assert found(rows).dtype == torch.float32
    assert float((found(rows) - layer(rows).detach()).abs().max()) < BOUNDS[precision]
    places = torch.tensor([3, 29, 0])
    assert_close(found.rows(places)(rows), found(rows)[:, places])


def test_another_default_device_changes_nothing():
    weight, rows = torch.randn(9, 16), torch.randn(2, 16)
    expected = CheaperLinear(weight, None, "int8")(rows)
    check_int8.cache_clear()
    with torch.device("meta"):
        assert CheaperLinear(weight, None, "int8")(rows).equal(expected)


def test_broken_numbers_stay_broken():
    layer = CheaperLinear(torch.randn(9, 16), None, "int8")
    for odd in (float("nan"), float("inf")):
        rows = torch.randn(2, 16)
        rows[1, 4] = odd
        assert layer(rows)[1].isnan().all()
        assert layer(rows)[0].isfinite().all()


def test_rounding_keeps_the_largest_and_zero():
    rounded, scale = quantize_rows(torch.tensor([[-3.0, 0.0, 1.5], [0.0, 0.0, 0.0]]))
    assert rounded.tolist() == [[-127, 0, 64], [0, 0, 0]]
    assert scale.squeeze(1).tolist() == pytest.approx([3 / 127, 0])


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_recurrent_layers_are_near_to_torchs(kind, precision):
    theirs = kind(13, 6, 2, batch_first=True, bidirectional=True)
    ours, inputs, lengths = CheaperRecurrent(theirs, precision), torch.randn(4, 5, 13), torch.tensor([2, 5, 1, 4])
    state = torch.rand(4, 4, 6) if kind is nn.GRU else (torch.rand(4, 4, 6), torch.rand(4, 4, 6))
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    for given, first in ((inputs, None), (inputs, state), (packed, None), (packed, state)):
        (found, after), (expected, last) = ours(given, first), theirs(given, first)
        if given is packed:
            found, expected = (pad_packed_sequence(one, batch_first=True)[0] for one in (found, expected))
        assert float((found - expected).detach().abs().max()) < BOUNDS[precision]
        for one, other in zip([after] if kind is nn.GRU else after, [last] if kind is nn.GRU else last, strict=True):
            assert one.shape == other.shape
            assert float((one - other).detach().abs().max()) < BOUNDS[precision]


def test_only_large_layers_change_and_the_model_stays_as_it_was():
    model = nn.ModuleDict({"large": nn.Linear(512, 256), "small": nn.Linear(64, 64), "rnn": nn.GRU(200, 200)})
    copied = cheaper(model, "int8")
    kinds = [type(part).__name__ for part in copied.values()]
    assert kinds == ["CheaperLinear", "Linear", "CheaperRecurrent"]
    assert isinstance(model["large"], nn.Linear)
    assert cheaper(model, "float32") is model


@pytest.mark.messages
def test_what_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="precision is 'int4'; expected"):
        cheaper(nn.Linear(2, 2), "int4")
    with pytest.raises(ValueError, match=r"float32 weights, but they are torch.float64; .*model.float\(\)"):
        cheaper(nn.Linear(2, 2).double(), "int8")
    with pytest.raises(ValueError, match="runs on the CPU, but the weights are on meta"):
        CheaperLinear(torch.empty(3, 2, device="meta"), None, "bf16")
