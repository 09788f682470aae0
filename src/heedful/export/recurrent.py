"""What goes step by step, as a graph for sources of any length: recurrent layers and attention that remembers looks.

A recurrent layer is one scan for each direction; `scanning.py` has that of attention.

Packed sequences, as `RecurrentEncoder` reads them, have no place in a graph. Each direction is read forwards instead,
the backward one over the reversed sentence, so that padding always comes last and cannot reach a real step.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention import Attention
from heedful.functional import padding_mask
from heedful.layers import NgramEmbedding, Recurrent, RecurrentState
from heedful.models.encoders import EncoderOutput, RecurrentEncoder

from .ngrams import GraphNgrams
from .scanning import scan_looks


def read_recurrent(
    encoder: RecurrentEncoder, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"]
) -> EncoderOutput:
    """What `encoder(source, lengths)` gives in evaluation, in operators that a graph for any length can hold.

    Args:
        encoder: GRU or LSTM layers.
        source: token ids, `[batch, source_len]`, padding behind each sentence; without an embedding, vectors.
        lengths: real tokens of each sentence, at least 1.

    >>> from heedful.layers import TokenEmbedding
    >>> encoder = RecurrentEncoder(TokenEmbedding(11, 3), embedding_dim=3, units=5).eval()
    >>> source, lengths = torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([3, 1])
    >>> with torch.no_grad():
    ...     read_recurrent(encoder, source, lengths).outputs.shape
    torch.Size([2, 3, 10])
    """
    rnn, steps = encoder.rnn, encoder.embedding(source)
    places = torch.arange(source.shape[1], device=source.device).unsqueeze(0)
    last = (lengths - 1).unsqueeze(1)
    # real steps in the opposite order, padding where it was
    reverse = torch.where(places <= last, last - places, places)
    summary = steps
    for layer in range(rnn.num_layers):
        outputs, ends = [], []
        for direction in range(2 if rnn.bidirectional else 1):
            weights = rnn.all_weights[2 * layer + direction if rnn.bidirectional else layer]
            read, _ = _run(rnn, weights, _take(steps, reverse) if direction else steps)
            ends.append(_take(read, last).squeeze(1))
            outputs.append(_take(read, reverse) if direction else read)
        steps, summary = torch.cat(outputs, -1), torch.cat(ends, -1)
    steps = steps.masked_fill(~padding_mask(lengths, source.shape[1]).transpose(1, 2), 0)
    return EncoderOutput(_merge(encoder, steps), _merge(encoder, summary))


class ScannedEncoder(nn.Module):
    """A recurrent encoder as a graph reads it.

    Args:
        encoder: whose weights it has.
    """

    def __init__(self, encoder: RecurrentEncoder) -> None:
        super().__init__()
        self.encoder, self.output_dim = encoder, encoder.output_dim

    def forward(
        self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"] | None = None
    ) -> EncoderOutput:
        """See `read_recurrent`; all steps are real where lengths are left out."""
        whole = torch.full(source.shape[:1], source.shape[1], device=source.device)
        return read_recurrent(self.encoder, source, whole if lengths is None else lengths)


class ScannedRecurrent(nn.Module):
    """Recurrent layers from a state, as a graph reads them.

    Args:
        layers: whose weights they have.

    >>> layers = Recurrent("lstm", 3, 5, layers=2).eval()
    >>> state = layers.begin(torch.ones(2, 2, 5))
    >>> with torch.no_grad():
    ...     ours, theirs = (run(torch.ones(2, 7, 3), state) for run in (ScannedRecurrent(layers), layers))
    >>> bool(torch.allclose(ours[1].cell, theirs[1].cell, atol=1e-6))
    True
    """

    def __init__(self, layers: Recurrent) -> None:
        super().__init__()
        self.rnn, self.layers, self.units, self.begin = layers.rnn, layers.layers, layers.units, layers.begin

    def forward(
        self, inputs: Float[Tensor, "batch steps input_dim"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch steps units"], RecurrentState]:
        """See `Recurrent`."""
        parts = [one for one in (state.hidden, state.cell) if one is not None]
        lasts = []
        for layer, weights in enumerate(self.rnn.all_weights):
            inputs, last = _run(self.rnn, weights, inputs, [one[:, layer] for one in parts])
            lasts.append(last)
        return inputs, RecurrentState(*(torch.stack(layers, 1) for layers in zip(*lasts, strict=True)))


def scanned(module: nn.Module) -> Any:
    """The module, and what in it, at any depth, goes step by step or has n-grams, as a graph reads it.

    The weights are shared.
    """
    if isinstance(module, RecurrentEncoder):
        return ScannedEncoder(module)
    if isinstance(module, Recurrent):
        return ScannedRecurrent(module)
    if isinstance(module, NgramEmbedding):
        return GraphNgrams(module)
    part: Any = copy.copy(module)
    if isinstance(part, Attention) and part.stateful:
        part.scan = partial(scan_looks, part)
    part._modules = {name: child and scanned(child) for name, child in module._modules.items()}
    return part


def _take(steps: Tensor, places: Tensor) -> Tensor:
    """The steps at places `[batch, any]` of each sentence."""
    return steps.gather(1, places.unsqueeze(-1).expand(-1, -1, steps.shape[-1]))


def _merge(encoder: RecurrentEncoder, features: Tensor) -> Tensor:
    if not encoder.sum_directions:
        return features
    forwards, backwards = features.chunk(2, -1)
    return forwards + backwards


def _run(
    rnn: nn.RNNBase,
    weights: Sequence[Tensor],
    steps: Float[Tensor, "batch steps features"],
    begin: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Sequence[Tensor]]:
    """Outputs of one direction of one layer, and its last states; from a state of zeros when `begin` is left out."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    gates = linear(steps.transpose(0, 1), weight_ih, bias_ih)
    cell, count = (_lstm, 2) if isinstance(rnn, nn.LSTM) else (_gru, 1)
    zeros = [steps.new_zeros(steps.shape[0], rnn.hidden_size)] * count
    states = [one.clone() for one in begin or zeros]
    # the operator itself: its public form compiles the cell first, which takes many times as long
    *lasts, outputs = torch.ops.higher_order.scan(cell, states, [gates], (weight_hh, bias_hh))
    return outputs.transpose(0, 1), lasts


def _gru(hidden: Tensor, gates: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """One step of torch's GRU: the new state, and the same as output (a clone: an output has no other name)."""
    reset, update, new = gates.chunk(3, -1)
    own_reset, own_update, own_new = linear(hidden, weight, bias).chunk(3, -1)
    update = torch.sigmoid(update + own_update)
    new = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
    hidden = new + update * (hidden - new)
    return [hidden, hidden.clone()]


def _lstm(hidden: Tensor, cell: Tensor, gates: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """One step of torch's LSTM: the new state, and its hidden half as output."""
    enter, forget, new, leave = (gates + linear(hidden, weight, bias)).chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    hidden = torch.sigmoid(leave) * torch.tanh(cell)
    return [hidden, cell, hidden.clone()]
