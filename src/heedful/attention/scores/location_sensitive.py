"""Location-sensitive score: content, and features of the weights before (Chorowski et al. 2015, section 2.2)."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv1d, linear

from heedful import _refusals
from heedful.attention.source import CHOROWSKI_2015
from heedful.functional import additive_scores

from .additive import AdditiveScore
from .base import Score, check_sizes
from .history import fit_keys

History = Literal["previous", "total", "previous_and_total"]


def location_features(
    history: Float[Tensor, "batch channels keys"], conv: Float[Tensor, "filters channels width"]
) -> Float[Tensor, "batch keys filters"]:
    """What each key's neighbourhood received: a convolution over the keys, with zeros past either end.

    >>> location_features(torch.tensor([[[0.0, 1.0, 0.0]]]), torch.tensor([[[1.0, 2.0, 3.0]]])).flatten()
    tensor([3., 2., 1.])
    """
    if not history.shape[-1]:
        # a convolution wants at least one key
        return history.new_zeros(history.shape[0], 0, len(conv))
    return conv1d(history, conv, padding=conv.shape[-1] // 2).transpose(1, 2)


class LocationSensitiveScore(Score):
    """`scores[k] = energy . tanh(W query + V key[k] + U f[k] + b)`, f a convolution of the earlier weights.

    "previous" is the paper's; "previous_and_total" is that of Tacotron 2 (Shen et al. 2018). The weights before the
    first query are 0; for others, begin with a state of your own: `replace(attention.begin(memory), score=weights)`.
    One query at a time: a call over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        filters: features f of each key's neighbourhood.
        width: keys that the convolution sees at once; odd.
        history: what is convolved: the weights of the query before, the sum of all before, or both.

    Parameters: those of `AdditiveScore` with its bias, under `additive`; `location_conv [filters, channels, width]` and
    `location_proj [hidden_dim, filters]`, Glorot uniform (the paper does not say; Tacotron code multiplies by a gain
    for tanh).

    State: `[batch, channels, keys]`, the weights that `history` names.

    Cost: time queries * keys * (hidden_dim + filters * width); memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive, `width` is even, or `history` is unknown.

    >>> score = LocationSensitiveScore(query_dim=2, key_dim=3, hidden_dim=5, filters=4, width=3)
    >>> scores, state = score(torch.ones(1, 1, 2), score.remember(torch.ones(1, 7, 3)))
    >>> scores.shape, score.update(state, torch.full((1, 1, 7), 1 / 7)).shape
    (torch.Size([1, 1, 7]), torch.Size([1, 1, 7]))
    """

    source = CHOROWSKI_2015(place="section 2.2")
    stateful = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        filters: int = 10,
        width: int = 31,
        history: History = "previous",
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim, filters=filters, width=width)
        if width % 2 == 0:
            raise ValueError(
                f"width is {width}; expected an odd number, a key and as many on either side: {width + 1}?"
            )
        if history not in get_args(History):
            raise _refusals.unknown_choice("history", history, get_args(History))
        self.history = history
        self.channels = 2 if history == "previous_and_total" else 1
        self.additive = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        self.location_conv = nn.Parameter(torch.empty(filters, self.channels, width))
        self.location_proj = nn.Parameter(torch.empty(hidden_dim, filters))
        nn.init.xavier_uniform_(self.location_conv)
        nn.init.xavier_uniform_(self.location_proj)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """`V key + b`, computed once per memory."""
        return self.additive.remember(key)

    def begin(self, key: Float[Tensor, "batch keys hidden_dim"]) -> Float[Tensor, "batch channels keys"]:
        """Zeros: nothing was looked at."""
        return fit_keys(None, key, self.channels)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"],
        state: Float[Tensor, "batch channels earlier_keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Float[Tensor, "batch channels keys"]]:
        history = fit_keys(state, key, self.channels)
        features = location_features(history.to(key.dtype), self.location_conv)
        located = key + linear(features, self.location_proj)
        return additive_scores(linear(query, self.additive.query_proj), located, self.additive.energy), history

    def update(
        self, state: Float[Tensor, "batch channels keys"], weights: Float[Tensor, "batch 1 keys"]
    ) -> Float[Tensor, "batch channels keys"]:
        """The weights of this query, the sum of all so far, or both."""
        if self.history == "previous":
            return weights
        if self.history == "total":
            return state + weights
        return torch.cat((weights, state[:, 1:] + weights), 1)
