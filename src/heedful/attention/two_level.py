"""Two-level attention: weights of words times the weights of their sections (Nallapati et al. 2016, section 2.4)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.functional import check_mask, hide, masked_softmax, widen

from .base import Attention
from .contract import AttentionOutput, Memory
from .scores import Score
from .source import NALLAPATI_2016


@register_pytree
@dataclass(frozen=True)
class SectionMemory:
    """Words and sections prepared once, and where each word stands: `section_ids [batch, keys]`, -1 for padding."""

    words: Memory
    sections: Memory
    section_ids: Int[Tensor, "batch keys"]


class TwoLevelAttention(nn.Module):
    """Weights `~ softmax(word scores)[k] * softmax(section scores)[section of k]`, each row summing to 1.

    Computed as one softmax over the sum of both scores, which is the same: what both sums are divided by is one number
    for a query, and a section without visible words has nothing to pass on. The paper adds an embedding of a section's
    place to its key; add it before.

    Args:
        word_score: compares queries with words.
        section_score: compares queries with sections.
        inside: softmax within each section, times the weight of the section, instead (not in the paper).

    Cost: time that of both scores; memory queries * keys.

    Raises:
        ValueError: a score that depends on earlier queries, or the scores are for queries of two sizes.

    >>> from heedful.attention.scores import GeneralScore
    >>> attention = TwoLevelAttention(GeneralScore(4, 5), GeneralScore(4, 3))
    >>> words, sections = torch.ones(2, 6, 5), torch.ones(2, 2, 3)
    >>> ids = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, -1, -1]])
    >>> attention(torch.ones(2, 7, 4), words, sections, ids).context.shape
    torch.Size([2, 7, 5])
    """

    source = NALLAPATI_2016(place="section 2.4")
    kind = "layer"

    def __init__(self, word_score: Score, section_score: Score, inside: bool = False) -> None:
        super().__init__()
        for score in (word_score, section_score):
            _refusals.check_part("a score", score, Score, "GeneralScore(32, 48)")
            if score.stateful:
                raise ValueError(
                    f"{type(score).__name__} depends on earlier queries; expected a score that does not, such as "
                    "AdditiveScore."
                )
        if word_score.query_dim != section_score.query_dim:
            raise ValueError(
                f"word_score takes queries of {word_score.query_dim} features and section_score of "
                f"{section_score.query_dim}; both are asked with one query. Build them with the same query_dim."
            )
        # attentions around the scores check and hide
        self.words, self.sections = Attention(word_score), Attention(section_score)
        self.inside = inside

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        words: Float[Tensor, "batch keys word_dim"],
        sections: Float[Tensor, "batch sections section_dim"],
        section_ids: Int[Tensor, "batch keys"],
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once.

        Args:
            query: `[batch, queries, query_dim]`.
            words: `[batch, keys, word_dim]`, which are read, too.
            sections: `[batch, sections, section_dim]`; one without visible words may hold anything.
            section_ids: the section of each word, `[batch, keys]`; -1 hides it.
            mask: `[batch, 1, keys]`, True = may look; hidden words may hold anything.
            need_weights: return the weights of the words `[batch, queries, keys]`, too.

        Raises:
            ValueError: a shape does not fit, an id is no section's, or the mask is not boolean (a TypeError, too).
        """
        return self.look(query, self.remember(words, sections, section_ids, mask), need_weights)

    def remember(
        self,
        words: Float[Tensor, "batch keys word_dim"],
        sections: Float[Tensor, "batch sections section_dim"],
        section_ids: Int[Tensor, "batch keys"],
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> SectionMemory:
        """Prepare words and sections once, for many calls of `look`."""
        batch, keys, _ = words.shape
        check_mask(mask, batch, 1, keys)
        _check_ids(section_ids, sections.shape[1])
        visible = section_ids.unsqueeze(1) >= 0
        visible = visible if mask is None else visible & mask
        places = section_ids.masked_fill(~visible.squeeze(1), sections.shape[1])
        filled = torch.zeros(batch, sections.shape[1] + 1, dtype=torch.bool, device=words.device)
        filled = filled.scatter(1, places, value=True)[:, :-1]
        remembered = self.sections.remember(hide(sections, filled))
        # nothing here is fused: the words are read in the type they came in
        read = replace(self.words.remember(words, mask=visible), value=hide(words, visible.squeeze(1)))
        return SectionMemory(read, remembered, section_ids)

    def look(
        self, query: Float[Tensor, "batch queries query_dim"], memory: SectionMemory, need_weights: bool = False
    ) -> AttentionOutput:
        """Any number of queries, over what was remembered."""
        visible, ids = memory.words.mask, memory.section_ids.clamp_min(0)
        word_scores = widen(self.words.score(query, memory.words.key)[0])
        section_scores = widen(self.sections.score(query, memory.sections.key)[0])
        places = ids.unsqueeze(1).expand_as(word_scores)
        if self.inside and visible is not None:
            word_scores = word_scores - section_log_sums(word_scores, visible, ids, section_scores.shape[2])
        weights = masked_softmax(word_scores + section_scores.gather(2, places), visible)
        weights = weights.to(memory.words.value.dtype)
        return AttentionOutput(weights @ memory.words.value, weights if need_weights else None)


def section_log_sums(
    scores: Float[Tensor, "batch queries keys"],
    visible: Bool[Tensor, "batch #queries keys"],
    section_ids: Int[Tensor, "batch keys"],
    sections: int,
) -> Float[Tensor, "batch queries keys"]:
    """For each key the logarithm of the sum of `exp(scores)` over the visible keys of its section; 0 without any.

    >>> visible, ids = torch.ones(1, 1, 3, dtype=torch.bool), torch.tensor([[0, 0, 1]])
    >>> section_log_sums(torch.zeros(1, 1, 3), visible, ids, sections=2).exp()
    tensor([[[2., 2., 1.]]])
    """
    places = section_ids.unsqueeze(1).expand_as(scores)
    shape = (*scores.shape[:2], sections)
    seen = scores.masked_fill(~visible, -torch.inf)
    largest = scores.new_full(shape, -torch.inf).scatter_reduce(2, places, seen.detach(), "amax")
    largest = largest.masked_fill(largest == -torch.inf, 0)
    total = scores.new_zeros(shape).scatter_add(2, places, (seen - largest.gather(2, places)).exp())
    return (total.masked_fill(total == 0, 1).log() + largest).gather(2, places)


def _check_ids(ids: Tensor, sections: int) -> None:
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise _refusals.not_whole(ids.dtype, "section_ids")
    if ids.device.type == "cpu" and not torch.compiler.is_compiling() and ids.numel():
        least, most = int(ids.min()), int(ids.max())
        if least < -1 or most >= sections:
            raise ValueError(
                f"section_ids go from {least} to {most}; expected -1 (padding) to {sections - 1}, one for each section."
            )
