"""What a translator's model looked at, beyond what decoding says: fed a translation, and each side in itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from heedful._errors import DataError
from heedful.data.batching import pad
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import BOS
from heedful.metrics.alignment import merge_pieces
from heedful.metrics.evidence import attention_rollout
from heedful.visual.alignment import Alignment

from .translated import Translation, fed_words, named_heads, self_alignment


def align(model: Any, source: Segments, target: Segments) -> Alignment:
    """The attention of each word when the model is fed a given translation.

    Raises:
        DataError: the model has no attention.
    """
    with evaluated(model):
        weights = model.align(*_fed(model, source, target))
    if weights is None:
        raise DataError("The model has no attention to show.")
    merged = merge_pieces(weights[0].double().cpu().numpy(), source.word_of, target.word_of)
    return Alignment(source.words, target.words, merged)


def with_heads(model: Any, found: Translation) -> Translation:
    """With what each layer and head looked at, in the other side and in its own.

    Over the source, also all of them, followed back through the encoder's own layers.
    """
    with evaluated(model):
        looks = model.align_heads(*_fed(model, found.source, found.target))
    cross, source, back = (None if one is None else one[0].double().cpu().numpy() for one in looks)
    heads, own = {}, []
    if cross is not None:
        words = found.source.word_of, found.target.word_of
        heads = named_heads(cross, *words)
        if source is not None:
            rollout = cross.mean((0, 1)) @ attention_rollout(list(source))[-1]
            heads["all, through the encoder (rollout)"] = merge_pieces(rollout, *words)
    if source is not None:
        own.append(self_alignment(source, found.source, found.source, "the source in itself (encoder)"))
    if back is not None:
        own.append(self_alignment(back, fed_words(found.target), found.target, "the words said before (decoder)"))
    return replace(found, heads=heads, own=own)


@contextmanager
def evaluated(model: torch.nn.Module) -> Iterator[None]:
    """No gradients and no dropout inside; afterwards the model is in the mode it was in."""
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()
            yield
    finally:
        model.train(training)


def _fed(model: Any, source: Segments, target: Segments) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Source, length, and what is fed to say the target."""
    device = next(model.parameters()).device
    ids, lengths = pad([source.ids])
    fed, _ = pad([[BOS, *target.ids[:-1]]])
    return ids.to(device), lengths.to(device), fed.to(device)
