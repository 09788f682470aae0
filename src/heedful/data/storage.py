"""Pairs in blocks that can be taken in any order: in memory, or on disk for what does not fit."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from heedful._errors import DataError
from heedful._files import whole_folder

from .readers import Pairs
from .selection import Selection

# pairs that lie together on disk and are read together
BLOCK = 2048
PAIRS = "pairs.parquet"


@runtime_checkable
class Storage(Protocol):
    """Pairs that lie in blocks.

    - `num_pairs`, `num_blocks`: how many there are.
    - `origin`: where they came from, for messages.
    """

    num_pairs: int
    num_blocks: int
    origin: str

    def read(self, blocks: Sequence[int]) -> Pairs:
        """The pairs of some blocks, one block after another."""
        ...


class MemoryStorage(Storage):
    """Pairs in memory, each a block of its own."""

    def __init__(self, pairs: Pairs):
        self.pairs = pairs
        self.num_pairs = self.num_blocks = len(pairs)
        self.origin = pairs.origin

    def read(self, blocks: Sequence[int]) -> Pairs:
        return self.pairs.select(blocks)


class DiskStorage(Storage):
    """Pairs in a folder that `store` wrote, in blocks of at most `BLOCK`. Only what is asked for is in memory.

    - `path`: the file, which may hold other corpora, too.
    - `kept`: for each block, which of its pairs count.
    - `first`: the number of the first block in the file.
    """

    def __init__(self, path: Path, kept: Sequence[np.ndarray], first: int, origin: str):
        self.path = path
        self.kept = kept
        self.first = first
        self.origin = origin
        self.num_blocks = len(kept)
        self.num_pairs = int(sum(block.sum() for block in kept))

    def read(self, blocks: Sequence[int]) -> Pairs:
        wanted = {self.first + block: np.flatnonzero(self.kept[block]) for block in blocks}
        try:
            source, target = _read_rows(self.path, wanted)
        except (OSError, ValueError) as error:
            raise _damaged(self.path.parent, error) from error
        return Pairs(source, target, {}, self.origin)


class CorpusFolder:
    """A folder of corpora that `store` wrote. Raises `DataError` if it lacks something or is damaged.

    - `facts`: the facts that were given to `store`.
    - `storages`: the corpora.
    - `held_out`: the pairs that were put aside for validation.
    """

    def __init__(self, folder: Path):
        try:
            self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            held_out = json.loads((folder / "held_out.json").read_text(encoding="utf-8"))
            self.held_out = Pairs(held_out["source"], held_out["target"], {}, "the training data, held out")
            sizes, origins = self.facts["sizes"], self.facts["origins"]
            kept = np.split(np.load(folder / "kept.npy", allow_pickle=False), np.cumsum(sizes)[:-1])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, error) from error
        self.storages: list[DiskStorage] = []
        first = 0
        for corpus, origin in zip(kept, origins, strict=True):
            blocks = np.split(corpus, range(BLOCK, len(corpus), BLOCK)) if len(corpus) else []
            self.storages.append(DiskStorage(folder / PAIRS, blocks, first, str(origin)))
            first += len(blocks)


def store(
    folder: Path,
    corpora: Sequence[tuple[str, Iterable[tuple[str, str]]]],
    selection: Selection,
    facts: Callable[[], Mapping[str, Any]] = dict,
) -> CorpusFolder:
    """Write corpora to a folder, whole or not at all, reading each pair once.

    - `folder`: the place; what stood there is replaced.
    - `corpora`: what to call each, and its pairs.
    - `selection`: fresh; says which pairs stay and which are held out.
    - `facts`: what else to keep; called when all has been read.

    Raises `OutputError` if the folder cannot be written.
    """
    with whole_folder(folder) as temporary:
        sizes = _write_blocks(temporary / PAIRS, [pairs for _, pairs in corpora], selection)
        kept, held_out = selection.finish()
        source, target = _read_rows(temporary / PAIRS, _rows_by_block(held_out, sizes))
        np.save(temporary / "kept.npy", kept)
        contents = {
            "held_out": {"source": source, "target": target},
            "facts": {"sizes": sizes, "origins": [origin for origin, _ in corpora], **facts()},
        }
        for name, content in contents.items():
            (temporary / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return CorpusFolder(folder)


def _write_blocks(path: Path, corpora: Iterable[Iterable[tuple[str, str]]], selection: Selection) -> list[int]:
    """Write each corpus in blocks of its own; returns how many pairs each has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"source": pa.string(), "target": pa.string()})
    sizes = []
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_statistics=False) as file:
        for corpus in map(iter, corpora):
            before = selection.count
            while block := list(islice(corpus, BLOCK)):
                for source, target in block:
                    selection.see(source, target)
                file.write_table(pa.table([*map(list, zip(*block, strict=True))], schema=schema))
            sizes.append(selection.count - before)
    return sizes


def _rows_by_block(places: np.ndarray, sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """Places counted over all corpora as rows of blocks."""
    lengths = [min(BLOCK, size - first) for size in sizes for first in range(0, size, BLOCK)]
    starts = np.cumsum([0, *lengths])
    blocks = np.searchsorted(starts, places, side="right") - 1
    return {int(block): places[blocks == block] - starts[block] for block in np.unique(blocks)}


def _read_rows(path: Path, rows: Mapping[int, np.ndarray]) -> tuple[list[str], list[str]]:
    """Sources and targets of some rows of some blocks; only one block is in memory at a time."""
    import pyarrow.parquet as pq

    source, target = [], []
    with pq.ParquetFile(path, memory_map=False) as file:
        for block, places in rows.items():
            table = file.read_row_group(block, use_threads=False).take(places)
            source += table["source"].to_pylist()
            target += table["target"].to_pylist()
    return source, target


def _damaged(folder: Path, error: Exception) -> DataError:
    return DataError(f"{folder} is damaged ({error}); delete it, and the same command makes it anew.")
