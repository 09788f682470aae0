"""Whether what a translator looked at is what it needed: source positions are hidden from one step of its decoder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heedful._errors import DataError
from heedful._pytree import repeat
from heedful.data.batching import pad
from heedful.data.vocabulary import BOS
from heedful.metrics.evidence import attention_rollout
from heedful.metrics.faithfulness import Erasure, faithfulness, rank_agreement
from heedful.models import Seq2Seq, TransformerDecoder, TransformerEncoder
from heedful.models.copying import LEAST
from heedful.models.decoders import Encoded
from heedful.models.encoders import EncoderOutput
from heedful.visual.comparison import Table

from .looking import evaluated
from .translator import Translator

ATTENTION, GRADIENT, ROLLOUT, LEFT_OUT = "attention", "gradient x attention", "rollout", "leave one out"
# what the numbers are, of models that say tokens
OF_TOKENS = "what the chance of a token loses"
# names of the numbers of one kind of scores
MEASURES = (
    *(name + end for name in ("comprehensiveness", "sufficiency") for end in ("", "_shuffled", "_reversed")),
    "agreement",
)


# what a table multiplies by, and how it says so; the largest of its numbers is at least `SHOWN` there
SCALES = ((1.0, ""), (1e3, ", in thousandths"), (1e6, ", in millionths"))
SHOWN = 0.01


@dataclass(frozen=True)
class Faithful:
    """How faithful scores are to what the model says; means over target tokens.

    Attributes:
        comprehensiveness: what the chance of a token loses without the source pieces of the largest scores.
        sufficiency: what it loses with these alone.
        agreement: Kendall's tau-b with what each piece, left out alone, takes from the token's log probability; NaN
            where no token has an order.
    """

    comprehensiveness: Erasure
    sufficiency: Erasure
    agreement: float

    def numbers(self) -> dict[str, float | None]:
        """All of it by `MEASURES`; None for NaN."""
        parts = [value for one in (self.comprehensiveness, self.sufficiency) for value in vars(one).values()]
        agreement = None if np.isnan(self.agreement) else self.agreement
        return dict(zip(MEASURES, [*parts, agreement], strict=True))


def translator_faithfulness(
    translator: Translator, pairs: Sequence[tuple[Any, Sequence[int]]], draws: int = 10
) -> dict[str, Faithful]:
    """Measure attention, gradient x attention and, of a Transformer encoder, rollout, by hiding source pieces.

    For each token of the target the decoder has read what comes before it with all of the source; then, for that one
    step, its attention may not look at some of the source pieces (of a Transformer: in all layers). What the encoder
    made of the others stays, and it has read the hidden ones, too: it is the attention that is judged.

    Of a model that copies words, the chance of a token is that of the mixture, said or copied. What may be copied are
    the pieces that the attention looks at, so a hidden piece cannot be copied at that step, either; the same word at
    another place can. With every piece hidden, the vocabulary alone speaks. Gradient x attention is then that of the
    log-probability, for a mixture has no logit, by the weights that make the context and that are copied by.

    Args:
        translator: with attention.
        pairs: ids of sentences, or vectors of pictures, and ids of what is said of them, by the model or by a person;
            see `Translator.segment_pair`.
        draws: random orders beside which the scores stand.

    Returns:
        The measures by name of the scores; the last are those of leaving one piece out, for comparison.

    Raises:
        DataError: there is no attention, or no pair has a token on both sides; several models decode together.
    """
    model = translator.model
    if not isinstance(model, Seq2Seq):
        raise DataError("Several models decode together, each with an attention of its own; measure one of them.")
    if not looks(model):
        raise DataError("The model has no attention to measure; give one that looks at the source.")
    found: dict[str, list[Faithful]] = {}
    training = model.training
    model.eval()
    for source, target in pairs:
        for step in _steps(model, source, target) if len(source) and len(target) else ():
            for name, scores in step.scores().items():
                found.setdefault(name, []).append(step.measure(scores, draws))
    model.train(training)
    if not found:
        raise DataError("No pair has a token on both sides; give at least one word on each.")
    return {name: mean_faithful(measured) for name, measured in found.items()}


def looks(model: Seq2Seq) -> bool:
    """Whether the decoder looks at the source."""
    return isinstance(model.decoder, TransformerDecoder) or getattr(model.decoder, "attention", None) is not None


def faithfulness_table(rows: Mapping[str, Mapping[str, float | None]], of: str = OF_TOKENS) -> Table:
    """The measures as text.

    Args:
        rows: `Faithful.numbers` by what to call them.
        of: what they are.

    What is too small for three digits behind the point is told in thousandths or millionths.
    """
    largest = max((abs(numbers[key] or 0.0) for numbers in rows.values() for key in MEASURES[:-1]), default=0.0)
    times, unit = next((scale for scale in SCALES if largest * scale[0] >= SHOWN), SCALES[-1] if largest else SCALES[0])
    header = ["scores", "erased", "random", "reversed", "kept", "random", "reversed", "tau"]
    body = [
        [name, *(_shown(numbers[key], 1.0 if key == "agreement" else times) for key in MEASURES)]
        for name, numbers in rows.items()
    ]
    return Table(f"Faithfulness{unit}: {of}", header, body)


def _shown(number: float | None, times: float) -> str:
    return "-" if number is None else f"{number * times:z.3f}"


@dataclass(frozen=True)
class _Step:
    """One step of the decoder: what it knows, the token it is fed, and the one it shall say."""

    model: Seq2Seq
    source: Tensor
    read: EncoderOutput
    rollout: np.ndarray | None
    state: Any
    fed: Tensor
    answer: int

    def scores(self) -> dict[str, np.ndarray]:
        """Every kind of scores of the source pieces, [source_len] each."""
        keys = self.read.outputs.shape[1]
        with torch.no_grad():
            everything = self._encoded(torch.ones(1, keys, dtype=torch.bool))
            weights = self.model.step(self.fed, self.state, everything, need_weights=True)[0].weights
        if weights is None:
            raise DataError("The model gives no weights to measure.")
        attention = weights[0].double().cpu().numpy()
        found = {ATTENTION: attention}
        if (gradient := self._gradient()) is not None:
            found[GRADIENT] = gradient
        if self.rollout is not None:
            found[ROLLOUT] = attention @ self.rollout
        return found | {LEFT_OUT: self._left_out()}

    def measure(self, scores: np.ndarray, draws: int) -> Faithful:
        """How faithful they are to the answer."""

        def predict(texts: list[list[int]]) -> np.ndarray:
            visible = torch.zeros(len(texts), len(scores), dtype=torch.bool)
            for row, places in enumerate(texts):
                visible[row, places] = True
            return self._log_chances(visible).exp().cpu().numpy()[:, None]

        found = faithfulness(predict, range(len(scores)), scores, draws=draws)
        return Faithful(found.comprehensiveness, found.sufficiency, rank_agreement(scores, self._left_out()))

    def _left_out(self) -> np.ndarray:
        """What each piece, left out alone, takes from the log probability of the answer."""
        keys = self.read.outputs.shape[1]
        visible = torch.cat((torch.ones(1, keys), 1 - torch.eye(keys))).bool()
        chances = self._log_chances(visible).cpu().numpy()
        # pieces that are not looked at differ by rounding alone
        return (chances[0] - chances[1:]).round(5)

    @torch.no_grad()
    def _log_chances(self, visible: Tensor) -> Tensor:
        """Log probability of the answer, [rows], where some source pieces may be looked at, [rows, source_len]."""
        fed, state = self.fed.expand(len(visible)), repeat(self.state, len(visible))
        output, _ = self.model.step(fed, state, self._encoded(visible))
        # a word that can neither be said nor copied
        return output.logits.double().log_softmax(-1)[:, self.answer].clamp_min(LEAST)

    def _encoded(self, visible: Tensor) -> Encoded:
        mask, rows = visible.to(self.fed.device).unsqueeze(1), len(visible)
        return self.model.remember(repeat(self.read, rows), mask, repeat(self.source, rows))

    def _gradient(self) -> np.ndarray | None:
        """`w * d logit / d w` of each piece, as the gradient by a factor on its value, which fused kernels give, too.

        The context is the sum of weights times values, so both are the same; the sum over heads and layers. None of an
        attention that keeps no values.
        """
        keys, model = self.read.outputs.shape[1], self.model
        with evaluated(model, gradients=True):
            factor = torch.ones(keys, 1, device=self.fed.device, requires_grad=True)
            encoded = self._encoded(torch.ones(1, keys, dtype=torch.bool))
            looked = encoded.memory if isinstance(encoded.memory, tuple) else (encoded.memory,)
            if not all(map(has_values, looked)):
                return None
            looked = tuple(scaled(one, factor) for one in looked)
            encoded = replace(encoded, memory=looked if isinstance(encoded.memory, tuple) else looked[0])
            if model.copying is None:
                said = model.step(self.fed, self.state, encoded)[0].logits[0, self.answer]
            else:
                said = self._copied(encoded, factor)
            (gradient,) = torch.autograd.grad(said, factor)
        return gradient[:, 0].double().cpu().numpy()

    def _copied(self, encoded: Encoded, factor: Tensor) -> Tensor:
        """The log-probability of the answer, said or copied; the factor is on the weights that are copied by."""
        model, answer = self.model, torch.tensor([[self.answer]], device=self.fed.device)
        copying: Any = model.copying
        embedded = model.embedding(copying.known(self.fed.unsqueeze(1)))
        output = model.decoder(embedded, self.state, encoded, need_weights=True)
        weights = None if output.weights is None else output.weights * factor[:, 0]
        return model.mix(embedded, replace(output, weights=weights), encoded).log_prob_of(answer)[0, 0]


def has_values(memory: Any) -> bool:
    """Whether what is looked at holds the values that contexts are sums of: a latent memory holds what makes them."""
    return getattr(memory, "value", None) is not None


def scaled(memory: Any, factor: Tensor) -> Any:
    """What is looked at, its values times a factor of each, `[keys, 1]` or `[batch, keys, 1]`, in all heads alike."""
    return replace(memory, value=memory.value * (factor.unsqueeze(-3) if memory.value.dim() == 4 else factor))


def _steps(model: Seq2Seq, source: Any, target: Sequence[int]) -> Iterator[_Step]:
    """The steps of one pair, each behind the true tokens before it."""
    device = next(model.parameters()).device
    ids, lengths = (tensor.to(device) for tensor in pad([source]))
    with torch.no_grad():
        read, rollout = _read(model, ids, lengths)
        mask = torch.ones(1, 1, read.outputs.shape[1], dtype=torch.bool, device=device)
        encoded = model.remember(read, mask, ids)
        state = model.start(encoded)
    for fed, answer in zip([BOS, *target[:-1]], target, strict=True):
        token = torch.tensor([fed], device=device)
        yield _Step(model, ids, read, rollout, state, token, answer)
        with torch.no_grad():
            _, state = model.step(token, state, encoded)


def _read(model: Seq2Seq, ids: Tensor, lengths: Tensor) -> tuple[EncoderOutput, np.ndarray | None]:
    if not isinstance(model.encoder, TransformerEncoder):
        return model.read(ids, lengths), None
    read = model.read(ids, lengths, need_weights=True)
    layers = () if read.weights is None else read.weights[0].double().cpu().numpy()
    return EncoderOutput(read.outputs, read.summary), attention_rollout(list(layers))[-1]


def mean_faithful(measured: Sequence[Faithful]) -> Faithful:
    """The mean of each number; of the agreement over those that have one."""

    def mean(name: str) -> Erasure:
        parts = [getattr(one, name) for one in measured]
        return Erasure(*(float(np.mean([getattr(part, key) for part in parts])) for key in vars(parts[0])))

    agreements = [one.agreement for one in measured if not np.isnan(one.agreement)]
    agreement = float(np.mean(agreements)) if agreements else float("nan")
    return Faithful(mean("comprehensiveness"), mean("sufficiency"), agreement)
