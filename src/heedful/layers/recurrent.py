"""GRU and LSTM layers whose state is a value, batch axis first."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful._pytree import register_pytree

from .gru import gru, suits_gru

Cell = Literal["gru", "lstm"]


@register_pytree
@dataclass(frozen=True)
class RecurrentState:
    """Hidden state of every layer, `[batch, layers, units]`, and the LSTM's cell state (`None` for a GRU)."""

    hidden: Float[Tensor, "batch layers units"]
    cell: Float[Tensor, "batch layers units"] | None = None

    @property
    def top(self) -> Float[Tensor, "batch 1 units"]:
        """Hidden state of the last layer, as a query of one step."""
        return self.hidden[:, -1:]


class Recurrent(nn.Module):
    """A stack of GRU or LSTM layers run forwards over any number of steps, from and to an explicit state.

    Args:
        cell: "gru" or "lstm".
        input_dim: features of an input.
        units: features of a state.
        layers: how many.
        dropout: share of the features dropped between layers in training.

    Raises:
        ValueError: an unknown cell, or a size below 1.

    >>> layer = Recurrent("gru", 3, 5, layers=2)
    >>> outputs, state = layer(torch.ones(2, 7, 3), layer.begin(torch.zeros(2, 2, 5)))
    >>> outputs.shape, state.hidden.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 2, 5]))
    """

    def __init__(self, cell: Cell, input_dim: int, units: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_dim, self.units, self.layers = input_dim, units, layers
        self.rnn: Any = build_rnn(cell, input_dim, units, layers, dropout)

    def begin(self, hidden: Float[Tensor, "batch layers units"]) -> RecurrentState:
        """The state that starts from `hidden`; an LSTM's cell starts at 0."""
        return RecurrentState(hidden, torch.zeros_like(hidden) if self.rnn.mode == "LSTM" else None)

    def forward(
        self, inputs: Float[Tensor, "batch steps input_dim"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch steps units"], RecurrentState]:
        """Outputs of the last layer at every step, and the state after the last step."""
        if suits_gru(self.rnn, inputs):
            outputs, last = gru(self.rnn, inputs, state.hidden.squeeze(1))
            return outputs, RecurrentState(last.unsqueeze(1))
        hidden = state.hidden.transpose(0, 1).contiguous()
        if state.cell is None:
            outputs, hidden = self.rnn(inputs, hidden)
            return outputs, RecurrentState(hidden.transpose(0, 1))
        outputs, (hidden, cell) = self.rnn(inputs, (hidden, state.cell.transpose(0, 1).contiguous()))
        return outputs, RecurrentState(hidden.transpose(0, 1), cell.transpose(0, 1))


def build_rnn(
    cell: Cell, input_dim: int, units: int, layers: int, dropout: float, bidirectional: bool = False
) -> nn.GRU | nn.LSTM:
    """The GRU or LSTM of torch, batch first, initialised by `init_recurrent`.

    Args:
        cell: "gru" or "lstm".
        input_dim: features of an input.
        units: features of a state, each direction.
        layers: how many.
        dropout: share of the features dropped between layers in training.
        bidirectional: run backwards, too.

    Raises:
        ValueError: an unknown cell, or a size below 1.
    """
    if cell not in get_args(Cell):
        raise ValueError(f"cell is {cell!r}; expected 'gru' or 'lstm'.")
    for name, size in (("input_dim", input_dim), ("units", units), ("layers", layers)):
        if size < 1:
            raise ValueError(f"{name} is {size}; expected at least 1.")
    kind = nn.GRU if cell == "gru" else nn.LSTM
    # torch warns of dropout in a single layer
    between = dropout if layers > 1 else 0.0
    rnn = kind(input_dim, units, layers, batch_first=True, dropout=between, bidirectional=bidirectional)
    init_recurrent(rnn)
    return rnn


def init_recurrent(rnn: nn.RNNBase) -> None:
    """Glorot uniform input weights, orthogonal recurrent weights gate by gate, zero biases, LSTM forget gates at 1."""
    for name, parameter in rnn.named_parameters():
        gates = parameter.detach().split(rnn.hidden_size)
        if "weight_ih" in name:
            for gate in gates:
                nn.init.xavier_uniform_(gate)
        elif "weight_hh" in name:
            for gate in gates:
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
            if isinstance(rnn, nn.LSTM) and "bias_ih" in name:
                nn.init.ones_(gates[1])
