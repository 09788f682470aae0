"""Tiny models in float64, and a reference search that knows one sentence, one hypothesis and Python lists."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from heedful._pytree import register_pytree
from heedful.data.vocabulary import BOS, EOS, PAD
from heedful.decoding import Constraints, Hypothesis
from heedful.models.protocol import StepOutput


class Table:
    """The next token depends on the last one and on the first of the source: `logits[source[0] % kinds, last]`."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits  # [kinds, vocabulary, vocabulary]
        self.calls: list[int] = []  # rows of each step

    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        first = source[:, 0] if source.shape[1] else torch.zeros_like(lengths)
        return torch.where(lengths > 0, first, 0) % len(self.logits)

    def start(self, encoded: Tensor) -> None:
        return None

    def step(self, tokens: Tensor, state: None, encoded: Tensor, need_weights: bool = False):
        self.calls.append(len(tokens))
        return StepOutput(self.logits[encoded, tokens]), None


@register_pytree
@dataclass(frozen=True)
class Memory:
    key: Tensor
    mask: Tensor


@register_pytree
@dataclass(frozen=True)
class State:
    cell: Tensor
    coverage: Tensor
    unused: Tensor | None


class Recurrent:
    """A small recurrent decoder with attention whose every step depends on all that was said and looked at before."""

    def __init__(self, vocabulary: int, seed: int, sharpness: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def matrix(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.source, self.target, self.output = matrix(11, 5), matrix(vocabulary, 5), matrix(10, vocabulary)
        self.recur, self.sharpness = matrix(15, 5) / 2, sharpness

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        mask = torch.arange(source.shape[1]) < lengths[:, None]
        return Memory(self.source[source] + torch.arange(source.shape[1])[:, None] / 3, mask)

    def start(self, encoded: Memory) -> State:
        rows, keys, features = encoded.key.shape
        return State(encoded.key.new_zeros(rows, features), encoded.key.new_zeros(rows, keys), None)

    def step(self, tokens: Tensor, state: State, encoded: Memory, need_weights: bool = False):
        scores = torch.einsum("bd,bkd->bk", state.cell + self.target[tokens], encoded.key) - state.coverage
        weights = scores.masked_fill(~encoded.mask, -1e30).softmax(1) * encoded.mask
        context = torch.einsum("bk,bkd->bd", weights, encoded.key)
        cell = torch.tanh(torch.cat((state.cell, self.target[tokens], context), 1) @ self.recur)
        logits = torch.cat((cell, context), 1) @ self.output * self.sharpness / 3
        return StepOutput(logits, weights if need_weights else None), State(cell, state.coverage + weights, None)


class Diary:
    """A table whose state is what was said, and whose weights show that state: both must follow the hypothesis."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits  # [steps, vocabulary, vocabulary]

    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        return source

    def start(self, encoded: Tensor) -> dict[str, Tensor]:
        return {"said": torch.full_like(encoded, -1), "steps": torch.zeros_like(encoded[:, 0])}

    def step(self, tokens: Tensor, state: dict[str, Tensor], encoded: Tensor, need_weights: bool = False):
        steps = state["steps"]
        said = state["said"].scatter(1, steps[:, None], tokens[:, None])
        output = StepOutput(self.logits[steps, tokens], said.double() if need_weights else None)
        return output, {"said": said, "steps": steps + 1}


@dataclass
class Grown:
    """A hypothesis of the reference search."""

    tokens: list[int]
    log_probs: list[float]
    weights: list[list[float]]
    state: object = None

    def score(self, length_penalty: float, coverage_penalty: float = 0.0, overcoverage: float = 0.0) -> float:
        read = [sum(column) for column in zip(*self.weights, strict=True)] if coverage_penalty or overcoverage else []
        unread = coverage_penalty * sum(math.log(min(max(each, 1e-6), 1)) for each in read)
        again = overcoverage * (sum(max(each, 1) for each in read) - len(read))
        reward = sum(self.log_probs) / ((5 + len(self.log_probs)) / 6) ** length_penalty
        return reward + unread - again


def forbidden(tokens: list[int], constraints: Constraints) -> set[int]:
    banned = {PAD, BOS, *constraints.banned}
    if len(tokens) < constraints.min_length:
        banned.add(EOS)
    size = constraints.no_repeat_ngram
    for at in range(len(tokens) - size + 1) if size else ():
        if tokens[at : at + size - 1] == tokens[len(tokens) - size + 1 :]:
            banned.add(tokens[at + size - 1])
    return banned


def children(model, encoded, parent: Grown, constraints: Constraints) -> list[Grown]:
    """Every continuation of `parent` that is allowed and possible."""
    last = torch.tensor([parent.tokens[-1] if parent.tokens else BOS])
    output, state = model.step(last, parent.state, encoded, need_weights=True)
    log_probs = output.logits[0].log_softmax(0).tolist()
    looked = [] if output.weights is None else [output.weights[0].tolist()]
    banned = forbidden(parent.tokens, constraints)
    possible = [token for token, value in enumerate(log_probs) if token not in banned and value > float("-inf")]
    if not possible and log_probs[EOS] > float("-inf"):
        possible = [EOS]
    return [
        Grown([*parent.tokens, token], [*parent.log_probs, log_probs[token]], parent.weights + looked, state)
        for token in possible
    ]


def reference_beam(
    model,
    source: Tensor,
    beam: int,
    length_penalty: float,
    constraints: Constraints,
    *read: float,
) -> list[Grown]:
    """Beam search over one sentence, to the very end, best first; a finished hypothesis keeps its place.

    `read`: penalties for what was read too little and too often.
    """
    encoded = model.encode(source[None], torch.tensor([len(source)]))
    alive = [Grown([], [], [], model.start(encoded))]
    finished, unfinished = [], []
    for _ in range(constraints.max_lengths([len(source)])[0]):
        offspring = []
        for parent in alive:
            found = children(model, encoded, parent, constraints)
            unfinished += [] if found else [parent]
            offspring += found
        offspring.sort(key=lambda grown: -sum(grown.log_probs))
        chosen = offspring[: beam - len(finished)]
        finished += [grown for grown in chosen if grown.tokens[-1] == EOS]
        alive = [grown for grown in chosen if grown.tokens[-1] != EOS]
    best = lambda some: sorted(some, key=lambda grown: -grown.score(length_penalty, *read))  # noqa: E731
    return best(finished) + best(unfinished + alive)


def looks(hypothesis: Hypothesis) -> Tensor:
    """The weights of a hypothesis, which must be there."""
    assert hypothesis.weights is not None
    return hypothesis.weights


def pad(sentences: list[list[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    """Sentences as source and lengths; `extra` columns of padding more than needed."""
    width = max((len(sentence) for sentence in sentences), default=0) + extra
    rows = [sentence + [PAD] * (width - len(sentence)) for sentence in sentences]
    lengths = torch.tensor([len(sentence) for sentence in sentences], dtype=torch.long)
    return torch.tensor(rows, dtype=torch.long).reshape(len(sentences), width), lengths
