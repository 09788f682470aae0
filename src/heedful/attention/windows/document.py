"""Document window: packed sequences do not see each other (PyTorch 2024, document masks of attention-gym)."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import PYTORCH_2024

from .base import View, Window

NO_DOCUMENT = -1


def document_mask(
    query_ids: Int[Tensor, "#batch queries"], key_ids: Int[Tensor, "#batch keys"]
) -> Bool[Tensor, "#batch queries keys"]:
    """True where query and key are of one document; the id -1, padding, is no document.

    Where each batch item is packed in its own way, this is the mask of a call, alone or beside a causal window:
    `attention(steps, steps, mask=document_mask(ids, ids))`.

    >>> ids = torch.tensor([[0, 0, 7, -1]])
    >>> document_mask(ids, ids)
    tensor([[[ True,  True, False, False],
             [ True,  True, False, False],
             [False, False,  True, False],
             [False, False, False, False]]])
    """
    same = query_ids.unsqueeze(-1) == key_ids.unsqueeze(-2)
    return same & (key_ids != NO_DOCUMENT).unsqueeze(-2)


class DocumentWindow(Window):
    """`id[k] = id[position[q]]`, and not -1: packed sequences do not see each other.

    For sequences packed alike in every batch item; `document_mask` takes ids for each. With fewer queries than keys,
    the last query stands at the last key, as in `CausalWindow`. Join it with that by `AndWindow`, where needed.

    Args:
        ids: of each place, the number of its document; -1, and every place past the last, is padding, which sees
            nothing and is not seen.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: an id that is no whole number from -1 up, or no ids.

    >>> view, _ = DocumentWindow([0, 0, 1])(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[ True,  True, False, False]]])
    """

    source = PYTORCH_2024(place="function generate_doc_mask_mod")
    aligned_to_end = True
    ids: Tensor

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__()
        wrong = [one for one in ids if not isinstance(one, int) or isinstance(one, bool) or one < NO_DOCUMENT]
        if wrong or not ids:
            came = f"hold {wrong[0]!r}" if wrong else "are empty"
            raise ValueError(f"ids {came}; expected a whole number (int) for each place, -1 for padding.")
        self.register_buffer("ids", torch.tensor([*ids, NO_DOCUMENT]), persistent=False)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        # the last entry stands for every place past the ids
        last = len(self.ids) - 1
        places = torch.arange(keys, device=positions.device).clamp_max(last)
        return View(mask=document_mask(self.ids[positions.clamp_max(last)], self.ids[places].unsqueeze(0))), state
