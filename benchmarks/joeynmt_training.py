"""How fast does a translator train beside JoeyNMT's: the same architecture, batches, optimiser and threads?

python benchmarks/joeynmt_training.py --joeynmt FOLDER [--source FILE --target FILE] [--threads N] [--rounds N]
    [--model transformer]

FOLDER holds JoeyNMT, installed apart, behind the packages that are here already:
pip install --no-deps --target FOLDER joeynmt==2.3.0 sentencepiece subword-nmt "importlib-metadata<9" zipp
"""

import argparse
import json
import os
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from statistics import median

from paced import PacedTraining
from record import append

from heedful.data.batching import BatchSampler
from heedful.data.readers import read_pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.data.vocabulary import EOS

# real tokens of both sides in a batch, and pieces of the joint vocabulary
TOKENS_PER_BATCH, VOCABULARY = 2900, {"recurrent": 8000, "transformer": 10000}
SETTINGS = {"learning_rate": 0.0005, "warmup_steps": 400, "label_smoothing": 0.1, "dropout": 0.3}


def write_batches(folder: Path, source: Path, target: Path, vocabulary: int) -> None:
    """Joint BPE, and batches of sentences of one length; JoeyNMT ends its sources with EOS, and so do ours here."""
    pairs = read_pairs(source, target)
    tokenizers = TokenizerPair.train(pairs.source, pairs.target, joint=True, kind="bpe", vocab_size=vocabulary)
    sources = tokenizers.source.encode_batch(pairs.source)
    targets = tokenizers.target.encode_batch(pairs.target)
    sampler = BatchSampler([len(s) + 1 for s in sources], [len(t) for t in targets], TOKENS_PER_BATCH, seed=1)
    content = {
        "source": sources,
        "target": targets,
        "order": sampler.epoch(0),
        "vocab_size": tokenizers.source.vocab_size,
        "eos": EOS,
        **SETTINGS,
    }
    (folder / "batches.json").write_text(json.dumps(content))


def sides(joeynmt: str, folder: str, model: str) -> dict[str, list[str]]:
    """The trainings that are compared, each with its command."""
    wiring = "luong_input_feeding" if model == "recurrent" else model
    ours = {
        "heedful": ["heedful_side.py", folder, wiring, "32"],
        "heedful bf16": ["heedful_side.py", folder, wiring, "bf16"],
    }
    if model == "recurrent":
        ours["heedful, look first"] = ["heedful_side.py", folder, "bahdanau", "32"]
    theirs = {
        "joeynmt bucketed": "bucketed",
        "joeynmt bucketed, kept memory": "kept",
        "joeynmt as it ships": "shipped",
    }
    return ours | {name: ["joeynmt_side.py", joeynmt, folder, order, model] for name, order in theirs.items()}


def measure(trainings: list[PacedTraining], rounds: int, steps: int) -> dict[str, list[float]]:
    """Real target tokens a second, of every side in every round; one block of steps goes before."""
    found: dict[str, list[float]] = {training.name: [] for training in trainings}
    for number in range(rounds + 1):
        for training in trainings:
            tokens, seconds = training.run(steps)
            if number:
                found[training.name].append(tokens / seconds)
    return found


def check_installed(folder: str) -> str:
    """The version of JoeyNMT in a folder."""
    for found in distributions(name="joeynmt", path=[folder]):
        return found.version
    raise SystemExit(f"{folder} holds no JoeyNMT; install it there:{str(__doc__).rpartition('already:')[2].rstrip()}")


def main() -> None:
    """One row for a number of threads."""
    data = Path(os.environ.get("HEEDFUL_DATA", ".")) / "multi30k"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", required=True, help="folder that holds JoeyNMT")
    parser.add_argument("--source", type=Path, default=data / "train.en.gz")
    parser.add_argument("--target", type=Path, default=data / "train.de.gz")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps of a side in a round")
    parser.add_argument("--model", choices=("recurrent", "transformer"), default="recurrent")
    given = parser.parse_args()
    version = check_installed(given.joeynmt)
    with tempfile.TemporaryDirectory() as folder:
        write_batches(Path(folder), given.source, given.target, VOCABULARY[given.model])
        trainings = [
            PacedTraining(name, command, Path(folder) / f"{number}.log", given.threads)
            for number, (name, command) in enumerate(sides(given.joeynmt, folder, given.model).items())
        ]
        found = measure(trainings, given.rounds, given.steps)
        for training in trainings:
            training.close()
    base = median(found["joeynmt bucketed"])
    ours = {name: speeds for name, speeds in found.items() if name.startswith("heedful")}
    append(
        "joeynmt_training" if given.model == "recurrent" else "joeynmt_training_transformer",
        joeynmt=version,
        threads=given.threads,
        rounds=given.rounds,
        **{f"{training.name} parameters": training.parameters for training in trainings},
        **{f"{name} tokens/s": round(median(speeds)) for name, speeds in found.items()},
        **{f"{name} range": f"{min(speeds):.0f}-{max(speeds):.0f}" for name, speeds in found.items()},
        **{f"{name} / joeynmt bucketed": round(median(speeds) / base, 2) for name, speeds in ours.items()},
    )


if __name__ == "__main__":
    main()
