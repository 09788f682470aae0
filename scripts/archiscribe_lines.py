"""Unpack the printed lines of the Archiscribe corpus for the recipe `read_lines`: PNG files, JSON lines of their text.

    python scripts/archiscribe_lines.py ${HEEDFUL_DATA}/archiscribe_lines lines

SOURCE holds `<split>.u8.xz`, 40 bytes a column from 0 (ink) to 7 (paper), and `<split>.tsv.xz`, whose last two cells of
a row are width and text. TARGET gets `<split>/N.png` and `<split>.jsonl`.
"""

import json
import lzma
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from heedful._files import write_whole

HEIGHT, PAPER = 40, 7


def unpack(source: Path, target: Path, split: str) -> int:
    """One split; returns how many lines it has."""
    columns = np.frombuffer(lzma.decompress((source / f"{split}.u8.xz").read_bytes()), np.uint8).reshape(-1, HEIGHT)
    rows = lzma.decompress((source / f"{split}.tsv.xz").read_bytes()).decode("utf-8").removesuffix("\n").split("\n")
    folder, first, lines = target / split, 0, []
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        *_, width, text = row.split("\t")
        pixels = columns[first : first + int(width)].T.astype(np.uint16) * 255 // PAPER
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": text}, ensure_ascii=False))
        first += int(width)
    write_whole(target / f"{split}.jsonl", "\n".join(lines) + "\n")
    return len(lines)


if __name__ == "__main__":
    for name in ("train", "val", "test"):
        print(f"{name}: {unpack(Path(sys.argv[1]), Path(sys.argv[2]), name):,} lines")
