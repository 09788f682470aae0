"""The encoder-decoder: one class, whatever its encoder and its wiring."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.functional import padding_mask
from heedful.layers import TokenEmbedding

from .decoders import Decoder, DecoderState, Encoded
from .encoders import RecurrentEncoder
from .protocol import StepOutput


class OutputLayer(nn.Module):
    """Features to logits, with a matrix of its own or tied to an embedding table (Press and Wolf 2017).

    Args:
        features: features of a decoder output.
        vocab_size: number of target ids.
        tied: target embedding whose table serves as the matrix; features of another size are projected first.
    """

    def __init__(self, features: int, vocab_size: int, tied: TokenEmbedding | None = None) -> None:
        super().__init__()
        self.project = nn.Identity()
        if tied is not None and tied.weight.shape[1] != features:
            self.project = nn.Linear(features, tied.weight.shape[1], bias=False)
        self.weight = nn.Parameter(torch.empty(vocab_size, features)) if tied is None else tied.weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        if tied is None:
            nn.init.normal_(self.weight, std=features**-0.5)

    def forward(self, features: Float[Tensor, "*steps features"]) -> Float[Tensor, "*steps vocab_size"]:
        return linear(self.project(features), self.weight, self.bias)


class Seq2Seq(nn.Module):
    """Encoder, target embedding, decoder and output layer: blocks made into a model.

    `encode`, `start` and `step` carry explicit state, so that every decoding method works over it; calling it runs
    teacher forcing.

    Args:
        encoder: reads the source.
        embedding: target ids to vectors.
        decoder: one of the wirings.
        output: features to logits.
    """

    def __init__(
        self, encoder: RecurrentEncoder, embedding: TokenEmbedding, decoder: Decoder, output: OutputLayer
    ) -> None:
        super().__init__()
        self.encoder, self.embedding, self.decoder, self.output = encoder, embedding, decoder, output

    def encode(self, source: Int[Tensor, "batch source_len"], lengths: Int[Tensor, " batch"]) -> Encoded:
        """Read the source sentences.

        Args:
            source: token ids, `[batch, source_len]`, padding behind each sentence.
            lengths: real tokens of each sentence, at least 1.
        """
        return self.decoder.remember(self.encoder(source, lengths), padding_mask(lengths, source.shape[1]))

    def start(self, encoded: Encoded) -> DecoderState:
        """The state before the first token."""
        return self.decoder.start(encoded)

    def step(
        self, tokens: Int[Tensor, " batch"], state: DecoderState, encoded: Encoded, need_weights: bool = False
    ) -> tuple[StepOutput, DecoderState]:
        """One step: the last tokens in, logits of the next ones and the next state out."""
        output = self.decoder(self.embedding(tokens.unsqueeze(1)), state, encoded, need_weights)
        weights = None if output.weights is None else output.weights.squeeze(1)
        return StepOutput(self.output(output.features.squeeze(1)), weights), output.state

    def forward(
        self,
        source: Int[Tensor, "batch source_len"],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, "batch target_len vocab_size"]:
        """Logits at every target position.

        Args:
            source: token ids, `[batch, source_len]`.
            lengths: real tokens of each source sentence.
            target_in: what is fed, `<s>` then the target, `[batch, target_len]`.
            teacher_forcing: chance that a step is fed the true last token and not the model's own best guess (scheduled
                sampling, Bengio et al. 2015); at 1 all steps run in one call.
        """
        encoded = self.encode(source, lengths)
        state = self.start(encoded)
        if teacher_forcing >= 1:
            return self.output(self.decoder(self.embedding(target_in), state, encoded).features)
        logits = []
        tokens = target_in[:, 0]
        for true in target_in.unbind(1):
            forced = torch.rand(true.shape, device=true.device) < teacher_forcing if logits else torch.ones_like(true)
            output, state = self.step(torch.where(forced.bool(), true, tokens), state, encoded)
            logits.append(output.logits)
            tokens = output.logits.detach().argmax(-1)
        return torch.stack(logits, 1)
