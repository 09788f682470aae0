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
from .picture_options import PictureOptions
from .recipe_yaml import write_yaml
from .transformer_options import TransformerOptions

ROUGE_METRICS = ("rouge1", "rouge2", "rougeL")
TEXT_METRICS = ("bleu", "chrf", "wer", "per", "exact_match", *ROUGE_METRICS)
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
# every other attention is asked with the state after the update, and brings its own score
_WIRINGS = {"bahdanau": "bahdanau", "none": "none"}
_SCORES = {"bahdanau": "additive", "luong": "general"}


def _same_as(name: str, table: Mapping[str, str] | None = None, otherwise: str | None = None) -> Any:
    """Default of a field: the value of an earlier one, or what a table says of it."""
    return lambda data: table.get(data.get(name, ""), otherwise) if table else data.get(name)


class ModelOptions(Section):
    """The encoder-decoder in numbers.

    Args:
        architecture: "recurrent" or "transformer"; sets the defaults of `encoder` and `decoder`.
        encoder, decoder: Each side's own architecture, where they are mixed. The encoder of a classifier may also be
            "none", the embeddings and n-grams as they are, or "hierarchical" (Yang et al. 2016), which reads words to
            sentences and sentences to a document, both with `pooling`. That of captions may be "regions", each region
            of a picture by itself, or "convolutional", which reads pixels, of `images`; the others read regions row
            after row.
        transformer: What only a Transformer has.
        attention: Which mechanism a recurrent decoder looks with, "none" for a plain encoder-decoder; sets the defaults
            of `wiring` and `score`.
        wiring: Order of looking and updating: "bahdanau" looks with the state before the update, "luong" with the one
            after it, "luong_input_feeding" feeds what it saw to the next step, "look_between" looks between the first
            decoder layer and those above, "add_norm" adds what the state saw to it and normalises, as TensorFlow's
            tutorial of 2022 (there with `attention: multi_head`, `transformer: {heads: 1}`, `merge: sum`), "none" is a
            plain encoder-decoder.
        score: How query and key are compared in "bahdanau" and "luong"; None elsewhere.
        cell: Recurrent cell of both sides.
        embedding_dim: Features of a token on both sides.
        units: Default of the three sizes below.
        encoder_units: Units of an encoder layer, in each direction.
        encoder_layers: Encoder layers.
        bidirectional: Whether the encoder also reads from the end.
        merge: How two directions become one memory: "concat" or "sum".
        decoder_units: Units of a decoder layer.
        decoder_layers: Decoder layers; "look_between" needs two.
        attention_units: Hidden features of the additive and the concat score.
        readout_units: Features that a decoder step gives to the output layer; those of a token when left out.
        dropout: Rate of dropout, in [0, 1).
        tie_embeddings: Use the target embedding as the output matrix.
        share_embeddings: Use one embedding for both sides; needs a joint vocabulary.
        source_embeddings: File with a pretrained embedding of the source tokens.
        target_embeddings: Likewise of the target tokens, and of both sides where they share one.
        pooling: Of a classifier, how the outputs of its encoder become one vector: "attention" (Yang et al. 2016),
            "att_blstm", "gated", "last_state" (the last state asks), "structured" (several looks), "statistics" and
            "channel_statistics", or without attention "mean", "max" and "last".
        looks: How many times "structured" looks.
        word_encoder: Of "hierarchical", what reads the words of a sentence; its sentences have a recurrent one.
        word_dropout: Of a classifier, share of the words hidden in training.
        ngrams: Where words have no encoder, tokens of the longest n-gram that has a vector; 1 for words alone.
        ngram_rows: Rows of the table in which n-grams find their vectors by hashing.
        feature_dim: Of captions, features of a region; null for what the files of the training pictures have.
        even_looks: How much it counts in the loss that each region is looked at once in total (Xu et al. 2015, equation
            14, who take 1); of texts, each token of the source.
        repeated_looks: How much it counts in the loss that a token of the source is looked at again (coverage loss, See
            et al. 2017, equation 13, who take 1); goes with `attention: coverage`, or any other.
        copies: Choose at each step between saying a word of the vocabulary and copying one of the source
            (pointer-generator, See et al. 2017), also one that the vocabulary lacks where `tokenizer.kind` is "word",
            "letter" or "symbol"; of a recurrent decoder with attention, over a joint vocabulary.
        picture: What only a convolutional encoder has.
        forecast: What only a forecaster has; its encoder is recurrent and reads forwards.
    """

    architecture: Literal["recurrent", "transformer"] = "recurrent"
    encoder: Literal["recurrent", "transformer", "none", "hierarchical", "regions", "convolutional"] = Field(
        default_factory=_same_as("architecture")
    )
    decoder: Literal["recurrent", "transformer"] = Field(default_factory=_same_as("architecture"))
    transformer: TransformerOptions = Field(default_factory=TransformerOptions)
    attention: Literal[
        "bahdanau",
        "luong",
        "coverage",
        "dynamic_convolution",
        "forward",
        "intra_temporal",
        "linguistic_coverage",
        "forward_transition",
        "gaussian_mixture",
        "local_m",
        "local_p",
        "location",
        "milk",
        "mocha",
        "monotonic",
        "multi_head",
        "neural_coverage",
        "sine",
        "stepwise",
        "visual",
        "visual_hard",
        "none",
    ] = "bahdanau"
    wiring: Literal["bahdanau", "luong", "luong_input_feeding", "look_between", "add_norm", "none"] = Field(
        default_factory=_same_as("attention", _WIRINGS, "luong")
    )
    score: Literal["additive", "concat", "dot", "general", "scaled_dot"] | None = Field(
        default_factory=_same_as("attention", _SCORES)
    )
    cell: Literal["gru", "lstm"] = "gru"
    embedding_dim: int = Field(default=256, gt=0)
    units: int = Field(default=256, gt=0)
    encoder_units: int = Field(default_factory=_same_as("units"), gt=0)
    encoder_layers: int = Field(default=1, gt=0)
    bidirectional: bool = True
    merge: Literal["concat", "sum"] = "concat"
    decoder_units: int = Field(default_factory=_same_as("units"), gt=0)
    decoder_layers: int = Field(default=1, gt=0)
    attention_units: int = Field(default_factory=_same_as("units"), gt=0)
    readout_units: int = Field(default_factory=_same_as("embedding_dim"), gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    tie_embeddings: bool = False
    share_embeddings: bool = False
    source_embeddings: str | None = None
    target_embeddings: str | None = None
    pooling: Literal[
        "attention",
        "att_blstm",
        "gated",
        "last_state",
        "structured",
        "statistics",
        "channel_statistics",
        "mean",
        "max",
        "last",
    ] = "attention"
    looks: int = Field(default=4, gt=0)
    feature_dim: int | None = Field(default=None, gt=0)
    even_looks: float = Field(default=0.0, ge=0)
    repeated_looks: float = Field(default=0.0, ge=0)
    copies: bool = False
    picture: PictureOptions = Field(default_factory=PictureOptions)
    forecast: ForecastOptions = Field(default_factory=ForecastOptions)
    word_encoder: Literal["recurrent", "none"] = "recurrent"
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    ngrams: int = Field(default=1, gt=0, le=9)
    ngram_rows: int = Field(default=20_000, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> "ModelOptions":
        if (self.attention == "none") != (self.wiring == "none"):
            raise ValueError(
                f"attention {self.attention!r} does not go with wiring {self.wiring!r}; set both to 'none', or neither"
            )
        if (self.attention not in _SCORES) != (self.score is None):
            raise ValueError(
                f"attention {self.attention!r} does not go with score {self.score!r}; "
                "leave score out, or set it to null with an attention that brings its own"
            )
        if self.encoder == "hierarchical" and self.pooling in ("structured", "channel_statistics"):
            raise ValueError(
                f"pooling {self.pooling!r} has several weights for a word; a hierarchical encoder needs one with one, "
                "such as attention"
            )
        if self.wiring == "look_between" and self.decoder_layers < 2:
            raise ValueError("wiring 'look_between' looks between two layers; set decoder_layers to 2 or more")
        if self.decoder == "recurrent" and self.attention == "none" and (self.copies or self.repeated_looks):
            raise ValueError(
                f"{'copies' if self.copies else 'repeated_looks'} needs to know what was looked at, but attention is "
                "'none'; set it to another, such as coverage"
            )
        if self.copies and self.decoder == "transformer":
            raise ValueError("copies goes with a recurrent decoder; set decoder to recurrent, or copies to false")
        if self.share_embeddings and self.source_embeddings:
            raise ValueError(
                "with share_embeddings both sides begin with target_embeddings; leave source_embeddings out"
            )
        return self


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
        elif self.data.series != SeriesOptions():
            raise ValueError(f"data.series goes with task: forecast, but the task is {self.task!r}; leave it out")
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
