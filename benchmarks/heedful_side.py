"""heedful's own training loop on the batches of a file, in blocks of steps (see paced.py).

python heedful_side.py WORK_FOLDER WIRING PRECISION; WORK_FOLDER holds batches.json. The wiring "transformer" is a
Transformer.
"""

import json
import sys
from pathlib import Path

from paced import Pace

from heedful._memory import keep_freed_memory
from heedful.tasks.build import build_model
from heedful.tasks.recipe_files import load_recipe
from heedful.training import sequence_loss, train
from heedful.training.batches import Epoch

# the architectures of joeynmt_side.py, as changes to our recipe
SHARED = ["tokenizer.joint=true", "model.share_embeddings=true"]
RECURRENT = ["model.tie_embeddings=false", "model.attention_units=512", "model.readout_units=512"]
# JoeyNMT drops weights and hidden units, too
TRANSFORMER = [
    "model.architecture=transformer",
    "model.embedding_dim=128",
    "model.encoder_layers=4",
    "model.decoder_layers=4",
    "model.transformer={heads: 4, hidden_units: 256, norm_first: false, attention_dropout: DROPOUT, "
    "activation_dropout: DROPOUT}",
]


class Given:
    """Batches as they are given, the same in every epoch."""

    def __init__(self, batches, sources, targets):
        self.batches = Epoch(batches, sources, targets)

    def epoch(self, number):
        """All of them."""
        return self.batches


def main(folder: str, wiring: str, precision: str) -> None:
    """Train until the input ends."""
    keep_freed_memory()
    given = json.loads((Path(folder) / "batches.json").read_text())
    changes = {
        "model.dropout": given["dropout"],
        "training.precision": f"'{precision}'",
        "training.learning_rate": given["learning_rate"],
        "training.label_smoothing": given["label_smoothing"],
        "training.schedule": "inverse_sqrt",
        "training.warmup_steps": given["warmup_steps"],
        "training.max_epochs": 1000,
        "training.validate_every": 1_000_000,
    }
    own = [*RECURRENT, f"model.wiring={wiring}"]
    if wiring == "transformer":
        own = [change.replace("DROPOUT", str(given["dropout"])) for change in TRANSFORMER]
    recipe = load_recipe("pairs", [*SHARED, *own, *(f"{key}={value}" for key, value in changes.items())])
    model = build_model(recipe.model, given["vocab_size"], given["vocab_size"])
    pace = Pace(sum(parameter.numel() for parameter in model.parameters()))

    def paced_loss(model, batch, **options):
        pace.tick(batch.num_target_tokens)
        return sequence_loss(model, batch, **options)

    sources = [[*source, given["eos"]] for source in given["source"]]
    batches = Given(given["order"], sources, given["target"])
    own = Path(folder) / f"heedful-{wiring}-{precision}"
    train(model, batches, lambda _: {"bleu": 0.0}, recipe.training, own, loss=paced_loss)


if __name__ == "__main__":
    main(*sys.argv[1:])
