"""Last-state attention: the last step is the query (keras-attention 5.0, after Luong et al. 2015, equation 5)."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import last_visible, linear

from .base import Attention
from .pooling import Pooled, Pooling
from .scores import AdditiveScore, DotScore, ScaledDotScore
from .scores.base import check_sizes
from .source import LUONG_2015

LastStateScoreName = Literal["luong", "bahdanau", "dot", "scaled_dot"]


class LastStateAttention(Pooling):
    """`tanh(W_c [context; last])`: the last visible step is the query, the steps are keys and values.

    "luong" scores `last . W step`, "bahdanau" `energy . tanh(W last + U step)`, "dot" `last . step`, and "scaled_dot"
    divides that by the root of `dim`; no biases. That the last step stands
    for the state of a decoder is from keras-attention; the scores and the attentional vector are the papers'.

    Args:
        dim: features of a step.
        units: features of the vector that comes out.
        score: "luong", "bahdanau", "dot" or "scaled_dot".

    Parameters, all Glorot uniform: `query_proj [dim, dim]` (the `W` of "luong"; "bahdanau" has those of
    `AdditiveScore`, under `attention.score`), and `output_proj [units, 2 dim]`.

    Cost: time steps * dim; memory steps.

    Raises:
        ValueError: an unknown score, or a size that is not positive.

    >>> layer = LastStateAttention(dim=5, units=3)
    >>> layer(torch.ones(2, 7, 5)).vector.shape
    torch.Size([2, 3])
    """

    source = LUONG_2015(place="section 3.1, equation 5")

    def __init__(self, dim: int, units: int = 128, score: LastStateScoreName = "luong") -> None:
        super().__init__(dim)
        check_sizes(units=units)
        names = get_args(LastStateScoreName)
        if score not in names:
            raise _refusals.unknown_choice("score", score, names)
        self.units = units
        self.query_proj = None
        if score == "luong":
            # there is one query: W is taken to it, not to every step
            self.query_proj = nn.Parameter(torch.empty(dim, dim))
            nn.init.xavier_uniform_(self.query_proj)
        if score == "bahdanau":
            additive = AdditiveScore(dim, dim, dim)
            # as a matrix of one row, in keeping with the others
            nn.init.xavier_uniform_(additive.energy.unsqueeze(0))
            self.attention = Attention(additive)
        else:
            self.attention = Attention(ScaledDotScore(dim) if score == "scaled_dot" else DotScore(dim))
        self.output_proj = nn.Parameter(torch.empty(units, 2 * dim))
        nn.init.xavier_uniform_(self.output_proj)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        last = last_visible(steps, visible).unsqueeze(1)
        query = last if self.query_proj is None else linear(last, self.query_proj.t())
        mask = None if visible is None else visible.unsqueeze(1)
        context, weights = self.attention(query, steps, mask=mask, need_weights=need_weights)
        vector = torch.tanh(linear(torch.cat([context, last], -1), self.output_proj))
        return Pooled(vector.squeeze(1), None if weights is None else weights.squeeze(1))
