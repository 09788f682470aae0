"""A tensor that is not on the CPU never reaches a CPU kernel, through whichever entrance."""

import pytest
import torch
from torch import nn

from heedful.functional.products import onednn_product
from heedful.kernels.additive import cpu, plan, steps
from heedful.kernels.threads import address
from heedful.layers.gru import _GRU

pytestmark = pytest.mark.messages
SENTENCE = (
    r"a tensor \[.*\] on device meta came to a CPU kernel; tensors on the CPU were expected. Move it with .cpu\(\)"
)


def there(*shape):
    return torch.empty(*shape, device="meta")


def few(make, queries):
    """Query, key, value, energy and what flows back; one query goes another way than many."""
    return make(2, queries, 16), make(2, 300, 16), make(2, 300, 8), make(16), make(2, queries, 8)


def _gru():
    rnn = nn.GRU(3, 5, batch_first=True)
    *_, weight, _, bias = (tensor.to("meta") for tensor in rnn.all_weights[0])
    _GRU.apply(there(1, 2, 15), there(2, 5), weight, bias, ((0, 2),))


def _step(query, key, value, energy):
    steps._forward(query, key, value, energy, None)


def _mask_elsewhere():
    query, key, value, energy, _ = few(torch.ones, 1)
    cpu.attention_forward(query, key, value, energy, there(2, 1, 300) > 0, True, True)


def _gradients(side):
    cpu.gradients(side, None, 1, torch.ones(2, 7, 300), None, None, None, True, True)


ENTRANCES = {
    "an address": lambda: address(there(3)),
    "exponentials": lambda: plan.exponentials(there(1, 3, 16)),
    "a plan by factors": lambda: plan.plan(*few(there, 7)[:2], there(16), None),
    "a plan without factors": lambda: plan.plan(*few(there, 1)[:2], there(16), None).numbers(),
    "a plan whose energy is elsewhere": lambda: plan.plan(*few(torch.ones, 7)[:2], there(16), None).numbers(),
    "scores": lambda: cpu.scores_forward(*few(there, 7)[:2], there(16)),
    "scores of one query": lambda: cpu.scores_forward(*few(there, 1)[:2], there(16)),
    "gradients of scores": lambda: cpu.scores_backward(there(2, 7, 300), *few(there, 7)[:2], there(16), None),
    "attention": lambda: cpu.attention_forward(*few(there, 7)[:4], None, True, True),
    "attention of one query": lambda: cpu.attention_forward(*few(there, 1)[:4], None, True, True),
    "attention whose mask is elsewhere": _mask_elsewhere,
    "gradients of attention": lambda: cpu.attention_backward(*few(there, 7), None, None, None, None),
    "gradients of a side": lambda: _gradients(plan.Side(there(2, 7, 16), there(2, 300, 16), there(16))),
    "gradients of weights": lambda: cpu.slope(
        there(2, 1, 3), None, there(2, 3, 8), there(2, 1, 8), None, there(2, 1, 3)
    ),
    "gradients of values": lambda: cpu.add_value_gradient(there(2, 1, 3), there(2, 1, 8), there(2, 3, 8), True),
    "a step": lambda: _step(there(2, 1, 16), there(2, 300, 16), there(2, 300, 8), there(16)),
    "a step whose keys are elsewhere": lambda: _step(
        torch.ones(2, 1, 16), there(2, 300, 16), torch.ones(2, 300, 8), torch.ones(16)
    ),
    "steps back": lambda: steps._merge_values([(there(2, 1, 3), there(2, 1, 8))]),
    "steps back to the keys": lambda: steps._merge_keys(
        [(there(2, 1, 16), there(2, 300, 16), there(16), None, there(2, 1, 300))]
    ),
    "a product": lambda: onednn_product(there(2, 3), torch.ones(5, 3)),
    "a product whose bias is elsewhere": lambda: onednn_product(torch.ones(2, 3), torch.ones(5, 3), there(5)),
    "a recurrent layer": _gru,
}


@pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=list(ENTRANCES))
def test_what_is_not_on_the_cpu_is_refused_at_every_entrance(entrance):
    with pytest.raises(ValueError, match=SENTENCE):
        entrance()


def test_no_file_of_the_kernels_takes_an_address_by_itself():
    from pathlib import Path

    import heedful.kernels

    files = Path(heedful.kernels.__file__).parent.rglob("*.py")
    assert {file.name for file in files if "data_ptr" in file.read_text()} == {"threads.py"}
