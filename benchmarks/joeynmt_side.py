"""JoeyNMT's own training loop on the batches of a file, in blocks of steps (see paced.py).

python joeynmt_side.py JOEYNMT_FOLDER WORK_FOLDER shipped|bucketed|kept recurrent|transformer; WORK_FOLDER holds
batches.json. "kept" is bucketed, and keeps freed memory as our training does.
"""

import json
import sys
from pathlib import Path

joeynmt_folder, work_folder, order, architecture = sys.argv[1:]
# behind the packages that both sides share
sys.path.append(joeynmt_folder)

from joeynmt.config import parse_global_args, set_validation_args  # noqa: E402
from joeynmt.prediction import prepare  # noqa: E402
from joeynmt.training import TrainManager  # noqa: E402
from paced import Pace  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from heedful._memory import keep_freed_memory  # noqa: E402

EMBEDDING, ENCODER, DECODER = 256, 256, 512


class Given:
    """Batches as they are given, in place of JoeyNMT's sampler, which knows no buckets."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)

    def set_seed(self, _seed):
        """The order is given."""


class PacedManager(TrainManager):
    """JoeyNMT's loop, which waits where a block of steps ends."""

    def _train_step(self, batch):
        self.pace.tick(batch.ntokens)
        return super()._train_step(batch)


def write_corpus(folder, given):
    """Files of ids as words: both sides read the same pieces."""
    for side in ("source", "target"):
        lines = [" ".join(map(str, sentence)) for sentence in given[side]]
        (folder / f"train.{side}").write_text("\n".join(lines) + "\n")
        (folder / f"dev.{side}").write_text("\n".join(lines[:10]) + "\n")
    # four of JoeyNMT's own stand before them
    (folder / "vocabulary").write_text("\n".join(map(str, range(4, given["vocab_size"]))) + "\n")


def transformer(dropout):
    """Either side of the Transformer-Tiny of Wu et al. 2021."""
    return {
        "type": "transformer",
        "embeddings": {"embedding_dim": 128, "scale": True, "dropout": dropout},
        "hidden_size": 128,
        "ff_size": 256,
        "num_layers": 4,
        "num_heads": 4,
        "dropout": dropout,
        "layer_norm": "post",
    }


def recurrent(dropout):
    """Encoder and decoder with Bahdanau's attention and input feeding."""
    embeddings = {"embedding_dim": EMBEDDING, "dropout": dropout}
    encoder = {
        "type": "recurrent",
        "rnn_type": "gru",
        "embeddings": embeddings,
        "hidden_size": ENCODER,
        "bidirectional": True,
        "num_layers": 1,
        "dropout": dropout,
    }
    decoder = {
        "type": "recurrent",
        "rnn_type": "gru",
        "embeddings": embeddings,
        "hidden_size": DECODER,
        "num_layers": 1,
        "dropout": dropout,
        "hidden_dropout": dropout,
        "init_hidden": "bridge",
        "input_feeding": True,
        "attention": "bahdanau",
    }
    return encoder, decoder


def settings(folder, given, dropout):
    """A configuration as its users write it."""
    side = {"level": "word", "max_length": 0, "voc_file": str(folder / "vocabulary")}
    sides = recurrent(dropout) if architecture == "recurrent" else (transformer(dropout), transformer(dropout))
    pairs, batches = len(given["target"]), len(given["order"])
    return {
        "name": "benchmark",
        "model_dir": str(folder),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(folder / "train"),
            "dev": str(folder / "dev"),
            "dataset_type": "plain",
            "src": {"lang": "source", **side},
            "trg": {"lang": "target", **side},
        },
        "testing": {"beam_size": 1},
        "training": {
            "optimizer": "adamw",
            "adam_betas": [0.9, 0.98],
            "learning_rate": given["learning_rate"],
            "learning_rate_min": 0.0,
            "scheduling": "warmupinversesquareroot",
            "learning_rate_warmup": given["warmup_steps"],
            "clip_grad_norm": 1.0,
            "label_smoothing": given["label_smoothing"],
            "normalization": "tokens",
            "batch_type": "sentence",
            "batch_size": round(pairs / batches),
            "shuffle": True,
            "epochs": 1000,
            "logging_freq": 100,
            "validation_freq": 1_000_000,
        },
        "model": {
            "tied_embeddings": True,
            "tied_softmax": architecture == "transformer",
            "encoder": sides[0],
            "decoder": sides[1],
        },
    }


def main():
    """Train until the input ends."""
    if order == "kept":
        keep_freed_memory()
    folder = Path(work_folder) / f"joeynmt-{order}"
    folder.mkdir()
    given = json.loads((Path(work_folder) / "batches.json").read_text())
    write_corpus(folder, given)
    args = parse_global_args(settings(folder, given, given["dropout"]), rank=0, mode="train")
    model, train_data, dev_data, _ = prepare(args, rank=0, mode="train")
    if order != "shipped":
        own = train_data.make_iter
        train_data.make_iter = lambda **options: bucketed(own(**options), given["order"])
    manager = PacedManager(
        model=model,
        model_dir=args.model_dir,
        device=args.device,
        rank=0,
        autocast=args.autocast,
        seed=args.seed,
        train_args=args.train,
        dev_args=set_validation_args(args.test),
    )
    manager.pace = Pace(sum(parameter.numel() for parameter in model.parameters()))
    manager.train_and_validate(train_data=train_data, valid_data=dev_data)


def bucketed(loader, batches):
    """The same loader over given batches."""
    return DataLoader(loader.dataset, batch_sampler=Given(batches), collate_fn=loader.collate_fn)


if __name__ == "__main__":
    main()
