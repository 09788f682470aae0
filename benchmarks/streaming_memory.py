"""How much memory a training takes whose corpus is on the disk: python benchmarks/streaming_memory.py FOLDER GIGABYTES.

The corpus is made of the bundled pairs, two or three of them in one line, until it has the size. `heedful train` learns
from it for some steps, duplicates removed and validation held out, and then goes on, which finds the pairs on the disk.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import yaml
from record import append

from heedful.data.bundled import load_pairs
from heedful.tasks.corpora import STREAMED_PAIRS

STEPS = 30
VOCABULARY = 8000
# runs a command and says what memory it took at most, in kilobytes
WATCH = "import resource,subprocess,sys; code=subprocess.call(sys.argv[1:]); "
WATCH += "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
TRAIN = [sys.executable, "-c", "from heedful.cli.main import main; main()", "train"]


def write_corpus(path: Path, size: int) -> int:
    """Write lines until there are `size` bytes; returns how many lines."""
    bundled = load_pairs("tatoeba_en_fr", "train")
    pairs, chance, lines, written = list(zip(bundled.source, bundled.target, strict=True)), random.Random(1), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            several = chance.choices(pairs, k=chance.choice((2, 3)))
            line = f"{' '.join(one for one, _ in several)}\t{' '.join(other for _, other in several)}\n"
            written += len(line.encode())
            file.write(line)
            lines += 1
    return lines


def recipe(corpus: Path, output: Path, steps: int) -> dict:
    """A small model; what is measured is not its own memory."""
    return {
        "name": "streaming",
        "output": str(output),
        "data": {"train": {"tsv": str(corpus)}, "streaming": True, "deduplicate": True, "hold_out": 200},
        "tokenizer": {"vocab_size": VOCABULARY},
        "model": {"embedding_dim": 64, "units": 64},
        "training": {
            "max_steps": steps,
            "tokens_per_batch": 1000,
            "validate_every": STEPS,
            "tensorboard": False,
            "device": "cpu",
        },
        "decoding": {"beam": 1, "max_length": 40},
    }


def train(corpus: Path, folder: Path, steps: int) -> int:
    """Peak memory of a training in megabytes."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(corpus, folder / "run", steps)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *TRAIN, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    code, kilobytes = map(int, done.stdout.split()[-2:])
    if code:
        raise SystemExit(f"the training ended with {code}")
    return kilobytes * 1024 // 10**6


def main(folder: Path, gigabytes: float) -> None:
    """Measure one corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus.tsv"
    lines = write_corpus(corpus, int(gigabytes * 1e9))
    first, resumed = train(corpus, folder, STEPS), train(corpus, folder, 2 * STEPS)
    on_disk = sum(file.stat().st_size for file in (folder / "run" / "corpus").iterdir())
    append(
        "streaming_memory",
        corpus_mb=corpus.stat().st_size // 10**6,
        pairs=lines,
        on_disk_mb=on_disk // 10**6,
        epoch_pairs=STREAMED_PAIRS,
        vocabulary=VOCABULARY,
        steps=STEPS,
        threads=os.environ.get("OMP_NUM_THREADS", "all"),
        peak_mb=first,
        resumed_peak_mb=resumed,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
