"""One call for every method: what `Decoding` describes, done."""

from jaxtyping import Int, Shaped
from torch import Tensor

from heedful.models.protocol import StepModel

from .beam import beam_search
from .diverse_beam import diverse_beam_search
from .greedy import greedy
from .hypothesis import Hypothesis
from .options import Decoding
from .sampling import sample


def decode(
    model: StepModel,
    source: Shaped[Tensor, "batch source_len ..."],
    lengths: Int[Tensor, " batch"],
    decoding: Decoding | None = None,
) -> list[list[Hypothesis]]:
    """Up to `decoding.nbest` hypotheses of every sentence, best first, by the method that `decoding` describes.

    With `sampling` it draws, with `groups` it is diverse beam search, with a beam of 1 greedy search, and otherwise, or
    where something is required, beam search.

    Args:
        model: anything with `encode`, `start` and `step`; an `Ensemble` of several, too.
        source: whatever the model encodes, padded.
        lengths: positions of each sentence that are not padding.
        decoding: how; `Decoding()` when left out.

    Raises:
        ValueError: lengths that do not fit the source; NaN or plus infinity among the logits; ids that the model's
            vocabulary does not have; a penalty for coverage of a model without attention.

    >>> import torch
    >>> from types import SimpleNamespace
    >>> from heedful.decoding import Sampling
    >>> from heedful.models import StepOutput
    >>> table = torch.zeros(7, 7)  # the probability of each token after each token
    >>> table[2, [4, 5]] = torch.tensor([0.6, 0.4])
    >>> table[[4, 5], 3] = 1.0
    >>> model = SimpleNamespace(
    ...     encode=lambda source, lengths: source,
    ...     start=lambda encoded: None,
    ...     step=lambda tokens, state, encoded, need_weights: (StepOutput(table[tokens].log()), state),
    ... )
    >>> sentence = torch.tensor([[6]]), torch.tensor([1])
    >>> [one.tokens for one in decode(model, *sentence, Decoding(beam=2, nbest=2))[0]]
    [[4], [5]]
    >>> [one.tokens for one in decode(model, *sentence, Decoding(sampling=Sampling(top_k=1), nbest=3))[0]]
    [[4], [4], [4]]
    """
    how = decoding or Decoding()
    if how.sampling:
        return sample(model, source, lengths, how)
    if how.groups > 1:
        return diverse_beam_search(model, source, lengths, how)
    if how.beam == 1 and not how.constraints.required:
        return [[best] for best in greedy(model, source, lengths, how)]
    return beam_search(model, source, lengths, how)
