"""Stochastic depth: whole residual branches are dropped in training (Huang et al. 2016, section 3)."""

from jaxtyping import Float
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """`branch * b / (1 - rate)`, `b` 0 with chance `rate` and else 1, drawn for each batch item; `x + drop(branch)`.

    In evaluation mode the branch stays as it is. The paper leaves the branch unscaled in training and multiplies it by
    `1 - rate` in evaluation instead: the same expectation.

    Args:
        rate: chance that a batch item skips the branch; in the paper it grows linearly with depth.

    Raises:
        ValueError: the rate is not from 0 to below 1.

    >>> import torch
    >>> StochasticDepth(0.5).eval()(torch.ones(1, 2, 3)).mean()
    tensor(1.)
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate!r}; expected a share of the batch items from 0 to below 1.")
        self.rate = rate

    def forward(self, branch: Float[Tensor, "batch *rest"]) -> Float[Tensor, "batch *rest"]:
        """The branch, or zeros in its place, item by item.

        Args:
            branch: `[batch, ...]`, before it is added to what goes around it.
        """
        if not self.training or self.rate == 0:
            return branch
        keep = branch.new_empty(branch.shape[0], *(1,) * (branch.dim() - 1)).bernoulli_(1 - self.rate)
        # where, not a product: what is dropped may hold infinity
        return (branch / (1 - self.rate)).where(keep.bool(), 0)
