"""Visual attention: looks at the regions of a picture while words are written (Xu et al. 2015, section 4)."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear

from .base import Attention
from .contract import AttentionLayer, AttentionOutput, AttentionState, Memory
from .normalizers import Normalizer
from .rectified import RectifiedScore
from .scores import AdditiveScore
from .source import XU_2015

Gate = Literal["scalar", "vector"]


class VisualAttention(AttentionLayer):
    """`gate * sum of weights * region`, additive scores with a bias, `gate = sigmoid(w . query + b)`.

    Soft attention with a softmax over the regions; hard attention with a normaliser that samples one region. It has the
    methods of `Attention` that a decoder calls. The weights returned are those before the gate.

    Args:
        query_dim: features of a query (the decoder state before the word).
        key_dim: features of a region.
        hidden_dim: features of the tanh layer.
        normalizer: scores to weights; softmax by default.
        gate: "scalar" as in the paper, "vector" for one gate for each feature (not in the paper), `None` for none.
        activation: of the score, "tanh"; or "relu", as in widespread code (not in the paper, and not fused).
        init: "glorot" as in `AdditiveScore`, or "paper": weights normal with standard deviation 0.01, square matrices
            orthogonal, biases 0.

    Parameters: those of `AdditiveScore` with its bias, under `attention.score`; `gate.weight`, Glorot uniform,
    `[1, query_dim]` or `[key_dim, query_dim]`, and `gate.bias`, 0.

    Cost: time queries * regions * hidden_dim; memory (queries + regions) * hidden_dim, and queries * regions for
    weights.

    Raises:
        ValueError: a size is not positive, or an unknown gate, activation or init.

    >>> attention = VisualAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> regions = torch.ones(2, 3 * 6, 5)  # of a grid [3, 6], row after row
    >>> output = attention(torch.ones(2, 9, 4), regions, need_weights=True)
    >>> output.context.shape, output.weights.unflatten(-1, (3, 6)).shape
    (torch.Size([2, 9, 5]), torch.Size([2, 9, 3, 6]))
    """

    source = XU_2015(place="section 4.2, section 4.2.1")
    kind = "layer"

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        normalizer: Normalizer | None = None,
        gate: Gate | None = "scalar",
        activation: Literal["tanh", "relu"] = "tanh",
        init: Literal["glorot", "paper"] = "glorot",
    ) -> None:
        super().__init__()
        if gate is not None and gate not in get_args(Gate):
            raise _refusals.unknown_choice("gate", gate, get_args(Gate))
        if init not in ("glorot", "paper"):
            raise _refusals.unknown_choice("init", init, ("glorot", "paper"))
        if activation not in ("tanh", "relu"):
            raise _refusals.unknown_choice("activation", activation, ("tanh", "relu"))
        score = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        score = score if activation == "tanh" else RectifiedScore(score)
        self.query_dim, self.key_dim, self.context_dim = query_dim, key_dim, key_dim
        self.attention = Attention(score, normalizer=normalizer)
        self.gate = None if gate is None else Linear(query_dim, key_dim if gate == "vector" else 1)
        if self.gate is not None:
            nn.init.xavier_uniform_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        if init == "paper":
            for name, parameter in self.named_parameters():
                _begin_as_in_paper(name, parameter)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        regions: Float[Tensor, "batch regions key_dim"],
        mask: Bool[Tensor, "#batch #queries #regions"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once.

        Args:
            query: `[batch, queries, query_dim]`.
            regions: `[batch, regions, key_dim]`, a grid row after row.
            mask: as `Attention` takes it.
            need_weights: return the weights `[batch, queries, regions]`, too.
        """
        return self._gated(query, self.attention(query, regions, mask=mask, need_weights=need_weights))

    def start(self, memory: Memory) -> AttentionState:
        """The state before the first query; as `Attention.start`."""
        return self.attention.start(memory)

    def remember(
        self,
        key: Float[Tensor, "batch regions key_dim"],
        value: Float[Tensor, "batch regions value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #regions"] | None = None,
    ) -> Memory:
        return self.attention.remember(key, value, mask)

    def extend(
        self,
        memory: Memory,
        key: Float[Tensor, "batch more key_dim"],
        value: Float[Tensor, "batch more value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> Memory:
        return self.attention.extend(memory, key, value, mask)

    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Memory,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        output, state = self.attention.look(query, memory, state, need_weights)
        return self._gated(query, output), state

    def _gated(self, query: Tensor, output: AttentionOutput) -> AttentionOutput:
        if self.gate is None:
            return output
        return AttentionOutput(torch.sigmoid(self.gate(query)) * output.context, output.weights)


def _begin_as_in_paper(name: str, parameter: Tensor) -> None:
    if name.endswith("bias"):
        nn.init.zeros_(parameter)
    elif parameter.dim() == 2 and parameter.shape[0] == parameter.shape[1]:
        nn.init.orthogonal_(parameter)
    else:
        nn.init.normal_(parameter, std=0.01)
