"""The pairs of a recipe's data: in memory or on the disk, selected, drawn epoch by epoch."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from heedful._errors import DataError, RecipeError
from heedful.data.bundled import load_pairs
from heedful.data.files import find_files
from heedful.data.readers import MAX_CHARS, Pairs, gather, stream, why_nothing
from heedful.data.sampler import PairSampler, join
from heedful.data.selection import Selection
from heedful.data.sources import DataSource, Form
from heedful.data.storage import CorpusFolder, MemoryStorage, Storage, store

from .data_options import DataOptions, DataPart
from .recipe import expand_path

Say = Callable[[str], None]
# of an epoch where the corpus is on the disk: a few hundred megabytes on the way
STREAMED_PAIRS = 100_000
# that a vocabulary is learned from where the corpus is on the disk
VOCABULARY_PAIRS = 500_000
# bytes of text from which on a training says that it need not be in memory
LARGE = 1 << 29
PAIRS_PER_LINE = 2_000_000


@dataclass(frozen=True)
class Material:
    """The pairs of a recipe: those to learn from, as an epoch draws them, and those to choose by."""

    sampler: PairSampler
    valid: Pairs

    @property
    def num_pairs(self) -> int:
        """Pairs to learn from."""
        return sum(storage.num_pairs for storage in self.sampler.storages)

    def sample(self) -> Pairs:
        """What vocabularies are learned from: all pairs, or many of them where they are on the disk."""
        in_memory = all(isinstance(storage, MemoryStorage) for storage in self.sampler.storages)
        return self.sampler.sample(self.num_pairs if in_memory else VOCABULARY_PAIRS)


def gather_material(data: DataOptions, seed: int, folder: Path, say: Say = lambda _: None) -> Material:
    """Read what a recipe learns from and chooses by.

    Args:
        data: the section.
        seed: of the order in which pairs are drawn.
        folder: where pairs are kept that shall not be in memory; what lies there of an earlier run is used.
        say: takes what was read and what was left out.

    Raises:
        DataError: there is nothing to learn from or to choose by, or a file cannot be read.
    """
    selection = Selection(data.deduplicate, 0 if data.valid else data.hold_out)
    read = _on_disk if data.streaming else _in_memory
    storages, held_out = read(data, selection, folder, say)
    valid = read_part(data.valid, say, data.max_chars) if data.valid else held_out
    if not len(valid):
        raise DataError("There are too few pairs to hold some out for validation; give some as data.valid.")
    if not all(storage.num_pairs for storage in storages):
        raise DataError("One set of data.train has no pair that another has not; leave it out, or do not deduplicate.")
    weights = [part.weight for part in data.train_parts if part.weight is not None]
    epoch_pairs = data.epoch_pairs or (STREAMED_PAIRS if data.streaming else None)
    return Material(PairSampler(storages, weights or None, epoch_pairs, seed), valid)


def read_part(part: DataPart, say: Say = lambda _: None, max_chars: int = MAX_CHARS) -> Pairs:
    """The pairs that one part of a recipe's `data` section names; what was left out is reported.

    Args:
        part: of the section.
        say: takes what was read and what was left out.
        max_chars: see `DataOptions`.
    """
    if part.bundled:
        pairs = _bundled(part)
    else:
        data_source = source_of_part(part)
        size = sum(file.stat().st_size for file in _files(data_source))
        if size > LARGE:
            say(f"{data_source} has {size / 1e9:.1f} GB; with data.streaming: true it need not fit in memory.")
        pairs = gather(data_source, max_chars)
    say(_what_was_read(len(pairs), pairs.origin, pairs.skipped))
    return pairs


def stream_part(
    part: DataPart, skipped: Counter[str], max_chars: int = MAX_CHARS
) -> tuple[str, Iterator[tuple[str, str]]]:
    """What to call a part, and its pairs one after another; `skipped` counts on the way what is left out."""
    if part.bundled:
        bundled = _bundled(part)
        return bundled.origin, zip(bundled.source, bundled.target, strict=True)
    data_source = source_of_part(part)
    return str(data_source), stream(data_source, skipped, max_chars)


def source_of_part(part: DataPart) -> DataSource:
    """Where the pairs of a part lie, but for those that ship with heedful."""
    first, second = (tuple(side) if isinstance(side, list) else side for side in part.columns)
    where = (part.where.column, str(part.where.equals)) if part.where else None
    if part.source:
        return DataSource("lines", str(expand_path(part.source)), str(expand_path(part.target or "")))
    if part.captions:
        form: Form = "features" if part.features else "images"
        return DataSource(form, str(expand_path(part.captions)), str(expand_path(part.features or part.images or "")))
    if part.dataset:
        local = expand_path(part.dataset)
        place = str(local) if local.exists() else part.dataset
        return DataSource("dataset", place, None, (first, second), part.subset, part.split or "train", where)
    form = "tsv" if part.tsv else "csv" if part.csv else "json" if part.jsonl else "parquet"
    place = part.tsv or part.csv or part.jsonl or part.parquet or ""
    return DataSource(form, str(expand_path(place)), columns=(first, second), where=where)


def _in_memory(data: DataOptions, selection: Selection, _: Path, say: Say) -> tuple[list[Storage], Pairs]:
    """The corpora, and what is held out of them."""
    corpora = [read_part(part, say, data.max_chars) for part in data.train_parts]
    for pairs in corpora:
        for source, target in zip(pairs.source, pairs.target, strict=True):
            selection.see(source, target)
    kept, held_out = selection.finish()
    say_selected(say, len(kept), int(kept.sum()), len(held_out))
    storages: list[Storage] = []
    for pairs, (first, last) in zip(corpora, pairwise(np.cumsum([0, *map(len, corpora)])), strict=True):
        here = kept[first:last]
        storages.append(MemoryStorage(pairs if here.all() else pairs.select(np.flatnonzero(here).tolist())))
    return storages, join(corpora).select(held_out.tolist())


def _on_disk(data: DataOptions, selection: Selection, folder: Path, say: Say) -> tuple[list[Storage], Pairs]:
    """The same, read into the folder one pair after another, unless an earlier run has left them there."""
    made_of = _fingerprint(data)
    said: list[str] = []
    found = CorpusFolder(folder) if (folder / "facts.json").exists() else None
    if found is None or found.facts.get("made_of") != made_of:
        say(f"Reading the training pairs into {folder}.")
        corpora = [_counted(part, said, say, data.max_chars) for part in data.train_parts]
        found = store(folder, corpora, selection, lambda: {"made_of": made_of, "said": said})
    else:
        for line in found.facts["said"]:
            say(line)
    kept = sum(storage.num_pairs for storage in found.storages)
    say_selected(say, sum(found.facts["sizes"]), kept, len(found.held_out))
    return list(found.storages), found.held_out


def _counted(part: DataPart, said: list[str], say: Say, max_chars: int) -> tuple[str, Iterator[tuple[str, str]]]:
    """What to call a part, and its pairs, of which it says how many they are when the last has been taken."""
    skipped: Counter[str] = Counter()
    origin, pairs = stream_part(part, skipped, max_chars)

    def count() -> Iterator[tuple[str, str]]:
        number = 0
        for number, pair in enumerate(pairs, start=1):
            yield pair
            if number % PAIRS_PER_LINE == 0:
                say(f"{number:,} pairs so far")
        if not number:
            raise DataError(f"{origin} gives no pair to use: {why_nothing(skipped)}.")
        said.append(_what_was_read(number, origin, skipped))
        say(said[-1])

    return origin, count()


def _bundled(part: DataPart) -> Pairs:
    try:
        pairs = load_pairs(part.bundled or "", part.split or "train")
    except ValueError as error:
        raise RecipeError(f"data: {error}") from None
    if not {*part.flat_columns()} <= {0, 1} or len(part.flat_columns()) > 2:
        raise RecipeError(f"data: {part.bundled} has the columns 0 and 1; came {part.columns}")
    source, target = ((pairs.source, pairs.target)[int(column)] for column in part.flat_columns())
    return replace(pairs, source=source, target=target)


def _fingerprint(data: DataOptions) -> dict[str, Any]:
    """What the pairs on the disk depend on: where they come from, the state of these files, and how they are chosen."""
    parts = [{**part.model_dump(), "weight": None} for part in data.train_parts]
    files = [
        [str(file), file.stat().st_size, file.stat().st_mtime_ns]
        for part in data.train_parts
        if not part.bundled
        for file in _files(source_of_part(part))
    ]
    chosen = {
        "where": data.where and data.where.model_dump(),
        "max_chars": data.max_chars,
        "deduplicate": data.deduplicate,
        "hold_out": None if data.valid else data.hold_out,
    }
    return {"parts": parts, "files": files, **chosen}


def _files(data_source: DataSource) -> list[Path]:
    """The files of a data source that there are; none of a data set, which says itself what it reads."""
    # of pictures their captions tell
    places = [data_source.place, None if data_source.form in ("features", "images") else data_source.target]
    places = [] if data_source.form == "dataset" else places
    return [file for place in places if place for file in find_files(place) if file.is_file()]


def _what_was_read(count: int, origin: str, skipped: dict[str, int]) -> str:
    left_out = "".join(f"; left out {number:,} ({reason})" for reason, number in skipped.items())
    return f"Read {count:,} pairs from {origin}{left_out}."


def say_selected(say: Say, seen: int, kept: int, held_out: int) -> None:
    """Say how many pairs occurred before, and how many were held out, if any."""
    if repeated := seen - kept - held_out:
        say(f"Left out {repeated:,} pairs that occur more than once.")
    if held_out:
        say(f"Held out {held_out:,} pairs for validation; their source sentences are not learned from.")
