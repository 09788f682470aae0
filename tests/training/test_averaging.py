"""The mean of checkpoints."""

import pytest
import torch

from heedful.training import average_weights


def states(count: int) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.randn(2, 3), "half": torch.randn(5).bfloat16(), "steps": torch.tensor(n)} for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_it_is_the_mean_of_each_entry(count):
    given = states(count)
    average = average_weights(iter(given))
    expected = torch.stack([state["w"].double() for state in given]).mean(0).float()
    assert torch.equal(average["w"], expected)
    assert average["half"].dtype == torch.bfloat16
    torch.testing.assert_close(
        average["half"], torch.stack([state["half"].double() for state in given]).mean(0).bfloat16(), rtol=0, atol=0
    )


def test_whole_numbers_are_those_of_the_last():
    assert average_weights(states(3))["steps"].item() == 2


def test_the_mean_of_one_state_with_itself_is_that_state_bit_for_bit():
    state = states(1)[0]
    average = average_weights([state] * 3)
    assert all(torch.equal(tensor, average[name]) for name, tensor in state.items())


def test_what_was_given_is_left_alone():
    given = states(2)
    before = given[0]["w"].clone()
    average_weights(given)
    assert torch.equal(given[0]["w"], before)


def test_weights_of_two_models_are_refused():
    with pytest.raises(ValueError, match=r"weights differ in \['b', 'w'\]"):
        average_weights([{"w": torch.ones(1)}, {"b": torch.ones(1)}])


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="no weights were given"):
        average_weights([])
