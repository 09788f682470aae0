"""Gradients of gradients: by differences, against the formula in float64, through steps, within bounded memory."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from heedful.attention import AttentionPooling, BahdanauAttention, NormedBahdanauAttention
from heedful.attention.base import Attention
from heedful.attention.scores import ConcatScore, CoverageScore, LocationSensitiveScore
from heedful.functional import additive_attention, additive_scores, padding_mask, remember_keys, remember_values
from heedful.kernels.additive import op
from tests.kernels import oracle
from tests.kernels.oracle import leaves
from tests.kernels.test_attention import inputs, masks
from tests.memory import forget_peak, peak_memory
from tests.tolerances import assert_close

on_every_path = pytest.mark.usefixtures("path")


@on_every_path
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("mask", ["none", "padding", "ragged", "all hidden"])
@pytest.mark.parametrize("queries", [1, 4])
def test_gradgradcheck_in_float64(queries, mask, need_weights):
    own = leaves(*inputs(2, queries, 5, 3, 2, dtype=torch.float64))
    chosen = masks(2, queries, 5)[mask]
    assert torch.autograd.gradgradcheck(
        lambda *tensors: additive_attention(*tensors, chosen, need_weights=need_weights), own, fast_mode=queries > 1
    )


@on_every_path
@pytest.mark.parametrize("sizes", [(2, 4, 5, 3), (2, 1, 3, 2), (1, 2, 1, 3)])
def test_gradgradcheck_of_scores(sizes):
    query, key, _, energy = leaves(*inputs(*sizes, 1, dtype=torch.float64))
    assert torch.autograd.gradgradcheck(additive_scores, (query, key, energy))


def stepwise(query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    """Contexts, weights and scores of a decoder's steps."""
    memory, values = remember_keys(key), remember_values(value)
    found = []
    for own in query.split(1, 1):
        looked = additive_attention(own, memory, values, energy, mask, need_weights=True)
        found.append((*looked, additive_scores(own, memory, energy)))
    return tuple(torch.cat(parts, 1) for parts in zip(*found, strict=True))


@on_every_path
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("lengths", [None, [5, 3], [5, 0]])
def test_gradgradcheck_of_steps(lengths, scale):
    query, *rest = inputs(2, 3, 5, 3, 2, dtype=torch.float64)
    # beyond 350 a step takes no factors
    query[..., 0] *= 10 * scale if scale > 1 else 1
    mask = None if lengths is None else padding_mask(torch.tensor(lengths), 5)
    assert torch.autograd.gradgradcheck(lambda *own: stepwise(*own, mask), leaves(query, *rest), fast_mode=True)


def penalty(outputs: tuple[Tensor, ...], own: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gradients of a gradient penalty."""
    loss = sum((output * torch.cos(torch.arange(output.numel())).view(output.shape)).sum() for output in outputs)
    first = torch.autograd.grad(loss, wanted, create_graph=True)
    return torch.autograd.grad(sum(gradient.square().sum() for gradient in first), own)


CASES = {
    "ordinary": {},
    "wide": {"scale": 12.0},
    "direct": {"scale": 80.0},
    "half": {"dtype": torch.bfloat16},
    "mixed": {"dtype": torch.float64, "energy": torch.float32},
}


@on_every_path
@pytest.mark.parametrize("case", CASES)
def test_a_gradient_penalty_is_that_of_the_formula(case):
    given = {"dtype": torch.float32, "scale": 1.0, **CASES[case]}
    query, key, value, energy = inputs(2, 9, 7, 33, 4)
    own = [tensor.to(given["dtype"]) for tensor in (query * given["scale"], key, value, energy)]
    own = leaves(*own[:3], own[3].to(given.get("energy", given["dtype"])))
    exact, mask = leaves(*own, dtype=torch.float64), masks(2, 9, 7)["padding"]
    found = penalty(additive_attention(*own, mask, need_weights=True), own, own)
    wanted = penalty(oracle.attention(*exact, mask), exact, exact)
    for a, b in zip(found, wanted, strict=True):
        size = b.abs().max()
        # the first gradients are rounded to bfloat16 before they are squared
        assert_close(a.double() / size, b / size, torch.bfloat16 if case == "half" else torch.float32)


@on_every_path
@pytest.mark.parametrize("filling", [torch.nan, torch.inf, 1e30])
def test_what_nobody_may_see_has_no_influence(filling):
    query, key, value, energy = inputs(3, 5, 7, 5, 4)
    mask = masks(3, 5, 7)["padding"]
    hidden = ~mask.expand(3, 1, 7).squeeze(1)
    dirty = key.clone(), value.clone()
    dirty[0][hidden], dirty[1][hidden] = filling, filling
    clean, own = leaves(query, key, value, energy), leaves(query, *dirty, energy)
    found = penalty((additive_attention(*own, mask),), own, own)
    for a, b in zip(found, penalty((additive_attention(*clean, mask),), clean, clean), strict=True):
        assert_close(a, b)
    assert not found[1][hidden].any()
    assert not found[2][hidden].any()


@pytest.mark.parametrize("sizes", [(0, 2, 3, 5, 4), (2, 0, 3, 5, 4), (2, 3, 0, 5, 4), (2, 3, 5, 0, 4), (2, 3, 5, 7, 0)])
def test_empty_axes(sizes):
    own = leaves(*inputs(*sizes))
    assert not any(gradient.isnan().any() for gradient in penalty((additive_attention(*own),), own, own))


def test_a_single_key_has_a_graph_for_every_gradient(monkeypatch):
    monkeypatch.setattr(op, "_is_small", lambda *_: True)
    own = leaves(*inputs(2, 3, 1, 5, 4))
    context = additive_attention(*own)
    for wanted in own:
        assert all(gradient.isfinite().all() for gradient in penalty((context,), own, (wanted,)))


def test_steps_gather_their_first_gradients_as_before():
    own = leaves(*inputs(2, 6, 40, 64, 16))
    plain = torch.autograd.grad(sum(out.square().sum() for out in stepwise(*own, None)), own)
    graph = torch.autograd.grad(sum(out.square().sum() for out in stepwise(*own, None)), own, create_graph=True)
    for a, b in zip(plain, graph, strict=True):
        assert_close(a, b)
    assert not any(gradient.requires_grad for gradient in plain)
    assert all(gradient.requires_grad for gradient in graph)


LAYERS = {
    "Bahdanau": lambda: BahdanauAttention(4, 6, 5),
    "normed": lambda: NormedBahdanauAttention(4, 6, 5),
    "concat": lambda: Attention(ConcatScore(4, 6, 5)),
    "coverage": lambda: Attention(CoverageScore(4, 6, 5)),
    "location": lambda: Attention(LocationSensitiveScore(4, 6, 5, filters=2, width=3)),
}


class Look(nn.Module):
    """The context of a layer, all queries at once or step by step."""

    def __init__(self, attention: Attention, stepped: bool) -> None:
        super().__init__()
        self.attention, self.stepped = attention, stepped

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        mask = padding_mask(torch.tensor([5, 3]), 5)
        if not self.stepped:
            return self.attention(query, key, mask=mask).context
        memory, state, contexts = self.attention.remember(key, mask=mask), None, []
        for own in query.split(1, 1):
            output, state = self.attention.step(own, memory, state)
            contexts.append(output.context)
        return torch.cat(contexts, 1)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_differentiable_twice(layer, stepped):
    look = Look(LAYERS[layer](), stepped).double()
    names = [name for name, _ in look.named_parameters()]
    inputs = torch.randn(2, 2, 4), torch.randn(2, 5, 6), *look.parameters()

    def run(query, key, *parameters):
        return torch.func.functional_call(look, dict(zip(names, parameters, strict=True)), (query, key))

    assert torch.autograd.gradgradcheck(run, leaves(*inputs, dtype=torch.float64), fast_mode=True)


def test_pooling_is_differentiable_twice():
    pooling = AttentionPooling(6, 5).double()
    (steps,) = leaves(torch.randn(2, 5, 6), dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda steps: pooling(steps).vector, (steps,), fast_mode=True)


def test_a_third_derivative_is_refused():
    own = leaves(*inputs(1, 2, 3, 5, 4))
    (first,) = torch.autograd.grad(additive_attention(*own).square().sum(), own[:1], create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), own[:1], create_graph=True)
    with pytest.raises(RuntimeError, match=r"a third derivative.*it is differentiable twice\. Write its formula"):
        second.sum().backward()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's count of the peak of memory")
def test_the_largest_tensor_is_not_there():
    own = leaves(*inputs(2, 400, 300, 128, 16))
    few = leaves(*inputs(1, 4, 3, 128, 16))
    penalty((additive_attention(*few),), few, few)
    forget_peak()
    before = peak_memory()
    penalty((additive_attention(*own),), own, own)
    # the tensor of four dimensions by itself is 117 MiB, and the formula by itself needs a dozen of its size
    assert peak_memory() - before < 2 * 400 * 300 * 128 * 4
