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

from ._evaluation import evaluation
from ._frontier import Frontier
from ._rows import spread, top
from .constraints import NEVER
from .hypothesis import Hypothesis, length_norm
from .options import Decoding
from .required import allocated_children


def beam_search(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    decoding: Decoding | None = None,
) -> list[list[Hypothesis]]:
    """The `decoding.nbest` best hypotheses of every sentence, best first; fewer where the search found fewer.

    Finished hypotheses come before unfinished ones, then `Hypothesis.score` decides. All hypotheses of all sentences
    share one call of the model per step. The model runs as in evaluation (no dropout, no gradients). An empty batch
    gives an empty list. Where something is required, the beam is shared out, see `required.allocated_children`.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding; 0 is allowed where the model allows it.
        decoding: `beam`, `nbest`, constraints and penalties; `Decoding()` when left out.

    Raises:
        ValueError: lengths that do not fit the source; NaN or plus infinity among the logits.

    >>> from types import SimpleNamespace
    >>> from heedful.decoding import Penalties
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
    >>> how = Decoding(beam=2, nbest=2, penalties=Penalties(length=0.0))
    >>> (found,) = beam_search(model, torch.tensor([[6, 6]]), torch.tensor([2]), how)
    >>> [(one.tokens, round(one.score, 2)) for one in found]
    [([5, 6], -0.92), ([4, 6], -1.02)]
    """
    how = decoding or Decoding()
    frontier = Frontier(model, source, lengths, how)
    with evaluation(model):
        _search(frontier)
    return frontier.results.hypotheses(how.nbest, how.penalties.length)


def _search(frontier: Frontier) -> None:
    """Grow the frontier to its end."""
    how, batch = frontier.decoding, len(frontier.sentence)
    beam, length_penalty, required = how.beam, how.penalties.length, how.constraints.required
    places = torch.full_like(frontier.limits, beam)  # how many hypotheses each sentence may still grow
    finals = torch.full((batch, how.nbest), NEVER, device=places.device)  # scores of the best finished ones
    while len(frontier.sentence):
        if required:
            choices = frontier.step()
            candidates = (frontier.trail.totals(), choices, frontier.sentence, places, beam)
            parent, token = allocated_children(*candidates, frontier.trail.tokens, required)
        else:
            best = frontier.best(beam)
            parent, token = best_children(frontier.trail.totals(), *best, frontier.sentence, places, beam)
        ended = frontier.extend(parent, token)
        sentence, finished, totals = frontier.sentence, token == EOS, frontier.trail.totals()
        places = places.scatter_add(0, sentence, -finished.long())
        scores = totals / length_norm(frontier.trail.tokens.shape[1], length_penalty) + frontier.penalties()
        scores = spread(scores.masked_fill(~finished, NEVER), sentence, batch, beam)
        finals = top(torch.cat((finals, scores), 1), how.nbest)[0]
        at_best = totals / length_norm(frontier.limits[sentence], length_penalty)
        frontier.keep(~ended & (at_best > finals[sentence, -1]))


def best_children(
    totals: Float[Tensor, " rows"],
    values: Float[Tensor, "rows choices"],
    tokens: Int[Tensor, "rows choices"],
    sentence: Int[Tensor, " rows"],
    places: Int[Tensor, " batch"],
    beam: int,
) -> tuple[Int[Tensor, " new"], Int[Tensor, " new"]]:
    """Parent row and token of the `places[i]` best continuations of each sentence `i`, best first.

    Args:
        totals: sum of the log-probabilities of each row.
        values: log-probabilities of the best next tokens of each, as many as the beam where there are so many.
        tokens: those tokens.
        sentence: to which sentence each row belongs, in rising order.
        places: how many continuations each sentence keeps.
        beam: the most rows that one sentence has.
    """
    candidates = spread(totals[:, None] + values, sentence, len(places), beam).flatten(1)
    best, where = top(candidates, beam)
    wanted = torch.arange(best.shape[1], device=best.device) < places[:, None]
    owner, rank = (wanted & (best > NEVER)).nonzero(as_tuple=True)
    place, choice = where[owner, rank] // values.shape[1], where[owner, rank] % values.shape[1]
    parent = torch.searchsorted(sentence, owner) + place
    return parent, tokens[parent, choice]
