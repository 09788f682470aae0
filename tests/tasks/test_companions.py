"""What stands beside the mechanisms in the catalogue has a source and a cost, and none is forgotten."""

import inspect

import pytest
import torch
from torch import nn

from heedful.attention import regularizers
from heedful.attention.catalogue import catalogue
from heedful.decoding.penalties import coverage_penalty, overcoverage_penalty
from heedful.layers import positions
from heedful.metrics import alignment
from heedful.tasks.companions import companions
from heedful.training import latency_loss, score_function_loss
from tests.test_house import ROOT
from tests.tolerances import assert_close


@pytest.mark.parametrize("entry", companions(), ids=lambda entry: entry.name)
def test_a_line_says_where_it_stands_and_where_it_is_from(entry):
    assert f" {entry.name}(" in (ROOT / "src" / entry.file).read_text(encoding="utf-8")
    assert ": " in entry.paper, "authors: title"
    assert any(word in entry.place for word in ("section", "equation", "function", "file"))
    assert 1940 < entry.year < 2100
    assert entry.formula.endswith(".")
    assert entry.time, 'no paragraph "Cost: time ...; memory ...."'
    assert entry.memory, 'no paragraph "Cost: time ...; memory ...."'


def test_every_function_of_the_modules_is_listed():
    listed = {(entry.file, entry.name) for entry in companions()}
    for module in (regularizers, positions, alignment):
        file = module.__name__.replace(".", "/") + ".py"
        which = inspect.isclass if module is positions else inspect.isfunction
        own = {name for name, thing in inspect.getmembers(module, which) if thing.__module__ == module.__name__}
        own = {name for name in own if not name.startswith("_")} - {"check_weights"}
        assert own <= {name for at, name in listed if at == file}


def test_no_name_is_listed_twice():
    names = [entry.name for entry in [*catalogue(), *companions()]]
    assert len(names) == len(set(names))


def test_kinds_stand_together_by_year():
    keys = [(entry.kind, entry.year, entry.name) for entry in companions()]
    order = ["loss", "position", "measure"]
    assert keys == sorted(keys, key=lambda key: (order.index(key[0]), *key[1:]))


class Call(nn.Module):
    """A function as a layer, for torch.export."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def one_in_graph(name):
    """The function or layer of that name, and tensors for it."""
    weights, mask = torch.rand(2, 3, 5).softmax(2), torch.ones(2, 5, dtype=torch.bool)
    special = {
        "coverage_penalty": lambda: (
            Call(lambda *inputs: coverage_penalty(*inputs, strength=1.0)),
            (weights.sum(1), torch.tensor([5, 3])),
        ),
        "overcoverage_penalty": lambda: (
            Call(lambda *inputs: overcoverage_penalty(*inputs, strength=1.0)),
            (weights.sum(1), torch.tensor([5, 3])),
        ),
        "fertility_loss": lambda: (Call(regularizers.fertility_loss), (weights, torch.rand(2, 5))),
        "guided_alignment_loss": lambda: (Call(regularizers.guided_alignment_loss), (weights, torch.rand(2, 3, 5))),
        "head_diversity_loss": lambda: (Call(regularizers.head_diversity_loss), (weights.unsqueeze(0),)),
        "hop_penalty": lambda: (Call(regularizers.hop_penalty), (weights, mask)),
        "latency_loss": lambda: (Call(latency_loss), (weights, torch.tensor([5, 4]), torch.tensor([3, 2]))),
        "score_function_loss": lambda: (Call(score_function_loss), (torch.rand(4), torch.rand(4), torch.rand(4))),
        "LearnedPositions": lambda: (positions.LearnedPositions(5, 4), (torch.rand(2, 3, 4),)),
        "RotaryPositions": lambda: (positions.RotaryPositions(4), (torch.rand(2, 3, 4),)),
        "SinusoidalPositions": lambda: (positions.SinusoidalPositions(4), (torch.rand(2, 3, 4),)),
    }
    return special[name]() if name in special else (Call(getattr(regularizers, name)), (weights, None, mask))


@pytest.mark.compile
@pytest.mark.parametrize("name", [entry.name for entry in companions() if not entry.uncompiled])
@torch.no_grad()
def test_losses_and_positions_are_compiled_in_one_graph_and_exported(name):
    layer, inputs = one_in_graph(name)
    expected = torch.utils._pytree.tree_leaves(layer(*inputs))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for run in (compiled, torch.export.export(layer, inputs).module()):
        for ours, theirs in zip(torch.utils._pytree.tree_leaves(run(*inputs)), expected, strict=True):
            assert_close(ours, theirs)
