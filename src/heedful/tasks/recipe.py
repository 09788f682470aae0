"""A recipe: one YAML file that says all of a training, checked before anything is read or written."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from heedful._errors import RecipeError, brief
from heedful.training.options import TrainingOptions

from .data_options import TAGS, DataOptions, Section, SeriesOptions, TokenizerOptions
from .decoding_options import DecodingOptions
from .forecast_options import ForecastOptions, check_forecast
from .model_options import ModelOptions
from .recipe_yaml import write_yaml
from .task_keys import refuse_without_effect

ROUGE_METRICS = ("rouge1", "rouge2", "rougeL")
# of which several references of one text may be had
GATHERED = ("wer", "per", "exact_match", *ROUGE_METRICS)
TEXT_METRICS = ("bleu", "chrf", *GATHERED)
VALIDATION_METRICS = ("loss", "perplexity", "accuracy", *TEXT_METRICS)
CAPTION_METRICS = ("bleu", "cider", "chrf", "exact_match", "cer")
FORECAST_METRICS = ("mse", "mae")
LABEL_METRICS = ("accuracy", "macro_f1", "calibration_error", "relation_f1")
# encoders that one task alone has
ONLY_OF = {
    "none": "classification",
    "hierarchical": "classification",
    "regions": "caption",
    "convolutional": "caption",
}
# faults of one recipe that are reported
MOST_FAULTS = 20


class EvaluationOptions(Section):
    """What a score is made of.

    Args:
        metrics: Any of "bleu", "chrf" and "tokenized_bleu" (the last is of lower-cased, Moses-tokenised text);
            "rouge1", "rouge2" and "rougeL" of summaries, see `heedful.metrics.rouge`; "wer", "per" and "exact_match" of
            outputs that are right or wrong as a whole, see `heedful.metrics.strings`; and "perplexity" of the targets.
            Of a language model "perplexity", and nothing else; of a classifier any of "accuracy", "macro_f1",
            "calibration_error" and, where labels are relations such as "Cause-Effect(e2,e1)", "relation_f1"; of
            captions any of "bleu", "cider" (CIDEr-D), "chrf", "exact_match" (the share of those that are word by word
            one of a picture's captions) and "cer" (edits a character, of lines of text); of forecasts "mse" and "mae".
        gather: Whether pairs of one source are one text with several references, of which ROUGE and metrics of outputs
            that are right as a whole take the closest; otherwise each pair counts by itself.
        language: Code of the target language, which "tokenized_bleu" needs.
    """

    metrics: list[
        Literal[
            "bleu",
            "chrf",
            "tokenized_bleu",
            "wer",
            "per",
            "exact_match",
            "rouge1",
            "rouge2",
            "rougeL",
            "perplexity",
            "accuracy",
            "macro_f1",
            "calibration_error",
            "relation_f1",
            "cider",
            "cer",
            "mse",
            "mae",
        ]
    ] = Field(default=["bleu", "chrf"], min_length=1)
    gather: bool = True
    language: str | None = None

    @model_validator(mode="after")
    def _language(self) -> "EvaluationOptions":
        if "tokenized_bleu" in self.metrics and not self.language:
            raise ValueError("tokenized_bleu needs the target language; set evaluation.language, such as de")
        return self


class Recipe(Section):
    """All that a training is told.

    Args:
        name: What to call it.
        task: "translation", or "language_model", which learns from the targets and reads no source: give both columns
            the same text, as in `{tsv: texts.txt, columns: [0, 0]}`. Of its model `decoder` alone is built;
            `attention` is what the states of a recurrent one look back with. "classification" learns the label in
            the second column of the text in the first; of its model `encoder` and `pooling` are built. "caption" says
            what is on pictures; its data have `captions`. "forecast" says how the series of one table go on.
        seed: Of the weights' first values, the order of the batches and dropout.
        output: Folder of the run; may begin with a variable of the environment, see `DataPart`.
        start_from: Model folder, or folder of the run that holds it, whose weights the training begins with; its
            tokenizer and its architecture take the place of the sections `tokenizer` and `model`.
        data, tokenizer, model, training, decoding, evaluation: One section each.
    """

    name: str = Field(min_length=1)
    task: Literal["translation", "language_model", "classification", "caption", "forecast"] = "translation"
    seed: int = Field(default=1, ge=0, lt=2**63)
    output: str = Field(min_length=1)
    start_from: str | None = Field(default=None, min_length=1)
    data: DataOptions
    tokenizer: TokenizerOptions = TokenizerOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions
    decoding: DecodingOptions = DecodingOptions()
    evaluation: EvaluationOptions = EvaluationOptions()

    @model_validator(mode="after")
    def _sections_agree(self) -> "Recipe":
        refuse_without_effect(self.task, self.model, self.data, self.decoding)
        if self.model.share_embeddings and not self.tokenizer.joint:
            raise ValueError("model.share_embeddings needs one vocabulary; set tokenizer.joint: true")
        if (task := ONLY_OF.get(self.model.encoder, self.task)) != self.task:
            raise ValueError(
                f"model.encoder is {self.model.encoder!r}, which goes with task: {task} alone; use recurrent or "
                "transformer"
            )
        known = {
            "classification": ("loss", "accuracy", "macro_f1", "relation_f1"),
            "caption": ("loss", "perplexity", "accuracy", *CAPTION_METRICS),
            "forecast": ("loss", *FORECAST_METRICS),
        }.get(self.task, VALIDATION_METRICS)
        if self.training.best_by not in known:
            raise ValueError(
                f"training.best_by is {brief(self.training.best_by)}; it should be one of {', '.join(known)}"
            )
        if not self.evaluation.gather and {*self.evaluation.metrics, self.training.best_by}.isdisjoint(GATHERED):
            raise ValueError(
                "evaluation.gather is False, which has no effect on "
                f"{', '.join(self.evaluation.metrics)}; leave it out, or name one of {', '.join(GATHERED)}"
            )
        return self

    @model_validator(mode="after")
    def _copying(self) -> "Recipe":
        if not self.model.copies:
            return self
        if self.task != "translation":
            raise ValueError(f"model.copies is of texts made from texts, but the task is {self.task}; set it to false")
        if not self.tokenizer.joint:
            raise ValueError("model.copies needs one vocabulary for source and target; set tokenizer.joint: true")
        if self.training.label_smoothing:
            raise ValueError(
                f"training.label_smoothing is {self.training.label_smoothing:g}; a model that copies learns without, "
                "set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _classification(self) -> "Recipe":
        if (self.task == "classification") != (not {*self.evaluation.metrics}.isdisjoint(LABEL_METRICS)):
            raise ValueError(
                f"evaluation.metrics are {', '.join(self.evaluation.metrics)}; a classification is measured by some of "
                f"{', '.join(LABEL_METRICS)}, and no other task is"
            )
        if self.task != "classification":
            return self
        if odd := {*self.evaluation.metrics} - {*LABEL_METRICS}:
            raise ValueError(f"evaluation.metrics name {min(odd)}, which measures no labels; leave it out")
        if self.tokenizer.joint or self.tokenizer.target_vocabulary:
            raise ValueError("labels are not text; leave tokenizer.joint and tokenizer.target_vocabulary out")
        return self

    @model_validator(mode="after")
    def _caption(self) -> "Recipe":
        wanted = self.task == "caption"
        parts = [*self.data.train_parts, *(part for part in (self.data.valid, self.data.test) if part)]
        if odd := next((part for part in parts if (part.captions is not None) != wanted), None):
            came = "captions" if odd.captions else "no captions"
            raise ValueError(f"the task is {self.task!r}, but a part of data has {came}; they belong together")
        pixels = self.model.encoder == "convolutional"
        if wanted and any((part.images is not None) != pixels for part in parts):
            need = "images" if pixels else "features"
            raise ValueError(f"model.encoder {self.model.encoder!r} reads {need}; name them with the captions in data")
        if wanted and (odd := {*self.evaluation.metrics} - {*CAPTION_METRICS}):
            raise ValueError(f"evaluation.metrics name {min(odd)}; captions have some of {', '.join(CAPTION_METRICS)}")
        if not wanted and (odd := {"cider", "cer"} & {*self.evaluation.metrics}):
            raise ValueError(f"evaluation.metrics name {min(odd)}, which measures captions; leave it out")
        if wanted and self.model.share_embeddings:
            raise ValueError("pictures are not text; leave model.share_embeddings out")
        return self

    @model_validator(mode="after")
    def _forecast(self) -> "Recipe":
        measured = {*self.evaluation.metrics} & {*FORECAST_METRICS}
        if (self.task == "forecast") != bool(measured) or (measured and measured != {*self.evaluation.metrics}):
            raise ValueError(
                f"evaluation.metrics are {', '.join(self.evaluation.metrics)}; a forecast is measured by some of "
                f"{', '.join(FORECAST_METRICS)}, and no other task is"
            )
        if self.task == "forecast":
            check_forecast(self.data, self.model.encoder, self.model.decoder, self.model.bidirectional)
            for name in ("teacher_forcing", "label_smoothing"):
                if given := getattr(self.training, name):
                    raise ValueError(
                        f"training.{name} is {given}; forecasts are numbers and learn without, leave it out"
                    )
            return self
        for key, given, empty in (
            ("data.series", self.data.series, SeriesOptions()),
            ("model.forecast", self.model.forecast, ForecastOptions()),
        ):
            if given != empty:
                raise ValueError(f"{key} goes with task: forecast, but the task is {self.task!r}; leave it out")
        return self

    @model_validator(mode="after")
    def _looks(self) -> "Recipe":
        counted = [name for name in ("repeated_looks", "even_looks") if getattr(self.model, name)]
        if counted and self.training.teacher_forcing:
            raise ValueError(
                f"model.{counted[0]} is not counted where the model reads its own words; leave "
                "training.teacher_forcing out"
            )
        if self.task in ("classification", "forecast") and (self.model.repeated_looks or self.data.cut_source):
            key = "model.repeated_looks" if self.model.repeated_looks else "data.cut_source"
            raise ValueError(f"{key} is of texts made from texts, but the task is {self.task}; leave it out")
        return self

    @model_validator(mode="after")
    def _task(self) -> "Recipe":
        if self.task in ("classification", "caption", "forecast"):
            return self
        if self.task == "language_model" and not self.tokenizer.joint:
            raise ValueError("a language model has one vocabulary; set tokenizer.joint: true")
        if self.task == "language_model" and self.evaluation.metrics != ["perplexity"]:
            raise ValueError(
                f"evaluation.metrics are {', '.join(self.evaluation.metrics)}; a language model is measured by "
                "[perplexity] alone"
            )
        if self.task == "language_model" and self.training.best_by in TEXT_METRICS:
            raise ValueError(f"training.best_by is {self.training.best_by!r}; of a language model it can be perplexity")
        return self

    def paths(self) -> Iterator[tuple[str, str]]:
        """Every path of the recipe as it is written, with its key."""
        yield "output", self.output
        yield "start_from", self.start_from or ""
        for key, path in self.data.paths():
            yield f"data.{key}", path
        for place, path in enumerate(self.decoding.ensemble):
            yield f"decoding.ensemble.{place}", path
        for name in ("source_embeddings", "target_embeddings"):
            yield f"model.{name}", getattr(self.model, name) or ""


def expand_path(text: str) -> Path:
    """A path of a recipe with its variable of the environment, `${NAME}` at its beginning, or `~` filled in.

    Raises:
        RecipeError: If the variable is not defined, nobody has that home, or it can be no path.

    Example:
        >>> os.environ["CORPORA"] = "/corpora"
        >>> expand_path("${CORPORA}/train.en").as_posix()
        '/corpora/train.en'
    """
    if match := re.match(r"\$\{(\w+)\}", text):
        name = match[1]
        if not os.environ.get(name):
            raise RecipeError(f"{text} begins with ${{{name}}}, which is not defined; run: export {name}=FOLDER")
        text = os.environ[name] + text[match.end() :]
    if "\0" in text:
        raise RecipeError(f"{brief(text)} holds a zero byte, which no path does; take it out")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        name = text.partition("/")[0]
        raise RecipeError(f"{text} begins with {name}, which is nobody's home here; write out the folder") from None


def check_recipe(content: object, origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from plain values; paths stay as they are written.

    Args:
        content: The sections by name; whatever else it is, it is refused.
        origin: What to call the recipe in an error.
        overrides: Those that went into it, named in an error instead of `origin` where one of them is at fault.

    Raises:
        RecipeError: Names the key, what came and what was expected.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
    for fault in faults:
        fault["loc"] = tuple(name for name in fault["loc"] if name not in TAGS)
    messages = []
    for fault in faults:
        key = ".".join(map(str, fault["loc"]))
        blamed = next((text for text in overrides if _is_of(text, key, fault["type"])), None)
        messages.append(f"{f'--set {blamed}' if blamed else origin}: {_explain(fault, key)}".replace("\n", "\\n"))
    if len(messages) > MOST_FAULTS:
        messages[MOST_FAULTS:] = [f"{origin}: {len(messages) - MOST_FAULTS} more faults; fix these first"]
    raise RecipeError("\n".join(messages))


def dump_recipe(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML that `load_recipe` reads back to an equal one."""
    return write_yaml(recipe.model_dump())


def _is_of(override: str, key: str, fault: str) -> bool:
    """Whether what an expression sets holds the fault, or first brought the key that there is not."""
    named = f"{override.partition('=')[0].strip()}."
    return f"{key}.".startswith(named) or (fault == "extra_forbidden" and named.startswith(f"{key}."))


def _explain(fault: ErrorDetails, key: str) -> str:
    """One of pydantic's findings as a sentence for the person who wrote the recipe."""
    came = brief(fault["input"])
    if fault["type"] == "extra_forbidden":
        keys = _keys_of(fault["loc"][:-1])
        return f"{key} is no key of a recipe{did_you_mean(str(fault['loc'][-1]), keys)}; expected {', '.join(keys)}"
    if fault["type"] == "missing":
        return f"{key} is missing; a recipe needs it"
    if fault["type"] == "value_error":
        problem = str(fault.get("ctx", {}).get("error"))
        return f"{key}: {problem}" if key else problem
    if fault["type"].startswith("model_"):
        return f"{key or 'the recipe'} is {came}; expected the keys {', '.join(_keys_of(fault['loc']))}"
    return wrong_value(fault, key)


def wrong_value(fault: ErrorDetails, key: str) -> str:
    """One of pydantic's findings about a value, as a sentence."""
    expected = fault["msg"]
    whole = f"it {expected[6:]}" if expected.startswith("Input ") else f"the {expected[0].lower()}{expected[1:]}"
    return f"{key} is {brief(fault['input'])}; {whole}"


def _keys_of(place: Sequence[int | str]) -> list[str]:
    """The keys that the section at a place of the recipe has."""
    section: type[BaseModel] = Recipe
    for name in (name for name in place if isinstance(name, str)):  # a number is a place in a list of sections
        section = next(_sections_in(section.model_fields[name].annotation))
    return list(section.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type allows, also within a list or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _sections_in(part)


def did_you_mean(name: str, names: Sequence[str] | Mapping[str, str]) -> str:
    """The end of a sentence about an unknown name: the nearest one that is known, if any is near.

    >>> did_you_mean("untis", ["units", "dropout"])
    '; did you mean units?'
    """
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""
