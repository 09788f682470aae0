"""What normalisers that move along the keys share: where they begin, which scores they read, what a longer memory does.

No mechanism and no paper of its own.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import pad


def readable(
    scores: Float[Tensor, "batch 1 keys"], mask: Bool[Tensor, "#batch #queries #keys"] | None
) -> tuple[Float[Tensor, "batch keys"], Bool[Tensor, "batch keys"]]:
    """Scores of one query with 0 at hidden keys, and which keys are visible: neither value nor gradient leaks.

    >>> readable(torch.tensor([[[1.0, torch.nan]]]), torch.tensor([[[True, False]]]))
    (tensor([[1., 0.]]), tensor([[ True, False]]))
    """
    visible = scores != -torch.inf
    if mask is not None:
        visible = visible & mask
    return torch.where(visible, scores, 0.0).squeeze(1), visible.squeeze(1)


def first_place(visible: Bool[Tensor, "batch keys"]) -> Shaped[Tensor, " batch"]:
    """The first visible key of each batch item, 0 where there is none.

    >>> first_place(torch.tensor([[False, True, True], [False, False, False]]))
    tensor([1, 0])
    """
    # counted, not searched: that works without keys, too, and in graphs for any number of them
    before = (visible.cumsum(1) == 0).sum(1)
    return torch.where(visible.any(1), before, 0)


def last_place(visible: Bool[Tensor, "batch keys"]) -> Shaped[Tensor, " batch"]:
    """The last visible key of each batch item, which in padded rows is not the last key; the end where there is none.

    >>> last_place(torch.tensor([[True, True, False], [False, False, False]]))
    tensor([1, 3])
    """
    behind = (visible.flip(1).cumsum(1) == 0).sum(1)
    keys = torch.ones_like(visible).sum(1)
    return torch.where(visible.any(1), keys - 1 - behind, keys)


def one_hot(place: Shaped[Tensor, " batch"], like: Float[Tensor, "batch keys"]) -> Float[Tensor, "batch keys"]:
    """1 at one place of each row; a row of zeros for a place past the end.

    >>> one_hot(torch.tensor([1, 3]), torch.zeros(2, 3))
    tensor([[0., 1., 0.],
            [0., 0., 0.]])
    """
    places = torch.arange(like.shape[1], device=like.device)
    return (places == place.unsqueeze(1)).to(like.dtype)


def grown(state: Float[Tensor, "batch some"], keys: int, fill: float = 0.0) -> Float[Tensor, "batch {keys}"]:
    """A state that knows fewer keys than there are now: `fill` for those that came since.

    Raises:
        ValueError: it is a place of hard choices, or knows more keys than there are.

    >>> grown(torch.tensor([[1.0]]), 3)
    tensor([[1., 0., 0.]])
    """
    if state.dim() != 2:
        raise _other_state(state, "numbers [batch, keys]")
    if state.shape[1] > keys:
        raise ValueError(
            f"the state knows {state.shape[1]} keys, but there are {keys}; expected the state of this memory, or of a "
            "part of it. Begin with `state=None`."
        )
    return pad(state, (0, keys - state.shape[1]), value=fill) if state.shape[1] < keys else state


def as_place(state: Shaped[Tensor, "..."]) -> Shaped[Tensor, " batch"]:
    """The place that a hard choice goes on from.

    Raises:
        ValueError: the state is that of the expectation, in training mode.

    >>> as_place(torch.tensor([4]))
    tensor([4])
    """
    if state.dim() != 1:
        raise _other_state(state, "a place [batch]")
    return state


def _other_state(state: Tensor, expected: str) -> ValueError:
    return ValueError(
        f"the state has shape {tuple(state.shape)}, but in this mode it is {expected}; training and evaluation mode "
        "have states of their own. Begin with `state=None` after train() or eval()."
    )


def moved(alignment: Float[Tensor, "batch keys"], fill: float = 0.0) -> Float[Tensor, "batch keys"]:
    """Each entry one key further; the last one drops out and `fill` comes in.

    >>> moved(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[0., 1., 2.]])
    """
    return pad(alignment, (1, 0), value=fill)[:, : alignment.shape[1]]


def kept_where_empty(
    new: Shaped[Tensor, "batch *rest"], old: Shaped[Tensor, "batch *rest"], visible: Bool[Tensor, "batch keys"]
) -> Shaped[Tensor, "batch *rest"]:
    """The new state, but the old one of a row that sees nothing.

    >>> kept_where_empty(torch.tensor([1, 1]), torch.tensor([5, 5]), torch.tensor([[True], [False]]))
    tensor([1, 5])
    """
    seen = visible.any(1)
    return torch.where(seen.unsqueeze(1) if new.dim() == 2 else seen, new, old)


def arrivals(
    beginning: Float[Tensor, "batch keys"], passing: Float[Tensor, "batch keys"]
) -> Float[Tensor, "batch keys"]:
    """`q[j] = passing[j] q[j - 1] + beginning[j]`: what arrives at each key, of what begins there or before.

    All keys at once by doubling: only products and sums of numbers from 0 to 1, so that neither long memories nor large
    energies cost digits (in log space, float32 loses three of them at 2,000 keys).

    >>> arrivals(torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([[0.0, 0.5, 0.5]]))
    tensor([[1.0000, 0.5000, 0.7500]])
    """
    keys, reach = beginning.shape[1], 1
    # of what began up to `reach` keys before
    arriving = beginning
    while reach < keys:
        arriving = arriving + passing * pad(arriving, (reach, 0))[:, :keys]
        passing = passing * pad(passing, (reach, 0))[:, :keys]
        reach *= 2
    return arriving
