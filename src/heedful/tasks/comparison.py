"""A comparison: one recipe, several attentions, equal parameters, equal work, several seeds each."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heedful._errors import DataError, OutputError, RecipeError
from heedful._files import make_folder, whole_file, write_whole
from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.alignment import from_pharaoh

from .comparable import Comparable
from .comparison_run import Measurement, read_measured, train_and_measure
from .corpora import Say
from .dispatch import COMPARABLE
from .equal_sizes import TRANSFORMER, count_parameters, fit_size
from .model_options import ModelOptions
from .recipe import Recipe, check_recipe, did_you_mean
from .recipe_yaml import parse_yaml
from .side_by_side import Job, run_jobs
from .translation import claim_folder

PLAN, TOKENIZERS, CORPUS = "comparison.json", "tokenizer.json", "corpus"
# the rates that a recurrent model learns with are too high for a Transformer
TRANSFORMER_RATE = 0.003


@dataclass(frozen=True)
class Contender:
    """One of the models that are compared.

    Attributes:
        name: of its attention.
        model: the recipe's section with it, in the size that was found.
        parameters: how many it has.
    """

    name: str
    model: ModelOptions
    parameters: int


@dataclass(frozen=True)
class Comparison:
    """All that is to be done.

    Attributes:
        folder: where everything goes.
        recipe: what all models have in common.
        contenders: the models; the others are compared with the first.
        seeds: of the trainings of each.
        measurement: what is measured when a training is done.
    """

    folder: Path
    recipe: Recipe
    contenders: list[Contender]
    seeds: list[int]
    measurement: Measurement

    def runs(self) -> Iterator[tuple[Contender, int, Path]]:
        """Every training: its model, seed and folder; all models with the first seed come first."""
        for seed in self.seeds:
            for contender in self.contenders:
                yield contender, seed, self.folder / contender.name / f"seed_{seed}"


def parse_names(text: str, task: str = "translation") -> list[str]:
    """Names of attentions as a person types them.

    Args:
        text: the names, between commas.
        task: of the recipe.

    Raises:
        ValueError: a name that the task does not know, one twice, or fewer than two.

    >>> parse_names("bahdanau, luong"), parse_names("attention,mean", "classification")
    (['bahdanau', 'luong'], ['attention', 'mean'])
    """
    names, one = [name.strip() for name in text.split(",") if name.strip()], COMPARABLE[task]
    for place, name in enumerate(names):
        if name not in one.names:
            raise ValueError(
                f"{name!r} is no value of {one.key}, by which models for {task} are compared"
                f"{did_you_mean(name, one.names)}; known: {', '.join(one.names)}"
            )
        if name in names[:place]:
            raise ValueError(f"{name} is named twice; name each attention once")
    if len(names) < 2:
        raise ValueError(f"{text!r} names {len(names)} attentions; give two at least, such as bahdanau,luong")
    return names


def with_limit(recipe: Recipe, steps: int | None = None, seconds: float | None = None) -> Recipe:
    """The recipe whose trainings all end after so many updates, or seconds, and at nothing else.

    Args:
        recipe: its own `max_steps` is taken where both others are left out, or `max_epochs` (of equal batches).
        steps: updates.
        seconds: of training.

    Raises:
        RecipeError: there is no limit, or there are two.
    """
    if steps is not None and seconds is not None:
        raise RecipeError("both steps and seconds are given; equal work is one of them, so leave one out")
    if seconds is None:
        steps = steps or recipe.training.max_steps
    epochs = recipe.training.max_epochs if steps is seconds is None else None
    if steps is seconds is epochs is None:
        raise RecipeError(
            "the recipe has no training.max_steps or max_epochs; give --steps or --seconds, so that all learn alike"
        )
    content = recipe.model_dump()
    content["training"] |= {"max_steps": steps, "max_seconds": seconds, "max_epochs": epochs, "patience": None}
    # one process each, with one thread
    content["training"] |= {"devices": 1, "nodes": 1, "strategy": "ddp", "tensorboard": False}
    limited = check_recipe(content, recipe.name)
    # which keys a person gave is needed when the attention is exchanged
    return limited.model_copy(update={"model": recipe.model})


def plan_comparison(
    recipe: Recipe,
    names: Sequence[str],
    folder: Path,
    seeds: int = 3,
    gold: Sequence[str] | None = None,
    faithful: int = 0,
    say: Say = lambda _: None,
) -> Comparison:
    """Check everything, find the sizes, and claim the folder, before any training.

    Args:
        recipe: with one limit, see `with_limit`.
        names: of attentions; the first model keeps the size of the recipe.
        folder: of the comparison; it may hold an earlier one of the same recipe, with other names or fewer seeds.
        seeds: trainings of each model, with the recipe's seed and those after it.
        gold: links between the words of each test pair, see `heedful.metrics.alignment.from_pharaoh`.
        faithful: test pairs on which to measure how faithful the attention is.
        say: takes what was read.

    Raises:
        RecipeError: the recipe has no attention or no test set, or begins with another model; links for a task that
            has none.
        DataError: links that do not fit the test pairs.
        OutputError: the folder holds another comparison, or something else.
    """
    comparable = COMPARABLE[recipe.task]
    _check_recipe(recipe, comparable, gold is not None)
    common = recipe.model_dump(exclude={"name", "output"})
    plan = json.dumps({"first": names[0], "recipe": common}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    _check_folder(folder, plan)

    def make(learn: Callable[[], TokenizerPair]) -> TokenizerPair:
        """The vocabularies; a later call finds them in the folder."""
        return TokenizerPair.load(folder / TOKENIZERS) if (folder / PLAN).exists() else learn()

    ground = comparable.prepare(recipe.model_copy(update={"output": str(folder)}), make, say)
    if gold is not None:
        _check_gold(gold, ground.test, ground.tokenizers)
    vocabulary = ground.tokenizers.source.vocab_size, ground.tokenizers.target.vocab_size
    contenders = size_models(ground.model, names, vocabulary, recipe.task)
    make_folder(folder)
    with whole_file(folder / TOKENIZERS) as path:
        ground.tokenizers.save(path)
    write_whole(folder / PLAN, plan)
    links = None if gold is None else list(gold)
    measurement = Measurement(
        recipe.task, ground.test, ground.nouns, ground.origin, ground.count, links, min(faithful, ground.count)
    )
    numbers = [recipe.seed + place for place in range(seeds)]
    return Comparison(folder, recipe, contenders, numbers, measurement)


def size_models(
    model: ModelOptions, names: Sequence[str], vocabulary: tuple[int, int], task: str = "translation"
) -> list[Contender]:
    """The models by their names: the first in the size of the recipe, the others with as many parameters.

    Args:
        model: the recipe's section.
        names: of attentions.
        vocabulary: source and target ids.
        task: of the recipe.

    Raises:
        RecipeError: one of them does not fit the recipe's sizes.
    """
    change = COMPARABLE[task].change
    first = change(model, names[0])
    found = [Contender(names[0], first, count_parameters(first, vocabulary, task))]
    for name in names[1:]:
        fitted = fit_size(change(model, name), vocabulary, found[0].parameters, task)
        found.append(Contender(name, fitted, count_parameters(fitted, vocabulary, task)))
    return found


def run_comparison(comparison: Comparison, at_once: int, watch: Callable[[], None] = lambda: None) -> None:
    """Train and measure what has not been; a training that was cut goes on where its checkpoint stands.

    Args:
        comparison: the plan.
        at_once: trainings side by side, each with one thread.
        watch: called about twice a second.

    Raises:
        HeedfulError: a training failed; the message says why, and where its log is.
    """
    jobs = []
    for contender, seed, folder in comparison.runs():
        if read_measured(folder, comparison.measurement) is None:
            recipe = recipe_of(comparison.recipe, contender, seed, folder)
            claim_folder(folder, recipe)
            work = partial(train_and_measure, recipe.model_dump(), comparison.measurement)
            jobs.append(Job(recipe.name, folder, work))
    run_jobs(jobs, at_once, watch)


def recipe_of(recipe: Recipe, contender: Contender, seed: int, folder: Path) -> Recipe:
    """The recipe of one training."""
    content = recipe.model_dump()
    content |= {"name": f"{contender.name}, seed {seed}", "seed": seed, "output": str(folder)}
    content["model"] = contender.model.model_dump()
    content["data"]["test"] = None  # it is translated, and timed, when the training is done
    if contender.name == TRANSFORMER:
        training = content["training"]
        training["learning_rate"] = min(training["learning_rate"], TRANSFORMER_RATE)
    return check_recipe(content, "the comparison's recipe")


def _check_recipe(recipe: Recipe, comparable: Comparable, gold: bool) -> None:
    """Refuse what cannot be compared, or measured, before anything is read."""
    comparable.refuse(recipe)
    if recipe.start_from:
        raise RecipeError("start_from fixes the model's attention; leave it out, for all models shall begin alike")
    if gold and recipe.task != "translation":
        raise RecipeError(f"links are between the words of translations, but the task is {recipe.task}; leave them out")


def _check_folder(folder: Path, plan: str) -> None:
    """The folder must be new, or that of a comparison with the same plan."""
    path = folder / PLAN
    if path.exists():
        old = path.read_text(encoding="utf-8", errors="replace")
        if old != plan:
            raise OutputError(
                f"{folder} holds another comparison: {_what_differs(old, plan)} was another; choose another output "
                "folder, or give the same again"
            )
    elif folder.is_dir() and any(entry.name not in (CORPUS, TOKENIZERS) for entry in folder.iterdir()):
        raise OutputError(f"{folder} holds files that are no comparison's; choose a new output folder")


def _what_differs(old: str, new: str) -> str:
    before, now = (parse_yaml(text, PLAN) for text in (old, new))
    if not isinstance(before, dict) or before.get("first") != now["first"]:
        return "the first attention"
    then = before.get("recipe")
    then = then if isinstance(then, dict) else {}
    return " and ".join(key for key, value in now["recipe"].items() if then.get(key) != value)


def _check_gold(gold: Sequence[str], test: Pairs, tokenizers: TokenizerPair) -> None:
    """Links must be as many as test pairs, and lead to words that the sentences have."""
    if len(gold) != len(test):
        raise DataError(
            f"There are {len(gold)} lines of links for {len(test)} test pairs; give one line for each pair."
        )
    for number, (line, source, target) in enumerate(zip(gold, test.source, test.target, strict=True), start=1):
        counts = len(tokenizers.source.segment(source).words), len(tokenizers.target.segment(target).words)
        try:
            links = from_pharaoh(line, possible=True)
        except ValueError as error:
            raise DataError(f"Line {number} of the links: {error}.") from None
        if beyond := [f"{a}-{b}" for a, b in links if a >= counts[0] or b >= counts[1]]:
            raise DataError(
                f"Line {number} of the links has {beyond[0]}, but its pair has {counts[0]} and {counts[1]} words; "
                "count from 0, in words as `heedful explain` shows them."
            )
