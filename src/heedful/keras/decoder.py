"""Recurrent decoders with attention: trained with `fit` on whole targets, run step by step to translate."""

from typing import Any

import keras
import numpy as np

from ._checks import (
    check_choice,
    check_dropout,
    check_features,
    check_floats,
    check_known,
    check_mask,
    check_sequence,
    check_size,
)
from ._layer import HeedfulLayer
from ._maths import Tensor, hide, ops
from ._pair import PairLayer

Memory = tuple[Tensor, Tensor, Tensor | None]  # remembered keys, values, mask [batch, 1, source]
State = list[Tensor]  # of the cell; with input feeding, the last features behind them


@keras.saving.register_keras_serializable(package="heedful")
class AttentionDecoder(HeedfulLayer):
    """Token ids and an encoded source in, logits of the next token out.

    "bahdanau" looks with the last state, and the context feeds the cell (Bahdanau et al. 2015, appendix A.2): features
    `tanh(W [state; embedded; context] + b)`. "luong" updates, then looks (Luong et al. 2015, equation 5, section 3.3):
    features `tanh(W [context; state])`, which with input feeding join the next step's input.

    Args:
        vocabulary_size: how many token ids there are; id 0 is padding.
        embedding_dim: features of an embedded token.
        units: features of a state, and of the features before the output layer.
        attention: a layer over query and value, `AdditiveAttention`, `DotAttention` or `LuongLocalAttention`, whose
            "monotonic" mode is refused: it counts queries, and a step has one.
        wiring: "bahdanau" or "luong".
        input_feeding: with "luong", hand the features to the next step.
        cell: "gru" or "lstm".
        dropout: share of the features dropped in training, in front of the output layer.
        **kwargs: `kernel_initializer` and `kernel_regularizer` of every matrix outside the attention (a cell's
            recurrent one stays orthogonal), and those of every Keras layer.

    Call arguments:
        inputs: `[tokens, encoded]` or `[tokens, encoded, summary]`: whole-number ids `[batch, steps]` of what was said
            so far (teacher forcing), encoder outputs `[batch, source, features]`, and what the first state is made of,
            `[batch, any features]`; the mean of the real encoder outputs when left out.
        mask: `[None, encoder_mask]` (of two or three), boolean `[batch, source]`, True = a real token; comes by itself.
        return_attention_scores: return `(logits, weights)`, with weights `[batch, steps, source]`.

    Output: logits `[batch, steps, vocabulary_size]`, masked where the token is padding, so that losses pass over it.

    Raises:
        ValueError: an unknown wiring or cell, a size that is not positive, no such attention, inputs that do not fit.

    >>> from heedful.keras import AdditiveAttention
    >>> decoder = AttentionDecoder(11, 4, units=6, attention=AdditiveAttention(5), wiring="bahdanau")
    >>> encoded = np.ones((2, 7, 3), "float32")
    >>> tuple(decoder([np.array([[1, 4, 5], [1, 6, 0]]), encoded]).shape)
    (2, 3, 11)
    >>> tokens, weights = decoder.greedy(encoded, start=1, end=2, max_steps=5)
    >>> tokens.shape[1] <= 5, weights.shape[2]
    (True, 7)
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        attention: Any,
        wiring: str = "luong",
        input_feeding: bool = True,
        cell: str = "gru",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, size in (("vocabulary_size", vocabulary_size), ("embedding_dim", embedding_dim), ("units", units)):
            check_size(name, size)
        check_choice("wiring", wiring, "bahdanau", "luong")
        check_choice("cell", cell, "gru", "lstm")
        check_dropout(dropout)
        attention = keras.saving.deserialize_keras_object(attention) if isinstance(attention, dict) else attention
        if not isinstance(attention, PairLayer):
            raise ValueError(
                f"attention is {attention!r}; expected a layer such as heedful.keras.AdditiveAttention(units)."
            )
        if attention.dropout:
            raise ValueError(
                f"the attention has dropout {attention.dropout}; expected none, for the decoder looks anew at each "
                "step. Use dropout= of the decoder."
            )
        if getattr(attention, "mode", None) == "monotonic":
            raise ValueError('attention is "monotonic", which counts queries; a step has one. Use mode="predictive".')
        self.vocabulary_size, self.embedding_dim, self.units = vocabulary_size, embedding_dim, units
        self.attention, self.wiring, self.input_feeding = attention, wiring, input_feeding
        self.cell, self.dropout = cell, dropout
        self.features: int | None = None
        kind = keras.layers.GRUCell if cell == "gru" else keras.layers.LSTMCell
        shared: Any = {"dtype": self.dtype_policy}
        # Keras starts words within 0.05 of each other: so alike that learning takes several times as many steps
        apart: Any = keras.initializers.RandomNormal(stddev=1.0)
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, apart, name="embedding", **shared)
        self.recurrent = keras.layers.RNN(
            kind(units, **self._matrix()), return_sequences=True, name="recurrent", **shared
        )
        self.bridge = keras.layers.Dense(units, "tanh", name="bridge", **self._matrix())
        bias = wiring == "bahdanau"
        self.combine = keras.layers.Dense(units, "tanh", use_bias=bias, name="combine", **self._matrix())
        self.drop = keras.layers.Dropout(dropout, **shared)
        self.readout = keras.layers.Dense(vocabulary_size, name="readout", **self._matrix())

    def _matrix(self) -> dict[str, Any]:
        """How a part's matrix starts, its penalty, and its types."""
        return {
            "kernel_initializer": self.fresh_initializer(),
            "kernel_regularizer": self.kernel_regularizer,
            "dtype": self.dtype_policy,
        }

    @property
    def _feeds(self) -> bool:
        return self.wiring == "luong" and self.input_feeding

    def build(self, input_shape: Any) -> None:
        """Make the weights for the shapes of tokens, encoder outputs and, if given, summary."""
        tokens, encoded, summary = _named(input_shape)
        _check_shapes(tokens, encoded)
        check_known(encoded, "encoded", "[batch, source, features]")
        self.features = encoded[-1]
        batch, features = encoded[0], encoded[-1]
        extra = {"bahdanau": features, "luong": self.units if self.input_feeding else 0}[self.wiring]
        combined = self.units + features + (self.embedding_dim if self.wiring == "bahdanau" else 0)
        self.embedding.build(tokens)
        self.bridge.build((batch, features if summary is None else summary[-1]))
        self.recurrent.build((batch, None, self.embedding_dim + extra))
        looks = [(batch, None, self.units), encoded]
        if self.attention.built:  # a loaded one is, and one that is shared
            self.attention.check_sizes(*looks)
        else:
            self.attention.build(looks)
        self.combine.build((batch, None, combined))
        self.readout.build((batch, None, self.units))

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = False, return_attention_scores: bool = False
    ) -> Any:
        """Logits of every next token, and the weights if asked for."""
        self._check(inputs, mask)
        tokens, encoded, summary = _named(inputs)
        memory, state = self.start(encoded, None if mask is None else mask[1], summary)
        embedded = self.embedding(tokens)
        run = self._steps if self.wiring == "bahdanau" or self._feeds else self._all_at_once
        features, weights = run(embedded, memory, state, return_attention_scores)
        logits = self.readout(self.drop(features, training=training))
        return (logits, ops.cast(weights, logits.dtype)) if return_attention_scores else logits

    def start(self, encoded: Tensor, mask: Tensor | None = None, summary: Tensor | None = None) -> tuple[Memory, State]:
        """What every step looks at, and the state before the first one.

        Args:
            encoded: `[batch, source, features]`.
            mask: boolean `[batch, source]`, True = a real token.
            summary: `[batch, any features]`; the mean of the real encoder outputs when left out.
        """
        if not self.built:
            raise ValueError("the decoder has no weights yet; expected a call on [tokens, encoded] before.")
        check_mask(mask, encoded.shape[:2], "[batch, source]")
        encoded = hide(encoded, mask)
        if summary is None:
            count = ops.shape(encoded)[1] if mask is None else ops.sum(ops.cast(mask, encoded.dtype), 1, keepdims=True)
            summary = ops.sum(encoded, 1) / ops.maximum(ops.cast(count, encoded.dtype), 1)
        hidden = self.bridge(summary)
        state = [hidden] if self.cell == "gru" else [hidden, ops.zeros_like(hidden)]
        state = [*state, ops.zeros_like(hidden)] if self._feeds else state
        return (self.attention.remember(encoded), encoded, None if mask is None else mask[:, None]), state

    def step(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, State, Tensor]:
        """One step: logits `[batch, vocabulary_size]`, the next state, and weights `[batch, source]`.

        Args:
            tokens: the last tokens, `[batch]`.
            memory: from `start`.
            state: from `start` or the last step.

        Raises:
            ValueError: tokens of another rank.
        """
        if len(tokens.shape) != 1:
            raise ValueError(f"tokens has shape {tuple(tokens.shape)}; expected [batch], one id for each sentence.")
        features, state, weights = self._step(self.embedding(tokens), memory, state, need_weights=True)
        return self.readout(features), state, weights

    def greedy(
        self,
        encoded: Tensor,
        start: int,
        end: int,
        max_steps: int,
        mask: Tensor | None = None,
        summary: Tensor | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The most probable token at each step, until every sentence has ended or `max_steps` are done.

        Args:
            encoded: `[batch, source, features]`.
            start: id that begins a sentence; not among the tokens returned.
            end: id that ends it; behind it stands padding, id 0.
            max_steps: the longest translation, with its end.
            mask: boolean `[batch, source]`, True = a real token.
            summary: `[batch, any features]`, if the decoder was trained with one.

        Returns:
            tokens `[batch, steps]` and weights `[batch, steps, source]`, as arrays.

        Raises:
            ValueError: the decoder has not been called yet, `max_steps` is below 1, or the mask does not fit.
        """
        check_size("max_steps", max_steps)
        encoded = ops.convert_to_tensor(encoded)
        mask = None if mask is None else ops.convert_to_tensor(mask)
        memory, state = self.start(encoded, mask, summary)
        tokens, done = np.full(encoded.shape[0], start), np.zeros(encoded.shape[0], bool)
        said, looked = [], []
        for _ in range(max_steps):
            logits, state, weights = self.step(ops.convert_to_tensor(tokens), memory, state)
            tokens = np.where(done, 0, ops.convert_to_numpy(ops.argmax(logits, -1)))
            said.append(tokens)
            looked.append(ops.convert_to_numpy(weights))
            done |= tokens == end
            if done.all():
                break
        return np.stack(said, 1), np.stack(looked, 1)

    def _step(
        self, embedded: Tensor, memory: Memory, state: State, need_weights: bool
    ) -> tuple[Tensor, State, Tensor | None]:
        """Features `[batch, units]`, the next state, and weights `[batch, source]`, of one embedded token each."""
        if self.wiring == "bahdanau":
            context, weights = self._look(state[0], memory, need_weights)
            hidden, state = self.recurrent.cell(ops.concatenate([embedded, context], -1), state)
            return self.combine(ops.concatenate([hidden, embedded, context], -1)), list(state), weights
        if self._feeds:
            embedded, state = ops.concatenate([embedded, state[-1]], -1), state[:-1]
        hidden, state = self.recurrent.cell(embedded, state)
        context, weights = self._look(hidden, memory, need_weights)
        features = self.combine(ops.concatenate([context, hidden], -1))
        return features, [*state, features] if self._feeds else list(state), weights

    def _look(self, query: Tensor, memory: Memory, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        context, weights = self.attention.look(query[:, None], *memory, need_weights)
        return context[:, 0], None if weights is None else weights[:, 0]

    def _steps(self, embedded: Tensor, memory: Memory, state: State, need_weights: bool) -> tuple[Tensor, Any]:
        """Step after step: each waits for the look before."""

        def step(token: Tensor, state: Any) -> tuple[Tensor, Any]:
            features, state, weights = self._step(token, memory, list(state), need_weights)
            # one tensor comes out of a step, for so PyTorch's backend wants it
            return ops.concatenate(
                [features, ops.cast(weights, features.dtype)], -1
            ) if need_weights else features, state

        together = keras.layers.RNN(_Cell(step, len(state), self), return_sequences=True, name="steps")
        outputs = together(embedded, initial_state=state)
        return (outputs[..., : self.units], outputs[..., self.units :]) if need_weights else (outputs, None)

    def _all_at_once(self, embedded: Tensor, memory: Memory, state: State, need_weights: bool) -> tuple[Tensor, Any]:
        """No step waits for a look: the cell runs over all tokens, then all states look in one call."""
        hidden = self.recurrent(embedded, initial_state=state)
        context, weights = self.attention.look(hidden, *memory, need_weights)
        return self.combine(ops.concatenate([context, hidden], -1)), weights

    def _check(self, inputs: Any, mask: Any) -> None:
        tokens, encoded, _ = _named(inputs)
        _check_shapes(tokens.shape, encoded.shape)
        check_features("encoded", encoded.shape, "the decoder", self.features)
        check_floats(encoded, "encoded")
        if mask is not None and not isinstance(mask, list | tuple):
            raise ValueError(f"mask is a {type(mask).__name__}; expected a list, [None, encoder_mask].")
        check_mask(None if mask is None else mask[1], encoded.shape[:2], "[batch, source]")
        dtype = keras.backend.standardize_dtype(tokens.dtype)
        if "int" not in dtype:
            raise ValueError(f"tokens is {dtype}; expected whole numbers, ids below {self.vocabulary_size}.")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """False where the token is padding, id 0."""
        return ops.not_equal(_named(inputs)[0], 0)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """`(batch, steps, vocabulary_size)`."""
        return (*_named(input_shape)[0], self.vocabulary_size)

    def compute_output_spec(
        self, inputs: Any, mask: Any = None, training: bool | None = False, return_attention_scores: bool = False
    ) -> Any:
        """Shapes and types of what `call` returns."""
        self._check(inputs, mask)
        tokens, encoded, _ = _named(inputs)
        logits = keras.KerasTensor((*tokens.shape, self.vocabulary_size), self.compute_dtype)
        weights = keras.KerasTensor((*tokens.shape, encoded.shape[1]), self.compute_dtype)
        return (logits, weights) if return_attention_scores else logits

    def get_config(self) -> dict[str, Any]:
        names = "vocabulary_size", "embedding_dim", "units", "wiring", "input_feeding", "cell", "dropout"
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "attention": keras.saving.serialize_keras_object(self.attention)}


class _Cell:
    """What `keras.layers.RNN` asks of a cell, for one call: a step that knows its memory."""

    def __init__(self, step: Any, states: int, decoder: AttentionDecoder) -> None:
        self.call = step
        self.state_size, self.output_size = [decoder.units] * states, decoder.units
        self.compute_dtype = decoder.compute_dtype

    def __call__(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        return self.call(inputs, states)


def _check_shapes(tokens: Any, encoded: Any) -> None:
    """Refuse shapes of tokens and encoder outputs that do not fit together."""
    check_sequence(encoded, "encoded", "[batch, source, features]")
    if len(tokens) != 2 or tokens[1] == 0:
        raise ValueError(f"tokens has shape {tuple(tokens)}; expected [batch, steps], an id for each, and a step.")
    if None not in (tokens[0], encoded[0]) and tokens[0] != encoded[0]:
        raise ValueError(f"tokens has {tokens[0]} batch items but encoded has {encoded[0]}; expected the same number.")


def _named(inputs: Any) -> tuple[Any, Any, Any]:
    """Tokens, encoder outputs, and the summary or None."""
    several = isinstance(inputs, list | tuple) and not (inputs and isinstance(inputs[0], int | None))
    if not several or len(inputs) not in (2, 3):
        came = f"{len(inputs)} of them" if several else "a single tensor"
        raise ValueError(f"inputs is {came}; expected a list, [tokens, encoded] or [tokens, encoded, summary].")
    tokens, encoded, *summary = inputs
    return tokens, encoded, summary[0] if summary else None
