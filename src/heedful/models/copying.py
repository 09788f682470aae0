"""Words of the source beside those of the vocabulary, in a decoder (See, Liu and Manning 2017, section 2.2)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.attention import AttentionOutput, CopyDistribution, PointerGenerator
from heedful.functional import Loss, TokenTarget

# what a word costs at most that can neither be said nor copied, as a log-probability: the loss stays finite
LEAST = math.log(torch.finfo(torch.float32).tiny)
# two sums of the same probabilities differ by less
_ROUNDING = 1e-5


class Copying(nn.Module):
    """Decides at each step between the vocabulary and the source, and says what a mixture costs.

    Source and target have one vocabulary. An id from `vocab_size` on is a word of this source that the vocabulary
    lacks; it is embedded as the unknown one.

    Args:
        context_dim: features of a context.
        state_dim: features of a decoder state.
        input_dim: features of an embedded token.
        vocab_size: ids of the vocabulary.
        unknown: the one that stands for what it lacks.

    Raises:
        ValueError: a size is not positive, or `unknown` is outside of the vocabulary.

    >>> copying = Copying(context_dim=4, state_dim=5, input_dim=6, vocab_size=9, unknown=1)
    >>> copying.known(torch.tensor([8, 9, 10]))
    tensor([8, 1, 1])
    """

    def __init__(self, context_dim: int, state_dim: int, input_dim: int, vocab_size: int, unknown: int) -> None:
        super().__init__()
        if not 0 <= unknown < vocab_size:
            raise ValueError(f"unknown is {unknown}; expected an id of the vocabulary, from 0 to {vocab_size - 1}.")
        self.pointer = PointerGenerator(context_dim, state_dim, input_dim)
        self.vocab_size, self.unknown = vocab_size, unknown

    def known(self, ids: Int[Tensor, "*ids"]) -> Int[Tensor, "*ids"]:
        """The same ids, those beyond the vocabulary as the unknown one."""
        return ids.masked_fill(ids >= self.vocab_size, self.unknown)

    def forward(
        self,
        logits: Float[Tensor, "batch steps vocab_size"],
        look: AttentionOutput,
        source_ids: Int[Tensor, "batch keys"],
        state: Float[Tensor, "batch steps state_dim"],
        inputs: Float[Tensor, "batch steps input_dim"],
    ) -> CopyDistribution:
        """Mix; see `PointerGenerator`."""
        return self.pointer(logits, look, source_ids, state, inputs)

    def loss(self, mixed: CopyDistribution, target: TokenTarget) -> Loss:
        """Minus the log-probability of each right word, however it comes about.

        Args:
            mixed: of `[batch, steps]`.
            target: with ids `[batch, steps]`; without smoothing, for the words of a mixture are other ones in each
                source.

        Raises:
            ValueError: the target is smoothed.
        """
        if target.smoothing:
            raise ValueError(f"smoothing is {target.smoothing}; a model that copies learns without, set it to 0")
        real = target.ids != target.ignored
        log_probs = mixed.log_prob_of(target.ids * real).clamp_min(LEAST)
        with torch.no_grad():
            correct = ((log_probs >= mixed.best() - _ROUNDING) & real).sum()
        return Loss(-log_probs.masked_fill(~real, 0).sum(), real.sum(), correct)
