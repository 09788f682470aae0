"""The penalty for saying a token again (Keskar et al. 2019, section 4.1)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def discouraged(
    logits: Float[Tensor, "rows vocabulary"], tokens: Int[Tensor, "rows steps"], strength: float
) -> Float[Tensor, "rows vocabulary"]:
    """Logits in which each of `tokens`, which were said before, is less likely.

    The paper divides their logits by `strength`, which makes a negative one more likely; here, as in every program that
    uses it, a negative one is multiplied instead. However often a token was said, it counts once.

    Args:
        logits: of the next token.
        tokens: what each row has said.
        strength: the paper's theta, 1 (nothing happens) or more.

    >>> discouraged(torch.tensor([[2.0, -1.0, 3.0]]), torch.tensor([[0, 1, 1]]), strength=2.0)
    tensor([[ 1., -2.,  3.]])
    """
    said = logits.gather(1, tokens)
    return logits.scatter(1, tokens, torch.where(said < 0, said * strength, said / strength))
