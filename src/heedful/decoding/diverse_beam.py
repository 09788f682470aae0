"""Diverse beam search: groups of beams, each kept away from what the groups before it say (Vijayakumar et al. 2018)."""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from heedful.data.vocabulary import EOS
from heedful.models.protocol import StepModel

from ._evaluation import evaluation
from ._frontier import Frontier
from ._rows import top
from .beam import best_children
from .hypothesis import Hypothesis
from .options import Decoding


def diverse_beam_search(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    decoding: Decoding | None = None,
) -> list[list[Hypothesis]]:
    """Up to `decoding.nbest` hypotheses of every sentence, best first, of `groups` beams of `beam / groups` each.

    At every step the groups choose in turn; a token loses `diversity` for each time that an earlier group of the same
    sentence chose it at this step (the paper's Hamming diversity). The penalty decides that choice alone: it is not
    carried along, so `log_probs` and scores stay the model's own. What several groups found is returned once. One group
    is beam search. The source is read once.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding.
        decoding: `beam`, `groups`, `diversity`, `nbest`, constraints and penalties; `Decoding(beam=6, nbest=6,
            groups=3)` when left out.

    Raises:
        ValueError: lengths that do not fit the source; NaN or plus infinity among the logits; something is required.

    >>> from types import SimpleNamespace
    >>> from heedful.models import StepOutput
    >>> table = torch.zeros(7, 7)  # the probability of each token after each token
    >>> table[2, [4, 5]] = torch.tensor([0.6, 0.4])
    >>> table[[4, 5], 3] = 1.0
    >>> model = SimpleNamespace(
    ...     encode=lambda source, lengths: source,
    ...     start=lambda encoded: None,
    ...     step=lambda tokens, state, encoded, need_weights: (StepOutput(table[tokens].log()), state),
    ... )
    >>> how = Decoding(beam=2, nbest=2, groups=2)
    >>> (found,) = diverse_beam_search(model, torch.tensor([[6]]), torch.tensor([1]), how)
    >>> [one.tokens for one in found]
    [[4], [5]]
    """
    how = decoding or Decoding(beam=6, nbest=6, groups=3)
    if how.constraints.required:
        raise ValueError("diverse beam search cannot plan for what is required; use beam_search")
    # each group is a copy of its sentence: sentence s, group g is number s * groups + g
    frontier = Frontier(model, source, lengths, how, copies=how.groups)
    with evaluation(model):
        _grow(frontier, how.beam // how.groups, how.groups, how.diversity)
    # the same thing may have been found by every group
    found = frontier.results.hypotheses(how.nbest * how.groups, how.penalties.length)
    return [_once(hypotheses)[: how.nbest] for hypotheses in found]


def _grow(frontier: Frontier, size: int, groups: int, diversity: float) -> None:
    """Grow every group until it has `size` finished hypotheses or nothing open."""
    places = torch.full_like(frontier.limits, size)
    group_of = torch.arange(len(places), device=places.device) % groups
    while len(frontier.sentence):
        choices = frontier.step()
        sentence, totals = frontier.sentence, frontier.trail.totals()
        said = choices.new_zeros(len(places) // groups, choices.shape[1])
        chosen = []
        for group in range(groups):
            judged = choices - diversity * said[sentence // groups]
            own = torch.where(group_of == group, places, 0)
            parent, token = best_children(totals, *top(judged, size), sentence, own, size)
            said.index_put_((sentence[parent] // groups, token), said.new_ones(()), accumulate=True)
            chosen.append((parent, token))
        parent, token = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        order = sentence[parent].argsort(stable=True)
        parent, token = parent[order], token[order]
        ended = frontier.extend(parent, token)
        places = places.scatter_add(0, frontier.sentence, -(token == EOS).long())
        frontier.keep(~ended)


def _once(found: list[Hypothesis]) -> list[Hypothesis]:
    """Each hypothesis once, in the same order."""
    return list({(tuple(one.tokens), one.finished): one for one in found}.values())
