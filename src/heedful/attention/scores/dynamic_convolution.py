"""Dynamic convolution score: filters over the last weights, some made by the query (Battenberg et al. 2020)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from heedful import _refusals
from heedful.attention.source import BATTENBERG_2020
from heedful.functional import widen

from .base import Score, check_sizes
from .history import fit_keys

# below this chance the prior of a key no longer falls; so in the paper
FLOOR = 1e-6


def advance_prior(length: int, alpha: float, beta: float) -> list[float]:
    """Chances of moving on by 0, 1, ... `length - 1` keys: a beta-binomial distribution.

    >>> [round(chance, 4) for chance in advance_prior(11, alpha=0.1, beta=0.9)[:3]]
    [0.74, 0.0747, 0.0416]
    """

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    most = length - 1
    return [
        math.comb(most, n) * math.exp(log_beta(n + alpha, most - n + beta) - log_beta(alpha, beta))
        for n in range(length)
    ]


def neighbourhoods(
    weights: Float[Tensor, "batch keys"], before: int, after: int
) -> Float[Tensor, "batch keys {before}+1+{after}"]:
    """The weights of each key and of those around it, 0 past the ends.

    >>> neighbourhoods(torch.tensor([[1.0, 2.0, 3.0]]), before=1, after=0)
    tensor([[[0., 1.],
             [1., 2.],
             [2., 3.]]])
    """
    if not weights.shape[1]:
        # unfold refuses a tensor without keys
        return weights.new_zeros(weights.shape[0], 0, before + 1 + after)
    return pad(weights, (before, after)).unfold(1, before + 1 + after, 1)


class DynamicConvolutionScore(Score):
    """`scores[k] = energy . tanh(U f[k] + T g[k] + b) + log prior[k]`, f and g convolutions of the last weights.

    The filters of f are learned, those of g come from the query, `V tanh(W query + c)`. The prior convolves the last
    weights with the chances of moving on by 0 to 10 keys, so that attention moves forward, by one key on average. What
    the keys hold has no part in it. All weight is on the first key before the first query, so that padding belongs
    behind the keys. Computed in float32 or wider. One query at a time: a call over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of both tanh layers.
        filters: number of learned filters, and of those from the query.
        width: keys that these filters see at once; odd.
        prior_len: one more than the keys that attention may move on at once.
        alpha, beta: of the prior; `alpha / (alpha + beta) (prior_len - 1)` is its mean.

    Parameters: `query_proj [hidden_dim, query_dim]`, `query_bias [hidden_dim]`, `filter_proj [filters * width,
    hidden_dim]`, `static_filters [filters, width]`, `static_proj [hidden_dim, filters]`, `dynamic_proj [hidden_dim,
    filters]`, Glorot uniform; `bias [hidden_dim]`, 0; `energy [hidden_dim]`, normal with standard deviation
    `hidden_dim ** -0.5`.

    State: `[batch, 1, keys]`, the last weights.

    Cost: time queries * keys * filters * (width + hidden_dim); memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive, `width` is even, or `alpha` or `beta` is not positive.

    >>> score = DynamicConvolutionScore(query_dim=4, key_dim=5, hidden_dim=7)
    >>> scores, _ = score(torch.ones(1, 1, 4), score.remember(torch.ones(1, 6, 5)))
    >>> scores.shape
    torch.Size([1, 1, 6])
    """

    source = BATTENBERG_2020(place="section 2.4")
    stateful = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int = 128,
        filters: int = 8,
        width: int = 21,
        prior_len: int = 11,
        alpha: float = 0.1,
        beta: float = 0.9,
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim, filters=filters, width=width, prior_len=prior_len)
        if width % 2 == 0:
            raise ValueError(
                f"width is {width}; expected an odd number, a key and as many on either side: {width + 1}?"
            )
        _refusals.check_numbers(alpha=alpha, beta=beta)
        if not (alpha > 0 and beta > 0):
            raise ValueError(f"alpha and beta of the prior are {alpha} and {beta}; expected numbers above 0.")
        self.reach = width // 2
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.query_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.filter_proj = nn.Parameter(torch.empty(filters * width, hidden_dim))
        self.static_filters = nn.Parameter(torch.empty(filters, width))
        self.static_proj = nn.Parameter(torch.empty(hidden_dim, filters))
        self.dynamic_proj = nn.Parameter(torch.empty(hidden_dim, filters))
        self.bias = nn.Parameter(torch.zeros(hidden_dim))
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        # the key furthest behind comes first, as in a neighbourhood
        self.prior = advance_prior(prior_len, alpha, beta)[::-1]
        for parameter in (self.query_proj, self.filter_proj, self.static_filters, self.static_proj, self.dynamic_proj):
            nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys 0"]:
        """An empty tensor that says how many keys there are."""
        return key[..., :0]

    def begin(self, key: Float[Tensor, "batch keys 0"]) -> Float[Tensor, "batch 1 keys"]:
        """All weight on the first key."""
        last = fit_keys(None, key, 1)
        return last + (torch.arange(last.shape[-1], device=last.device) == 0)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Float[Tensor, "batch keys 0"],
        state: Float[Tensor, "batch 1 earlier_keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Float[Tensor, "batch 1 keys"]]:
        last = self.begin(key) if state is None else fit_keys(state, key, 1)
        around = neighbourhoods(last.squeeze(1), self.reach, self.reach)
        static = linear(around, widen(self.static_filters))
        dynamic = torch.einsum("bkw,bfw->bkf", around, self.dynamic_filters(query))
        hidden = linear(static, widen(self.static_proj)) + linear(dynamic, widen(self.dynamic_proj), widen(self.bias))
        prior = neighbourhoods(last.squeeze(1), len(self.prior) - 1, 0) @ last.new_tensor(self.prior)
        scores = torch.tanh(hidden) @ widen(self.energy) + prior.clamp_min(FLOOR).log()
        return scores.unsqueeze(1), last

    def dynamic_filters(self, query: Float[Tensor, "batch 1 query_dim"]) -> Float[Tensor, "batch filters width"]:
        """`V tanh(W query + c)`, the filters of one query."""
        hidden = torch.tanh(linear(widen(query), widen(self.query_proj), widen(self.query_bias)))
        return linear(hidden, widen(self.filter_proj)).view(query.shape[0], *self.static_filters.shape)

    def update(
        self, state: Float[Tensor, "batch 1 keys"], weights: Float[Tensor, "batch 1 keys"]
    ) -> Float[Tensor, "batch 1 keys"]:
        """The weights of this query, or the last ones where it saw nothing."""
        return torch.where(weights.sum(-1, keepdim=True) > 0, weights, state)
