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
class Shelf(Protocol):
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


class MemoryShelf:
    """Pairs in memory, each a block of its own."""

    def __init__(self, pairs: Pairs):
        self.pairs = pairs
        self.num_pairs = self.num_blocks = len(pairs)
        self.origin = pairs.origin

    def read(self, blocks: Sequence[int]) -> Pairs:
        return self.pairs.select(blocks)


class DiskShelf:
    """Pairs in a folder that `store` wrote, in blocks of at most `BLOCK`. Only what is asked for is in memory.

    - `held_out`: the pairs that `store` put aside for validation.
    - `facts`: what `store` was told of them.

    Raises `DataError` if the folder lacks something or is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            self._kept = np.load(folder / "kept.npy", allow_pickle=False)
            held_out = json.loads((folder / "held_out.json").read_text(encoding="utf-8"))
            self.origin = str(self.facts["origin"])
            self.held_out = Pairs(held_out["source"], held_out["target"], {}, f"{self.origin} (held out)")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, error) from error
        self.num_pairs = int(self._kept.sum())
        self.num_blocks = -(-len(self._kept) // BLOCK)

    def read(self, blocks: Sequence[int]) -> Pairs:
        kept = np.split(self._kept, range(BLOCK, len(self._kept), BLOCK))
        try:
            source, target = _read_rows(self.folder / PAIRS, {block: np.flatnonzero(kept[block]) for block in blocks})
        except OSError as error:
            raise _damaged(self.folder, error) from error
        return Pairs(source, target, {}, self.origin)


def store(
    folder: Path, pairs: Iterable[tuple[str, str]], selection: Selection, facts: Callable[[], dict[str, Any]]
) -> DiskShelf:
    """Write pairs to a folder, whole or not at all, reading them once.

    - `folder`: the place; what stood there is replaced.
    - `pairs`: one after another.
    - `selection`: fresh; says which stay and which are held out.
    - `facts`: what to keep of them, `origin` among it; called when all have been read.

    Raises `DataError` if none stays, and `OutputError` if the folder cannot be written.
    """
    with whole_folder(folder) as temporary:
        _write_blocks(temporary / PAIRS, pairs, selection)
        kept, held_out = selection.finish()
        known = facts()
        if not kept.any():
            raise DataError(f"{known['origin']} gives no pair to use; see above what was left out.")
        wanted = {int(block): held_out[held_out // BLOCK == block] % BLOCK for block in np.unique(held_out // BLOCK)}
        source, target = _read_rows(temporary / PAIRS, wanted)
        np.save(temporary / "kept.npy", kept)
        for name, content in {"held_out": {"source": source, "target": target}, "facts": known}.items():
            (temporary / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return DiskShelf(folder)


def _write_blocks(path: Path, pairs: Iterable[tuple[str, str]], selection: Selection) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"source": pa.string(), "target": pa.string()})
    pairs = iter(pairs)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_statistics=False) as file:
        while block := list(islice(pairs, BLOCK)):
            for source, target in block:
                selection.see(source, target)
            file.write_table(pa.table([*map(list, zip(*block, strict=True))], schema=schema))


def _read_rows(path: Path, rows: Mapping[int, np.ndarray]) -> tuple[list[str], list[str]]:
    """Sources and targets of some rows of some blocks; only one block is in memory at a time."""
    import pyarrow.parquet as pq

    source, target = [], []
    with pq.ParquetFile(path, memory_map=False) as file:
        for block, places in rows.items():
            table = file.read_row_group(int(block), use_threads=False).take(places)
            source += table["source"].to_pylist()
            target += table["target"].to_pylist()
    return source, target


def _damaged(folder: Path, error: Exception) -> DataError:
    return DataError(f"{folder} is damaged ({error}); delete it, and the same command makes it anew.")
