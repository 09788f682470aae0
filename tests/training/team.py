"""A run that can be killed, or be of several processes: `python -m tests.training.team FOLDER PLAN`.

PLAN is JSON: `options` of the training, `model` of the recipe, number of `pairs`, and `stop`: the rank of a process,
what it counts, at which count it ends, and how: "error" or the name of a signal.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.training import DatasetBatches, sequence_loss, train, validation_loss
from heedful.training.processes import start
from tests.training.tiny import VOCABULARY, WatchedFeed, options, tiny_dataset

ROOT = Path(__file__).resolve().parents[2]


class Stop(WatchedFeed):
    """Counts what happens in one process, and ends it at one of these.

    "batch": one is fetched. "loss": a forward pass begins. "half": a file is half written. "named": it has its name.
    """

    def __init__(self, dataset: DatasetBatches, rank: int, what: str, count: int, how: str):
        super().__init__(dataset)
        self.what, self.left, self.how = what, count, how
        self.mine = int(os.environ.get("LOCAL_RANK", 0)) == rank

    def happens(self, what: str) -> bool:
        self.left -= self.mine and what == self.what
        return self.mine and what == self.what and self.left == 0

    def end(self) -> None:
        if self.how == "error":
            raise ValueError("this process has had enough")
        os.kill(os.getpid(), getattr(signal, self.how))

    def before_batch(self) -> None:
        if self.happens("batch"):
            self.end()

    def loss(self, model, batch, **given):
        # the first forward passes are tried before the training, on the model as it is
        if hasattr(model, "module") and self.happens("loss"):
            self.end()
        return sequence_loss(model, batch, **given)

    def watch_files(self) -> None:
        save, replace = torch.save, Path.replace

        def half(content, path):
            save(content, path)
            if self.happens("half"):
                os.truncate(path, path.stat().st_size // 2)
                self.end()

        def named(path, target):
            replace(path, target)
            if self.happens("named"):
                self.end()

        torch.save, Path.replace = half, named


def run(folder: Path, plan: dict) -> None:
    wanted = options(**plan["options"])
    torch.manual_seed(7)
    sizes = {"embedding_dim": 6, "units": 5, "decoder_units": 7, "dropout": 0.3}
    model = build_model(ModelOptions(**{**sizes, **plan.get("model", {})}), VOCABULARY, VOCABULARY)
    stop = Stop(tiny_dataset(pairs=plan.get("pairs", 23)), *plan.get("stop", [0, "nothing", 0, ""]))
    stop.watch_files()
    with start(wanted) as processes:
        own = range(processes.rank, len(held := tiny_dataset(13, 5).epoch(0)), processes.count)

        def validate(model):
            return validation_loss(model, [held[place] for place in own], summed=processes.total)

        result = train(model, stop, validate, wanted, folder, seed=5, loss=stop.loss)
        processes.leave()
    torch.save(model.state_dict(), folder / "final.pt")
    print(json.dumps({"step": result.step, "averaged": result.averaged, "metrics": result.metrics}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), json.loads(sys.argv[2]))
