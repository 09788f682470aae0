"""What a translator's model looked at, beyond what decoding says: fed a translation, and each side in itself."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from heedful._errors import DataError
from heedful.data.batching import pad
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import BOS
from heedful.metrics.alignment import merge_pieces
from heedful.metrics.evidence import attention_rollout
from heedful.visual.alignment import Alignment
from heedful.visual.explorer import Looks

from .translated import Translation, fed_words, named_heads, read_pieces, self_alignment

# what the words of each side look at among themselves
ENCODER, DECODER = "the source in itself (encoder)", "the words said before (decoder)"


def align(model: Any, source: Segments, target: Segments) -> Alignment:
    """The attention of each word when the model is fed a given translation.

    Raises:
        DataError: the model has no attention.
    """
    (weights,) = _weights(model, "align", source, target)
    if weights is None:
        raise DataError("The model has no attention to show.")
    merged = merge_pieces(weights, source.word_of, target.word_of)
    return Alignment(source.words, target.words, merged)


def with_heads(model: Any, found: Translation) -> Translation:
    """With what each layer and head looked at, in the other side and in its own.

    Over the source, also all of them, followed back through the encoder's own layers.
    """
    cross, source, back = _weights(model, "align_heads", found.source, found.target)
    heads, own = {}, []
    if cross is not None:
        words = found.source.word_of, found.target.word_of
        heads = named_heads(cross, *words)
        if source is not None:
            rollout = cross.mean((0, 1)) @ attention_rollout(list(source))[-1]
            heads["all, through the encoder (rollout)"] = merge_pieces(rollout, *words)
    if source is not None:
        own.append(self_alignment(source, found.source, found.source, ENCODER))
    if back is not None:
        own.append(self_alignment(back, fed_words(found.target), found.target, DECODER))
    return replace(found, heads=heads, own=own)


def with_copies(model: Any, found: Translation) -> Translation:
    """With what a model that copies would rather do at each word, and how much of the word came from copying."""
    device = next(model.parameters()).device
    ids, lengths = pad([found.source.ids])
    fed, _ = pad([[BOS, *found.target.ids[:-1]]])
    with evaluated(model):
        mixed = model.mixtures(ids.to(device), lengths.to(device), fed.to(device))
        said = torch.tensor([found.target.ids], device=device)
        parts = [part[0].double().cpu().numpy() for part in (mixed.gate.sigmoid(), mixed.copied_share(said))]
    counts = np.bincount(found.target.word_of)
    # the mean over the pieces of a word
    means = [(np.bincount(found.target.word_of, part) / counts).tolist() for part in parts]
    return replace(found, generate=means[0], copied=means[1])


def looks_of(model: Any, source: Segments, target: Segments) -> list[Looks]:
    """What each layer and head looks at, piece by piece, when the model is fed a given translation.

    Raises:
        DataError: the model has no attention.
    """
    cross, own, back = _weights(model, "align_heads", source, target)
    if cross is None:
        # a single head: one layer of one
        (cross,) = _weights(model, "align", source, target)
        cross = None if cross is None else cross[None, None]
    sides = (
        ("the source", target, source, cross),
        (ENCODER, source, source, own),
        (DECODER, target, fed_words(target), back),
    )
    looks = [
        Looks(name, read_pieces(seeing), read_pieces(seen), weights[None])
        for name, seeing, seen, weights in sides
        if weights is not None
    ]
    if not looks:
        raise DataError("The model has no attention to show.")
    return looks


@contextmanager
def evaluated(model: torch.nn.Module, gradients: bool = False) -> Iterator[None]:
    """No dropout inside, and no gradients unless they are asked for; afterwards the model is in the mode it was in."""
    training = model.training
    try:
        # cuDNN's cells have no gradient outside of training
        cells = torch.backends.cudnn.flags(enabled=False) if gradients else nullcontext()
        with torch.inference_mode(not gradients), torch.set_grad_enabled(gradients), cells:
            model.eval()
            yield
    finally:
        model.train(training)


def _weights(model: Any, method: str, source: Segments, target: Segments) -> list[np.ndarray | None]:
    """What the model's `align` or `align_heads` returns of one pair."""
    device = next(model.parameters()).device
    ids, lengths = pad([source.ids])
    fed, _ = pad([[BOS, *target.ids[:-1]]])
    with evaluated(model):
        looks = getattr(model, method)(ids.to(device), lengths.to(device), fed.to(device))
    looks = looks if isinstance(looks, tuple) else (looks,)
    return [None if one is None else one[0].double().cpu().numpy() for one in looks]
