"""Co-attention: attention over what the other side attends to, with sentinels (Xiong, Zhong and Socher 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.functional import hide, masked_softmax, visible_keys, widen
from heedful.layers import Linear

from .pooling import check_sequence
from .scores.base import check_sizes
from .source import XIONG_2017


@register_pytree
@dataclass(frozen=True)
class CoAttended:
    """What a document knows of a question.

    Attributes:
        context: `[batch, steps, 2 dim]`, for each step of the document.
        step_weights: of the words, and last of their sentinel, for each step, `[batch, steps, words + 1]`.
        word_weights: of the steps, and last of their sentinel, for each word, `[batch, words, steps + 1]`; both `None`
            unless asked for.
    """

    context: Float[Tensor, "batch steps features"]
    step_weights: Float[Tensor, "batch steps all_words"] | None = None
    word_weights: Float[Tensor, "batch words all_steps"] | None = None


class CoAttention(nn.Module):
    """`A_D [Q; A_Q D]` with `L = D Q^T`, `A_D` its softmax over the question, `A_Q` that over the document.

    `Q = tanh(W Q' + b)`. A learned sentinel is appended to both sides, so that a step may look at no word. The paper
    runs a recurrent layer over `[D; context]` afterwards.

    Args:
        dim: features of a step of the document, and of a word of the question.

    Parameters: `word_proj`, `W` Glorot uniform and `b` 0; `step_sentinel` and `word_sentinel [dim]`, normal with
    standard deviation `dim ** -0.5`.

    Cost: time queries * keys * dim; memory queries * keys.

    Raises:
        ValueError: the size is not positive.

    >>> CoAttention(5)(torch.ones(2, 7, 5), torch.ones(2, 3, 5)).context.shape
    torch.Size([2, 7, 10])
    """

    source = XIONG_2017(place="section 2.2, equations 1 to 4")
    kind = "layer"

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_sizes(dim=dim)
        self.dim = dim
        self.word_proj = Linear(dim, dim)
        nn.init.xavier_uniform_(self.word_proj.weight)
        nn.init.zeros_(self.word_proj.bias)
        self.step_sentinel, self.word_sentinel = (
            nn.Parameter(torch.empty(dim).normal_(std=dim**-0.5)) for _ in range(2)
        )

    def forward(
        self,
        steps: Float[Tensor, "batch steps dim"],
        words: Float[Tensor, "batch words dim"],
        step_mask: Bool[Tensor, "..."] | None = None,
        word_mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> CoAttended:
        """Let document and question read each other.

        Args:
            steps: the document, `[batch, steps, dim]`.
            words: the question, `[batch, words, dim]`.
            step_mask: `[batch, steps]` or as `padding_mask` gives it, True = real; hidden steps give zeros.
            word_mask: the same of the words. What is hidden may hold anything; the sentinels are always seen.
            need_weights: return both kinds of weights, too.

        Raises:
            ValueError: a shape does not fit, or a mask is not boolean (a TypeError, too).
        """
        steps, shown = self._with_sentinel(steps, step_mask, self.step_sentinel)
        words, heard = self._with_sentinel(words, word_mask, self.word_sentinel)
        words = torch.tanh(self.word_proj(words))
        affinity = widen(steps) @ widen(words).transpose(1, 2)
        over_words = masked_softmax(affinity, heard.unsqueeze(1)).to(steps.dtype)
        over_steps = masked_softmax(affinity.transpose(1, 2), shown.unsqueeze(1)).to(steps.dtype)
        context = over_words @ torch.cat((words, over_steps @ steps), 2)
        context, step_weights = (hide(rows, shown)[:, :-1] for rows in (context, over_words))
        if not need_weights:
            return CoAttended(context)
        return CoAttended(context, step_weights, hide(over_steps, heard)[:, :-1])

    def _with_sentinel(self, sequence: Tensor, mask: Tensor | None, sentinel: Tensor) -> tuple[Tensor, Tensor]:
        """The sequence with the sentinel at its end, and what may be seen."""
        check_sequence(sequence, self.dim)
        batch, many, _ = sequence.shape
        visible = visible_keys(mask, batch, many)
        if visible is None:
            visible = torch.ones(batch, many, dtype=torch.bool, device=sequence.device)
        sequence = torch.cat((hide(sequence, visible), sentinel.expand(batch, 1, -1)), 1)
        return sequence, nn.functional.pad(visible, (0, 1), value=True)
