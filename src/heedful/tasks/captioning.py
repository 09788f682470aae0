"""Captions of pictures from a recipe: regions in, a caption out, word by word (Xu et al. 2015), BLEU and CIDEr."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from heedful._errors import DataError
from heedful.data.batching import BatchSampler
from heedful.data.captions import by_picture
from heedful.data.ids import Ids
from heedful.data.readers import Pairs
from heedful.data.regions import RegionFiles
from heedful.data.tokenizers import Segments, TokenizerPair
from heedful.metrics.captions import score_captions
from heedful.metrics.translation import Score
from heedful.training import sequence_loss, validation_loss
from heedful.training.batches import DatasetBatches
from heedful.training.processes import Processes
from heedful.visual.alignment import Alignment

from .batches import Limits, encode_side, make_batches, make_tokenizer
from .corpora import Say
from .decoding_options import DecodingOptions
from .looking import align, with_heads
from .picture_reading import PictureReader, make_reader, shape_of
from .recipe import CAPTION_METRICS, Recipe
from .translated import Translation
from .translation import VALIDATION_TOKENS, Material, Task, gather_sets, keep_tokenizers
from .translator import Translator

# pictures that are read and decoded one after the other, so that not all of a set are in memory
PICTURES_PER_GROUP = 256


class Captioner(Translator):
    """A writer of captions: a `Translator` whose sentences are paths of pictures: files of regions, or of pixels."""

    task = "caption"

    def translate(
        self, sentences: Sequence[str], *, decoding: DecodingOptions | None = None, **options: Any
    ) -> list[list[Translation]]:
        """The captions of pictures, best first; see `Translator.translate`.

        Args:
            sentences: a path for each picture.
            decoding: how to decode; the recipe's own when left out.
            options: as there.

        Raises:
            DataError: a file that cannot be read or used.
        """
        how = (decoding or self.recipe.decoding).model_copy(update={"replace_unknown": False})
        found: list[list[Translation]] = []
        for first in range(0, len(sentences), PICTURES_PER_GROUP):
            group = sentences[first : first + PICTURES_PER_GROUP]
            found += super().translate(group, decoding=how, **options)
        return found

    def explain(self, sentence: str) -> Translation:
        """The best caption of a picture with the weights that made it.

        Raises:
            DataError: see `translate`.
        """
        found = self.translate([sentence], need_weights=True)[0][0]
        return with_heads(self.model, found) if found.target.ids else found

    def align(self, source: str, target: str) -> Alignment:
        """The attention of each word when the model is fed a given caption.

        Raises:
            DataError: see `translate`; the caption is empty, or the model has no attention.
        """
        caption = self.tokenizers.target.segment(target)
        if not caption.ids:
            raise DataError("The caption is empty; give at least one word.")
        return align(self.model, make_reader(self.recipe.model).read(source), caption)

    def fault(self, sentence: str) -> str | None:
        return make_reader(self.recipe.model).fault(sentence) if sentence else None

    def _segment(self, sentence: str) -> Segments:
        if not sentence:  # a line that cannot be used, whose place is kept
            return Segments([], [], [], [])
        return make_reader(self.recipe.model).read(sentence)


@dataclass(frozen=True)
class Captions:
    """Pictures and captions that can be used, in one order: paths, numbers of regions, and ids.

    Attributes:
        pairs: as text.
        regions: of each picture.
        targets: the captions.
    """

    pairs: Pairs
    regions: RegionFiles
    targets: Ids

    def batches(self, tokens_per_batch: int, seed: int) -> DatasetBatches:
        """Batches of them, in an order that is a pure function of (seed, epoch)."""
        sampler = BatchSampler(self.regions.lengths, self.targets.lengths, tokens_per_batch, seed)
        return DatasetBatches(sampler, self.regions, self.targets)


def usable(pairs: Pairs, reader: PictureReader, say: Say = lambda _: None) -> Pairs:
    """The pairs whose pictures can be used; the others are counted.

    Args:
        pairs: paths and captions.
        reader: of the pictures.
        say: takes what was left out.

    Raises:
        DataError: nothing is left.
    """
    faults = {path: fault for path in dict.fromkeys(pairs.source) if (fault := reader.fault(path))}
    by_fault = {fault: [path for path in faults if faults[path] == fault] for fault in dict.fromkeys(faults.values())}
    if len(faults) == len({*pairs.source}):
        why = "; ".join(f"{len(paths):,} {fault}, such as {paths[0]}" for fault, paths in by_fault.items())
        raise DataError(f"No picture of {pairs.origin} can be used: {why}.")
    for fault, paths in by_fault.items():
        say(f"Left out {len(paths):,} pictures of {pairs.origin} that {fault}, such as {Path(paths[0]).name}.")
    if not faults:
        return pairs
    return pairs.select(place for place, path in enumerate(pairs.source) if path not in faults)


def most_common_dim(shapes: Any) -> int | None:
    """The last number of most shapes.

    >>> most_common_dim([(49, 512), None, (7, 7, 512), (36, 2048)])
    512
    """
    counts = Counter(shape[-1] for shape in shapes if shape)
    return counts.most_common(1)[0][0] if counts else None


def encode_captions(
    pairs: Pairs,
    tokenizers: TokenizerPair,
    reader: PictureReader,
    limits: Limits,
    say: Say = lambda _: None,
    dropout: float = 0.0,
    seed: Sequence[int] = (),
) -> Captions:
    """Usable pictures and captions as numbers; captions without a token, or with too many, are left out and counted.

    Args:
        pairs: paths of files that are known to be usable, and captions.
        tokenizers: of a captioner.
        reader: of the pictures.
        limits: of which `max_length` counts tokens of a caption.
        say: takes what was left out.
        dropout: of merges, see `SubwordSampler`.
        seed: of that dropout.

    Raises:
        DataError: nothing is left.
    """
    targets = encode_side(tokenizers.target, pairs.target, dropout, [*seed, 1])
    most = limits.max_length or max(targets.lengths, default=0)
    keep = np.flatnonzero((targets.lengths > 0) & (targets.lengths <= most))
    if not len(keep):
        raise DataError(f"No caption of {pairs.origin} has from 1 to {most} tokens; fix the data.")
    if len(keep) < len(pairs):
        say(f"Left out {len(pairs) - len(keep):,} captions of {pairs.origin}: no token, or more than {most}.")
        pairs, targets = pairs.select(keep.tolist()), targets.take(keep)
    counts = {path: reader.steps(path) for path in dict.fromkeys(pairs.source)}
    lengths = np.array([counts[path] for path in pairs.source], dtype=np.int64)
    return Captions(pairs, RegionFiles(pairs.source, lengths, reader.read), targets)


def prepare_captions(recipe: Recipe, folder: Path, say: Say) -> Material:
    """Read the data and turn captions into ids, as `heedful.tasks.translation.prepare` does for pairs.

    Args:
        recipe: names data and vocabulary.
        folder: of the training.
        say: takes what was read and left out.
    """
    material, to_score = gather_sets(recipe, folder, say)
    sample = material.sample()
    pixels = recipe.model.encoder == "convolutional"
    if not pixels and recipe.model.feature_dim is None:
        dim = most_common_dim(map(shape_of, dict.fromkeys(sample.source)))
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"feature_dim": dim})})
    reader = make_reader(recipe.model)
    options = recipe.tokenizer

    def make() -> TokenizerPair:
        tokenizer = make_tokenizer("target", sample.target, options)
        # nothing is read with the other side's
        return TokenizerPair(tokenizer, tokenizer, joint=True)

    tokenizers = keep_tokenizers(recipe, folder, make)
    regions = "" if pixels else f" Regions have {recipe.model.feature_dim} features."
    say(f"Vocabulary: {tokenizers.target.vocab_size:,} tokens.{regions}")

    def encode(pairs: Pairs, own: TokenizerPair, limits: Limits, tell: Say = say, *rest: Any) -> Captions:
        return encode_captions(usable(pairs, reader, tell), own, reader, limits, tell, *rest)

    batches = make_batches(material, tokenizers, recipe, say, encode)
    to_score = {name: usable(pairs, reader, say) for name, pairs in to_score.items()}
    valid = encode_captions(to_score["valid"], tokenizers, reader, Limits(), say)
    return Material(tokenizers, batches, material.num_pairs, valid, to_score, recipe=recipe)


def validator(
    captioner: Captioner, valid: Captions, processes: Processes
) -> Callable[[nn.Module], Mapping[str, float]]:
    """Loss, perplexity, accuracy and the recipe's metrics (greedy) on the validation set, each process its share."""
    recipe = captioner.recipe
    order = valid.batches(min(VALIDATION_TOKENS, recipe.training.tokens_per_batch), seed=0).epoch(0)
    own = slice(processes.rank, None, processes.count)
    batches = [order[place] for place in range(len(order))[own]]
    pictures, references = by_picture(valid.pairs)
    quick = recipe.decoding.greedy()
    best_by = recipe.training.best_by
    names = dict.fromkeys((*recipe.evaluation.metrics, *({best_by} & {*CAPTION_METRICS})))

    def validate(model: nn.Module) -> dict[str, float]:
        found = processes.gather([best[0].text for best in captioner.translate(pictures[own], decoding=quick)])
        scores = score_captions(found, references, [*names])
        texts = {name: score.value for name, score in zip(names, scores, strict=True)}
        return validation_loss(model, batches, summed=processes.total) | texts

    return validate


def evaluate_captioner(captioner: Captioner, pairs: Pairs, decoding: DecodingOptions | None = None) -> list[Score]:
    """Write a caption of every picture and score it against all of that picture's captions.

    Args:
        captioner: what to judge.
        pairs: paths of usable files, and captions.
        decoding: how to search; the recipe's own when left out.
    """
    pictures, references = by_picture(pairs)
    found = [best[0].text for best in captioner.translate(pictures, decoding=decoding)]
    return score_captions(found, references, captioner.recipe.evaluation.metrics)


CAPTION = Task(Captioner, sequence_loss, validator, evaluate_captioner, prepare_captions)
