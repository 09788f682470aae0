"""Boolean masks: True means "may look"."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from heedful import _refusals


def padding_mask(lengths: Int[Tensor, " batch"], max_len: int) -> Bool[Tensor, "batch 1 {max_len}"]:
    """Mask that hides every key past its sentence's length.

    Args:
        lengths: number of real keys of each batch item, `[batch]`.
        max_len: number of keys with padding.

    Returns:
        `[batch, 1, max_len]`, True where there is a real key; it broadcasts over the queries.

    Raises:
        ValueError: `lengths` is not a vector of whole numbers (a TypeError, too, where it holds others), or has one
            below 0 or above `max_len`. The numbers are looked at on the CPU alone: elsewhere that would wait for the
            device, and in compiled code break the graph.

    >>> padding_mask(torch.tensor([1, 3]), 3).squeeze(1)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    if not isinstance(lengths, Tensor):
        raise _refusals.not_a_tensor("lengths", lengths)
    if lengths.dim() != 1:
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}; expected [batch], one number for each sentence.")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise _refusals.not_whole(lengths.dtype, "lengths")
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and lengths.numel():
        least, most = int(lengths.min()), int(lengths.max())
        if least < 0:
            raise ValueError(f"lengths has {least}; expected numbers of keys, from 0 up.")
        if most > max_len:
            raise ValueError(
                f"lengths has {most}, above max_len, {max_len}; give the number of keys with padding as max_len."
            )
    return (torch.arange(max_len, device=lengths.device) < lengths.unsqueeze(1)).unsqueeze(1)


def align_left(
    steps: Shaped[Tensor, "batch steps *features"], real: Bool[Tensor, "batch steps"]
) -> tuple[Shaped[Tensor, "batch steps *features"], Int[Tensor, " batch"]]:
    """Sequences with padding on the left, or anywhere, as every model here reads them: real steps first, and lengths.

    Places are counted from the first real step then, and what stood where in the padding has no influence.

    Args:
        steps: ids or vectors, `[batch, steps, ...]`.
        real: True where a step is no padding.

    >>> align_left(torch.tensor([[0, 0, 7], [4, 5, 6]]), torch.tensor([[False, False, True], [True, True, True]]))
    (tensor([[7, 0, 0],
            [4, 5, 6]]), tensor([1, 3]))
    """
    check_boolean(real)
    order = real.long().argsort(dim=1, descending=True, stable=True)
    rows = torch.arange(steps.shape[0], device=steps.device).unsqueeze(1)
    return steps[rows, order], real.sum(1)


def check_mask(mask: Tensor | None, batch: int, queries: int, keys: int) -> None:
    """Refuse a mask that is not boolean or does not broadcast to `[batch, queries, keys]`.

    Args:
        mask: what the caller gave; `None` is always fine.
        batch: number of batch items.
        queries: number of queries.
        keys: number of keys.

    Raises:
        ValueError: the mask is not boolean (a TypeError, too), or the shape does not broadcast.
    """
    if mask is None:
        return
    check_boolean(mask)
    expected = (batch, queries, keys)
    fits = mask.dim() == 3 and all(size in (1, want) for size, want in zip(mask.shape, expected, strict=True))
    if not fits:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}; expected something that broadcasts to "
            f"[batch, queries, keys] = {list(expected)}. `padding_mask(lengths, max_len)` gives [batch, 1, keys]; "
            "so does `mask.unsqueeze(1)` for a mask [batch, keys]."
        )


def check_boolean(mask: Tensor) -> None:
    """Refuse a mask that is not boolean.

    Raises:
        ValueError: a tensor of another type, or no tensor; a TypeError, too.

    >>> check_boolean(torch.tensor([True]))
    """
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise _refusals.not_boolean(mask.dtype if isinstance(mask, Tensor) else f"a {type(mask).__name__}")


def hide(
    tensor: Shaped[Tensor, "batch keys features"], visible: Bool[Tensor, "#batch keys"]
) -> Shaped[Tensor, "batch keys features"]:
    """Replace hidden rows by 0, so that neither NaN nor infinity in them can reach a product (0 * NaN is NaN).

    Args:
        tensor: keys or values, `[batch, keys, features]`.
        visible: True where some query may look, `[batch, keys]`.

    >>> hide(torch.tensor([[[1.0], [torch.nan]]]), torch.tensor([[True, False]])).flatten()
    tensor([1., 0.])
    """
    return tensor.masked_fill(~visible.unsqueeze(-1), 0)


def visible_keys(mask: Tensor | None, batch: int, keys: int) -> Bool[Tensor, "batch keys"] | None:
    """The mask of a layer that has no queries, as `[batch, keys]`; `None` where nothing is hidden.

    Args:
        mask: `[batch, keys]`, or `[batch, 1, keys]` as `padding_mask` gives it.
        batch: number of batch items.
        keys: number of keys.

    Raises:
        ValueError: the mask is not boolean (a TypeError, too), or the shape does not fit.

    >>> visible_keys(padding_mask(torch.tensor([1]), 3), 1, 3)
    tensor([[ True, False, False]])
    """
    if mask is None:
        return None
    check_boolean(mask)
    rows = mask.squeeze(1) if mask.dim() == 3 else mask
    if rows.dim() != 2 or rows.shape[0] not in (1, batch) or rows.shape[1] not in (1, keys):
        raise _refusals.mask_misfits(mask.shape, (batch, keys))
    return rows.expand(batch, keys)


def last_visible(
    steps: Shaped[Tensor, "batch keys features"], visible: Bool[Tensor, "batch keys"] | None = None
) -> Shaped[Tensor, "batch features"]:
    """The last step that may be seen of each batch item; zeros where there is none.

    Args:
        steps: `[batch, keys, features]`.
        visible: `[batch, keys]`; every step when left out.

    >>> last_visible(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    batch, keys, features = steps.shape
    if not keys:
        return steps.new_zeros(batch, features)
    if visible is None:
        return steps[:, -1]
    # the largest place among those that may be seen
    place = (visible * torch.arange(1, keys + 1, device=steps.device)).amax(1)
    last = steps.gather(1, (place - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, features)).squeeze(1)
    return last.masked_fill(place.eq(0).unsqueeze(1), 0)
