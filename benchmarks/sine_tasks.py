"""Two tasks of any length in which attention does the work: what `sine.py` trains its sides on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss

from heedful.attention import Attention, BahdanauAttention, LuongAttention, SineAttention
from heedful.data.synthetic import Task, add_two_numbers

TOKENS, PLACE_DIM, TOKEN_DIM, FEATURES = 16, 32, 16, 32
# every side gets as many attention parameters as a general score of the task has, to 4 %
SIDES = ("tanh", "sine", "general", "dot", "scaled dot")


@dataclass(frozen=True)
class Setting:
    """How one model learns, and on what it is tested."""

    steps: int
    seed: int
    updates: int
    rate: float = 0.003
    precision: str = "float32"
    tested: int | None = None

    @property
    def test_steps(self) -> int:
        """Length of the test sequences."""
        return self.tested or self.steps

    def computing(self) -> torch.autocast:
        """A context in which products are computed in the precision."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")


class Projected(nn.Module):
    """Dot-product attention of two projections, without biases."""

    def __init__(self, query_dim: int, key_dim: int, units: int, score: Literal["dot", "scaled_dot"]) -> None:
        super().__init__()
        self.query_proj, self.key_proj = nn.Linear(query_dim, units, False), nn.Linear(key_dim, units, False)
        self.attention = LuongAttention(units, units, score)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The context."""
        return self.attention(self.query_proj(query), self.key_proj(key), value).context


class Looking(nn.Module):
    """Any attention, for its context alone."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The context."""
        return self.attention(query, key, value).context


def build_side(side: str, query_dim: int, key_dim: int) -> nn.Module:
    """The attention of a side, with about `query_dim x key_dim` parameters."""
    budget, both = query_dim * key_dim, query_dim + key_dim
    if side == "tanh":
        return Looking(BahdanauAttention(query_dim, key_dim, round(budget / (both + 1))))
    if side == "sine":
        return Looking(SineAttention(query_dim, key_dim, round(budget / (both + 2))))
    if side == "general":
        return Looking(LuongAttention(query_dim, key_dim))
    return Projected(query_dim, key_dim, round(budget / both), "dot" if side == "dot" else "scaled_dot")


def places(steps: int) -> Tensor:
    """Sines and cosines of the place, `[steps, PLACE_DIM]` (Vaswani et al. 2017, section 3.5)."""
    angles = torch.arange(steps)[:, None] * 10_000 ** (-torch.arange(0, PLACE_DIM, 2) / PLACE_DIM)
    return torch.cat((angles.sin(), angles.cos()), -1)


class Copying(nn.Module):
    """A place asks, and its token must be said; keys hold token and place, values the token."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, TOKEN_DIM)
        self.look = build_side(side, PLACE_DIM, TOKEN_DIM + PLACE_DIM)
        self.readout = nn.Linear(TOKEN_DIM, TOKENS)

    def forward(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Logits `[batch, queries, TOKENS]` for the places `asked` [batch, queries]."""
        value, table = self.embedding(tokens), places(tokens.shape[1])
        key = torch.cat((value, table.expand(len(tokens), -1, -1)), -1)
        return self.readout(self.look(table[asked], key, value))


class Adding(nn.Module):
    """Two learnt queries look at numbers, each with its neighbours; the answer is read from both contexts."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, FEATURES, 3, padding=1)
        self.queries = nn.Parameter(torch.randn(1, 2, FEATURES))
        self.look = build_side(side, FEATURES, FEATURES)
        self.readout = nn.Linear(2 * FEATURES, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        """Answers `[batch]` for `[batch, steps, 1]`."""
        steps = torch.tanh(self.encoder(numbers.transpose(1, 2))).transpose(1, 2)
        context = self.look(self.queries.expand(len(steps), -1, -1), steps, steps)
        return self.readout(context.flatten(1)).squeeze(-1)


def copying(side: str, setting: Setting) -> tuple[float, nn.Module]:
    """Share of wrong tokens after training, and the model."""
    model, chance = Copying(side), torch.Generator().manual_seed(setting.seed)

    def draw(batch: int, steps: int) -> tuple[Tensor, Tensor]:
        tokens = torch.randint(TOKENS, (batch, steps), generator=chance)
        return tokens, torch.randint(steps, (batch, 64), generator=chance)

    def losses() -> Iterator[Tensor]:
        while True:
            tokens, asked = draw(8, setting.steps)
            with setting.computing():
                yield cross_entropy(model(tokens, asked).flatten(0, 1), tokens.gather(1, asked).flatten())

    learn(model, losses(), setting)
    tokens, asked = draw(256, setting.test_steps)
    with torch.no_grad(), setting.computing():
        return (model(tokens, asked).argmax(-1) != tokens.gather(1, asked)).double().mean().item(), model


def adding(side: str, setting: Setting) -> tuple[float, nn.Module]:
    """Mean absolute error after training, and the model."""

    def draw(count: int, steps: int, seed: int) -> Task:
        # a marker that no number is: with 0 a small number beside would do as well, the more the longer the sequence
        return add_two_numbers(count, np.random.RandomState(seed), steps, apart=True, delimiter=-1.0)

    task = draw(5_000, setting.steps, setting.seed)
    learning, test = task.part(slice(4_000)), task.part(slice(4_000, None))
    if setting.tested is not None:
        test = draw(1_000, setting.tested, setting.seed + 1_000)
    model, chance = Adding(side), torch.Generator().manual_seed(setting.seed)

    def losses() -> Iterator[Tensor]:
        while True:
            rows = torch.randint(4_000, (16,), generator=chance)
            with setting.computing():
                yield l1_loss(model(learning.inputs[rows]), learning.answers[rows])

    learn(model, losses(), setting)
    with torch.no_grad(), setting.computing():
        return (model(test.inputs) - test.answers).abs().mean().item(), model


def learn(model: nn.Module, losses: Iterator[Tensor], setting: Setting) -> None:
    """Adam, its rate falling to 0 along a half cosine; gradients of norm 1 at most."""
    adam = torch.optim.Adam(model.parameters(), lr=setting.rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, setting.updates)
    for _ in range(setting.updates):
        adam.zero_grad()
        next(losses).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rate.step()


TASKS: dict[str, Callable[[str, Setting], tuple[float, nn.Module]]] = {"copying": copying, "adding": adding}
