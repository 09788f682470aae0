"""Losses on attention weights, to add to a model's loss (Xu et al. 2015 to Rios et al. 2021, one function each).

All take weights `[batch, queries, keys]` with a gradient, and boolean masks, True = real: `query_mask [batch, queries]`
and `key_mask [batch, keys]`. What is hidden has no part in anything. The mean is over the batch items that have a real
query and a real key; no such item gives 0. Sums are float32 or wider. None has a factor: multiply by one.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.functional import widen

AlignmentLoss = Literal["cross_entropy", "squared", "product"]


def doubly_stochastic_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    balanced: bool = False,
) -> Float[Tensor, ""]:
    """`sum_k (1 - sum_q weights[q, k])^2`: every key is read about once in total (Xu et al. 2015, section 4.2.1).

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries.
        key_mask: real keys.
        balanced: aim at `queries / keys` instead of 1, where there are not as many queries as keys (not in the paper).

    Source: Xu et al.: Show, Attend and Tell: Neural Image Caption Generation with Visual Attention, 2015, section
    4.2.1, equation 14.

    Cost: time queries * keys; memory queries * keys.

    >>> doubly_stochastic_loss(torch.eye(3).unsqueeze(0))
    tensor(0.)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    asked, known = (real.sum(1, keepdim=True).to(weights.dtype) for real in (queries, keys))
    target = asked / known.clamp_min(1) if balanced else 1.0
    return _mean_item(((target - weights.sum(1)).square() * keys).sum(1), queries, keys)


def coverage_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_q sum_k min(weights[q, k], sum_{j < q} weights[j, k])`: not to read again (See et al. 2017, section 2.3).

    A query adds 1 at most. The authors' code takes the mean over the queries instead of their sum.

    Source: See, Liu and Manning: Get To The Point: Summarization with Pointer-Generator Networks, 2017, section
    2.3, equations 12 and 13.

    Cost: time queries * keys; memory queries * keys.

    >>> coverage_loss(torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    tensor(1.)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    coverage = torch.cat((torch.zeros_like(weights[:, :1]), weights[:, :-1].cumsum(1)), 1)
    return _mean_item(torch.minimum(weights, coverage[:, : weights.shape[1]]).sum((1, 2)), queries, keys)


def hop_penalty(
    weights: Float[Tensor, "batch hops keys"], key_mask: Bool[Tensor, "batch keys"] | None = None
) -> Float[Tensor, ""]:
    """`||A A^T - I||^2`, squared Frobenius norm: hops look at different keys, sharply (Lin et al. 2017, section 2.2).

    Source: Lin et al.: A Structured Self-attentive Sentence Embedding, 2017, section 2.2.

    Cost: time hops^2 * keys; memory hops^2.

    >>> hop_penalty(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    tensor(2.)
    """
    weights, hops, keys = _visible(weights, None, key_mask)
    unit = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
    return _mean_item((weights @ weights.transpose(1, 2) - unit).square().sum((1, 2)), hops, keys)


def guided_attention_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    width: float = 0.2,
    padded: bool = False,
) -> Float[Tensor, ""]:
    """Mean over all cells of `weights[t, n] (1 - exp(-(n / N - t / T)^2 / (2 width^2)))` (Tachibana et al. 2018).

    Weights far from the diagonal cost; `N` and `T` are the real keys and queries of an item.

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries.
        key_mask: real keys.
        width: of the diagonal band, as a share of the length.
        padded: the mean over all cells of the batch, padding too, as SpeechBrain computes it; otherwise the real ones.

    Raises:
        ValueError: the width is not positive.

    Source: Tachibana, Uenoyama and Aihara: Efficiently Trainable Text-to-Speech System Based on Deep Convolutional
    Networks with Guided Attention, 2018, section on guided attention.

    Cost: time queries * keys; memory queries * keys.

    >>> guided_attention_loss(torch.eye(3).unsqueeze(0))
    tensor(0.)
    """
    if not width > 0:
        raise ValueError(f"width is {width}; expected a number above 0, 0.2 being common.")
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    step, place = (_share(real, weights.dtype) for real in (queries, keys))
    distance = place.unsqueeze(1) - step.unsqueeze(2)
    far = 1 - torch.exp(-distance.square() / (2 * width**2))
    cells = queries.unsqueeze(2) & keys.unsqueeze(1)
    return (weights * far).sum() / (max(cells.numel(), 1) if padded else cells.sum().clamp_min(1))


def guided_alignment_loss(
    weights: Float[Tensor, "batch queries keys"],
    gold: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    loss: AlignmentLoss = "cross_entropy",
) -> Float[Tensor, ""]:
    """Distance of the weights from given links, the mean over the queries that have one (Chen et al.; Liu et al. 2016).

    Args:
        weights: `[batch, queries, keys]`.
        gold: links of the same shape, from 0 up; each row is divided by its sum, and a row without links is left out.
        query_mask: real queries.
        key_mask: real keys; a link to another one does not count.
        loss: "cross_entropy" `-sum G ln w`, "squared" `sum (w - G)^2 / 2`, or "product" `-ln sum G w`.

    Raises:
        ValueError: an unknown loss.

    Source: Chen et al.: Guided Alignment Training for Topic-Aware Neural Machine Translation, 2016, section on
    guided alignment training.

    Cost: time queries * keys; memory queries * keys.

    >>> guided_alignment_loss(torch.eye(3).unsqueeze(0), torch.eye(3).unsqueeze(0)) == 0
    tensor(True)
    """
    if loss not in get_args(AlignmentLoss):
        raise _refusals.unknown_choice("loss", loss, get_args(AlignmentLoss))
    weights, _, keys = _visible(weights, query_mask, key_mask)
    gold, _, _ = _visible(gold.to(weights.dtype), query_mask, key_mask)
    total = gold.sum(2, keepdim=True)
    linked = total.squeeze(2) > 0
    gold = gold / total.masked_fill(total == 0, 1)
    if loss == "squared":
        rows = (weights - gold).square().sum(2) / 2
    elif loss == "product":
        rows = -_log((gold * weights).sum(2))
    else:
        rows = -(gold * _log(weights)).sum(2)
    each = rows.masked_fill(~linked, 0).sum(1) / linked.sum(1).clamp_min(1)
    return _mean_item(each, linked, keys)


def attention_entropy(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    normalized: bool = False,
) -> Float[Tensor, ""]:
    """`-sum_k w ln w` in nats, the mean over the real queries; normalised, of `H / ln(real keys)` in [0, 1].

    Subtract it to keep weights spread, add it to sharpen them. `0 ln 0` is 0; so is the normalised entropy of one key.

    Source: Shannon: A Mathematical Theory of Communication, 1948, section 6.

    Cost: time queries * keys; memory queries * keys.

    >>> attention_entropy(torch.full((1, 3, 4), 0.25), normalized=True)
    tensor(1.)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    rows = -(weights * _log(weights)).sum(2)
    if normalized:
        count = keys.sum(1, keepdim=True)
        rows = torch.where(count > 1, rows / count.clamp_min(2).to(rows.dtype).log(), 0)
    return _mean_item(_mean_row(rows, queries), queries, keys)


def attention_sharpness(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k w^2`, the mean over the real queries of each item: 1 looks at one key, `1 / n` at n keys alike.

    Source: Simpson: Measurement of Diversity, 1949, equation of the index.

    Cost: time queries * keys; memory queries * keys.

    >>> attention_sharpness(torch.full((1, 3, 4), 0.25))
    tensor(0.2500)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    return _mean_item(_mean_row(weights.square().sum(2), queries), queries, keys)


def head_diversity_loss(
    weights: Float[Tensor, "batch heads queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k w[h, q, k] w[i, q, k]`, the mean over pairs of heads and real queries: 0 where heads share no key.

    Source: Li et al.: Multi-Head Attention with Disagreement Regularization, 2018, section on disagreement on
    attended positions.

    Cost: time heads * queries * keys; memory heads * queries * keys.

    >>> head_diversity_loss(torch.eye(3).view(1, 3, 1, 3))
    tensor(0.)
    """
    batch, heads, many, known = weights.shape
    _, queries, keys = _visible(weights.new_zeros(batch, many, known), query_mask, key_mask)
    flat, _, _ = _visible(weights.flatten(1, 2), queries.repeat(1, heads), keys)
    weights = flat.view(batch, heads, many, known)
    # all ordered pairs are the square of the sum less the pairs of a head with itself
    pairs = weights.sum(1).square().sum(2) - weights.square().sum((1, 3))
    return _mean_item(_mean_row(pairs / max(heads * (heads - 1), 1), queries), queries, keys)


def fertility_loss(
    weights: Float[Tensor, "batch queries keys"],
    fertility: Float[Tensor, "batch keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k (fertility[k] - sum_q weights[q, k])^2`: a key is read as much as was predicted (Tu et al. 2016).

    Both sides receive a gradient.

    Source: Tu et al.: Modeling Coverage for Neural Machine Translation, 2016, section on training, auxiliary
    objective.

    Cost: time queries * keys; memory queries * keys.

    >>> fertility_loss(torch.eye(3).unsqueeze(0), torch.ones(1, 3))
    tensor(0.)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    fertility = widen(fertility).masked_fill(~keys, 0)
    return _mean_item((fertility - weights.sum(1)).square().sum(1), queries, keys)


def monotonicity_penalty(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    margin: float = 0.0,
) -> Float[Tensor, ""]:
    """`sum_q max(0, E[q - 1] - E[q] + margin)` of expected places `E[q] = sum_k k weights[q, k]`: not to go back.

    A row is divided by its sum first; a row of zeros is left out. The margin form is after Rios et al. 2021.

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries; each is compared with the real one before it.
        key_mask: real keys.
        margin: by how many keys each query should go on.

    Source: Rios et al.: On Biasing Transformer Attention Towards Monotonicity, 2021, section on the monotonicity
    loss.

    Cost: time queries * keys; memory queries * keys.

    >>> monotonicity_penalty(torch.eye(3).flip(0).unsqueeze(0))
    tensor(2.)
    """
    weights, queries, keys = _visible(weights, query_mask, key_mask)
    mass = weights.sum(2)
    looks = queries & (mass > 0)
    places = weights @ torch.arange(weights.shape[2], dtype=weights.dtype, device=weights.device)
    expected = places / mass.masked_fill(mass == 0, 1)
    # those that look side by side, in their order
    order = (~looks).long().argsort(dim=1, stable=True)
    expected, looks = expected.gather(1, order), looks.gather(1, order)
    back = (expected[:, :-1] - expected[:, 1:] + margin).relu() * looks[:, 1:]
    return _mean_item(back.sum(1), queries, keys)


def _visible(
    weights: Tensor, query_mask: Tensor | None, key_mask: Tensor | None
) -> tuple[Float[Tensor, "batch queries keys"], Bool[Tensor, "batch queries"], Bool[Tensor, "batch keys"]]:
    """Weights that are 0 where hidden, in float32 or wider, and both masks."""
    masks = []
    for name, mask, axis in (("query_mask", query_mask, 1), ("key_mask", key_mask, 2)):
        shape = (weights.shape[0], weights.shape[axis])
        if mask is None:
            mask = torch.ones(shape, dtype=torch.bool, device=weights.device)
        if mask.dtype != torch.bool:
            raise _refusals.not_boolean(mask.dtype, name)
        if mask.shape != shape:
            raise _refusals.mask_misfits(mask.shape, shape, f"[batch, {name.removesuffix('_mask')} places]", name)
        masks.append(mask)
    queries, keys = masks
    return widen(weights).masked_fill(~(queries.unsqueeze(2) & keys.unsqueeze(1)), 0), queries, keys


def _mean_row(rows: Tensor, queries: Tensor) -> Tensor:
    return rows.masked_fill(~queries, 0).sum(1) / queries.sum(1).clamp_min(1)


def _mean_item(each: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Mean over the items that have a real query and a real key."""
    real = queries.any(1) & keys.any(1)
    return each.masked_fill(~real, 0).sum() / real.sum().clamp_min(1)


def _share(real: Tensor, dtype: torch.dtype) -> Tensor:
    """How far each real place is from the first one, as a share of their number."""
    return (real.cumsum(1) - 1) / real.sum(1, keepdim=True).clamp_min(1).to(dtype)


def _log(weights: Tensor) -> Tensor:
    """Logarithm; of what is too small for a finite slope that of the smallest number, and no slope."""
    return weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
