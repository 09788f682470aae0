"""Copying: words of the source beside those of the vocabulary (See, Liu and Manning 2017, section 2.2)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.functional import hide, widen

from .contract import AttentionOutput
from .source import SEE_2017


@register_pytree
@dataclass(frozen=True)
class CopyDistribution:
    """`P(w) = p_gen P_vocabulary(w) + (1 - p_gen) sum of weights[k] over the keys with source_ids[k] = w`.

    An id from the size of the vocabulary on stands for a word of this source that the vocabulary lacks. It has no
    embedding: feed `ids.where(ids < vocabulary, unk)` to the decoder. A target that is in neither has minus infinity:
    make it `unk` first. Rows sum to 1 where the weights do; a row of zeros (nothing to copy) is the vocabulary alone,
    which the paper leaves open. All of it is float32 or wider.

    Cost: time queries * (keys + vocabulary); memory queries * (keys + vocabulary).

    Attributes:
        log_vocabulary: log-probabilities `[batch, queries, vocabulary]`.
        weights: of the attention, `[batch, queries, keys]`.
        source_ids: `[batch, keys]`, ids of the keys; of padding any id from 0 up.
        gate: log-odds of `p_gen`, `[batch, queries]`.

    >>> words = torch.tensor([[0.5, 0.5, 0.0]]).log().unsqueeze(0)
    >>> mixed = CopyDistribution(words, torch.tensor([[[0.25, 0.75]]]), torch.tensor([[1, 3]]), torch.zeros(1, 1))
    >>> mixed.log_probs(extra=1).exp()
    tensor([[[0.2500, 0.3750, 0.0000, 0.3750]]])
    """

    kind: ClassVar = "layer"
    source: ClassVar = SEE_2017(place="section 2.2, equation 9")

    log_vocabulary: Float[Tensor, "batch queries vocabulary"]
    weights: Float[Tensor, "batch queries keys"]
    source_ids: Int[Tensor, "batch keys"]
    gate: Float[Tensor, "batch queries"]

    def log_probs(self, extra: int = 0) -> Float[Tensor, "batch queries words"]:
        """Log-probabilities of the vocabulary and of `extra` further ids.

        Raises:
            ValueError: a source id lies outside (looked at on the CPU alone).
        """
        size = self.log_vocabulary.shape[2] + extra
        _check_ids(self.source_ids, size)
        weights = widen(self.weights)
        words = nn.functional.pad(widen(self.log_vocabulary), (0, extra), value=-torch.inf)
        places = self.source_ids.unsqueeze(1).expand_as(weights)
        # adds: a word that stands twice in the source is copied from both places
        copied = weights.new_zeros(*weights.shape[:2], size).scatter_add(2, places, weights)
        log_generate, log_copy = (part.unsqueeze(2) for part in self._log_chances())
        return _log_add(log_generate + words, log_copy + _log(copied))

    @torch.no_grad()
    def best(self) -> Float[Tensor, "batch queries"]:
        """The log-probability of each row's most probable word, to rounding; faster than `log_probs`.

        Ids of the source are those of the vocabulary and as many further ones as there are keys, at most.
        """
        log_generate, log_copy = (part.exp().unsqueeze(2) for part in self._log_chances())
        words = nn.functional.pad(widen(self.log_vocabulary).exp(), (0, self.source_ids.shape[1])).mul_(log_generate)
        places = self.source_ids.unsqueeze(1).expand_as(self.weights)
        return words.scatter_add_(2, places, log_copy * widen(self.weights)).amax(2).log()

    def log_prob_of(
        self, target: Int[Tensor, "batch queries"], force_copy: bool = False
    ) -> Float[Tensor, "batch queries"]:
        """`log_probs` of one id in each row, without those of all others: what a loss needs.

        Args:
            target: `[batch, queries]`, ids from 0 up.
            force_copy: a target that can be copied counts as copied, even where the vocabulary has it, so that the gate
                learns to copy (an option of OpenNMT).
        """
        generated, copied = self._parts(target)
        if force_copy:
            generated = generated.masked_fill(copied > -torch.inf, -torch.inf)
        return _log_add(generated, copied)

    def copied_share(self, target: Int[Tensor, "batch queries"]) -> Float[Tensor, "batch queries"]:
        """How much of the probability of one id in each row comes from copying it, 0 to 1; 0 where it has none.

        Args:
            target: `[batch, queries]`, ids from 0 up.

        >>> words = torch.tensor([[0.5, 0.5, 0.0]]).log().unsqueeze(0)
        >>> mixed = CopyDistribution(words, torch.tensor([[[0.25, 0.75]]]), torch.tensor([[1, 3]]), torch.zeros(1, 1))
        >>> mixed.copied_share(torch.tensor([[1]]))  # 0.125 of 0.375
        tensor([[0.3333]])
        """
        generated, copied = self._parts(target)
        total = _log_add(generated, copied)
        return (copied - total.masked_fill(total == -torch.inf, 0)).exp()

    def _parts(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of both summands of the probability of one id in each row."""
        vocabulary = self.log_vocabulary.shape[2]
        weights, places = widen(self.weights), target.clamp(0, vocabulary - 1).unsqueeze(2)
        generated = widen(self.log_vocabulary).gather(2, places).squeeze(2)
        generated = generated.masked_fill(target >= vocabulary, -torch.inf)
        copied = (weights * (self.source_ids.unsqueeze(1) == target.unsqueeze(2))).sum(2)
        log_generate, log_copy = self._log_chances()
        return log_generate + generated, log_copy + _log(copied)

    def selective_read(
        self, words: Int[Tensor, "batch queries"], key: Float[Tensor, "batch keys key_dim"]
    ) -> Float[Tensor, "batch queries key_dim"]:
        """The mean of the keys at the places of a word, each as likely as it was to be copied (Gu et al. 2016, 3.3).

        Args:
            words: what was said at each step, `[batch, queries]`; one that is not in the source reads zeros.
            key: `[batch, keys, key_dim]`; one without weight in every row may hold anything.
        """
        weights = widen(self.weights)
        found = weights * (self.source_ids.unsqueeze(1) == words.unsqueeze(2))
        total = found.sum(2, keepdim=True)
        known = total >= torch.finfo(total.dtype).tiny
        shares = (found / torch.where(known, total, 1.0)).masked_fill(~known, 0)
        return shares.to(key.dtype) @ hide(key, (weights > 0).any(1))

    def _log_chances(self) -> tuple[Tensor, Tensor]:
        """Logarithms of `p_gen` and `1 - p_gen`; 0 for the first where there is nothing to copy."""
        gate, reads = widen(self.gate), (self.weights > 0).any(2)
        return logsigmoid(gate).masked_fill(~reads, 0), logsigmoid(-gate)


def weights_of(look: AttentionOutput) -> Tensor:
    """The weights of an attention that was asked for them.

    Raises:
        ValueError: it was not.
    """
    if look.weights is None:
        raise ValueError("the attention returned no weights; copying needs them. Call it with need_weights=True.")
    return look.weights


def _check_ids(ids: Tensor, size: int) -> None:
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise _refusals.not_whole(ids.dtype, "source_ids")
    if ids.device.type == "cpu" and not torch.compiler.is_compiling() and ids.numel():
        least, most = int(ids.min()), int(ids.max())
        if least < 0 or most >= size:
            raise ValueError(
                f"source_ids go from {least} to {most}; expected 0 to {size - 1}, the vocabulary and `extra` more. "
                "Give as `extra` the most words that a source adds, and give padding any of these ids."
            )


def _log(probs: Tensor) -> Tensor:
    """Logarithm; minus infinity, without a gradient, below the smallest normal number."""
    known = probs >= torch.finfo(probs.dtype).tiny
    return torch.where(known, probs, 1.0).log().masked_fill(~known, -torch.inf)


def _log_add(first: Tensor, second: Tensor) -> Tensor:
    """`log(exp first + exp second)`; minus infinity, without a gradient, where both are."""
    known = (first > -torch.inf) | (second > -torch.inf)
    total = torch.logaddexp(first.masked_fill(~known, 0), second.masked_fill(~known, 0))
    return total.masked_fill(~known, -torch.inf)
