"""What torch.compile, torch.export, autocast and torch.library make of the operators."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from heedful.functional import additive_attention, additive_scores, padding_mask, remember_keys, remember_values
from tests.kernels.oracle import leaves
from tests.tolerances import assert_close


def inputs(queries: int = 5) -> list[torch.Tensor]:
    return [torch.randn(2, queries, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 4), torch.randn(16)]


def twice(query, key, value, energy, mask):
    """Both operators, one of them twice, in one graph."""
    scores = additive_scores(query, key, energy)
    context, weights = additive_attention(query, key, value, energy, mask, need_weights=True)
    again = additive_attention(query + 1, key, value, energy, mask)
    return scores.square().sum() + weights.square().sum() + context.sum() + again.sum()


@pytest.mark.compile
# torch's own inductor still defines script methods when it is first imported
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_whole_it_gives_the_same_numbers(backend):
    mask = padding_mask(torch.tensor([7, 3]), 7)
    eager = leaves(*inputs())
    compiled = leaves(*eager)
    run = torch.compile(twice, backend=backend, fullgraph=True)
    loss, found = twice(*eager, mask), run(*compiled, mask)
    assert_close(found, loss)
    for a, b in zip(torch.autograd.grad(found, compiled), torch.autograd.grad(loss, eager), strict=True):
        assert_close(a, b)


@pytest.mark.compile
def test_the_operators_stay_whole_in_a_compiled_graph():
    seen = []

    def keep(graph, example_inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph

    torch.compile(twice, backend=keep, fullgraph=True)(*inputs(), None)
    assert sum("heedful.additive_scores" in name for name in seen) == 1
    assert sum("heedful.additive_attention" in name for name in seen) == 2
    assert not any("tanh" in name for name in seen)


@pytest.mark.compile
def test_sizes_may_change_without_another_graph():
    run = torch.compile(additive_attention, backend="aot_eager", fullgraph=True, dynamic=True)
    for queries, keys in ((3, 5), (4, 7), (9, 11)):
        query, key, value, energy = (
            torch.randn(2, queries, 16),
            torch.randn(2, keys, 16),
            torch.randn(2, keys, 4),
            torch.randn(16),
        )
        assert_close(run(query, key, value, energy), additive_attention(query, key, value, energy))


@pytest.mark.compile
def test_a_memory_in_a_compiled_step():
    def step(query, key, value, energy):
        return additive_attention(query, remember_keys(key), value, energy)

    tensors = inputs(queries=1)
    assert_close(torch.compile(step, backend="aot_eager", fullgraph=True)(*tensors), step(*tensors))


@pytest.mark.compile
@pytest.mark.filterwarnings("error:.*lru_cache:UserWarning")
def test_the_backward_pass_of_an_eager_call_in_compiled_code_is_not_traced():
    look = torch.compiler.disable(twice)
    eager = leaves(*inputs())
    compiled = leaves(*eager)
    twice(*eager, None).backward()
    torch.compile(lambda *own: look(*own, None).backward(), backend="eager")(*compiled)
    for a, b in zip(compiled, eager, strict=True):
        assert_close(a.grad, b.grad)


class Layer(torch.nn.Module):
    """Attention as a module, for export."""

    def forward(self, query, key, value, energy, mask):
        return additive_attention(query, key, value, energy, mask, need_weights=True)


@pytest.mark.compile
@pytest.mark.parametrize("strict", [False, True])
def test_export_gets_the_plain_tanh_form(strict):
    tensors = (*inputs(), padding_mask(torch.tensor([7, 3]), 7))
    program = torch.export.export(Layer(), tensors, strict=strict)
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert "aten.tanh.default" in targets
    assert not any("heedful" in target for target in targets)
    for found, expected in zip(program.module()(*tensors), Layer()(*tensors), strict=True):
        assert_close(found, expected)


class Step(torch.nn.Module):
    """Two steps over a memory, as scores and as attention."""

    def forward(self, query, key, value, energy):
        memory = remember_keys(key)
        scores = additive_scores(query, memory, energy)
        return scores, additive_attention(query + 1, memory, remember_values(value), energy)


def large(queries: int) -> tuple[torch.Tensor, ...]:
    """Large enough for the kernels."""
    return torch.randn(2, queries, 64), torch.randn(2, 40, 64), torch.randn(2, 40, 4), torch.randn(64)


# TorchScript is on its way out, and many still write traces; the shape checker cannot read its sizes.
@pytest.mark.messages
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("record", [torch.jit.trace, lambda module, tensors: make_fx(module)(*tensors)])
def test_what_records_operators_misses_none(record, queries):
    recorded, other = record(Step(), large(queries)), large(queries)
    for found, expected in zip(recorded(*other), Step()(*other), strict=True):
        assert_close(found, expected)


@pytest.mark.messages
def test_a_recorded_gradient_penalty():
    def penalty(query, *rest):
        own = query.detach().requires_grad_()
        (first,) = torch.autograd.grad(additive_attention(own, *rest).square().sum(), own, create_graph=True)
        return torch.autograd.grad(first.square().sum(), own)[0]

    recorded, other = make_fx(penalty)(*large(5)), large(5)
    assert_close(recorded(*other), penalty(*other))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("queries", [1, 5])
def test_tensors_without_numbers_get_their_shapes(queries, inside):
    mode = FakeTensorMode()
    tensors = [mode.from_tensor(tensor).requires_grad_() for tensor in large(queries)]
    with mode if inside else torch.enable_grad():
        scores, context = Step()(*tensors)
        gradients = torch.autograd.grad(scores.sum() + context.sum(), tensors)
    assert (scores.shape, context.shape) == ((2, queries, 40), (2, queries, 4))
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in tensors]


@pytest.mark.parametrize("queries", [1, 5])
def test_the_meta_device_gets_shapes(queries):
    scores, context = Step()(*(tensor.to("meta") for tensor in large(queries)))
    assert (scores.shape, context.shape) == ((2, queries, 40), (2, queries, 4))


@pytest.mark.parametrize("queries", [1, 5])
def test_transforms_of_torch_func(queries):
    tensors = large(queries)
    many = torch.func.vmap(Step())(*(torch.stack([tensor, tensor]) for tensor in tensors))
    for found, expected in zip(many, Step()(*tensors), strict=True):
        assert_close(found[1], expected)
    found = torch.func.grad(lambda query: Step()(query, *tensors[1:])[1].sum())(tensors[0])
    own = leaves(*tensors)
    (expected,) = torch.autograd.grad(Step()(*own)[1].sum(), own[:1])
    assert_close(found, expected)


@pytest.mark.parametrize("masked", [False, True])
def test_the_operators_keep_the_rules_of_torch_library(masked):
    query, key, value, energy = leaves(*inputs())
    mask = padding_mask(torch.tensor([7, 3]), 7) if masked else None
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.heedful.additive_scores.default, (query, key, energy), test_utils=tests)
    arguments = (query, key, value, energy, mask, True)
    torch.library.opcheck(torch.ops.heedful.additive_attention.default, arguments, test_utils=tests)
    flows = leaves(torch.randn(2, 5, 7), torch.randn(2, 5, 4))
    back = torch.ops.heedful.additive_scores_backward.default
    torch.library.opcheck(back, (flows[0], query, key, energy), test_utils=tests)
    back = torch.ops.heedful.additive_attention_backward.default
    torch.library.opcheck(back, (flows[1], flows[0], query, key, value, energy, mask), test_utils=tests)


@pytest.mark.parametrize("queries", [1, 5])
def test_under_autocast_nothing_inside_is_cast(queries):
    eager = leaves(*inputs(queries))
    expected = additive_attention(*eager)
    with torch.autocast("cpu", torch.bfloat16):
        found = additive_attention(*eager)
        gradients = torch.autograd.grad(found.sum(), eager)
    assert torch.equal(found, expected)
    for a, b in zip(gradients, torch.autograd.grad(expected.sum(), eager), strict=True):
        assert torch.equal(a, b)


def test_autocast_around_the_projections():
    project = torch.nn.Linear(8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        query, key = project(torch.randn(2, 5, 8)), project(torch.randn(2, 7, 8))
        context = additive_attention(query, key, key, torch.randn(16))
    assert context.dtype == torch.bfloat16
    context.float().sum().backward()
    assert torch.isfinite(project.weight.grad).all()
