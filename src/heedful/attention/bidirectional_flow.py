"""Bidirectional attention flow: context and question read each other (Seo et al. 2017, section 2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.functional import hide, masked_softmax, visible_keys, widen

from .pooling import check_sequence
from .scores.base import check_sizes
from .source import SEO_2017


@register_pytree
@dataclass(frozen=True)
class Flow:
    """What the two sequences know of each other.

    Attributes:
        context: `[batch, steps, 4 dim]`, the context's steps with what they read.
        question_weights: of the question's words for each step, `[batch, steps, words]`; `None` unless asked for.
        step_weights: of the steps that matter to the question, `[batch, steps]`; `None` unless asked for.
    """

    context: Float[Tensor, "batch steps features"]
    question_weights: Float[Tensor, "batch steps words"] | None = None
    step_weights: Float[Tensor, "batch steps"] | None = None


class BidirectionalAttentionFlow(nn.Module):
    """`[h; u~; h * u~; h * h~]` from `S = w . [h; u; h * u]`: `u~` by softmax over `u`, `h~` by softmax of `max_u S`.

    Args:
        dim: features of a step of the context, and of a word of the question.

    Parameters: `weight [3, dim]`, the three parts of `w`, uniform as one Glorot matrix.

    Cost: time queries * keys * dim; memory queries * keys.

    Raises:
        ValueError: the size is not positive.

    >>> BidirectionalAttentionFlow(5)(torch.ones(2, 7, 5), torch.ones(2, 3, 5)).context.shape
    torch.Size([2, 7, 20])
    """

    source = SEO_2017(place="section 2, attention flow layer")
    kind = "layer"

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_sizes(dim=dim)
        self.dim = dim
        limit = (6 / (3 * dim + 1)) ** 0.5
        self.weight = nn.Parameter(torch.empty(3, dim).uniform_(-limit, limit))

    def forward(
        self,
        steps: Float[Tensor, "batch steps dim"],
        words: Float[Tensor, "batch words dim"],
        step_mask: Bool[Tensor, "..."] | None = None,
        word_mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> Flow:
        """Let context and question read each other.

        Args:
            steps: the context, `[batch, steps, dim]`.
            words: the question, `[batch, words, dim]`.
            step_mask: `[batch, steps]` or as `padding_mask` gives it, True = real; hidden steps give zeros.
            word_mask: the same of the words. What is hidden may hold anything; without a visible word `u~` and `h~` are
                zeros.
            need_weights: return both kinds of weights, too.

        Raises:
            ValueError: a shape does not fit, or a mask is not boolean (a TypeError, too).
        """
        for sequence in (steps, words):
            check_sequence(sequence, self.dim)
        shown = visible_keys(step_mask, *steps.shape[:2])
        heard = visible_keys(word_mask, *words.shape[:2])
        steps = steps if shown is None else hide(steps, shown)
        words = words if heard is None else hide(words, heard)
        scores = trilinear_scores(steps, words, self.weight)
        if heard is not None:
            scores = scores.masked_fill(~heard.unsqueeze(1), -torch.inf)
        weights = masked_softmax(scores).to(steps.dtype)
        largest = scores.amax(2, keepdim=True).transpose(1, 2)
        step_weights = masked_softmax(largest, None if shown is None else shown.unsqueeze(1)).to(steps.dtype)
        asked, known = weights @ words, step_weights @ steps
        context = torch.cat((steps, asked, steps * asked, steps * known), 2)
        if shown is not None:
            context, weights = hide(context, shown), hide(weights, shown)
        return Flow(context, weights, step_weights.squeeze(1)) if need_weights else Flow(context)


def trilinear_scores(
    steps: Float[Tensor, "batch steps dim"], words: Float[Tensor, "batch words dim"], weight: Float[Tensor, "3 dim"]
) -> Float[Tensor, "batch steps words"]:
    """`w . [h; u; h * u]` for every pair, in float32 or wider, without the tensor of all pairs.

    >>> trilinear_scores(torch.ones(1, 2, 3), torch.ones(1, 4, 3), torch.ones(3, 3))[0, 0]
    tensor([9., 9., 9., 9.])
    """
    steps, words = widen(steps), widen(words)
    of_step, of_word, of_both = widen(weight)
    return (steps @ of_step).unsqueeze(2) + (words @ of_word).unsqueeze(1) + (steps * of_both) @ words.transpose(1, 2)
