"""Beam search: the best few hypotheses of every sentence, grown side by side.

A hypothesis that says EOS keeps its place: a beam of 5 with 2 finished hypotheses goes on with the 3 best open ones.
So a beam of one is greedy search, and the search ends by itself.

A sentence ends earlier once no open hypothesis can win. Log-probabilities are never positive and the norm grows with
the length, so an open hypothesis ends with a score of at most `sum of its log_probs / length_norm(the most tokens
allowed)`, from which a penalty only takes. Where that does not beat the `nbest` best finished ones it is dropped. The
result stays the same: what grows in its place is less probable still, and cannot win either.
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from heedful.data.vocabulary import EOS
from heedful.models.protocol import StepModel

from ._frontier import Frontier, evaluation
from .constraints import NEVER, Constraints
from .hypothesis import Hypothesis, length_norm


def beam_search(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    *,
    beam: int = 5,
    length_penalty: float = 0.6,
    coverage_penalty: float = 0.0,
    nbest: int = 1,
    constraints: Constraints | None = None,
    need_weights: bool = False,
) -> list[list[Hypothesis]]:
    """The `nbest` best hypotheses of every sentence, best first; fewer where the search found fewer.

    Finished hypotheses come before unfinished ones, then the score decides:
    `sum(log_probs) / ((5 + len) / 6) ** length_penalty`, where `len` counts EOS, and on request a penalty for what of
    the source was not read (Wu et al. 2016, eq. 14). All hypotheses of all sentences share one call of the model per
    step. The model runs as in evaluation (no dropout, no gradients). An empty batch gives an empty list.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding; 0 is allowed where the model allows it.
        beam: how many hypotheses each sentence keeps; 1 is greedy search.
        length_penalty: 0 ranks by probability, which favours the short; 1 nearly by mean log-probability.
        coverage_penalty: how much the logarithm of what each source position received counts, see `penalties`; in
            the order of what is finished alone, not in which hypotheses grow. 0.2 is the paper's; 0 needs no attention.
        nbest: how many to return, up to `beam`.
        constraints: limits on the output; `Constraints()` when left out.
        need_weights: fill `Hypothesis.weights`.

    Raises:
        ValueError: a number out of range; lengths that do not fit the source; NaN or plus infinity among the logits.

    >>> from types import SimpleNamespace
    >>> from heedful.models import StepOutput
    >>> table = torch.zeros(7, 7)  # the probability of each token after each token
    >>> table[2, [4, 5]] = torch.tensor([0.6, 0.4])
    >>> table[4, [4, 6]] = torch.tensor([0.4, 0.6])  # greedy search begins with 4, but 5, 6 is more probable
    >>> table[5, 6] = table[6, 3] = 1.0
    >>> model = SimpleNamespace(
    ...     encode=lambda source, lengths: source,
    ...     start=lambda encoded: None,
    ...     step=lambda tokens, state, encoded, need_weights: (StepOutput(table[tokens].log()), state),
    ... )
    >>> (found,) = beam_search(model, torch.tensor([[6, 6]]), torch.tensor([2]), beam=2, nbest=2, length_penalty=0.0)
    >>> [(one.tokens, round(one.score, 2)) for one in found]
    [([5, 6], -0.92), ([4, 6], -1.02)]
    """
    _check(beam, length_penalty, nbest)
    if not 0 <= coverage_penalty < float("inf"):
        raise ValueError(f"coverage_penalty is {coverage_penalty}; use 0 (none) or more, 0.2 being common")
    frontier = Frontier(model, source, lengths, constraints, need_weights, coverage_penalty)
    with evaluation(model):
        _search(frontier, beam, length_penalty, nbest)
    return frontier.hypotheses(nbest, length_penalty)


def _search(frontier: Frontier, beam: int, length_penalty: float, nbest: int) -> None:
    """Grow the frontier to its end."""
    batch = len(frontier.sentence)
    places = torch.full_like(frontier.limits, beam)  # how many hypotheses each sentence may still grow
    finals = torch.full((batch, nbest), NEVER, device=places.device)  # scores of the best finished ones
    while len(frontier.sentence):
        log_probs = frontier.step()
        parent, token = best_children(frontier.trail.log_probs.sum(1), log_probs, frontier.sentence, places, beam)
        ended = frontier.extend(parent, token, log_probs[parent, token])
        sentence, finished, totals = frontier.sentence, token == EOS, frontier.trail.log_probs.sum(1)
        places = places.scatter_add(0, sentence, -finished.long())
        scores = totals / length_norm(frontier.trail.tokens.shape[1], length_penalty) + frontier.penalties()
        scores = spread(scores.masked_fill(~finished, NEVER), sentence, batch, beam)
        finals = top(torch.cat((finals, scores), 1), nbest)[0]
        at_best = totals / length_norm(frontier.limits[sentence], length_penalty)
        frontier.keep(~ended & (at_best > finals[sentence, -1]))


def best_children(
    totals: Float[Tensor, " rows"],
    log_probs: Float[Tensor, "rows vocabulary"],
    sentence: Int[Tensor, " rows"],
    places: Int[Tensor, " batch"],
    beam: int,
) -> tuple[Int[Tensor, " new"], Int[Tensor, " new"]]:
    """Parent row and token of the `places[i]` best continuations of each sentence `i`, best first.

    Args:
        totals: sum of the log-probabilities of each row.
        log_probs: of its next token.
        sentence: to which sentence each row belongs, in rising order.
        places: how many continuations each sentence keeps.
        beam: the most rows that one sentence has.
    """
    values, tokens = top(log_probs, beam)
    candidates = spread(totals[:, None] + values, sentence, len(places), beam).flatten(1)
    best, where = top(candidates, beam)
    wanted = torch.arange(best.shape[1], device=best.device) < places[:, None]
    owner, rank = (wanted & (best > NEVER)).nonzero(as_tuple=True)
    place, choice = where[owner, rank] // values.shape[1], where[owner, rank] % values.shape[1]
    parent = torch.searchsorted(sentence, owner) + place
    return parent, tokens[parent, choice]


def spread(
    values: Float[Tensor, "rows *rest"], sentence: Int[Tensor, " rows"], batch: int, beam: int
) -> Float[Tensor, "batch beam *rest"]:
    """The rows of each sentence side by side, the places that no row takes at minus infinity.

    >>> spread(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 0, 2]), batch=3, beam=2)
    tensor([[1., 2.],
            [-inf, -inf],
            [3., -inf]])
    """
    place = torch.arange(len(sentence), device=sentence.device) - torch.searchsorted(sentence, sentence)
    grid = values.new_full((batch, beam, *values.shape[1:]), NEVER)
    grid[sentence, place] = values
    return grid


def top(values: Float[Tensor, "rows columns"], count: int) -> tuple[Tensor, Tensor]:
    """Up to `count` largest values of each row and their columns, largest first; of one, the first among equals."""
    if count == 1:
        return values.max(1, keepdim=True)
    return values.topk(min(count, values.shape[1]), 1)


def _check(beam: int, length_penalty: float, nbest: int) -> None:
    if beam < 1:
        raise ValueError(f"beam is {beam}; keep at least 1 hypothesis, which is greedy search")
    if not 1 <= nbest <= beam:
        raise ValueError(f"nbest is {nbest}; a beam of {beam} can return 1 to {beam} hypotheses, so widen the beam")
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(f"length_penalty is {length_penalty}; use 0 (none) or more, 0.6 being common")
