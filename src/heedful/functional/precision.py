"""Half precision: products in the type of the input, then scores, exponentials and sums in float32."""

import torch
from jaxtyping import Float
from torch import Tensor


def widen(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """float16 and bfloat16 become float32; every other type stays, and the tensor is not copied.

    >>> widen(torch.ones(2, dtype=torch.bfloat16)).dtype, widen(torch.ones(2, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
