"""Make the sentence pairs that ship with heedful out of the Tatoeba English-French pairs in the folder HEEDFUL_DATA.

Run it as `HEEDFUL_DATA=<folder> python scripts/make_bundled_pairs.py`. The same input gives the same files, byte for
byte, as long as the xz library packs the same way.
"""

import lzma
import os
import random
import sys
from collections import defaultdict
from pathlib import Path

from heedful.data.readers import read_pairs

OUTPUT = Path(__file__).parents[1] / "src" / "heedful" / "data" / "bundled"
SHORTEST, LONGEST = 3, 16
LONG_FROM = 9
TRAIN_PAIRS = 49_000
# how many English sentences of each length to hold out: even where there are plenty, all where there are few
VAL_PER_LENGTH, TEST_PER_LENGTH = 75, 104
# literal context 4 and no position bits suit UTF-8 text
PACKING = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]

Pair = tuple[str, str]


def read_by_length(path: Path) -> dict[int, list[Pair]]:
    """The pairs of 3 to 16 English words, by that number."""
    pairs = read_pairs(path)
    by_length = defaultdict(list)
    for english, french in sorted(set(zip(pairs.source, pairs.target, strict=True))):
        num_words = len(english.split())
        if SHORTEST <= num_words <= LONGEST:
            by_length[num_words].append((english, french))
    return by_length


def letters(text: str) -> str:
    """The text without case, spaces and punctuation: what makes two sentences the same."""
    return "".join(character for character in text.lower() if character.isalnum())


def hold_out(by_length: dict[int, list[Pair]], per_length: int, chance: random.Random) -> list[Pair]:
    """At most `per_length` pairs of every length, each English sentence once."""
    chosen = []
    for _, pairs in sorted(by_length.items()):
        one_each = {}
        for english, french in chance.sample(pairs, len(pairs)):
            one_each.setdefault(letters(english), (english, french))
        chosen += list(one_each.values())[:per_length]
    return chosen


def choose_train(by_length: dict[int, list[Pair]], held_out: list[Pair], chance: random.Random) -> list[Pair]:
    """All long pairs, then as many short ones, drawn evenly over them; none with a held-out sentence on either side."""
    english_out, french_out = {letters(english) for english, _ in held_out}, {french for _, french in held_out}
    long, short = [], []
    for num_words, pairs in sorted(by_length.items()):
        allowed = [pair for pair in pairs if letters(pair[0]) not in english_out and pair[1] not in french_out]
        (long if num_words >= LONG_FROM else short).extend(allowed)
    return long + chance.sample(short, TRAIN_PAIRS - len(long))


def write(name: str, pairs: list[Pair]) -> None:
    """Sorted, because neighbours that begin alike pack tighter; the readers of these files shuffle."""
    text = "".join(f"{english}\t{french}\n" for english, french in sorted(pairs))
    path = OUTPUT / f"tatoeba_en_fr.{name}.tsv.xz"
    path.write_bytes(lzma.compress(text.encode(), format=lzma.FORMAT_XZ, filters=PACKING))
    sys.stdout.write(f"{path.name}: {len(pairs):,} pairs, {path.stat().st_size:,} bytes\n")


def main() -> None:
    """Write the three files."""
    folder = Path(os.environ["HEEDFUL_DATA"]) / "tatoeba_en_fr"
    chance = random.Random(2019)
    val = hold_out(read_by_length(folder / "val.tsv.xz"), VAL_PER_LENGTH, chance)
    test = hold_out(read_by_length(folder / "test.tsv.xz"), TEST_PER_LENGTH, chance)
    train = choose_train(read_by_length(folder / "train.tsv.xz"), val + test, chance)
    for name, pairs in (("train", train), ("val", val), ("test", test)):
        write(name, pairs)


if __name__ == "__main__":
    main()
