"""Greedy search: the most probable token at every step."""

from jaxtyping import Int, Shaped
from torch import Tensor

from heedful.models.protocol import StepModel

from ._frontier import Frontier, follow
from .hypothesis import Hypothesis
from .options import Decoding


def greedy(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    decoding: Decoding | None = None,
) -> list[Hypothesis]:
    """One hypothesis per sentence, by taking the most probable allowed token until EOS or the maximum length.

    Equal probabilities go to the smaller id. The model runs as in evaluation (no dropout, no gradients), and a sentence
    that has ended leaves the batch. An empty batch gives an empty list.

    Args:
        model: anything with `encode`, `start` and `step`.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding; 0 is allowed where the model allows it.
        decoding: constraints, penalties, and whether weights are needed; `Decoding()` when left out.

    Raises:
        ValueError: lengths that do not fit the source; NaN or plus infinity among the logits; something is required.

    >>> import torch
    >>> from types import SimpleNamespace
    >>> from heedful.models import StepOutput
    >>> table = torch.zeros(7, 7)  # the probability of each token after each token
    >>> table[[2, 4, 5], [4, 5, 3]] = 1.0  # BOS, 4, 5, EOS
    >>> model = SimpleNamespace(
    ...     encode=lambda source, lengths: source,
    ...     start=lambda encoded: None,
    ...     step=lambda tokens, state, encoded, need_weights: (StepOutput(table[tokens].log()), state),
    ... )
    >>> greedy(model, source=torch.tensor([[6, 6], [5, 0]]), lengths=torch.tensor([2, 1]))[1].tokens
    [4, 5]
    """
    how = decoding or Decoding()
    if how.constraints.required:
        raise ValueError("greedy search cannot plan for what is required; use beam_search, with a beam of 1 or more")
    frontier = Frontier(model, source, lengths, how)
    follow(frontier, lambda: frontier.best(1)[1][:, 0])
    return [best for (best,) in frontier.results.hypotheses(1, how.penalties.length)]
