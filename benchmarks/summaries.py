"""How good are summaries, does coverage keep them from repeating, and do names come back that no vocabulary holds?

    python benchmarks/summaries.py FOLDER [RECIPE ...] [--without-coverage] [--set KEY=VALUE ...]

Trains each recipe (aeslc, scitldr) in FOLDER, one thread, and leaves a row for each metric on the official test: ROUGE,
"repeated trigrams" (per cent of the trigrams of the summaries that stood in the same summary before) and "copied names"
(of the capitalised words of the references that the vocabulary lacks and the text holds, as far as it is read, the
share that the summary says). A command that has its rows is not run again; a training that was cut off goes on.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from record import RESULTS, append

from heedful.data.readers import Pairs
from heedful.data.vocabulary import UNK
from heedful.metrics.translation import Score
from heedful.tasks.copying import copied_words, numbered, shortened
from heedful.tasks.corpora import read_part
from heedful.tasks.dispatch import train_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translator import Translator

NAME = "summaries"
# the same decoder with the same additive score, which does not know what was looked at
PLAIN = ["model.attention=bahdanau", "model.wiring=luong_input_feeding", "model.repeated_looks=0.0"]


def repeated_trigrams(summaries: Sequence[str]) -> Score:
    """Per cent of the trigrams that stood in the same summary before."""
    texts = [text.lower().split() for text in summaries]
    found = [[*zip(words, words[1:], words[2:], strict=False)] for words in texts]
    total = sum(map(len, found))
    again = sum(len(trigrams) - len({*trigrams}) for trigrams in found)
    facts = f"texts:{len(summaries)}|trigrams:{total}|case:lower"
    return Score("repeated trigrams", 100 * again / max(total, 1), facts)


def copied_names(summariser: Translator, pairs: Pairs, summaries: Sequence[str]) -> Score:
    """Per cent of the names of the references that only copying can say, and that the summary says."""
    tokenizer, hits, names = summariser.tokenizers.target, 0, 0
    for text, reference, summary in zip(pairs.source, pairs.target, summaries, strict=True):
        read = shortened(tokenizer.segment(text), summariser.recipe.data.cut_source)
        held = {tokenizer.normalize(word) for word in copied_words(numbered(read, tokenizer), tokenizer).values()}
        said = {tokenizer.normalize(word) for word in tokenizer.segment(summary).words}
        wanted = tokenizer.segment(reference)
        unknown = {wanted.words[wanted.word_of[place]] for place, one in enumerate(wanted.ids) if one == UNK}
        own = {tokenizer.normalize(word) for word in unknown if word[:1].isupper()} & held
        hits, names = hits + len(own & said), names + len(own)
    facts = f"names:{names}|case:{'lower' if tokenizer.lowercase else 'mixed'}"
    return Score("copied names", 100 * hits / max(names, 1), facts)


def run(task: str, changes: list[str], folder: Path, command: str) -> None:
    """Train, summarise the test set, and leave a row for each metric."""
    output = folder / "-".join([task, *changes]).replace("/", "_")
    recipe = load_recipe(task, [f"output={output}", "training.tensorboard=false", *changes])
    done = train_recipe(recipe, lambda text: print(text, file=sys.stderr, flush=True))
    if recipe.data.test is None:
        raise SystemExit(f"the recipe {task} has no data.test to score on; name it by --set")
    pairs = read_part(recipe.data.test, max_chars=recipe.data.max_chars)
    summaries = [best[0].text for best in done.translator.translate(pairs.source)]
    extra = repeated_trigrams(summaries), copied_names(done.translator, pairs, summaries)
    held_out = ", ".join(f"{one.name} {one.value:.2f}" for one in done.scores["valid"])
    model = recipe.model
    for score in (*done.scores["test"], *extra):
        append(
            NAME,
            task=task,
            model=f"pointer-generator, {model.cell}, {model.attention}, coverage loss {model.repeated_looks:g}",
            seed=recipe.seed,
            parameters=done.translator.metrics["parameters"],
            updates=done.result.best_step,
            seconds=round(done.result.seconds),
            metric=score.name,
            value=f"{score.value:.2f}",
            held_out=held_out,
            signature=score.signature,
            command=command,
        )


def main() -> None:
    """The recipes, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("tasks", nargs="*", default=["aeslc", "scitldr"], help="names of recipes")
    parser.add_argument("--without-coverage", action="store_true", help="the same model without it, to compare with")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a key of the recipe and its value")
    given = parser.parse_args()
    torch.set_num_threads(1)
    changes = [*(PLAIN if given.without_coverage else []), *given.changes]
    for task in given.tasks:
        command = " ".join([f"heedful train {task}", *(f"--set {change}" for change in changes)])
        path = RESULTS / f"{NAME}.csv"
        known = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        if command not in [row["command"] for row in known]:
            run(task, changes, given.folder, command)


if __name__ == "__main__":
    main()
