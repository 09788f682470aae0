"""GRU and LSTM with products of fewer bits, in the place of torch's own while decoding."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .cheaper import CheaperLinear, Precision

State = Tensor | tuple[Tensor, Tensor]


class CheaperRecurrent(nn.Module):
    """Stands where an `nn.GRU` or `nn.LSTM` (batch first) did, and is called as they are; gates are float32.

    Args:
        rnn: whose weights to take.
        precision: "bf16" or "int8".

    >>> rnn = nn.GRU(3, 5, batch_first=True)
    >>> CheaperRecurrent(rnn, "bf16")(torch.ones(2, 7, 3), torch.zeros(1, 2, 5))[0].shape
    torch.Size([2, 7, 5])
    """

    def __init__(self, rnn: nn.RNNBase, precision: Precision) -> None:
        super().__init__()
        self.mode, self.hidden_size, self.num_layers = rnn.mode, rnn.hidden_size, rnn.num_layers
        self.bidirectional, self.directions = rnn.bidirectional, 2 if rnn.bidirectional else 1
        products = []
        for weight_ih, weight_hh, bias_ih, bias_hh in rnn.all_weights:
            products += [CheaperLinear(weight_ih, bias_ih, precision), CheaperLinear(weight_hh, bias_hh, precision)]
        self.products = nn.ModuleList(products)

    def forward(
        self, inputs: Tensor | PackedSequence, state: State | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Outputs of the last layer and the last state of every layer, as torch's layers give them."""
        order = back = None
        if isinstance(inputs, PackedSequence):
            data, sizes = inputs.data, inputs.batch_sizes.tolist()
            # packing sorts by length; states stay in the order of the sentences
            order, back = inputs.sorted_indices, inputs.unsorted_indices
        else:
            data, sizes = inputs.transpose(0, 1).flatten(0, 1), [inputs.shape[0]] * inputs.shape[1]
        if state is None:
            zeros = data.new_zeros(self.num_layers * self.directions, sizes[0], self.hidden_size)
            state = zeros if self.mode == "GRU" else (zeros, zeros)
        given = (state,) if isinstance(state, Tensor) else state
        first = [(part if order is None else part.index_select(1, order)).unbind(0) for part in given]
        last = []
        for layer in range(self.num_layers):
            runs = []
            for direction in range(self.directions):
                number = layer * self.directions + direction
                run, after = self._run(number, data, sizes, tuple(part[number] for part in first), direction == 1)
                runs.append(run)
                last.append(after)
            data = torch.cat(runs, -1)
        after = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
        if isinstance(inputs, PackedSequence):
            after = tuple(part if back is None else part.index_select(1, back) for part in after)
            outputs = inputs._replace(data=data)
        else:
            outputs = data.unflatten(0, (inputs.shape[1], inputs.shape[0])).transpose(0, 1)
        return outputs, after[0] if self.mode == "GRU" else after  # pyright: ignore[reportReturnType]: two for an LSTM

    def _run(
        self, number: int, data: Tensor, sizes: list[int], state: tuple[Tensor, ...], backwards: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One direction of a layer over packed steps."""
        from_input, from_state = self.products[2 * number], self.products[2 * number + 1]
        gates, step = from_input(data).split(sizes), self._gru if self.mode == "GRU" else self._lstm
        outputs, state = list(gates), tuple(part.clone() for part in state)
        for place in reversed(range(len(sizes))) if backwards else range(len(sizes)):
            active = tuple(part[: sizes[place]] for part in state)
            after = step(gates[place], from_state(active[0]), *active)
            outputs[place] = after[0]
            for part, new in zip(state, after, strict=True):
                part[: sizes[place]] = new
        return torch.cat(outputs), state

    @staticmethod
    def _gru(gates: Tensor, products: Tensor, hidden: Tensor) -> tuple[Tensor]:
        """Cho et al. 2014, the reset gate after the product."""
        units = hidden.shape[1]
        reset, update = (gates[:, : 2 * units] + products[:, : 2 * units]).sigmoid_().chunk(2, 1)
        new = torch.addcmul(gates[:, 2 * units :], reset, products[:, 2 * units :]).tanh_()
        return (torch.lerp(new, hidden, update),)

    @staticmethod
    def _lstm(gates: Tensor, products: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Hochreiter and Schmidhuber 1997, with forget gates."""
        enter, forget, content, leave = (gates + products).chunk(4, 1)
        cell = torch.addcmul(cell * forget.sigmoid(), enter.sigmoid(), content.tanh())
        return leave.sigmoid() * cell.tanh(), cell
