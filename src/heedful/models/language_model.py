"""A language model: tokens in, the next ones out, over a decoder without a source.

| class | what it is |
|---|---|
| LanguageModel | embedding, decoder, output layer; continues a prompt through any of the searches |
| SelfLookDecoder | recurrent layers whose states look back at those before them; the simplest such, of no paper |
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.attention import Attention, AttentionState, MultiHeadAttention
from heedful.functional import Loss, TokenTarget
from heedful.layers import Dropout, Linear, Recurrent, RecurrentState, TokenEmbedding

from ._sizes import check_size
from .decoders import Decoder, DecoderOutput, Encoded
from .protocol import StepOutput
from .seq2seq import OutputLayer


@register_pytree
@dataclass(frozen=True)
class SelfLookState:
    """Between two steps: the recurrent states, those that may be looked at, and the attention's own state."""

    recurrent: RecurrentState
    memory: Any = None
    attention: AttentionState | None = None


class SelfLookDecoder(Decoder):
    """`h_t = cell(E y_{t-1}, h_{t-1})`, look with `h_t` at `h_1 .. h_t`, features `tanh(W [c; h_t])`; no source.

    Args:
        attention: what to look with, over `recurrent`'s units; its window hides the steps to come.
        recurrent: layers whose input is the embedding.
        output_dim: features for the output layer.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit, or an attention that sees the steps to come.

    >>> from heedful.attention.scores import AdditiveScore
    >>> from heedful.attention.windows import CausalWindow
    >>> attention = Attention(AdditiveScore(7, 7, 9), CausalWindow())
    >>> decoder = SelfLookDecoder(attention, Recurrent("gru", 5, 7), output_dim=6)
    >>> nothing = Encoded(None, torch.zeros(2, decoder.summary_dim))
    >>> decoder(torch.ones(2, 4, 5), decoder.start(nothing), nothing).features.shape
    torch.Size([2, 4, 6])
    """

    def __init__(
        self, attention: Attention | MultiHeadAttention, recurrent: Recurrent, output_dim: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        units = recurrent.units
        check_size("attention's query_dim", attention.query_dim, units, "recurrent's units: its states look")
        check_size("attention's key_dim", attention.key_dim, units, "recurrent's units: its states are looked at")
        window = (attention.attention if isinstance(attention, MultiHeadAttention) else attention).window
        if not window.aligned_to_end:
            raise ValueError(
                f"attention has a {type(window).__name__}, which may show the steps to come; expected a window for "
                "self-attention, such as CausalWindow()."
            )
        self.look_back, self.recurrent = attention, recurrent
        self.combine = Linear(attention.context_dim + units, output_dim, bias=False)
        self.dropout = Dropout(dropout)
        self.embedding_dim, self.summary_dim, self.output_dim = recurrent.input_dim, units, output_dim

    def start(self, encoded: Encoded) -> SelfLookState:
        first = encoded.summary.new_zeros(encoded.summary.shape[0], self.recurrent.layers, self.recurrent.units)
        return SelfLookState(self.recurrent.begin(first))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: SelfLookState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        hidden, recurrent = self.recurrent(embedded, state.recurrent)
        first = state.memory is None
        memory: Any = self.look_back.remember(hidden) if first else self.look_back.extend(state.memory, hidden)
        look, looked = self.look_back.look(hidden, memory, state.attention, need_weights)
        features = self.dropout(torch.tanh(self.combine(torch.cat((look.context, hidden), -1))))
        return DecoderOutput(features, SelfLookState(recurrent, memory, looked), look.weights)


@register_pytree
@dataclass(frozen=True)
class LanguageState:
    """Between two steps: the decoder's state; after a prompt, its last token, which is still to be fed."""

    decoder: Any
    fed: Int[Tensor, " batch"] | None = None


class LanguageModel(nn.Module):
    """Embedding, decoder and output layer: blocks made into a model of `p(token | tokens before it)`.

    `encode` reads a prompt, `start` and `step` go on from it, so that greedy search, beams and sampling continue it.
    A step has no weights for them: what it could look at grows with every token.

    Args:
        embedding: ids to vectors.
        decoder: a `TransformerDecoder` whose layers have no source, a `SelfLookDecoder` or a `PlainDecoder`.
        output: features to logits.
        begin: id of `<s>`, which stands before every text.

    Raises:
        ValueError: blocks that do not fit each other; in `encode`, prompts of several lengths.

    >>> from heedful.decoding import greedy
    >>> from heedful.models import PlainDecoder
    >>> decoder = PlainDecoder(Recurrent("gru", 5, 7), embedding_dim=5, summary_dim=1, output_dim=6)
    >>> model = LanguageModel(TokenEmbedding(11, 5), decoder, OutputLayer(6, 11), begin=2)
    >>> model(torch.tensor([[2, 4, 5]])).shape
    torch.Size([1, 3, 11])
    >>> len(greedy(model, source=torch.tensor([[4, 5]]), lengths=torch.tensor([2])))
    1
    """

    # its forward takes a target, and answers with the loss
    gives_loss = True

    def __init__(self, embedding: TokenEmbedding, decoder: Decoder, output: OutputLayer, begin: int) -> None:
        super().__init__()
        check_size("embedding's dim", embedding.dim, decoder.embedding_dim, "the decoder's embedding_dim")
        check_size("output's features", output.features, decoder.output_dim, "the decoder's output_dim")
        check_size("output's vocab_size", output.vocab_size, embedding.vocab_size, "the embedding's: it is fed back")
        self.embedding, self.decoder, self.output, self.begin = embedding, decoder, output, begin

    def forward(
        self, tokens: Int[Tensor, "batch steps"], target: TokenTarget | None = None
    ) -> Float[Tensor, "batch steps vocab_size"] | Loss:
        """Logits of the token after each, or their loss if the target is given.

        Args:
            tokens: `<s>` and a text, `[batch, steps]`. Padding behind a text changes nothing before it.
            target: the tokens after, `[batch, steps]`: the answer is the loss, and no logits are kept.
        """
        features = self._run(tokens, self._begin(tokens)).features
        return self.output(features) if target is None else self.output.loss(features, target)

    def encode(self, source: Int[Tensor, "batch source_len"], lengths: Int[Tensor, " batch"]) -> LanguageState:
        """Read prompts of one length; the state has no gaps then, whatever the decoder's parts do with places.

        Args:
            source: token ids without `<s>`, `[batch, source_len]`.
            lengths: real tokens of each prompt, all equal; 0 for a text from its beginning.
        """
        first, last = int(lengths.min()), int(lengths.max())
        if first != last:
            raise ValueError(
                f"the prompts have {first} to {last} tokens; expected one length, since padding between a prompt and "
                "what follows would count as places. Group them by length."
            )
        tokens = torch.cat((source.new_full((len(source), 1), self.begin), source[:, :first]), 1)
        state = self._begin(tokens)
        if first:
            state = self._run(tokens[:, :-1], state).state
        return LanguageState(state, tokens[:, -1])

    def start(self, encoded: LanguageState) -> LanguageState:
        """The state before the first new token: what `encode` returned."""
        return encoded

    def step(
        self, tokens: Int[Tensor, " batch"], state: LanguageState, encoded: LanguageState, need_weights: bool = False
    ) -> tuple[StepOutput, LanguageState]:
        """One step: the last tokens in (the first time those of the prompt), logits of the next ones out."""
        fed = tokens if state.fed is None else state.fed
        output = self._run(fed.unsqueeze(1), state.decoder)
        return StepOutput(self.output(output.features.squeeze(1))), LanguageState(output.state)

    def look(self, tokens: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch *heads steps steps"] | None:
        """What every layer and head looks at when it is fed a text; `None` without attention.

        Args:
            tokens: `<s>` and the text, `[batch, steps]`.
        """
        return self._run(tokens, self._begin(tokens), need_weights=True).weights

    def _begin(self, tokens: Tensor) -> Any:
        return self.decoder.start(self._nothing(tokens))

    def _nothing(self, tokens: Tensor) -> Encoded:
        return Encoded(None, self.output.bias.new_zeros(tokens.shape[0], self.decoder.summary_dim))

    def _run(self, tokens: Tensor, state: Any, need_weights: bool = False) -> DecoderOutput:
        return self.decoder(self.embedding(tokens), state, self._nothing(tokens), need_weights)
