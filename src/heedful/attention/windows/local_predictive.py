"""Local-p: the query predicts where to look, and a Gaussian favours it (Luong, Pham and Manning 2015, section 3.2)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import LUONG_2015
from heedful.functional import widen

from .base import View, Window, check_reach


def local_gaussian(
    place: Float[Tensor, "batch queries"], keys: int, half_width: int, renormalize: bool = False
) -> View:
    """A view of the keys within `half_width` of the rounded place, with the gain `exp(-(k - place)^2 / (2 sigma^2))`.

    `sigma = half_width / 2`. The window is a constant to the gradient, which reaches the place by the gain alone. To
    renormalise, a bias takes its place, the logarithm of the gain.

    >>> view = local_gaussian(torch.tensor([[1.0]]), keys=4, half_width=1)
    >>> view.mask, view.gain[0, 0, 2]
    (tensor([[[ True,  True,  True, False]]]), tensor(0.1353))
    """
    distance = torch.arange(keys, device=place.device) - place.unsqueeze(-1)
    near = (torch.arange(keys, device=place.device) - place.detach().round().unsqueeze(-1)).abs() <= half_width
    log_gain = -2 * (distance / half_width) ** 2
    return View(mask=near, bias=log_gain) if renormalize else View(mask=near, gain=log_gain.exp())


class LocalPredictiveWindow(Window):
    """`|k - p| <= half_width`, gain `exp(-(k - p)^2 / (2 sigma^2))`, `p = S sigmoid(v . tanh(W query))`.

    S is the number of visible keys, `sigma = half_width / 2`; the window stands around the rounded p. Weights sum to
    less than 1, as in the paper. Places count from the first key, so that padding belongs behind the keys.

    Args:
        query_dim: features of a query.
        hidden_dim: features of the tanh layer; `query_dim` when left out.
        half_width: keys on each side of the place; 10 in the paper.
        renormalize: divide by the sum after the Gaussian, so that weights sum to 1 again (not in the paper): its
            logarithm is added to the scores, which under softmax is the same.

    Parameters: `place_proj [hidden_dim, query_dim]` and `place_energy [hidden_dim]`, Glorot uniform, no biases.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: a size is not a whole number from 1 up.

    >>> window = LocalPredictiveWindow(4, half_width=1)
    >>> _ = nn.init.zeros_(window.place_energy)
    >>> view, _ = window(torch.ones(1, 1, 4), torch.tensor([[0]]), torch.tensor([4]), keys=5)
    >>> view.mask
    tensor([[[False,  True,  True,  True, False]]])
    """

    source = LUONG_2015(place="section 3.2, local-p, equations 9-10")
    scales = True

    def __init__(
        self, query_dim: int, hidden_dim: int | None = None, half_width: int = 10, renormalize: bool = False
    ) -> None:
        super().__init__()
        hidden_dim = query_dim if hidden_dim is None else hidden_dim
        check_reach(1, query_dim=query_dim, hidden_dim=hidden_dim, half_width=half_width)
        self.query_dim, self.half_width = query_dim, half_width
        self.scales, self.biases = not renormalize, renormalize
        self.place_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.place_energy = nn.Parameter(torch.empty(hidden_dim))
        nn.init.xavier_uniform_(self.place_proj)
        nn.init.xavier_uniform_(self.place_energy.data.unsqueeze(0))

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        hidden = torch.tanh(widen(linear(query, self.place_proj)))
        place = lengths.unsqueeze(1) * torch.sigmoid(hidden @ widen(self.place_energy))
        return local_gaussian(place, keys, self.half_width, self.biases), state
