"""heedful's side of decoding.py: the models of heedful_side.py, untrained.

python decoding_heedful.py NOTHING WORK_FOLDER recurrent|transformer float32|bf16|int8[/TOKENS]
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from heedful_side import RECURRENT, SHARED, TRANSFORMER
from paced import serve

from heedful._memory import keep_freed_memory
from heedful.data.batching import pad
from heedful.decoding import Constraints, Decoding, decode
from heedful.models.cheaper import cheaper
from heedful.models.shortlisted import Shortlisted
from heedful.tasks.build import build_model
from heedful.tasks.recipe_files import load_recipe


def build(given, architecture):
    """The model, in evaluation mode."""
    own = [*RECURRENT, "model.wiring=bahdanau"] if architecture == "recurrent" else TRANSFORMER
    recipe = load_recipe("pairs", [*SHARED, *(change.replace("DROPOUT", "0") for change in own)])
    torch.manual_seed(1)
    return build_model(recipe.model, given["vocab_size"], given["vocab_size"]).eval()


def main(_: str, work_folder: str, architecture: str, precision: str) -> None:
    """Answer until the input ends."""
    keep_freed_memory()
    given = json.loads((Path(work_folder) / "work.json").read_text())
    name: Any
    trained, (name, _, shortlist) = build(given, architecture), precision.partition("/")
    model, parameters = cheaper(trained, name), sum(parameter.numel() for parameter in trained.parameters())
    model = Shortlisted(model, torch.arange(int(shortlist))) if shortlist else model
    limits = Constraints(min_length=given["tokens"], max_length=given["tokens"])

    def run(sentences, beam):
        found = decode(model, *pad(sentences), Decoding(beam=beam, constraints=limits))
        return sum(len(best[0].log_probs) for best in found)

    serve(parameters, run, given)


if __name__ == "__main__":
    main(*sys.argv[1:])
