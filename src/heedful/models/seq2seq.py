"""The encoder-decoder: one class, whatever its encoder and its wiring."""

import copy
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from heedful.attention import AttentionOutput, CopyDistribution
from heedful.attention.regularizers import coverage_loss, doubly_stochastic_loss
from heedful.functional import Loss, TokenTarget, cross_entropy, linear, output_cross_entropy, padding_mask
from heedful.layers import Linear, TokenEmbedding

from ._sizes import check_size
from .convolutional import ConvolutionalEncoder
from .copying import LEAST, Copying
from .decoders import Decoder, Encoded
from .encoders import EncoderOutput, RecurrentEncoder
from .protocol import StepOutput
from .regions import RegionEncoder
from .transformer import TransformerEncoder


class OutputLayer(nn.Module):
    """Features to logits, with a matrix of its own or tied to an embedding table (Press and Wolf 2017).

    Args:
        features: features of a decoder output.
        vocab_size: number of target ids.
        tied: target embedding whose table serves as the matrix; features of another size are projected first.

    Raises:
        ValueError: the tied embedding has another number of ids.

    >>> OutputLayer(5, 11, tied=TokenEmbedding(11, 3))(torch.ones(2, 7, 5)).shape
    torch.Size([2, 7, 11])
    """

    def __init__(self, features: int, vocab_size: int, tied: TokenEmbedding | None = None) -> None:
        super().__init__()
        if tied is not None:
            check_size("vocab_size", vocab_size, tied.vocab_size, "the number of ids of the tied embedding")
        self.features, self.vocab_size = features, vocab_size
        self.project = nn.Identity()
        if tied is not None and tied.dim != features:
            self.project = Linear(features, tied.dim, bias=False)
        self.weight = nn.Parameter(torch.empty(vocab_size, features)) if tied is None else tied.weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        if tied is None:
            nn.init.normal_(self.weight, std=features**-0.5)

    def forward(self, features: Float[Tensor, "*steps features"]) -> Float[Tensor, "*steps vocab_size"]:
        return linear(self.project(features), self.weight, self.bias)

    def rows(self, ids: Int[Tensor, " tokens"]) -> "OutputLayer":
        """The same layer with these outputs alone, in this order; for decoding."""
        part = copy.copy(self)
        part.vocab_size = len(ids)
        part._parameters = {name: nn.Parameter(getattr(self, name)[ids], False) for name in ("weight", "bias")}
        return part

    def loss(self, features: Float[Tensor, "batch steps features"], target: TokenTarget) -> Loss:
        """Cross-entropy against the right ids, whose logits are not kept.

        Args:
            features: of a decoder, `[batch, steps, features]`.
            target: with ids `[batch, steps]`.
        """
        if torch.compiler.is_compiling():
            return cross_entropy(self(features), target)
        flat = target._replace(ids=target.ids.flatten())
        return output_cross_entropy(self.project(features).flatten(0, 1), self.weight, self.bias, flat)


def mean_of_heads(weights: Float[Tensor, "batch *heads steps keys"]) -> Float[Tensor, "batch steps keys"]:
    """Weights as they are, or their mean over all heads (of all layers).

    Heads that talk, or are differences, may have weights below 0, which count as 0 here: a picture shows shares.

    >>> mean_of_heads(torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]]]]))
    tensor([[[0.5000, 0.5000]]])
    """
    return weights if weights.dim() == 3 else weights.flatten(1, -3).clamp_min(0).mean(1)


def every_head(weights: Float[Tensor, "batch *heads steps keys"]) -> Float[Tensor, "batch layers heads steps keys"]:
    """Weights with both axes, those below 0 as 0; a look without heads, or of one layer, gets axes of length 1.

    >>> every_head(torch.ones(2, 3, 5)).shape, every_head(torch.ones(2, 4, 3, 5)).shape
    (torch.Size([2, 1, 1, 3, 5]), torch.Size([2, 1, 4, 3, 5]))
    """
    return weights.clamp_min(0) if weights.dim() == 5 else every_head(weights.unsqueeze(1))


class Seq2Seq(nn.Module):
    """Encoder, target embedding, decoder and output layer: blocks made into a model.

    `encode`, `start` and `step` carry explicit state, so that every decoding method works over it; calling it runs
    teacher forcing.

    Args:
        encoder: reads the source.
        embedding: target ids to vectors.
        decoder: one of the wirings.
        output: features to logits.
        even_looks: how much it counts in the loss of a training that regions of a picture are left out, as
            `doubly_stochastic_loss` says (Xu et al. 2015, equation 14).
        repeated_looks: how much it counts there that what was looked at is looked at again, as `coverage_loss` says
            (See et al. 2017, equation 13).
        copying: chooses at each step between saying a word of the vocabulary and copying one of the source, whose ids
            then are those of the target, and of words that it lacks, ids from `vocab_size` on.

    Raises:
        ValueError: blocks that do not fit each other.

    >>> from heedful.attention import BahdanauAttention
    >>> from heedful.layers import Recurrent
    >>> from heedful.models import LookThenUpdateDecoder
    >>> encoder = RecurrentEncoder(TokenEmbedding(11, 3), embedding_dim=3, units=2)
    >>> sizes = {"embedding_dim": 5, "context_dim": 4, "summary_dim": 4, "output_dim": 6}
    >>> decoder = LookThenUpdateDecoder(BahdanauAttention(7, 4, hidden_dim=9), Recurrent("gru", 5 + 4, 7), **sizes)
    >>> model = Seq2Seq(encoder, TokenEmbedding(13, 5), decoder, OutputLayer(6, 13))
    >>> source, lengths = torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([3, 2])
    >>> model(source, lengths, target_in=torch.tensor([[2, 4, 9, 5], [2, 6, 0, 0]])).shape
    torch.Size([2, 4, 13])
    >>> encoded = model.encode(source, lengths)
    >>> output, state = model.step(torch.tensor([2, 2]), model.start(encoded), encoded, need_weights=True)
    >>> output.logits.shape, output.weights.shape
    (torch.Size([2, 13]), torch.Size([2, 3]))
    """

    # its forward takes a target, and answers with the loss
    gives_loss = True

    def __init__(
        self,
        encoder: ConvolutionalEncoder | RecurrentEncoder | RegionEncoder | TransformerEncoder,
        embedding: TokenEmbedding,
        decoder: Decoder,
        output: OutputLayer,
        even_looks: float = 0.0,
        repeated_looks: float = 0.0,
        copying: Copying | None = None,
    ) -> None:
        super().__init__()
        self.even_looks, self.repeated_looks = even_looks, repeated_looks
        attention = getattr(decoder, "attention", None)
        if attention is not None:
            check_size(
                "encoder's output_dim", encoder.output_dim, attention.key_dim, "the decoder's attention's key_dim"
            )
        check_size("encoder's output_dim", encoder.output_dim, decoder.summary_dim, "the decoder's summary_dim")
        check_size("embedding's dim", embedding.dim, decoder.embedding_dim, "the decoder's embedding_dim")
        check_size("output's features", output.features, decoder.output_dim, "the decoder's output_dim")
        check_size("output's vocab_size", output.vocab_size, embedding.vocab_size, "the embedding's: it is fed back")
        self.encoder, self.embedding, self.decoder, self.output = encoder, embedding, decoder, output
        self.copying = copying

    def encode(self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"]) -> Encoded:
        """Read the source sentences.

        Args:
            source: token ids, `[batch, source_len]`, padding behind each sentence (`functional.align_left` puts it so);
                or what else the encoder reads, such as vectors `[batch, source_len, features]`.
            lengths: real tokens of each sentence, at least 1.
        """
        return self._remember(self.read(source, lengths), lengths, source)

    def read(
        self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"], **more: Any
    ) -> EncoderOutput:
        """What the encoder makes of the source sentences; `more` is what it takes besides, such as `need_weights`."""
        return self.encoder(self._known(source), lengths, **more)

    def remember(
        self,
        read: EncoderOutput,
        mask: Bool[Tensor, "batch 1 regions"],
        source: Shaped[Tensor, "batch source_len ..."],
    ) -> Encoded:
        """What the decoder may look at, and copy from.

        Args:
            read: what the encoder made of the source.
            mask: True = may look.
            source: that was read.
        """
        encoded = self.decoder.remember(read, mask)
        return encoded if self.copying is None else replace(encoded, source_ids=source)

    def _remember(self, read: EncoderOutput, lengths: Tensor, source: Tensor) -> Encoded:
        """All that is left of so many steps of the source."""
        return self.remember(read, padding_mask(self.regions_of(lengths), read.outputs.shape[1]), source)

    def _known(self, ids: Tensor) -> Tensor:
        """What has an embedding."""
        return ids if self.copying is None else self.copying.known(ids)

    def mix(self, embedded: Float[Tensor, "batch steps embedding"], output: Any, encoded: Encoded) -> CopyDistribution:
        """Of each step of a model that copies, how the vocabulary and the words of the source share it.

        Args:
            embedded: what was fed, `[batch, steps, embedding]`.
            output: what the decoder made of it, with weights.
            encoded: what it looked at.
        """
        copying: Any = self.copying
        look = AttentionOutput(output.context, mean_of_heads(output.weights))
        return copying(self.output(output.features), look, encoded.source_ids, output.hidden, embedded)

    def regions_of(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How much is left to look at of sources of such lengths: all of it, unless the encoder makes it less."""
        return self.encoder.regions_of(lengths) if isinstance(self.encoder, ConvolutionalEncoder) else lengths

    def start(self, encoded: Encoded) -> Any:
        """The state before the first token."""
        return self.decoder.start(encoded)

    def step(
        self, tokens: Int[Tensor, " batch"], state: Any, encoded: Encoded, need_weights: bool = False
    ) -> tuple[StepOutput, Any]:
        """One step: the last tokens in, logits of the next ones and the next state out.

        Where words may be copied, the logits are log-probabilities `[batch, vocab_size + source_len]`.
        """
        embedded, copies = self.embedding(self._known(tokens.unsqueeze(1))), self.copying is not None
        output = self.decoder(embedded, state, encoded, need_weights or copies)
        if copies:
            mixed = self.mix(embedded, output, encoded)
            logits = mixed.log_probs(mixed.source_ids.shape[1]).squeeze(1)
        else:
            logits = self.output(output.features.squeeze(1))
        if output.weights is None or not need_weights:
            return StepOutput(logits), output.state
        heads = every_head(output.weights).squeeze(3)
        return StepOutput(logits, mean_of_heads(output.weights).squeeze(1), (heads,)), output.state

    def align(
        self,
        source: Shaped[Tensor, "batch source_len ..."],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
    ) -> Float[Tensor, "batch target_len regions"] | None:
        """What each target position looks at when it is fed a given target; `None` without attention.

        Args:
            source: token ids, `[batch, source_len]`.
            lengths: real tokens of each source sentence.
            target_in: what is fed, `<s>` then the target, `[batch, target_len]`.
        """
        encoded = self.encode(source, lengths)
        embedded = self.embedding(self._known(target_in))
        weights = self.decoder(embedded, self.start(encoded), encoded, need_weights=True).weights
        return None if weights is None else mean_of_heads(weights)

    def mixtures(
        self,
        source: Int[Tensor, "batch source_len"],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
    ) -> CopyDistribution:
        """Of each target position when it is fed a given target, how saying and copying share its words out.

        Args:
            source: token ids, `[batch, source_len]`.
            lengths: real tokens of each source sentence.
            target_in: what is fed, `<s>` then the target, `[batch, target_len]`.

        Raises:
            ValueError: the model does not copy.
        """
        if self.copying is None:
            raise ValueError("the model does not copy, and so has no mixtures; build it with `copying`")
        encoded, embedded = self.encode(source, lengths), self.embedding(self._known(target_in))
        return self.mix(embedded, self.decoder(embedded, self.start(encoded), encoded, need_weights=True), encoded)

    def align_heads(
        self,
        source: Shaped[Tensor, "batch source_len ..."],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
    ) -> tuple[
        Float[Tensor, "batch layers heads target_len regions"] | None,
        Float[Tensor, "batch source_layers source_heads source_len source_len"] | None,
        Float[Tensor, "batch layers heads target_len target_len"] | None,
    ]:
        """What every layer and head looks at when it is fed a target: in the source, and each side in itself.

        Args:
            source: token ids, `[batch, source_len]`.
            lengths: real tokens of each source sentence.
            target_in: what is fed, `<s>` then the target, `[batch, target_len]`.

        Returns:
            weights of the decoder over the source, `None` where it has no heads; of the encoder and of the decoder over
            their own steps, `None` where these do not attend.
        """
        attends = isinstance(self.encoder, TransformerEncoder)
        read = self.read(source, lengths, **({"need_weights": True} if attends else {}))
        encoded, embedded = self._remember(read, lengths, source), self.embedding(self._known(target_in))
        output = self.decoder(embedded, self.start(encoded), encoded, need_weights=True)
        weights = output.weights
        if weights is not None:
            weights = None if weights.dim() == 3 else every_head(weights)
        return weights, read.weights, output.self_weights

    def forward(
        self,
        source: Shaped[Tensor, "batch source_len ..."],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
        teacher_forcing: float = 1.0,
        target: TokenTarget | None = None,
    ) -> Float[Tensor, "batch target_len vocab_size"] | Loss:
        """Logits at every target position, or their loss if the target is given.

        Args:
            source: token ids, `[batch, source_len]`.
            lengths: real tokens of each source sentence.
            target_in: what is fed, `<s>` then the target, `[batch, target_len]`.
            teacher_forcing: chance that a step is fed the true last token and not the model's own best guess (scheduled
                sampling, Bengio et al. 2015); at 1 all steps run in one call.
            target: what should be answered, `[batch, target_len]`: the answer is the loss, and no logits are kept.

        Raises:
            ValueError: `teacher_forcing` is no share; lengths that do not fit the source.
        """
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is {teacher_forcing}; expected a share of the steps from 0 to 1.")
        encoded = self.encode(source, lengths)
        if teacher_forcing < 1:
            return self._sampled(encoded, target_in, teacher_forcing, target)
        judged = self.training and target is not None and max(self.even_looks, self.repeated_looks) > 0
        embedded = self.embedding(self._known(target_in))
        output = self.decoder(embedded, self.start(encoded), encoded, judged or self.copying is not None)
        if self.copying is not None:
            mixed = self.mix(embedded, output, encoded)
            if target is None:
                return mixed.log_probs(source.shape[1])
            loss = self.copying.loss(mixed, target)
        elif target is None:
            return self.output(output.features)
        else:
            loss = self.output.loss(output.features, target)
        return self._with_looks(loss, output.weights, target, lengths) if judged else loss

    def _with_looks(self, loss: Loss, weights: Tensor | None, target: TokenTarget, lengths: Tensor) -> Loss:
        """With what the looks cost that leave keys out, or come back to them, for every source."""
        if weights is None:
            return loss
        looks, real = mean_of_heads(weights), target.ids != target.ignored
        seen = padding_mask(self.regions_of(lengths), looks.shape[2]).squeeze(1)
        costs = ((self.even_looks, doubly_stochastic_loss), (self.repeated_looks, coverage_loss))
        cost = sum(share * of(looks, real, seen) for share, of in costs if share)
        return loss._replace(total=loss.total + cost * real.any(1).sum())

    def _sampled(
        self, encoded: Encoded, target_in: Tensor, teacher_forcing: float, target: TokenTarget | None
    ) -> Tensor | Loss:
        """Step by step, each fed the true last token or the best guess."""
        logits, state = [], self.start(encoded)
        tokens = target_in[:, 0]
        for true in target_in.unbind(1):
            forced = torch.rand(true.shape, device=true.device) < teacher_forcing if logits else torch.ones_like(true)
            output, state = self.step(torch.where(forced.bool(), true, tokens), state, encoded)
            logits.append(output.logits)
            tokens = output.logits.detach().argmax(-1)
        found = torch.stack(logits, 1)
        if target is None:
            return found
        return cross_entropy(found if self.copying is None else found.clamp_min(LEAST), target)
