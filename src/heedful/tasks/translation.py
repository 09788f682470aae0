"""Translation from a recipe: read, learn, choose by validation, score, and leave a model folder."""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from heedful._errors import OutputError, RecipeError
from heedful._files import make_folder, whole_file, write_whole
from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.data.vocabulary import UNK
from heedful.metrics.translation import Score
from heedful.training import Callback, Loss, TrainingResult, sequence_loss, train, validation_loss
from heedful.training.batches import Batches
from heedful.training.lock import only_run
from heedful.training.options import FREE_OPTIONS
from heedful.training.processes import Processes, start

from .batches import Corpus, encode, make_batches, make_tokenizers, reading
from .build import build_task
from .corpora import Material as Gathered
from .corpora import Say, gather_material, read_part
from .data_options import TokenizerOptions
from .decoding_options import DecodingOptions
from .model_folder import find_model, load_folder, refuse_foreign
from .pretrained import read_pretrained
from .recipe import EvaluationOptions, Recipe, check_recipe, dump_recipe, expand_path
from .recipe_yaml import parse_yaml
from .scoring import OF_SEVERAL, VALIDATION_TOKENS, check_decoding, check_metrics, score, score_translator
from .trained import TrainedModel
from .translator import Translator

if TYPE_CHECKING:
    from heedful.visual.curves import Curve

# unknown tokens that are warned of
UNKNOWN = 0.1
CURVES = {"loss": "loss per token (nats)", "accuracy": "accuracy over real tokens"}


@dataclass(frozen=True)
class Run:
    """The result of a training: its folder, how it ended, the translator (or what else it is) and its scores by set."""

    folder: Path
    result: TrainingResult
    translator: Any
    scores: dict[str, list[Score]]

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.folder / "model"


@dataclass(frozen=True)
class Task:
    """What tells one task from another.

    Attributes:
        kind: the model with text in and out.
        loss: of a model and a batch.
        validator: makes what measures the model on the validation set, see `validator`.
        evaluate: scores of a model on pairs.
        prepare: reads the data and turns them into ids, see the function of this name; that one when left out.
        draw: given the trained model, the pairs to score and the folder of the run, draws what the task is seen by.
        curves: what of a training is drawn, with the title of each panel.
        things: what is learnt from and scored, in the plural.
    """

    kind: type[TrainedModel]
    loss: Callable[..., Loss]
    validator: Callable[[Any, Any, Processes], Callable[[nn.Module], Mapping[str, float]]]
    evaluate: Callable[[Any, Any], list[Score]]
    prepare: "Callable[[Recipe, Path, Say], Material] | None" = None
    draw: Callable[[Any, Mapping[str, Any], Path], object] | None = None
    curves: Mapping[str, str] = field(default_factory=lambda: CURVES)
    things: str = "pairs"


def train_translator(
    recipe: Recipe,
    *,
    task: Task | None = None,
    callbacks: Callable[[Any], Sequence[Callback]] = lambda _: (),
    say: Say = lambda _: None,
) -> Run:
    """Train what a recipe describes; a run that was cut off goes on where its last checkpoint stands.

    The recipe's output folder gets `model/` (see `heedful.tasks.model_folder`), `training/` (checkpoint, CSV files,
    TensorBoard) and `loss_curve.png`.

    Args:
        recipe: all there is to know.
        task: what else than translation is to be learnt; that of the recipe.
        callbacks: given the untrained translator, makes what is called after each validation.
        say: takes each line of news for a person.

    Raises:
        HeedfulError: data, recipe or folder are at fault; nothing that took time is lost.
        TrainingInterrupted: Ctrl-C; the same call goes on from the checkpoint.
    """
    task = task or TRANSLATION
    if recipe.task != task.kind.task:
        raise RecipeError(f"the recipe's task is {recipe.task!r}; train it by heedful.tasks.dispatch.train_recipe")
    check_metrics(recipe.evaluation)
    check_decoding(recipe.decoding)
    folder = expand_path(recipe.output)
    with start(recipe.training) as processes, only_run(folder, processes.first):
        tell = say if processes.first else lambda _: None
        with processes.first_alone():
            if processes.first:
                claim_folder(folder, recipe)
            material = (task.prepare or prepare)(recipe, folder / "training", tell)
            recipe = material.recipe or recipe
        translator = fresh_translator(recipe, material.tokenizers, tell, task.kind)
        parameters = translator.metrics["parameters"]
        tell(f"Model: {parameters:,} parameters; training on {material.num_pairs:,} {task.things}.")
        if material.begin and not recipe.start_from:
            material.begin(translator.model)
        result = train(
            translator.model,
            material.batches,
            task.validator(translator, material.valid, processes),
            recipe.training,
            folder / "training",
            seed=recipe.seed,
            callbacks=callbacks(translator),
            loss=partial(task.loss, **material.loss_options),
        )
        processes.leave()
        translator.model.to("cpu")
        say(f"Scoring the model on the {' and '.join(material.to_score)} {task.things}.")
        scores = {name: task.evaluate(translator, pairs) for name, pairs in material.to_score.items()}
        translator.metrics = {**translator.metrics, **summary(result, scores)}
        translator.save(folder / "model")
        draw_curves(folder, task.curves)
        if task.draw:
            task.draw(translator, material.to_score, folder)
    return Run(folder, result, translator, scores)


@dataclass(frozen=True)
class Material:
    """The inputs of a training: vocabularies, batches, validation set, the sets to score, what the loss is told.

    And the recipe, where the data said more than stood in it, and what tells a fresh model what the data alone know.
    """

    tokenizers: TokenizerPair
    batches: Batches
    num_pairs: int
    valid: Any
    to_score: dict[str, Any]
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    begin: Callable[[Any], None] | None = None


def prepare(recipe: Recipe, folder: Path, say: Say) -> Material:
    """Read the data and turn them into ids.

    The vocabularies are those of the model that the recipe starts from, or those that lie in the folder of a run that
    goes on, or new ones, which are then left there.

    Args:
        recipe: names data and vocabularies.
        folder: of the training.
        say: takes what was read and left out.
    """
    material, to_score = gather_sets(recipe, folder, say)
    tokenizers = keep_tokenizers(recipe, folder, lambda: make_tokenizers(material.sample(), recipe.tokenizer))
    sizes = tokenizers.source.vocab_size, tokenizers.target.vocab_size
    say(
        f"Vocabulary: {sizes[0]:,} source and {sizes[1]:,} target tokens{', one for both' if tokenizers.joint else ''}."
    )
    batches = make_batches(material, tokenizers, recipe, say)
    valid = encode(material.valid, tokenizers, reading(recipe), say)
    for side, ids in (("source", valid.sources), ("target", valid.targets)):
        unknown = float(np.mean(ids.flat == UNK))
        if unknown > UNKNOWN:
            say(
                f"Warning: the vocabulary does not know {unknown:.0%} of the {side} tokens of the validation pairs; "
                "see that the languages are the right way round, or use tokenizer.kind: byte_bpe."
            )
    return Material(tokenizers, batches, material.num_pairs, valid, to_score)


def gather_sets(recipe: Recipe, folder: Path, say: Say) -> tuple[Gathered, dict[str, Pairs]]:
    """The pairs to learn from and to choose by, and by name those to score at the end."""
    material = gather_material(recipe.data, recipe.seed, folder.parent / "corpus", say)
    test = recipe.data.test
    return material, {"valid": material.valid} | ({"test": read_part(test, say, recipe.data.max_chars)} if test else {})


def keep_tokenizers(recipe: Recipe, folder: Path, make: Callable[[], TokenizerPair]) -> TokenizerPair:
    """The vocabularies of `prepare`, which are made where there are none, and left in the folder."""
    kept = folder / "tokenizer.json"
    if recipe.start_from:
        return load_folder(find_model(expand_path(recipe.start_from))).tokenizers
    if kept.exists() and (folder / "checkpoint.pt").exists():
        return TokenizerPair.load(kept)
    tokenizers = make()
    with whole_file(kept) as path:
        tokenizers.save(path)
    return tokenizers


def fresh_translator(recipe: Recipe, tokenizers: TokenizerPair, say: Say, kind: type[TrainedModel] = Translator) -> Any:
    """The translator before its training: with new weights, or with those of the model that the recipe starts from.

    Raises:
        RecipeError: that model is of another architecture or has another tokenizer than the recipe.
    """
    torch.manual_seed(recipe.seed)
    pretrained = read_pretrained(recipe.model, tokenizers, say)
    sizes = tokenizers.source.vocab_size, tokenizers.target.vocab_size
    model = build_task(recipe.task, recipe.model, *sizes, pretrained)
    if recipe.start_from:
        base = kind.load(find_model(expand_path(recipe.start_from)))
        if units(base.recipe) != units(recipe):
            raise RecipeError(f"the tokenizer is that of the model in start_from, {recipe.start_from}; leave it out")
        theirs, ours = (f"{one.model.encoder} encoder and {one.model.decoder} decoder" for one in (base.recipe, recipe))
        if theirs != ours:
            raise RecipeError(
                f"start_from, {recipe.start_from}, has a {theirs}, but the recipe a {ours}; leave the architecture out"
            )
        try:
            model.load_state_dict(base.model.state_dict())
        except RuntimeError as error:
            odd = next((line.strip() for line in str(error).splitlines()[1:]), str(error))
            raise RecipeError(
                f"the weights of start_from, {recipe.start_from}, do not fit the recipe's model: {odd} "
                "Leave the sizes of the model out."
            ) from None
        say(f"Starting from the weights of {recipe.start_from}.")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return kind(model, tokenizers, recipe, {"parameters": parameters})


def units(recipe: Recipe) -> TokenizerOptions:
    """What of a recipe's tokeniser a model depends on: not how words are cut in training, nor the file it is from."""
    return recipe.tokenizer.model_copy(update={"dropout": 0.0, "source_vocabulary": None, "target_vocabulary": None})


def evaluate_translator(
    translator: Translator, pairs: Pairs, evaluation: EvaluationOptions, decoding: DecodingOptions | None = None
) -> list[Score]:
    """Translate the sources and score them against the targets.

    Args:
        translator: what to judge.
        pairs: on what.
        evaluation: which metrics, and the language they need.
        decoding: how to search; the recipe's own when left out.
    """
    return score_translator(
        translator,
        lambda: [best[0].text for best in translator.translate(pairs.source, decoding=decoding)],
        pairs,
        evaluation,
    )


def claim_folder(folder: Path, recipe: Recipe) -> None:
    """Make the output folder and write the recipe into it, before anything takes time.

    Raises:
        OutputError: it cannot be written, or holds files of others where the recipe or the model would be written.
        RecipeError: it holds a run of another recipe.
    """
    make_folder(folder)
    refuse_foreign(folder / "model")
    path = folder / "recipe.yaml"
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        if (folder / "training" / "checkpoint.pt").exists():
            _check_same(_kept_recipe(text, str(path)), recipe.model_dump(), folder)
        elif not _is_written_recipe(text):
            raise OutputError(
                f"cannot write the recipe to {path}: a file of another hand is there already; rename it, or choose "
                "another output folder"
            )
    write_whole(path, dump_recipe(recipe))


def validator(
    translator: Translator, valid: Corpus, processes: Processes
) -> Callable[[nn.Module], Mapping[str, float]]:
    """What the model is worth on the validation set, each process its share.

    Loss, perplexity and accuracy, and of greedy translations BLEU and chrF and what of `scoring.OF_SEVERAL` the recipe
    scores or chooses by.
    """
    # smaller batches in training mean little memory
    tokens = min(VALIDATION_TOKENS, translator.recipe.training.tokens_per_batch)
    order = valid.batches(tokens, seed=0).epoch(0)
    own = slice(processes.rank, None, processes.count)
    batches, sources = [order[place] for place in range(len(order))[own]], valid.pairs.source[own]
    quick, recipe = translator.recipe.decoding.greedy(), translator.recipe
    wanted = [name for name in OF_SEVERAL if name in (recipe.training.best_by, *recipe.evaluation.metrics)]
    texts = recipe.evaluation.model_copy(update={"metrics": ["bleu", "chrf", *wanted], "language": None})

    def validate(model: nn.Module) -> dict[str, float]:
        found = processes.gather([best[0].text for best in translator.translate(sources, decoding=quick)])
        scores = score(found, valid.pairs.target, texts, valid.pairs.source)
        values = {name: one.value for name, one in zip(texts.metrics, scores, strict=True)}
        return validation_loss(model, batches, summed=processes.total) | values

    return validate


def summary(result: TrainingResult, scores: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """What `metrics.json` says of a run."""
    return {
        "stopped": result.stopped,
        "step": result.step,
        "epochs": result.epoch,
        "seconds": round(result.seconds, 1),
        "best_step": result.best_step,
        "averaged": result.averaged,
        "validation": result.metrics,
        "scores": {
            name: [{"name": one.name, "value": one.value, "signature": one.signature} for one in found]
            for name, found in scores.items()
        },
    }


def read_curve(folder: Path, label: str, column: str = "loss") -> "Curve":
    """One quantity of a run, batch by batch and at each validation, from its CSV files.

    Args:
        folder: the run's output folder.
        label: whose curve it is.
        column: "loss" or "accuracy".
    """
    batches = _read_table(folder / "training" / "batches.csv")
    checks = [row for row in _read_table(folder / "training" / "validations.csv") if row["weights"] == "step"]

    def numbers(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    # matplotlib takes a tenth of what starting a command takes
    from heedful.visual.curves import Curve

    return Curve(
        label, numbers(batches, "step"), numbers(batches, column), numbers(checks, "step"), numbers(checks, column)
    )


def draw_curves(folder: str | os.PathLike[str], curves: Mapping[str, str] = CURVES) -> Path:
    """Draw `loss_curve.png` of a run from its CSV files, training and validation.

    Args:
        folder: the run's output folder.
        curves: columns of these files, with the title of each panel.
    """
    from heedful.visual.curves import write_curves

    folder = Path(folder)
    panels = {title: [read_curve(folder, "model", column)] for column, title in curves.items()}
    return write_curves(panels, folder / "loss_curve.png")


def _kept_recipe(text: str, origin: str) -> Any:
    """The values of a run's recipe; what is newer than that run has its default."""
    content = parse_yaml(text, origin)
    try:
        return check_recipe(content, origin).model_dump()
    except RecipeError:
        return content


def _check_same(old: Any, new: dict[str, Any], folder: Path) -> None:
    """Refuse to mix two recipes in one folder; limits, decoding and evaluation may change."""
    for section in ("seed", "start_from", "data", "tokenizer", "model", "training"):
        before, now = (recipe.get(section) if isinstance(recipe, dict) else None for recipe in (old, new))
        if section == "training" and isinstance(before, dict) and isinstance(now, dict):
            before, now = ({k: v for k, v in part.items() if k not in FREE_OPTIONS} for part in (before, now))
        if before != now:
            raise RecipeError(
                f"{folder} holds a run whose {section} was another; choose another output folder, or delete {folder} "
                "to begin afresh."
            )


def _is_written_recipe(text: str) -> bool:
    """Whether `claim_folder` wrote it, and no person: it is whole, and has no comment."""
    try:
        content = parse_yaml(text, "")
        return isinstance(content, dict) and dump_recipe(check_recipe(content, "")) == text
    except RecipeError:
        return False


def _read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TRANSLATION = Task(
    Translator,
    sequence_loss,
    validator,
    lambda translator, pairs: evaluate_translator(translator, pairs, translator.recipe.evaluation),
)
