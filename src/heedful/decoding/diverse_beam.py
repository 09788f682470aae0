"""Diverse beam search: groups of beams, each kept away from what the groups before it say (Vijayakumar et al. 2018)."""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from heedful.data.vocabulary import EOS
from heedful.models.protocol import StepModel

from ._frontier import Frontier, evaluation
from .beam import best_children
from .constraints import Constraints
from .hypothesis import Hypothesis


def diverse_beam_search(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    *,
    beam: int = 6,
    groups: int = 3,
    diversity: float = 0.5,
    length_penalty: float = 0.6,
    constraints: Constraints | None = None,
    need_weights: bool = False,
) -> list[list[Hypothesis]]:
    """Up to `beam` hypotheses of every sentence, best first, of `groups` beams of `beam / groups` each.

    At every step the groups choose in turn; a token loses `diversity` for each time that an earlier group of the same
    sentence chose it at this step (the paper's Hamming diversity). The penalty decides that choice alone: it is not
    carried along, so `log_probs` and scores stay the model's own. What several groups found is returned once. One group
    is beam search. The source is read once for each group.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding.
        beam: hypotheses of each sentence, all groups together.
        groups: a divisor of `beam`.
        diversity: what a token chosen by an earlier group loses, as a log-probability; the paper uses 0.2 to 0.8.
        length_penalty: see `beam_search`.
        constraints: limits on the output; `Constraints()` when left out.
        need_weights: fill `Hypothesis.weights`.

    Raises:
        ValueError: a number out of range; lengths that do not fit the source; NaN or plus infinity among the logits.

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
    >>> (found,) = diverse_beam_search(model, torch.tensor([[6]]), torch.tensor([1]), beam=2, groups=2)
    >>> [one.tokens for one in found]
    [[4], [5]]
    """
    _check(beam, groups, diversity, length_penalty)
    # each group is a sentence of the frontier: sentence s, group g is number s * groups + g
    frontier = Frontier(
        model, source.repeat_interleave(groups, 0), lengths.repeat_interleave(groups), constraints, need_weights
    )
    with evaluation(model):
        _grow(frontier, beam // groups, groups, diversity)
    found = frontier.hypotheses(beam // groups, length_penalty)
    return [_merged(found[first : first + groups]) for first in range(0, len(found), groups)]


def _grow(frontier: Frontier, size: int, groups: int, diversity: float) -> None:
    """Grow every group until it has `size` finished hypotheses or nothing open."""
    places = torch.full_like(frontier.limits, size)
    group_of = torch.arange(len(places), device=places.device) % groups
    while len(frontier.sentence):
        log_probs = frontier.step()
        sentence, totals = frontier.sentence, frontier.trail.log_probs.sum(1)
        said = log_probs.new_zeros(len(places) // groups, log_probs.shape[1])
        chosen = []
        for group in range(groups):
            judged = log_probs - diversity * said[sentence // groups]
            own = torch.where(group_of == group, places, 0)
            parent, token = best_children(totals, judged, sentence, own, size)
            said.index_put_((sentence[parent] // groups, token), said.new_ones(()), accumulate=True)
            chosen.append((parent, token))
        parent, token = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        order = sentence[parent].argsort(stable=True)
        parent, token = parent[order], token[order]
        ended = frontier.extend(parent, token, log_probs[parent, token])
        places = places.scatter_add(0, frontier.sentence, -(token == EOS).long())
        frontier.keep(~ended)


def _merged(found: list[list[Hypothesis]]) -> list[Hypothesis]:
    """The hypotheses of all groups, each once, in the order of beam search."""
    once = {(tuple(one.tokens), one.finished): one for group in reversed(found) for one in group}
    return sorted(once.values(), key=lambda one: (not one.finished, -one.score))


def _check(beam: int, groups: int, diversity: float, length_penalty: float) -> None:
    if beam < 1 or groups < 1 or beam % groups:
        raise ValueError(
            f"beam is {beam} and groups {groups}; use numbers from 1 up, the beam a multiple of the groups"
        )
    if not 0 <= diversity < float("inf"):
        raise ValueError(f"diversity is {diversity}; use 0 (groups that do not see each other) or more")
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(f"length_penalty is {length_penalty}; use 0 (none) or more, 0.6 being common")
