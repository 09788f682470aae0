"""Sampling: the next token is drawn, from the whole distribution or from its head only."""

import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from heedful.models.protocol import StepModel

from ._frontier import Frontier, follow
from .constraints import NEVER
from .hypothesis import Hypothesis
from .options import Decoding, Sampling


def sample(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    decoding: Decoding | None = None,
) -> list[list[Hypothesis]]:
    """`decoding.nbest` random hypotheses of every sentence, best first: finished ones, then by score.

    The allowed tokens' probabilities are tempered, then cut to the `top_k` most probable (Fan, Lewis and Dauphin 2018),
    then to the fewest that hold `top_p` of what is left (Holtzman et al. 2020), then to those at least `min_p` times as
    probable as the best (Nguyen et al. 2024), and renormalised.
    `Hypothesis.log_probs` stay those of the model. The draws of a sentence depend on the generator, the batch size, the
    number of draws and its place in the batch, not on what the other sentences say. The source is read once.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding.
        decoding: `sampling` (`Sampling()` when left out), `nbest`, constraints and penalties.

    Raises:
        ValueError: lengths that do not fit the source; NaN or plus infinity among the logits.

    >>> from types import SimpleNamespace
    >>> from heedful.models import StepOutput
    >>> table = torch.zeros(7, 7)  # the probability of each token after each token
    >>> table[2, [4, 5, 6]] = torch.tensor([0.6, 0.3, 0.1])
    >>> table[4:, 3] = 1.0
    >>> model = SimpleNamespace(
    ...     encode=lambda source, lengths: source,
    ...     start=lambda encoded: None,
    ...     step=lambda tokens, state, encoded, need_weights: (StepOutput(table[tokens].log()), state),
    ... )
    >>> how = Decoding(sampling=Sampling(top_k=2), nbest=100)
    >>> (found,) = sample(model, torch.tensor([[6, 6]]), torch.tensor([2]), how)
    >>> sorted({tuple(one.tokens) for one in found})
    [(4,), (5,)]
    """
    how = decoding or Decoding()
    chance = how.sampling or Sampling()
    frontier = Frontier(model, source, lengths, how, copies=how.nbest)
    device = chance.generator.device if chance.generator else source.device

    def draw() -> Tensor:
        choices = frontier.step()
        # for the whole batch at every step: a sentence that has ended must not shift the draws of the others
        luck = torch.rand(len(frontier.limits), generator=chance.generator, device=device).to(choices.device)
        head = truncated(choices / chance.temperature, chance.top_k, chance.top_p, chance.min_p)
        return pick(head.softmax(1), luck[frontier.sentence])

    follow(frontier, draw)
    return frontier.results.hypotheses(how.nbest, how.penalties.length)


def truncated(
    log_probs: Float[Tensor, "rows vocabulary"],
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "rows vocabulary"]:
    """The head of each distribution; the tail becomes minus infinity. The most probable token always stays.

    >>> truncated(torch.tensor([[0.5, 0.3, 0.2]]).log(), top_p=0.6).exp()
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    if top_k is not None and top_k < log_probs.shape[1]:
        head, tokens = log_probs.topk(top_k, 1)
        log_probs = torch.full_like(log_probs, NEVER).scatter(1, tokens, head)
    if top_p is not None and top_p < 1:
        ranked, tokens = log_probs.sort(dim=1, descending=True, stable=True)
        probs = ranked.softmax(1)
        # a token stays if those before it hold less than top_p
        ranked = ranked.masked_fill(probs.cumsum(1) - probs >= top_p, NEVER)
        log_probs = torch.empty_like(log_probs).scatter(1, tokens, ranked)
    if min_p:
        log_probs = log_probs.masked_fill(log_probs < log_probs.amax(1, keepdim=True) + math.log(min_p), NEVER)
    return log_probs


def pick(probs: Float[Tensor, "rows vocabulary"], luck: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """The token at which the running sum of each row passes `luck`, which is uniform between 0 and 1.

    >>> pick(torch.tensor([[0.25, 0.0, 0.75]]), torch.tensor([0.3]))
    tensor([2])
    """
    sums = probs.cumsum(1)
    token = torch.searchsorted(sums, luck[:, None].to(sums) * sums[:, -1:], right=True)[:, 0]
    token = token.clamp_max(probs.shape[1] - 1)
    # rounding can carry the sum past the last possible token: never choose an impossible one
    possible = probs.gather(1, token[:, None])[:, 0] > 0
    return torch.where(possible, token, probs.argmax(1))
