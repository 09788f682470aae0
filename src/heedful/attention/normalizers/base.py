"""The third axis of attention: scores to weights."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful.attention.heads import heads_of
from heedful.attention.source import Source

# batch items [n] and places of keys [n, some], to scores [n, energies, some]
Ask = Callable[[Tensor, Tensor], Tensor]


def finite_rows(
    scores: Float[Tensor, "*batch queries keys"], mask: Bool[Tensor, "*#batch #queries #keys"] | None, below: float
) -> tuple[Float[Tensor, "*batch queries keys"], Bool[Tensor, "*batch queries keys"]]:
    """Scores whose hidden keys lie `below` the largest visible one, and what is hidden: nothing in them is infinite.

    A row that sees nothing is all zeros.

    >>> finite_rows(torch.tensor([[[1.0, 5.0]]]), torch.tensor([[[True, False]]]), below=2.0)[0]
    tensor([[[ 1.0000, -1.0000]]])
    """
    hidden = scores == -torch.inf
    if mask is not None:
        hidden = hidden | ~mask
    if not scores.shape[-1]:
        return scores, hidden
    largest = scores.detach().masked_fill(hidden, -torch.inf).amax(-1, keepdim=True)
    # scores of 1e8 lie further apart than `below`
    gap = below + 4 * torch.finfo(scores.dtype).eps * largest.abs()
    floor = torch.where(largest == -torch.inf, 0, largest - gap)
    return torch.where(hidden, floor, scores), hidden


def erase(
    weights: Float[Tensor, "*batch queries keys"], hidden: Bool[Tensor, "*batch queries keys"]
) -> Float[Tensor, "*batch queries keys"]:
    """Weights of 0 where hidden, and no gradient there."""
    return weights.masked_fill(hidden, 0)


def per_head(
    numbers: Float[Tensor, " heads"], scores: Float[Tensor, "batch queries keys"]
) -> Float[Tensor, "batch 1 1"]:
    """The number of each row's head, where the heads of an item stand side by side in the batch.

    Raises:
        ValueError: the batch is no multiple of the heads.

    >>> per_head(torch.tensor([5.0, 7.0]), torch.zeros(4, 1, 1)).flatten()
    tensor([5., 7., 5., 7.])
    """
    return numbers[heads_of(scores.shape[0], len(numbers), scores.device)].view(-1, 1, 1)


class Normalizer(nn.Module, ABC):
    """Turns scores into weights. Subclasses are final: one rule each.

    The first line of a subclass' docstring is its formula; the catalogue shows it.

    Attributes:
        source: paper, place and year.
        stateful: True when the weights of one query depend on the queries before it.
        begins_by_mask: True when the state before the first query depends on which keys that one sees, where there is a
            state.
        chooses: True when each row has at most one key, of weight 1.
        energies: how many scores of each key it reads; where more than one, they stand where the queries do, and it is
            asked for one query at a time.
        reads_log_odds: True when it reads a score as the log-odds of a choice.
        reads_log_weights: True when it reads a score as the logarithm of a weight.
        refuses_dropout: True when no weights may be dropped after it.
        heads: how many heads have numbers of their own, those of an item side by side in the batch; 1 where all share.
    """

    source: ClassVar[Source]
    stateful: bool = False
    begins_by_mask: bool = True
    chooses: bool = False
    energies: int = 1
    reads_log_odds: bool = False
    reads_log_weights: bool = False
    refuses_dropout: bool = False
    heads: int = 1

    @property
    def is_plain_softmax(self) -> bool:
        """Whether a fused softmax gives the same context."""
        return False

    @property
    def online(self) -> bool:
        """Whether it can do with the scores of a few keys, in `choose`."""
        return False

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Any:
        """The state before the first query, which `forward` begins with where it is given `None`.

        Args:
            visible: which keys the first query sees.
            dtype: of the scores.

        Returns:
            the state, batch axis first; `None` where there is none.
        """
        return None

    @abstractmethod
    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        """Weights of each row over its visible keys, and the next state.

        Args:
            scores: `[batch, queries, keys]`, in float32 or wider; one query at a time where `stateful`. Minus infinity
                hides its key, too; a score that the mask hides may hold anything.
            mask: boolean, broadcasts to the scores, True = may look.
            state: what the last call returned, `None` to begin and where there is none; batch axis first.

        Returns:
            weights of the shape of the scores, 0 where hidden, a whole row of zeros where nothing is visible; and the
            next state.
        """

    def choose(
        self, ask: Ask, visible: Bool[Tensor, "batch keys"], state: Any = None
    ) -> tuple[Int[Tensor, "batch some"], Float[Tensor, "batch some"], Any]:
        """`forward` for one query, which scores no more keys than it must; only where `online`.

        Args:
            ask: gives the scores `[n, energies, some]`, finite, of batch items `[n]` at places `[n, some]`.
            visible: `[batch, keys]`.
            state: as in `forward`.

        Returns:
            places of the keys with a weight, their weights, 0 for none; and the next state.

        Raises:
            TypeError: this normaliser needs all scores.
        """
        raise TypeError(f"{type(self).__name__} needs the scores of all keys; call it with them.")
