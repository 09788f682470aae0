"""Products by weights of fewer bits, for decoding alone: bfloat16, or int8 with a scale for every row.

int8: Jacob et al. 2018 (https://arxiv.org/abs/1712.05877), symmetric; a weight's rows are rounded once, the rows of the
input as they come. The products run through oneDNN, on AMX or VNNI where the processor has them; sums are exact.
"""

from functools import cache
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful import _refusals

Precision = Literal["float32", "bf16", "int8"]
# Numbers of a weight below which rounding and casting the input cost as much as the product saves.
LEAST = 1 << 17
_LARGEST = 127


class CheaperLinear(nn.Module):
    """`input weight^T + bias` with a weight of 16 or 8 bits; input, bias and output are float32, without a gradient.

    With "int8" the product is `scale_in scale_w (q_in . q_w)`, `q = round(x / scale)`, the scale of every row of input
    and weight being its largest magnitude / 127. No row depends on the others.

    Args:
        weight: `[out_dim, in_dim]`, float32.
        bias: `[out_dim]`; none when left out.
        precision: "bf16" or "int8".

    Raises:
        ValueError: another precision; int8 where this PyTorch and processor have no exact product for it; a weight that
            is not on the CPU.

    >>> layer = CheaperLinear(torch.tensor([[1.0, -2.0], [0.5, 0.25]]), torch.ones(2), "bf16")
    >>> layer(torch.tensor([[4.0, 1.0]]))
    tensor([[3.0000, 3.2500]])
    """

    def __init__(
        self, weight: Float[Tensor, "out_dim in_dim"], bias: Float[Tensor, " out_dim"] | None, precision: Precision
    ) -> None:
        super().__init__()
        if precision not in ("bf16", "int8"):
            raise _refusals.unknown_choice("precision", precision, ("bf16", "int8"))
        if not weight.is_cpu:
            raise ValueError(
                f"decoding in {precision} runs on the CPU, but the weights are on {weight.device}; move them"
            )
        self.precision: Precision = precision
        weight = weight.detach()
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias.detach().clone()
        if precision == "bf16":
            self.weight, self.scale = weight.bfloat16(), None
        else:
            check_int8()
            self.weight, self.scale = quantize_rows(weight)
            self.scale = self.scale.squeeze(1)
        self._pack()

    def _pack(self) -> None:
        self.packed = None if self.scale is None else torch.ops.onednn.qlinear_prepack(self.weight, None)
        self.half_bias = self.bias.bfloat16()

    def rows(self, places: Int[Tensor, " rows"]) -> "CheaperLinear":
        """The same layer with these outputs alone, in this order."""
        part = CheaperLinear.__new__(CheaperLinear)
        nn.Module.__init__(part)
        part.precision, part.weight, part.bias = self.precision, self.weight[places], self.bias[places]
        part.scale = None if self.scale is None else self.scale[places]
        part._pack()
        return part

    @torch.no_grad()
    def forward(self, input: Float[Tensor, "*rows in_dim"]) -> Float[Tensor, "*rows out_dim"]:  # noqa: A002
        if self.packed is None or self.scale is None:
            return nn.functional.linear(input.bfloat16(), self.weight, self.half_bias).float()
        rounded, scale = quantize_rows(input.reshape(-1, input.shape[-1]))
        product = _int8_product(rounded, self.packed, self.scale)
        # in place: logits of another 12 MB cost as much as the product
        return torch.addcmul(self.bias, product, scale, out=product).view(*input.shape[:-1], len(self.bias))


def quantize_rows(rows: Float[Tensor, "rows features"]) -> tuple[Int[Tensor, "rows features"], Float[Tensor, "rows 1"]]:
    """Each row as int8 from -127 to 127, and the number that its units stand for.

    >>> quantize_rows(torch.tensor([[254.0, -1.0, 3.0], [0.0, 0.0, 0.0]]))[0]
    tensor([[127,   0,   2],
            [  0,   0,   0]], dtype=torch.int8)
    """
    scale = rows.abs().amax(1, keepdim=True) / _LARGEST
    # a row of zeros has no scale, and needs none
    return (rows / scale.masked_fill(scale == 0, 1)).round().to(torch.int8), scale


@cache
def check_int8() -> None:
    """Try the largest sums: old processors cut them off.

    Raises:
        ValueError: this PyTorch has no such product, or it is not exact here.
    """
    ones = torch.full((16, 512), _LARGEST, dtype=torch.int8, device="cpu")
    try:
        packed = torch.ops.onednn.qlinear_prepack(ones, None)
        found = _int8_product(ones, packed, torch.ones(16, device="cpu"))
    except (AttributeError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"decoding in int8 needs a PyTorch with oneDNN on x86 ({why}); use bf16 or float32") from None
    if not found.eq(512 * _LARGEST**2).all():
        raise ValueError("this processor cuts sums of int8 off (it has no VNNI); decode in bf16 or float32")


def _int8_product(rounded: Tensor, packed: Tensor, scale: Tensor) -> Tensor:
    rows, nothing = len(rounded), scale.new_zeros(len(scale), dtype=torch.long)
    # oneDNN has no fast product of one row with 256 features: 19 ms in place of 0.04
    rounded = rounded.expand(2, -1).contiguous() if rows == 1 else rounded
    form = (1.0, 0, torch.float32, "none", [], "")
    return torch.ops.onednn.qlinear_pointwise(rounded, 1.0, 0, packed, scale, nothing, None, *form)[:rows]


def is_cheaper(precision: str) -> bool:
    """Whether a precision changes anything.

    Raises:
        ValueError: there is none of that name.
    """
    if precision not in get_args(Precision):
        raise _refusals.unknown_choice("precision", precision, get_args(Precision))
    return precision != "float32"
