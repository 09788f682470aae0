"""Gaussian mixture attention: a window of Gaussians that moves forward (Graves 2013; Battenberg et al. 2020)."""

from .base import Attention
from .normalizers import ExponentialNormalizer
from .scores import GaussianMixtureScore
from .scores.gaussian_mixture import Version
from .source import BATTENBERG_2020, mechanism


@mechanism(BATTENBERG_2020(place="section 2.2, table 1"))
def GaussianMixtureAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    hidden_dim: int = 128,
    mixtures: int = 5,
    version: Version = "v2",
    initial_bias: bool = True,
) -> Attention:
    """Weights `sum_m (w_m / Z_m) exp(-(k - mu_m)^2 / (2 sigma_m^2))`, whose centers only move forward.

    Where to look comes from the query and the centers before alone; weights need not sum to 1. The queries are scanned
    one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        mixtures: number of Gaussians.
        version: "v0" (Graves), "v1" or "v2": see `GaussianMixtureScore`.
        initial_bias: begin by moving one key at a time, 10 keys wide; not with "v0".

    State: the centers of the mixture.

    Cost: time queries * keys * mixtures, one query after another; memory queries * keys.

    Raises:
        ValueError: a size is not positive, the version is unknown, or `initial_bias` with "v0".

    >>> import torch
    >>> attention = GaussianMixtureAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    score = GaussianMixtureScore(query_dim, key_dim, hidden_dim, mixtures, version, initial_bias)
    return Attention(score, normalizer=ExponentialNormalizer())
