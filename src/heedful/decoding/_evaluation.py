"""How a model is run while decoding, and what of its input and output is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from heedful.models.protocol import StepModel

from .constraints import NEVER


@contextmanager
def evaluation(model: StepModel) -> Iterator[None]:
    """No gradients and no dropout inside; afterwards every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training] if isinstance(model, nn.Module) else []
    try:
        for module in training:
            module.training = False
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def check_source(source: Tensor, lengths: Tensor) -> None:
    """Raise a ValueError where sources and lengths do not fit each other."""
    if len(source) != len(lengths):
        raise ValueError(
            f"source holds {len(source)} sentences and lengths {len(lengths)}; give each sentence its length"
        )
    if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= source.shape[1]:
        raise ValueError(
            f"lengths go from {int(lengths.min())} to {int(lengths.max())}, but source has {source.shape[1]} "
            "positions; a length counts the positions of its sentence that are not padding"
        )


def keys_of(model: StepModel, lengths: Tensor) -> Tensor:
    """How many keys a model looks at of sources of such lengths: as many, where it has no `regions_of`."""
    regions_of = getattr(model, "regions_of", None)
    return lengths if regions_of is None else regions_of(lengths)


def log_softmax(logits: Tensor, sentence: Tensor, step: int) -> Tensor:
    """Log-softmax in at least float32 that leaves a row of minus infinities as it is.

    Args:
        logits: `[rows, vocabulary]`.
        sentence: the number of each row's sentence, for an error.
        step: that of the step, likewise.

    Raises:
        ValueError: NaN or plus infinity among the logits.
    """
    log_probs = logits.log_softmax(1, torch.promote_types(logits.dtype, torch.float32))
    # one bad logit, or minus infinity throughout, turns a whole row into NaN: its first column tells
    failed = log_probs[:, 0].isnan()
    if not failed.any():
        return log_probs
    empty = logits.amax(1) == NEVER
    broken = failed & ~empty
    if broken.any():
        raise ValueError(
            f"the logits of sentence {int(sentence[broken][0])} at step {step} hold NaN or infinity; finite numbers "
            "are expected (or -inf, for a token that cannot follow): look for NaN in the model and its input"
        )
    return log_probs.masked_fill(empty[:, None], NEVER)
