"""Gaussian mixture score: weights that move along the keys, as logarithms (Graves 2013; Battenberg et al. 2020)."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from heedful import _refusals
from heedful.attention.source import BATTENBERG_2020
from heedful.functional import widen

from .base import Score, check_sizes

Version = Literal["v0", "v1", "v2"]
# the raw numbers are held within this, so that float32 holds every product; not in the papers
LIMIT = 15.0


def mixture(
    raw: Float[Tensor, "batch 3 mixtures"], version: Version
) -> tuple[Float[Tensor, "batch mixtures"], Float[Tensor, "batch mixtures"], Float[Tensor, "batch mixtures"]]:
    """Logarithms of the heights, steps and widths of the Gaussians, from the raw numbers of one query.

    >>> height, step, width = mixture(torch.zeros(1, 3, 1), "v1")
    >>> step, width, height.exp()
    (tensor([[1.]]), tensor([[1.]]), tensor([[0.3989]]))
    """
    share, step, width = raw.clamp(-LIMIT, LIMIT).unbind(1)
    if version == "v0":
        return share, step.exp(), (-width / 2).exp() / math.sqrt(2)
    step, width = (step.exp(), (width / 2).exp()) if version == "v1" else (softplus(step), softplus(width))
    return share.log_softmax(-1) - width.log() - math.log(2 * math.pi) / 2, step, width


def mixture_log_weights(
    height: Float[Tensor, "batch mixtures"],
    center: Float[Tensor, "batch mixtures"],
    width: Float[Tensor, "batch mixtures"],
    keys: int,
) -> Float[Tensor, "batch {keys}"]:
    """`log sum_m exp(height_m) exp(-(k - center_m)^2 / (2 width_m^2))` of every key k.

    >>> one = torch.ones(1, 1)
    >>> mixture_log_weights(0 * one, one, one, 3).exp()
    tensor([[0.6065, 1.0000, 0.6065]])
    """
    place = torch.arange(keys, device=center.device).view(1, -1, 1)
    apart = (place - center.unsqueeze(1)) / width.unsqueeze(1)
    return torch.logsumexp(height.unsqueeze(1) - apart.square() / 2, -1)


class GaussianMixtureScore(Score):
    """`scores[k] = log sum_m (w_m / Z_m) exp(-(k - mu_m)^2 / (2 sigma_m^2))`, `mu_m` the last one `+ Delta_m`.

    The logarithms of weights: `ExponentialNormalizer` gives these back, and softmax would divide them by their sum. The
    raw numbers are `V tanh(W query + c) + b`, held within 15, so that float32 holds every product; what the keys hold
    has no part in it. "v0" is Graves' (2013, who has one linear map): `w = exp(w^)`, `Delta = exp(D^)`, `sigma =
    sqrt(exp(-s^) / 2)`, `Z = 1`, of any sum. Battenberg's "v1" and "v2" share `w = softmax(w^)` and `Z = sqrt(2 pi)
    sigma`, so that wide Gaussians within the keys sum to about 1; "v1" has `Delta = exp(D^)`, `sigma = sqrt(exp(s^))`,
    and in "v2" both are softplus. Places count from the first key, so that padding belongs behind the keys. One
    query at a time: a call over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        mixtures: number of Gaussians.
        version: "v0", "v1" or "v2".
        initial_bias: begin with `Delta = 1` and `sigma = 10`, up to what the query adds (v1 and v2 alone; "v1b" and
            "v2b" in the paper).

    Parameters: `query_proj [hidden_dim, query_dim]` and `mixture_proj [3 mixtures, hidden_dim]`, Glorot uniform;
    `query_bias [hidden_dim]`, 0; `mixture_bias [3, mixtures]` of `w^`, `D^` and `s^`, 0 or what `initial_bias` says.

    State: `[batch, mixtures]`, the centers `mu`, 0 to begin; they never go back.

    Cost: time queries * keys * mixtures; memory queries * keys.

    Raises:
        ValueError: a size is not positive, the version is unknown, or `initial_bias` with "v0".

    >>> score = GaussianMixtureScore(query_dim=4, key_dim=5, hidden_dim=7)
    >>> scores, centers = score(torch.ones(1, 1, 4), score.remember(torch.ones(1, 6, 5)))
    >>> scores.shape, centers.shape
    (torch.Size([1, 1, 6]), torch.Size([1, 5]))
    """

    source = BATTENBERG_2020(place="section 2.2, table 1")
    stateful = True
    log_weights = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int = 128,
        mixtures: int = 5,
        version: Version = "v2",
        initial_bias: bool = False,
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim, mixtures=mixtures)
        if version not in get_args(Version):
            raise _refusals.unknown_choice("version", version, get_args(Version))
        if version == "v0" and initial_bias:
            raise ValueError(
                "initial_bias is True with version 'v0', which has none; set it to False, or use 'v1' or 'v2'."
            )
        self.version: Version = version
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.query_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.mixture_proj = nn.Parameter(torch.empty(3 * mixtures, hidden_dim))
        self.mixture_bias = nn.Parameter(torch.zeros(3, mixtures))
        nn.init.xavier_uniform_(self.query_proj)
        nn.init.xavier_uniform_(self.mixture_proj)
        if initial_bias:
            # the inverses of exp, or of softplus, at 1 and 10
            raw = (0.0, 2 * math.log(10)) if version == "v1" else (math.log(math.expm1(1)), math.log(math.expm1(10)))
            self.mixture_bias.data[1:] = torch.tensor(raw).unsqueeze(1)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys 0"]:
        """An empty tensor that says how many keys there are."""
        return key[..., :0]

    def begin(self, key: Float[Tensor, "batch keys 0"]) -> Float[Tensor, "batch mixtures"]:
        """All centers at 0."""
        return widen(key.new_zeros(key.shape[0], self.mixture_bias.shape[1]))

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Float[Tensor, "batch keys 0"],
        state: Float[Tensor, "batch mixtures"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Float[Tensor, "batch mixtures"]]:
        hidden = torch.tanh(linear(widen(query).squeeze(1), widen(self.query_proj), widen(self.query_bias)))
        raw = linear(hidden, widen(self.mixture_proj)).view(-1, *self.mixture_bias.shape) + widen(self.mixture_bias)
        height, step, width = mixture(raw, self.version)
        center = step + (self.begin(key) if state is None else state)
        return mixture_log_weights(height, center, width, key.shape[1]).unsqueeze(1), center
