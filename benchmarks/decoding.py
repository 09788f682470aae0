"""How fast does a translator decode beside other libraries: the same sizes, sentences, batches, lengths and threads?

python benchmarks/decoding.py [--joeynmt FOLDER] [--extra FOLDER] [--threads N] [--rounds N] [--model recurrent]

test_2016_flickr of Multi30k, English to German, greedy and beam 5; every side says 20 tokens of every sentence, with
models that learnt nothing. The sides take turns batch by batch. A library that is not there says so.

FOLDER holds JoeyNMT as joeynmt_training.py wants it, or the others, behind the packages that are here already:
pip install --no-deps --target FOLDER ctranslate2==4.8.5 transformers==5.24.0
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import median, quantiles

from paced import PacedTraining
from record import append

from heedful.data.readers import read_pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.tasks.decoding_batches import by_length

# pieces of the joint vocabulary
VOCABULARY = {"recurrent": 8000, "transformer": 10000}
SIZES = {"layers": 4, "dim": 128, "hidden": 256, "heads": 4}
TOKENS, BEAMS = 20, (1, 5)
# of a batch of 64 sentences, 20 of each source token
SHORTLIST = 1500


def write_work(folder: Path, data: Path, vocabulary: int, threads: int, sentences: int) -> list[tuple[int, int]]:
    """What every side reads; returns where each batch begins and ends."""
    pairs = read_pairs(data / "train.en.gz", data / "train.de.gz")
    tokenizers = TokenizerPair.train(pairs.source, pairs.target, joint=True, kind="bpe", vocab_size=vocabulary)
    test = read_pairs(data / "test_2016_flickr.en.gz", data / "test_2016_flickr.de.gz").source[:sentences]
    sources = tokenizers.source.encode_batch(test)
    batches = [*by_length([len(source) for source in sources])]
    content = {
        "sources": [sources[place] for batch in batches for place in batch],
        "vocab_size": tokenizers.source.vocab_size,
        "tokens": TOKENS,
        "threads": threads,
        "transformer": SIZES,
    }
    (folder / "work.json").write_text(json.dumps(content))
    ends = [sum(map(len, batches[: number + 1])) for number in range(len(batches))]
    return [*zip([0, *ends], ends, strict=False)]


def sides(joeynmt: str, extra: str, folder: str, model: str) -> dict[str, list[str]]:
    """What is compared, each with its command."""
    precisions = "float32", "bf16", "int8", f"int8/{SHORTLIST}"
    ours = {f"heedful {one}": ["decoding_heedful.py", "-", folder, model, one] for one in precisions}
    others = {"JoeyNMT": ["decoding_joeynmt.py", joeynmt, folder, model, "float32"]}
    if model == "transformer":
        for precision in ("float32", "int8"):
            others[f"CTranslate2 {precision}"] = ["decoding_ctranslate2.py", extra, folder, model, precision]
        others["Marian, transformers"] = ["decoding_marian.py", extra, folder, model, "float32"]
    return ours | others


def start(commands: dict[str, list[str]], folder: Path, threads: int) -> list[PacedTraining]:
    """The sides that can run; of the others, the last line of why not."""
    running = []
    for number, (name, command) in enumerate(commands.items()):
        try:
            running.append(PacedTraining(name, command, folder / f"{number}.log", threads))
        except SystemExit as error:
            print(f"{name} is left out: {str(error).strip().rpartition(chr(10))[2]}")
    return running


def measure(running: list[PacedTraining], batches: list[tuple[int, int]], beam: int, rounds: int):
    """Seconds of all batches, of every side in every round; tokens of one."""
    seconds = {side.name: [0.0] * rounds for side in running}
    for side in running:
        side.run(*batches[0], beam)
    tokens = 0
    for number in range(rounds):
        for batch in batches:
            for side in running:
                said, taken = side.run(*batch, beam)
                seconds[side.name][number] += taken
                tokens += said if side is running[0] and number == 0 else 0
    return tokens, seconds


def alone(running: list[PacedTraining], sentences: int, beam: int) -> dict[str, list[float]]:
    """Milliseconds of single sentences, of every side."""
    found: dict[str, list[float]] = {side.name: [] for side in running}
    for place in range(sentences):
        for side in running:
            found[side.name].append(1000 * side.run(place, place + 1, beam)[1])
    return found


def report(given: argparse.Namespace, running: list[PacedTraining], batches: list[tuple[int, int]]) -> None:
    """A row for each beam and side."""
    step = max(1, batches[-1][1] // given.single) if given.single else 0
    for beam in BEAMS:
        tokens, seconds = measure(running, batches, beam, given.rounds)
        single = alone(running, batches[-1][1] // step if step else 0, beam)
        base = median(seconds[running[0].name])
        for side in running:
            speeds, times = [tokens / taken for taken in seconds[side.name]], single[side.name]
            append(
                "decoding",
                processor_family=processor(),
                shared=given.shared,
                threads=given.threads,
                model=given.model,
                parameters=side.parameters or "",
                beam=beam,
                side=side.name,
                rounds=given.rounds,
                **{
                    "tokens/s": round(median(speeds)),
                    "range": f"{min(speeds):.0f}-{max(speeds):.0f}",
                    "time / heedful float32": f"{median(seconds[side.name]) / base:.2f}",
                    "one sentence, median ms": f"{median(times):.1f}" if times else "",
                    "one sentence, 99 % ms": f"{quantiles(times, n=100)[98]:.1f}" if times else "",
                },
            )


def processor() -> str:
    """Family and model of the processor, which its name may not tell."""
    info = Path("/proc/cpuinfo")
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line) if info.exists() else {}
    found = {key.strip(): value.strip() for key, value in lines.items()}
    return f"family {found.get('cpu family', '?')}, model {found.get('model', '?')}"


def main() -> None:
    """Rows for one architecture and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", default="", help="folder that holds JoeyNMT")
    parser.add_argument("--extra", default="", help="folder that holds the other libraries")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HEEDFUL_DATA", ".")) / "multi30k")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=1000, help="of the set, in batches")
    parser.add_argument("--single", type=int, default=100, help="of the set, each alone")
    parser.add_argument("--model", choices=VOCABULARY, default="recurrent")
    parser.add_argument("--shared", action="store_true", help="note that the machine had other work besides")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        batches = write_work(work, given.data, VOCABULARY[given.model], given.threads, given.sentences)
        running = start(sides(given.joeynmt, given.extra, folder, given.model), work, given.threads)
        report(given, running, batches)
        for side in running:
            side.close()


if __name__ == "__main__":
    main()
