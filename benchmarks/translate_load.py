"""What `heedful translate` takes for many lines, memory and time: python benchmarks/translate_load.py FOLDER LINES...

A small model is trained first, once for a FOLDER; the lines are the bundled English sentences, over and over.
"""

import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from record import append

from heedful.data.bundled import load_pairs

HEEDFUL = [sys.executable, "-c", "from heedful.cli.main import main; main()"]
# runs a command, its output thrown away, and says how long it took and what memory at most, in kilobytes
WATCH = (
    "import resource, subprocess, sys, time; start = time.monotonic(); "
    "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
    "print(code, time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
SMALL = {
    "tokenizer": "{kind: word, vocab_size: 4000}",
    "model": "{embedding_dim: 64, units: 64, attention: luong}",
    "data.test": "null",
    "training.max_seconds": "20",
    "training.validate_every": "100000",
    "training.average_last": "0",
    "decoding": "{beam: 1, max_length: 24}",
}


def model_of(folder: Path) -> Path:
    """The model, trained if it is not there."""
    model = folder / "run" / "model"
    if not model.exists():
        changes = {**SMALL, "output": str(folder / "run")}
        options = [option for key, value in changes.items() for option in ("--set", f"{key}={value}")]
        subprocess.run([*HEEDFUL, "train", "tatoeba_en_fr", *options], check=True)
    return model


def main(folder: Path, counts: list[int]) -> None:
    """Translate files of so many lines, one after another."""
    folder.mkdir(parents=True, exist_ok=True)
    model, sentences = model_of(folder), load_pairs("tatoeba_en_fr", "train").source
    for count in counts:
        path = folder / f"{count}.en"
        path.write_text("".join(f"{line}\n" for line in islice(cycle(sentences), count)), encoding="utf-8")
        command = [sys.executable, "-c", WATCH, *HEEDFUL, "translate", str(model), str(path)]
        code, seconds, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        if code != "0":
            raise SystemExit(f"the translation ended with {code}")
        row = {"lines": count, "beam": 1, "seconds": f"{float(seconds):.1f}", "peak_mb": int(kilobytes) // 1000}
        append("translate_load", **row, lines_per_second=f"{count / float(seconds):.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]])
