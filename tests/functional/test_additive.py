"""The entry point of additive attention: kernels read addresses, so arguments that do not fit are refused here."""

import re

import pytest
import torch

from heedful.functional import additive_attention, additive_scores, remember_keys

pytestmark = pytest.mark.messages


def inputs(queries=16):
    """Large enough for the kernels: the plain formula would see for itself what does not fit."""
    return {
        "query": torch.randn(4, queries, 64),
        "key": torch.randn(4, 32, 64),
        "value": torch.randn(4, 32, 48),
        "energy": torch.randn(64),
    }


WRONG = {
    "one batch item of keys": {"key": lambda key: key[:1]},
    "more batch items of keys": {"query": lambda query: query[:3]},
    "another number of axes": {"query": lambda query: query[0]},
    "one axis": {"query": lambda query: query[0, 0], "key": lambda key: key[0, 0]},
    "fewer values than keys": {"value": lambda value: value[:, :8]},
    "as many values as queries": {"value": lambda value: value[:, :16]},
    "one batch item of values": {"value": lambda value: value[:1]},
    "values without features": {"value": lambda value: value[..., 0]},
}


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("wrong", WRONG)
def test_shapes_that_do_not_fit_together_are_refused(wrong, remembered):
    given = inputs(queries=1 if remembered else 16)
    for name, change in WRONG[wrong].items():
        given[name] = change(given[name])
    if remembered and given["key"].ndim == 3:
        given["key"] = remember_keys(given["key"])
    with pytest.raises(ValueError, match=r"query is \[.*\], key \[.*\].* were expected"):
        additive_attention(**given)
    if "value" not in WRONG[wrong]:
        del given["value"]
        with pytest.raises(ValueError, match="were expected"):
            additive_scores(**given)


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("shape", [(4, 32), (4, 1, 8), (3, 1, 32), (2, 4, 1, 32), (4, 2, 32)])
def test_a_mask_that_does_not_spread_is_refused(shape, remembered):
    given = inputs(queries=1 if remembered else 16)
    if remembered:
        given["key"] = remember_keys(given["key"])
    expected = rf"mask is {re.escape(str(list(shape)))}; .* \[4, {1 if remembered else 16}, 32\].*mask\.unsqueeze\(-2\)"
    with pytest.raises(ValueError, match=expected):
        additive_attention(**given, mask=torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 1, 32), (1, 1, 1), (4, 1, 32)])
def test_a_mask_that_spreads_does_so_in_a_step(shape):
    given, mask = inputs(queries=1), torch.rand(shape) < 0.5
    context, weights = additive_attention(**given, mask=mask, need_weights=True)
    given["key"] = remember_keys(given["key"])
    found = additive_attention(**given, mask=mask, need_weights=True)
    torch.testing.assert_close(found, (context, weights))
    assert torch.equal(weights != 0, mask.expand(4, 1, 32))


@pytest.mark.parametrize("name", ["query", "key", "value", "energy", "mask"])
def test_tensors_on_two_devices_are_refused(name):
    given = {**inputs(), "mask": torch.ones(4, 1, 32, dtype=torch.bool)}
    given[name] = given[name].to("meta")
    with pytest.raises(ValueError, match=rf"{name} (is )?on meta.* one device.* expected"):
        additive_attention(**given)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.bool])
@pytest.mark.parametrize("name", ["query", "key", "value", "energy"])
def test_numbers_that_are_no_floats_are_refused(name, dtype):
    given = inputs()
    given[name] = given[name].to(dtype)
    with pytest.raises(ValueError, match=rf"{name} is {str(dtype)[6:]}; expected floating-point features"):
        additive_attention(**given)


@pytest.mark.parametrize("shape", [(32, 64), (2, 4, 32, 64)])
def test_a_memory_has_three_axes(shape):
    with pytest.raises(ValueError, match=r"key is \[.*\]; \[batch, keys, units\] was expected"):
        remember_keys(torch.zeros(shape))
