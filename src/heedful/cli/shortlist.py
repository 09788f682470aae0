"""`heedful shortlist`: learn which tokens a translator may say over which source, for decoding.shortlist."""

from pathlib import Path
from typing import Annotated

import typer

from heedful._errors import DataError

from ._shell import Model, load_translator, say

EXAMPLES = (
    "heedful shortlist runs/multi30k_en_de",
    "heedful shortlist runs/multi30k_en_de --output runs/short",
)


def command(
    model: Model,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the model there; in its own folder otherwise.")
    ] = None,
) -> None:
    """Count in the pairs that its recipe names which target tokens go with each source token, and keep that beside it.

    Afterwards --set decoding.shortlist=K lets the output layer compute the K best of each source token and the 256 most
    frequent ones alone. The pairs are read again, from where the recipe has them.
    """
    from heedful.tasks.corpora import read_part
    from heedful.tasks.model_folder import find_model
    from heedful.tasks.shortlist import learn_shortlist

    if str(model).startswith("hf:") and not output:
        raise typer.BadParameter("a model of the hub needs a place of its own; add --output FOLDER")
    translator = load_translator(model)
    if translator.task != "translation":
        raise DataError(f"{model} is a model for {translator.task}; a shortlist is of use to one for translation.")
    if translator.recipe.model.copies:
        raise DataError(f"{model} copies words, which no shortlist holds; it decodes without one.")
    sources, targets = [], []
    for part in translator.recipe.data.train_parts:
        pairs = read_part(part, say, translator.recipe.data.max_chars)
        sources += translator.tokenizers.source.encode_batch(pairs.source)
        targets += translator.tokenizers.target.encode_batch(pairs.target)
    sizes = translator.tokenizers.source.vocab_size, translator.tokenizers.target.vocab_size
    translator.shortlist = learn_shortlist(sources, targets, sizes)
    folder = translator.save(output or find_model(model))
    say(f"Wrote the shortlist of {len(sources):,} pairs to {folder}; decode with --set decoding.shortlist=20.")
