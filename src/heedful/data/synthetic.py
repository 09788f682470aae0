"""Tasks made of numbers, in which it is known where attention must look (those of the examples of keras-attention).

The numbers come from NumPy's legacy generator in the order of the old scripts, so that a seed gives their data.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Task:
    """A data set, and where its answers lie.

    Attributes:
        inputs: `[examples, steps, features]`, or `[examples, features]`; float32.
        answers: `[examples]`.
        places: `[examples, steps]` (or features), True where one must look to find the answer.
    """

    inputs: Float[Tensor, "examples ..."]
    answers: Float[Tensor, " examples"]
    places: Bool[Tensor, "examples steps"]

    def part(self, rows: slice) -> "Task":
        """Some of the examples."""
        return Task(self.inputs[rows], self.answers[rows], self.places[rows])


def add_two_numbers(
    examples: int,
    random: np.random.RandomState,
    steps: int = 20,
    apart: bool = False,
    delimiter: float = 0.0,
    at: tuple[int, int] | None = None,
) -> Task:
    """Numbers from 0 to 1; each of two of them comes after a delimiter, and the answer is their mean.

    When the two are neighbours, the second delimiter overwrites the first number, and the answer cannot be known: so it
    is in 10.5 % of the old script's examples, whose mean error is therefore never below 0.013.

    Args:
        examples: how many.
        random: where the numbers come from.
        steps: of an example, at least 4.
        apart: never let the two be neighbours.
        delimiter: what stands before each of the two.
        at: where the two are, in every example; anywhere when left out.

    >>> task = add_two_numbers(3, np.random.RandomState(7), steps=5, at=(2, 4))
    >>> task.inputs.shape, task.places[0].tolist(), task.inputs[0, [1, 3], 0].tolist()
    (torch.Size([3, 5, 1]), [False, False, True, False, True], [0.0, 0.0])
    """
    if steps < 4:
        raise ValueError(f"steps is {steps}; expected at least 4, room for two numbers that are apart.")
    inputs = random.uniform(0, 1, (examples, steps))
    pairs = np.array([pair for pair in permutations(range(1, steps), 2) if abs(pair[0] - pair[1]) > 1])
    answers, places = np.empty(examples), np.zeros((examples, steps), dtype=bool)
    for row, answer, place in zip(inputs, range(examples), places, strict=True):
        if at is not None:
            chosen = np.array(at)
        elif apart:
            chosen = pairs[random.randint(len(pairs))]
        else:
            chosen = random.choice(range(1, steps), 2, replace=False)
        answers[answer] = 0.5 * row[chosen].sum()
        row[chosen - 1] = delimiter
        place[chosen] = True
    return _task(inputs[..., None], answers, places)


def find_maximum(examples: int, random: np.random.RandomState, steps: int = 10) -> Task:
    """Numbers whose largest is the answer; they are drawn so that it is uniform from 0 to 1.

    >>> task = find_maximum(3, np.random.RandomState(7), steps=5)
    >>> torch.equal(task.inputs.squeeze(-1)[task.places], task.answers)
    True
    """
    inputs = random.beta(1 / steps, 1, (examples, steps, 1))
    places = np.arange(steps) == inputs[..., 0].argmax(1)[:, None]
    return _task(inputs, inputs.max(1)[:, 0], places)


def attention_column(examples: int, random: np.random.RandomState, features: int = 32, column: int = 1) -> Task:
    """Vectors of noise, one feature of which is the answer, 0 or 1.

    >>> task = attention_column(3, np.random.RandomState(7), features=4)
    >>> torch.equal(task.inputs[:, 1], task.answers)
    True
    """
    inputs = random.standard_normal((examples, features))
    answers = random.randint(0, 2, (examples, 1))
    inputs[:, column] = answers[:, 0]
    return _task(inputs, answers[:, 0], np.tile(np.arange(features) == column, (examples, 1)))


def attention_step(
    examples: int, random: np.random.RandomState, steps: int = 20, features: int = 2, step: int = 10
) -> Task:
    """Sequences of noise, at one step of which all features are the answer, 0 or 1: the "recurrent" attention column.

    >>> task = attention_step(3, np.random.RandomState(7), steps=5, step=2)
    >>> torch.equal(task.inputs[:, 2, 0], task.answers)
    True
    """
    inputs = random.standard_normal((examples, steps, features))
    answers = random.randint(0, 2, (examples, 1))
    inputs[:, step, :] = answers
    return _task(inputs, answers[:, 0], np.tile(np.arange(steps) == step, (examples, 1)))


def _task(inputs: np.ndarray, answers: np.ndarray, places: np.ndarray) -> Task:
    as_floats = [torch.from_numpy(array.astype(np.float32)) for array in (inputs, answers)]
    return Task(as_floats[0], as_floats[1], torch.from_numpy(places))


def looks_right(weights: Float[Tensor, "examples steps"], places: Bool[Tensor, "examples steps"]) -> float:
    """Part of the examples in which the largest weights lie where they must: as many as there are places.

    >>> looks_right(torch.tensor([[0.5, 0.1, 0.4], [0.5, 0.4, 0.1]]), torch.tensor([[True, False, True]] * 2))
    0.5
    """
    wanted = int(places.sum(1).max())
    largest = torch.zeros_like(places).scatter_(1, weights.topk(wanted, 1).indices, True)
    return (largest == places).all(1).double().mean().item()
