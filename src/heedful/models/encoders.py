"""Encoders: token ids in, one vector for each token and a summary of the sentence out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from heedful._pytree import register_pytree
from heedful.layers import Dropout
from heedful.layers.gru import gru, suits_gru
from heedful.layers.recurrent import Cell, build_rnn

from ._sizes import check_size
from .protocol import Embedding

Merge = Literal["concat", "sum"]
# from so many steps on, learning on a CPU goes over the padding: torch's backward pass through packed steps fills and
# adds a tensor of all steps at each of them
LONG = 64


@register_pytree
@dataclass(frozen=True)
class EncoderOutput:
    """The output of an encoder.

    Attributes:
        outputs: `[batch, source_len, output_dim]`, zeros at padding.
        summary: `[batch, output_dim]`, the last layer's state after the last real token (of the backward direction:
            after the first; of a Transformer: their mean).
        weights: `[batch, layers, heads, source_len, source_len]`, what the source looked at in itself, if asked for.
    """

    outputs: Float[Tensor, "batch source_len output_dim"]
    summary: Float[Tensor, "batch output_dim"]
    weights: Float[Tensor, "batch layers heads source_len source_len"] | None = None


class RecurrentEncoder(nn.Module):
    """Embedding, then GRU or LSTM layers over the real tokens only (packed by length, or to the same numbers).

    Args:
        embedding: ids to vectors; `None` where the source is vectors already.
        embedding_dim: features of such a vector.
        units: features of a state, each direction.
        cell: "gru" or "lstm".
        layers: how many.
        bidirectional: read backwards, too.
        merge: "concat" the two directions, or "sum" them.
        dropout: share of the features dropped between layers and on the outputs, in training.

    Raises:
        ValueError: an unknown cell or merge, or sizes that do not fit; in a call, a length that does not.

    >>> from heedful.layers import TokenEmbedding
    >>> encoder = RecurrentEncoder(TokenEmbedding(11, 3), embedding_dim=3, units=5)
    >>> encoded = encoder(torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([3, 1]))
    >>> encoded.outputs.shape, encoded.summary.shape, bool(encoded.outputs[1, 1:].any())
    (torch.Size([2, 3, 10]), torch.Size([2, 10]), False)
    """

    def __init__(
        self,
        embedding: Embedding | None,
        embedding_dim: int,
        units: int,
        cell: Cell = "gru",
        layers: int = 1,
        bidirectional: bool = True,
        merge: Merge = "concat",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if merge not in get_args(Merge):
            raise ValueError(f"merge is {merge!r}; expected 'concat' or 'sum'.")
        if embedding is not None:
            check_size("embedding_dim", embedding_dim, embedding.dim, "the features of the embedding")
        self.embedding: Any = nn.Identity() if embedding is None else embedding
        self.rnn = build_rnn(cell, embedding_dim, units, layers, dropout, bidirectional)
        self.dropout = Dropout(dropout)
        self.sum_directions = bidirectional and merge == "sum"
        self.output_dim = units * (2 if bidirectional and merge == "concat" else 1)

    def forward(
        self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"] | None = None
    ) -> EncoderOutput:
        """Read `source`; what stands behind `lengths` has no influence.

        Args:
            source: token ids, `[batch, source_len]`; without an embedding, vectors `[batch, source_len, features]`.
            lengths: real tokens of each sentence, at least 1; all of them when left out.
        """
        if lengths is None:
            outputs, final = self.rnn(self.embedding(source))
            return EncoderOutput(self.dropout(self._merge(outputs)), self._merge(self._summary(final)))
        lengths = lengths.cpu()  # packing needs them there
        check_lengths(lengths, *source.shape[:2])
        embedded = self.embedding(source)
        outputs, summary = self._way(embedded)(embedded, lengths)
        return EncoderOutput(self.dropout(self._merge(outputs)), self._merge(summary))

    def _way(self, embedded: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        if suits_gru(self.rnn, embedded):
            return self._run_fast
        learns = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if learns and embedded.is_cpu and self.rnn.num_layers == 1 and embedded.shape[1] >= LONG:
            return self._run_padded
        return self._run

    def _run(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        outputs, final = self.rnn(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=embedded.shape[1])
        return outputs, self._summary(final)

    def _summary(self, final: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        hidden = final[0] if isinstance(final, tuple) else final
        directions = 2 if self.rnn.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)

    def _run_padded(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Over the padding, each direction by itself; the second reads each sentence turned round."""
        ends, places = lengths.unsqueeze(1), torch.arange(embedded.shape[1])
        real = (places < ends).unsqueeze(2)
        # its own inverse
        turn = torch.where(places < ends, ends - 1 - places, places).unsqueeze(2)
        shown, runs, summary = embedded.masked_fill(~real, 0), [], []
        start = embedded.new_zeros(1, embedded.shape[0], self.rnn.hidden_size)
        all_weights: Any = self.rnn.all_weights
        for backwards, weights in enumerate(all_weights):
            inputs = shown.gather(1, turn.expand_as(shown)) if backwards else shown
            options = (weights, True, 1, 0.0, self.training, False, True)
            lstm = isinstance(self.rnn, nn.LSTM)
            outputs = torch.lstm(inputs, (start, start), *options)[0] if lstm else torch.gru(inputs, start, *options)[0]
            summary.append(outputs.gather(1, (ends - 1).unsqueeze(2).expand(-1, 1, outputs.shape[2])).squeeze(1))
            runs.append(outputs.gather(1, turn.expand_as(outputs)) if backwards else outputs)
        return torch.cat(runs, 2).masked_fill(~real, 0), torch.cat(summary, 1)

    def _run_fast(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        ordered, order = lengths.sort(descending=True, stable=True)
        active = (ordered.unsqueeze(1) > torch.arange(embedded.shape[1])).sum(0).tolist()
        start = embedded.new_zeros(embedded.shape[0], self.rnn.hidden_size)
        directions = (False, True) if self.rnn.bidirectional else (False,)
        runs = [gru(self.rnn, embedded[order], start, active, backwards) for backwards in directions]
        back = order.argsort()
        outputs, summary = (torch.cat(parts, -1)[back] for parts in zip(*runs, strict=True))
        return outputs, summary

    def _merge(self, features: Tensor) -> Tensor:
        if not self.sum_directions:
            return features
        forwards, backwards = features.chunk(2, -1)
        return forwards + backwards


def check_lengths(lengths: Tensor, batch: int, source_len: int) -> None:
    """Refuse lengths that are not one number from 1 to the width of the source for each sentence."""
    if lengths.shape != (batch,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}; expected [{batch}], one number for each sentence.")
    if torch.compiler.is_compiling():  # numbers are no part of a graph
        return
    least, most = int(lengths.min()), int(lengths.max())
    if not 1 <= least <= most <= source_len:
        sentence = int(((lengths < 1) | (lengths > source_len)).nonzero()[0])
        raise ValueError(
            f"lengths go from {least} to {most}; expected 1 to {source_len}, the width of source. Look at sentence "
            f"{sentence}, counted from 0; leave empty sentences out, or end every sentence with an end token."
        )
