"""The open hypotheses of a whole batch, one row each: what greedy, sampling and beam search have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from heedful._pytree import register_pytree, reorder
from heedful.data.vocabulary import BOS, EOS
from heedful.models.protocol import StepModel

from .constraints import NEVER, Constraints
from .hypothesis import Hypothesis, score_of
from .penalties import coverage_penalty


@register_pytree
@dataclass(frozen=True)
class Trail:
    """What the open hypotheses have said; `looks` are the places of their weights in the frontier's log.

    `coverage` is what each key received in all, and has no keys where that is not asked for.
    """

    tokens: Int[Tensor, "rows steps"]
    log_probs: Float[Tensor, "rows steps"]
    looks: Int[Tensor, "rows steps"]
    coverage: Float[Tensor, "rows keys"]


@dataclass(frozen=True)
class Ended:
    """A hypothesis that will not grow."""

    tokens: list[int]
    log_probs: list[float]
    looks: list[int]
    penalty: float
    finished: bool


class Frontier:
    """The open hypotheses, one row each; the rows of one sentence stand together, in the order of the sentences.

    Rows that end leave the batch, so the last long sentence of a batch is decoded alone.
    The loop of a search is `step`, choose, `extend`, `keep`, while `sentence` holds a row.
    """

    def __init__(
        self,
        model: StepModel,
        source: Shaped[Tensor, "batch ..."],
        lengths: Int[Tensor, " batch"],
        constraints: Constraints | None,
        need_weights: bool,
        penalty: float = 0.0,
    ) -> None:
        check_source(source, lengths)
        self.model, self.constraints, self.need_weights = model, constraints or Constraints(), need_weights
        self.coverage_penalty = penalty
        self.lengths = lengths.to(source.device)
        self.source_lengths: list[int] = lengths.tolist()
        self.limits = torch.tensor(self.constraints.max_lengths(self.source_lengths), device=source.device)
        self.sentence = self.parent = torch.arange(len(lengths), device=source.device)
        nothing = self.sentence.new_empty(len(lengths), 0)
        covered = nothing.new_zeros(len(lengths), source.shape[1] if penalty else 0, dtype=torch.float)
        self.trail = Trail(nothing, nothing.float(), nothing, covered)
        self.weights: Tensor | None = None
        self.log: list[Tensor] = []
        self.logged = 0
        self.ended: list[list[Ended]] = [[] for _ in self.source_lengths]
        if self.source_lengths:
            with evaluation(model):
                self.encoded = self.memory = model.encode(source, lengths)
                self.state = model.start(self.encoded)
        self.memory_of = self.sentence

    def step(self) -> Float[Tensor, "rows vocabulary"]:
        """Run the model once over all rows: log-probabilities of the next token, forbidden ones at minus infinity.

        A row that nothing can follow ends here, unfinished, and leaves the frontier.
        """
        said = self.trail.tokens.shape[1]
        last = self.trail.tokens[:, -1] if said else torch.full_like(self.sentence, BOS)
        need_weights = self.need_weights or self.coverage_penalty > 0
        output, self.state = self.model.step(last, self.state, self.memory, need_weights=need_weights)
        self.weights = output.weights
        if self.need_weights and output.weights is not None:
            self.logged = sum(len(weights) for weights in self.log)
            self.log.append(output.weights)
        log_probs = self.constraints.restrict(self._log_softmax(output.logits), self.trail.tokens)
        alive = log_probs.amax(1) > NEVER
        self.parent = torch.arange(len(last), device=last.device)
        if not alive.all():
            self._record(~alive, torch.zeros_like(alive))
            self._select(alive)
            log_probs = log_probs[alive]
        return log_probs

    def extend(
        self, parent: Int[Tensor, " new"], token: Int[Tensor, " new"], log_prob: Float[Tensor, " new"]
    ) -> Bool[Tensor, " new"]:
        """Continue row `parent[i]` with `token[i]`. Returns which of the new rows are at an end; they are recorded."""
        self._select(parent)
        looks = self.logged + self.parent
        self.trail = Trail(
            torch.cat((self.trail.tokens, token[:, None]), 1),
            torch.cat((self.trail.log_probs, log_prob[:, None]), 1),
            torch.cat((self.trail.looks, looks[:, None]), 1),
            self._covered(),
        )
        finished = token == EOS
        ended = finished | (self.trail.tokens.shape[1] >= self.limits[self.sentence])
        self._record(ended, finished)
        return ended

    def penalties(self) -> Float[Tensor, " rows"]:
        """What each row loses for what it has not read so far; 0 where that is not asked for."""
        return coverage_penalty(self.trail.coverage, self.lengths[self.sentence], self.coverage_penalty)

    def keep(self, rows: Bool[Tensor, " rows"]) -> None:
        """Drop all rows but these; the model's state follows, and so does its memory where rows change sentence."""
        before = self.memory_of
        self._select(rows)
        if not torch.equal(self.parent, torch.arange(len(before), device=before.device)):
            self.state = reorder(self.state, self.parent)
        if not torch.equal(self.sentence, before):
            self.memory, self.memory_of = reorder(self.encoded, self.sentence), self.sentence

    def hypotheses(self, nbest: int, length_penalty: float) -> list[list[Hypothesis]]:
        """The best of what ended, for each sentence: finished ones first, then by score."""
        log = torch.cat(self.log).cpu() if self.log else None
        found = []
        for source_length, ended in zip(self.source_lengths, self.ended, strict=True):
            scored = [(not one.finished, -score_of(one.log_probs, length_penalty) - one.penalty, one) for one in ended]
            scored.sort(key=lambda entry: entry[:2])
            found.append([_hypothesis(one, -cost, log, source_length) for _, cost, one in scored[:nbest]])
        return found

    def _select(self, rows: Tensor) -> None:
        """Take these rows (numbers or booleans) of everything but the model's state and memory."""
        index = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        self.trail, self.sentence, self.parent = reorder((self.trail, self.sentence, self.parent), index)

    def _covered(self) -> Tensor:
        """What each key received, this step included."""
        if not self.coverage_penalty:
            return self.trail.coverage
        if self.weights is None:
            raise ValueError(
                f"coverage_penalty is {self.coverage_penalty}, but the model has no attention whose weights would say "
                "what was read; set it to 0"
            )
        return self.trail.coverage + self.weights[self.parent]

    def _record(self, ended: Tensor, finished: Tensor) -> None:
        """Keep the rows that ended for the results."""
        rows = ended.nonzero()[:, 0]
        trail, penalties = self.trail, self.penalties()
        columns = (self.sentence, trail.tokens, trail.log_probs, trail.looks, penalties, finished)
        columns = reorder(columns, rows)
        for sentence, *rest in zip(*(column.tolist() for column in columns), strict=True):
            self.ended[sentence].append(Ended(*rest))

    def _log_softmax(self, logits: Tensor) -> Tensor:
        """Log-softmax in at least float32 that leaves a row of minus infinities as it is.

        Raises:
            ValueError: NaN or plus infinity among the logits, with the sentence and the step.
        """
        log_probs = logits.log_softmax(1, torch.promote_types(logits.dtype, torch.float32))
        # one bad logit, or minus infinity throughout, turns a whole row into NaN: its first column tells
        failed = log_probs[:, 0].isnan()
        if not failed.any():
            return log_probs
        empty = logits.amax(1) == NEVER
        broken = failed & ~empty
        if broken.any():
            sentence, step = int(self.sentence[broken][0]), self.trail.tokens.shape[1]
            raise ValueError(
                f"the logits of sentence {sentence} at step {step} hold NaN or infinity; finite numbers are "
                "expected (or -inf, for a token that cannot follow): look for NaN in the model and its input"
            )
        return log_probs.masked_fill(empty[:, None], NEVER)


def _hypothesis(ended: Ended, score: float, log: Tensor | None, source_length: int) -> Hypothesis:
    said = len(ended.tokens) - ended.finished  # without EOS
    looks = torch.tensor(ended.looks[:said], dtype=torch.long)
    weights = None if log is None else log[looks][..., :source_length]
    return Hypothesis(ended.tokens[:said], ended.log_probs, score, weights, ended.finished)


@contextmanager
def evaluation(model: StepModel) -> Iterator[None]:
    """No gradients and no dropout inside; afterwards every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training] if isinstance(model, nn.Module) else []
    try:
        for module in training:
            module.training = False
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def follow(frontier: Frontier, pick: Callable[[Tensor, Tensor], Tensor]) -> list[Hypothesis]:
    """One hypothesis per sentence: `pick(log_probs, sentence)` says the next token of every row."""
    with evaluation(frontier.model):
        while len(frontier.sentence):
            log_probs = frontier.step()
            token = pick(log_probs, frontier.sentence)
            rows = torch.arange(len(token), device=token.device)
            ended = frontier.extend(rows, token, log_probs[rows, token])
            frontier.keep(~ended)
    return [best for (best,) in frontier.hypotheses(nbest=1, length_penalty=0.0)]


def check_source(source: Tensor, lengths: Tensor) -> None:
    """Raise a ValueError where sources and lengths do not fit each other."""
    if len(source) != len(lengths):
        raise ValueError(
            f"source holds {len(source)} sentences and lengths {len(lengths)}; give each sentence its length"
        )
    if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= source.shape[1]:
        raise ValueError(
            f"lengths go from {int(lengths.min())} to {int(lengths.max())}, but source has {source.shape[1]} "
            "positions; a length counts the positions of its sentence that are not padding"
        )
