"""What a beam and a device do to memory and state: trees of tensors, batch axis first."""

import pytest
import torch

from heedful._pytree import concatenate, map_tensors
from heedful.attention import Attention, AttentionOutput, AttentionState, Memory
from heedful.attention.scores import DotScore
from heedful.attention.state import reorder, repeat, to_device
from tests.attention.cases import draw
from tests.attention.rows import BATCH

CELL = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
STATE = AttentionState(torch.tensor([7, 8, 9]), score={"cell": CELL, "steps": 4}, window=None, normalizer=(CELL, None))


def test_every_tensor_is_reordered_and_nothing_else():
    moved = reorder(STATE, torch.tensor([2, 2, 0, 1]))
    assert isinstance(moved, AttentionState)
    assert moved.position.tolist() == [9, 9, 7, 8]
    assert moved.score["cell"].equal(CELL[[2, 2, 0, 1]])
    assert moved.score["steps"] == 4
    assert moved.window is None
    assert moved.normalizer[0].equal(CELL[[2, 2, 0, 1]])
    assert moved.normalizer[1] is None
    assert STATE.position.tolist() == [7, 8, 9], "the old state stays as it was"


def test_rows_are_repeated_side_by_side():
    assert repeat(STATE, 2).position.tolist() == [7, 7, 8, 8, 9, 9]
    assert repeat(STATE, 1).score["cell"].equal(CELL)


def test_trees_are_joined_tensor_by_tensor():
    joined = concatenate({"a": CELL, "b": None}, {"a": CELL[:, :1], "b": None}, 1)
    assert joined["a"].tolist() == [[1, 2, 1], [3, 4, 3], [5, 6, 5]]
    assert joined["b"] is None


def test_all_tensors_of_memory_and_state_are_seen():
    attention = Attention(DotScore(4))
    query, key, value = draw(attention)
    memory = attention.remember(key, value, torch.ones(BATCH, 1, key.shape[1], dtype=torch.bool))
    output, state = attention.step(query[:, :1], memory, need_weights=True)
    for tree, tensors in ((memory, 3), (output, 2), (state, 1)):
        seen = []
        assert type(map_tensors(lambda tensor, seen=seen: (seen.append(tensor), tensor)[1], tree)) is type(tree)
        assert len(seen) == tensors


def test_memory_and_state_move_between_devices():
    attention = Attention(DotScore(4))
    _, key, value = draw(attention)
    memory = attention.remember(key, value, torch.ones(BATCH, 1, key.shape[1], dtype=torch.bool))
    memory, state = to_device((memory, attention.begin(memory)), "meta")
    assert {tensor.device.type for tensor in (memory.key, memory.value, memory.mask, state.position)} == {"meta"}


@pytest.mark.parametrize("kind", [AttentionOutput, Memory, AttentionState])
def test_what_comes_out_cannot_be_changed(kind):
    values = {
        AttentionOutput: (CELL[:, :, None],),
        Memory: (CELL, CELL[:, :, None], None),
        AttentionState: (CELL[:, 0].long(),),
    }
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(kind(*values[kind]), next(iter(kind.__dataclass_fields__)), None)
