"""Position-wise feed-forward: two linear layers and a non-linearity (Vaswani 2017), or a gate (Shazeer 2020)."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from heedful import _refusals

from .dropout import Dropout
from .linear import Linear

Activation = Literal["relu", "gelu", "swiglu"]


class FeedForward(nn.Module):
    """`W_2 act(W_1 x + b_1) + b_2` for every step alone; with "swiglu", `W_2 (silu(W_1 x + b_1) * (V x + c)) + b_2`.

    ReLU: Vaswani 2017, equation 2. SwiGLU: Shazeer 2020 (GLU Variants Improve Transformer), without biases there; with
    two thirds of the hidden features it has as many parameters as the others.

    Args:
        dim: features of a step, in and out.
        hidden_dim: features between the layers.
        activation: "relu", "gelu" (exact, by the error function) or "swiglu".
        dropout: share of the hidden features dropped in training.
        bias: add biases.

    Parameters as torch starts them: `inner.weight [hidden_dim, dim]`, with "swiglu" `[2 hidden_dim, dim]`, `W_1` above
    `V`; `outer.weight [dim, hidden_dim]`; and their biases.

    Raises:
        ValueError: a size is not positive, an unknown activation, or a dropout that is no share.

    >>> import torch
    >>> FeedForward(4, 11, "swiglu")(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(
        self, dim: int, hidden_dim: int, activation: Activation = "relu", dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        _refusals.check_sizes(dim=dim, hidden_dim=hidden_dim)
        if activation not in get_args(Activation):
            raise _refusals.unknown_choice("activation", activation, get_args(Activation))
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}; expected a share of the hidden features from 0 to below 1.")
        self.dim, self.activation = dim, activation
        self.inner = Linear(dim, hidden_dim * (2 if activation == "swiglu" else 1), bias)
        self.outer = Linear(hidden_dim, dim, bias)
        self.dropout = Dropout(dropout)

    def forward(self, steps: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Each step through both layers.

        Args:
            steps: `[..., dim]`.
        """
        hidden = self.inner(steps)
        if self.activation == "swiglu":
            gate, content = hidden.chunk(2, -1)
            hidden = functional.silu(gate) * content
        else:
            hidden = functional.relu(hidden) if self.activation == "relu" else functional.gelu(hidden)
        return self.outer(self.dropout(hidden))
