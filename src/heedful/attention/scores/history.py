"""What scores keep of earlier weights (Chorowski et al. 2015, See et al. 2017): a value with keys on its last axis."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from heedful.functional import widen


def fit_keys(
    state: Float[Tensor, "batch channels earlier_keys"] | None, key: Float[Tensor, "batch keys features"], channels: int
) -> Float[Tensor, "batch channels keys"]:
    """Zeros where nothing was weighed yet: before the first query, and for keys that were appended since.

    Computed in float32 or wider, since a sum of many small weights is lost in less.

    >>> import torch
    >>> fit_keys(torch.ones(1, 1, 2), torch.zeros(1, 3, 4), 1)
    tensor([[[1., 1., 0.]]])
    """
    keys = key.shape[1]
    if state is None:
        return widen(key.new_zeros(key.shape[0], channels, keys))
    return pad(state, (0, keys - state.shape[-1]))
