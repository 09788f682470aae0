"""The open hypotheses of a whole batch, one row each: what greedy, sampling and beam search have in common."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from heedful._pytree import reorder, repeat
from heedful.data.vocabulary import BOS, EOS
from heedful.kernels.best_tokens.op import best_tokens
from heedful.models.protocol import StepModel

from ._evaluation import check_source, evaluation, keys_of, log_softmax
from ._results import Results, Trail
from ._rows import top
from .constraints import NEVER
from .options import Decoding
from .penalties import coverage_penalty, overcoverage_penalty
from .repetition import discouraged
from .required import leave_room


class Frontier:
    """The open hypotheses, one row each; the rows of one sentence stand together, in the order of the sentences.

    Rows that end leave the batch, so the last long sentence of a batch is decoded alone.
    The loop of a search is `step`, choose, `extend`, `keep`, while `sentence` holds a row. With `copies` every sentence
    is decoded so many times, as numbers `copies * place + copy`; it is read once, and its results lie together.
    """

    def __init__(
        self,
        model: StepModel,
        source: Shaped[Tensor, "batch ..."],
        lengths: Int[Tensor, " batch"],
        decoding: Decoding,
        copies: int = 1,
    ) -> None:
        check_source(source, lengths)
        self.model, self.decoding, self.copies = model, decoding, copies
        keys = keys_of(model, lengths)
        self.results = Results(keys.tolist())
        limits = torch.tensor(decoding.constraints.max_lengths(lengths.tolist()), device=source.device)
        self.keys, self.limits = repeat((keys.to(source.device), limits), copies)
        self.sentence = self.parent = self.memory_of = torch.arange(len(self.keys), device=source.device)
        nothing = self.sentence.new_empty(len(self.sentence), 0)
        ranks = nothing.float() if decoding.penalties.repetition > 1 else None
        widest = keys_of(model, lengths.new_full((1,), source.shape[1]))
        covered = nothing.new_zeros(len(nothing), int(widest) if decoding.penalties.reads_coverage else 0).float()
        self.trail = Trail(nothing, nothing.float(), ranks, nothing, covered)
        # of every token, once `step` or `best` has run; the norm of each row is still to be taken from `log_probs`
        self.log_probs = self.ranks = self.trail.log_probs
        self.norms = self.log_probs.new_zeros(len(nothing))
        self.weights: Tensor | None = None
        if len(lengths):
            with evaluation(model):
                encoded = model.encode(source, lengths)
                parts = (encoded, model.start(encoded))
                self.encoded, self.state = parts if copies == 1 else repeat(parts, copies)
                self.memory = self.encoded

    def step(self) -> Float[Tensor, "rows vocabulary"]:
        """Run the model once over all rows: by what the next token is chosen, forbidden ones at minus infinity.

        A row that nothing can follow ends here, unfinished, and leaves the frontier.
        """
        return self._judge(self._run())

    def best(self, count: int) -> tuple[Float[Tensor, "rows count"], Int[Tensor, "rows count"]]:
        """`step`, of which the up to `count` largest numbers of each row and their tokens are wanted, largest first."""
        logits = self._run()
        if self.trail.ranks is None and not self.decoding.constraints.required:
            banned = self.decoding.constraints.never(self.trail.tokens, logits)
            found = None if banned is None else best_tokens(logits, min(count, logits.shape[1]), banned)
            if found is not None:
                values, tokens, self.norms = found
                self.log_probs = self.ranks = logits
                self.parent = torch.arange(len(logits), device=logits.device)
                return values, tokens
        return top(self._judge(logits), count)

    def _run(self) -> Float[Tensor, "rows vocabulary"]:
        """The logits of the next token."""
        said, how = self.trail.tokens, self.decoding
        last = said[:, -1] if said.shape[1] else torch.full_like(self.sentence, BOS)
        need_weights = bool(how.need_weights) or how.penalties.reads_coverage
        output, self.state = self.model.step(last, self.state, self.memory, need_weights=need_weights)
        if how.need_weights:
            self.results.look(output, how.need_weights == "heads")
        self.weights = output.weights
        return output.logits

    def _judge(self, logits: Float[Tensor, "rows vocabulary"]) -> Float[Tensor, "alive vocabulary"]:
        """By what the next token is chosen; see `step`."""
        said, how = self.trail.tokens, self.decoding
        at = self.sentence // self.copies, said.shape[1]
        self.log_probs = choices = log_softmax(logits, *at)
        self.norms = choices.new_zeros(len(choices))
        if self.trail.ranks is not None:
            choices = log_softmax(discouraged(logits, said, how.penalties.repetition), *at)
        self.ranks = choices
        choices = how.constraints.restrict(choices, said)
        if how.constraints.required:
            choices = leave_room(choices, said, self.limits[self.sentence], how.constraints.required)
        alive = choices.amax(1) > NEVER
        self.parent = torch.arange(len(logits), device=logits.device)
        if not alive.all():
            self._record(~alive, torch.zeros_like(alive))
            self._select(alive)
            self.log_probs, self.ranks, choices = self.log_probs[alive], self.ranks[alive], choices[alive]
            self.norms = self.norms[alive]
        return choices

    def extend(self, parent: Int[Tensor, " new"], token: Int[Tensor, " new"]) -> Bool[Tensor, " new"]:
        """Continue row `parent[i]` with `token[i]`. Returns which of the new rows are at an end; they are recorded."""
        log_prob, rank = self.log_probs[parent, token] - self.norms[parent], self.ranks[parent, token]
        self._select(parent)
        trail = self.trail
        self.trail = Trail(
            torch.cat((trail.tokens, token[:, None]), 1),
            torch.cat((trail.log_probs, log_prob[:, None]), 1),
            None if trail.ranks is None else torch.cat((trail.ranks, rank[:, None]), 1),
            torch.cat((trail.looks, self.results.first + self.parent[:, None]), 1),
            self._covered(),
        )
        finished = token == EOS
        ended = finished | (self.trail.tokens.shape[1] >= self.limits[self.sentence])
        self._record(ended, finished)
        return ended

    def penalties(self) -> Float[Tensor, " rows"]:
        """What each row loses for what it has not read so far, or read again; 0 where that is not asked for."""
        read, how = (self.trail.coverage, self.keys[self.sentence]), self.decoding.penalties
        return coverage_penalty(*read, how.coverage) + overcoverage_penalty(*read, how.overcoverage)

    def keep(self, rows: Bool[Tensor, " rows"]) -> None:
        """Drop all rows but these; the model's state follows, and so does its memory where rows change sentence."""
        before = self.memory_of
        self._select(rows)
        if not torch.equal(self.parent, torch.arange(len(before), device=before.device)):
            self.state = reorder(self.state, self.parent)
        if not torch.equal(self.sentence, before):
            self.memory, self.memory_of = reorder(self.encoded, self.sentence), self.sentence

    def _select(self, rows: Tensor) -> None:
        """Take these rows (numbers or booleans) of everything but the model's state and memory."""
        index = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        self.trail, self.sentence, self.parent = reorder((self.trail, self.sentence, self.parent), index)

    def _covered(self) -> Tensor:
        """What each key received, this step included."""
        penalties = self.decoding.penalties
        if not penalties.reads_coverage:
            return self.trail.coverage
        if self.weights is None:
            raise ValueError(
                f"the {'coverage' if penalties.coverage else 'overcoverage'} penalty is "
                f"{penalties.coverage or penalties.overcoverage}, but the model has no attention whose weights would "
                "say what was read; set it to 0"
            )
        return self.trail.coverage + self.weights[self.parent]

    def _record(self, ended: Tensor, finished: Tensor) -> None:
        """Keep the rows that ended for the results."""
        columns = (self.sentence // self.copies, self.trail, self.penalties(), finished)
        self.results.record(*reorder(columns, ended.nonzero()[:, 0]))


def follow(frontier: Frontier, pick: Callable[[], Tensor]) -> None:
    """One hypothesis per sentence and copy: `pick` takes a step and says the next token of every row."""
    with evaluation(frontier.model):
        while len(frontier.sentence):
            token = pick()
            ended = frontier.extend(torch.arange(len(token), device=token.device), token)
            frontier.keep(~ended)
