"""CopyNet: words of the vocabulary and places of the source compete in one softmax (Gu et al. 2016)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful.functional import hide, masked_softmax, visible_keys, widen

from .copy import CopyDistribution
from .scores.base import check_sizes
from .source import GU_2016


class CopyNet(nn.Module):
    """`softmax over [logits; tanh(W key[k]) . state]`: a word's chance is the sum over its logit and all its places.

    The same as a mixture, which is what is returned: the gate of the pointer-generator is the difference of the
    logarithms of both sums of exponentials, and no parameter. The attention that makes the context may be any; this
    layer has scores of its own. The decoder reads at the next step the embedded word and the keys that it was copied
    from, `CopyDistribution.selective_read`.

    Args:
        state_dim: features of a decoder state.
        key_dim: features of a key, the encoder's state at a word of the source.

    Parameters: `weight [state_dim, key_dim]`, Glorot uniform; no bias. The authors' code was not at hand.

    Cost: time steps * (keys * dim + vocabulary); memory steps * (vocabulary + keys).

    Raises:
        ValueError: a size is not positive; in a call, the mask is not boolean or does not fit.

    >>> layer, ids = CopyNet(state_dim=5, key_dim=6), torch.randint(11, (2, 7))
    >>> mixed = layer(torch.zeros(2, 3, 9), torch.ones(2, 3, 5), torch.ones(2, 7, 6), ids)
    >>> mixed.log_probs(extra=2).shape
    torch.Size([2, 3, 11])
    """

    source = GU_2016(place="section 3.2")
    kind = "layer"

    def __init__(self, state_dim: int, key_dim: int) -> None:
        super().__init__()
        check_sizes(state_dim=state_dim, key_dim=key_dim)
        self.weight = nn.Parameter(torch.empty(state_dim, key_dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(
        self,
        logits: Float[Tensor, "batch queries vocabulary"],
        state: Float[Tensor, "batch queries state_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        source_ids: Int[Tensor, "batch keys"],
        mask: Bool[Tensor, "..."] | None = None,
    ) -> CopyDistribution:
        """Mix.

        Args:
            logits: `[batch, queries, vocabulary]`, before the softmax.
            state: decoder states, `[batch, queries, state_dim]`.
            key: `[batch, keys, key_dim]`.
            source_ids: `[batch, keys]`, see `CopyDistribution`.
            mask: real keys, `[batch, keys]`, or `[batch, 1, keys]` as `padding_mask` gives it. A hidden key may hold
                anything; a source without a real key leaves the vocabulary alone.
        """
        visible = visible_keys(mask, key.shape[0], key.shape[1])
        shown = key if visible is None else hide(key, visible)
        scores = widen(state @ torch.tanh(shown @ self.weight.T).transpose(1, 2))
        rows = None if visible is None else visible.unsqueeze(1)
        weights = masked_softmax(scores, rows)
        if rows is not None:
            # where nothing is real, any finite number will do: the gate is not read
            scores = scores.masked_fill(~rows & rows.any(2, keepdim=True), -torch.inf)
        logits = widen(logits)
        gate = logits.logsumexp(2) - scores.logsumexp(2)
        return CopyDistribution(torch.log_softmax(logits, 2), weights, source_ids, gate)
