"""The part of a recipe that is about data: where pairs or series come from, and how text becomes ids."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator

from heedful._errors import brief
from heedful.data.readers import MAX_CHARS

SPLITS = {"train": "train", "valid": "val", "test": "test"}
DATASET_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
NAMED = ("jsonl", "parquet", "dataset")
Kind = Literal["word", "character", "letter", "symbol", "bpe", "byte_bpe"]
FORMS = ("tsv", "csv", *NAMED, "bundled")
PLACES = ("source", "target", "features", "images", "captions", *FORMS)
# rows of a table that nobody has
MOST_ROWS = 10**9
# what pydantic calls the two forms of `train` in the place of a fault
TAGS = ("<one>", "<several>")
Text = Annotated[str | None, Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Where(Section):
    """Which rows of a table are read: those that hold `equals` in `column`, a name or a number as in `columns`."""

    column: int | str
    equals: str | int

    @field_validator("column", mode="before")
    @classmethod
    def _one_column(cls, column: Any) -> Any:
        if not _is_column(column):
            raise ValueError(f"it is {brief(column)}; expected a name, or a number from 0")
        return column


class DataPart(Section):
    """Where one set of pairs comes from; exactly one of the forms below.

    A path may begin with a variable of the environment, as in `${HEEDFUL_DATA}/train.en.gz`, or with `~`; a relative
    one starts from the folder in which the command is run. It names a file, a folder of files or a pattern such as
    `news/*.tsv.gz`; files of text may be plain, .gz or .xz, and come in the order of their names.

    Args:
        source: Sentences, one a line; goes with `target`.
        target: Their translations, in the same order.
        tsv: Tables whose cells are separated by tabs; quotes are text.
        csv: Tables whose cells are separated by commas, semicolons or tabs; quotes hold a cell together.
        jsonl: JSON lines: an object a line.
        parquet: Parquet files.
        dataset: A data set of Hugging Face: a folder, or a name on the hub.
        bundled: Name of a set that ships with heedful.
        features: Folder of pictures as regions, a .npy or .safetensors file each; goes with `captions`.
        images: Folder of PNG, JPEG or other pictures; goes with `captions`.
        captions: JSON lines, `{"image": "dog.jpg", "caption": "a dog"}` or a list as `captions`; the name finds
            `dog.npy` in the folder, too.
        columns: Where source and target stand. In `tsv` and `csv`, numbers from 0, or names, which the first row then
            holds; in `jsonl`, `parquet` and `dataset`, names, of which `translation.en` leads into a nested one. A list
            in the place of one, as in `[[1, 2], 3]`, joins the cells of several by a space.
        subset: Configuration of a `dataset` that has several, such as "en-fr".
        split: Part of a `dataset` or `bundled`; the one that fits the place in the recipe when left out.
        weight: Where `train` lists several sets: how much of an epoch comes from this one, relative to the others.
    """

    source: Text = None
    target: Text = None
    tsv: Text = None
    csv: Text = None
    jsonl: Text = None
    parquet: Text = None
    dataset: Text = None
    bundled: Text = None
    features: Text = None
    images: Text = None
    captions: Text = None
    columns: list[int | str | list[int | str]] = [0, 1]
    subset: Text = None
    split: Text = None
    weight: float | None = Field(default=None, gt=0)
    # of the whole section; set by it
    _where: Where | None = PrivateAttr(default=None)

    @property
    def where(self) -> Where | None:
        """Which rows are read, see `DataOptions`; all when None."""
        return self._where

    def flat_columns(self) -> list[int | str]:
        """Every column that is read for source and target."""
        return [one for side in self.columns for one in (side if isinstance(side, list) else [side])]

    @field_validator("columns", mode="before")
    @classmethod
    def _two_columns(cls, columns: Any) -> Any:
        if not isinstance(columns, list) or len(columns) != 2 or not all(map(_are_columns, columns)):
            raise ValueError(f"it is {brief(columns)}; expected two names, or two numbers from 0, such as [0, 1]")
        return columns

    @model_validator(mode="after")
    def _one_origin(self) -> "DataPart":
        given = [name for name in PLACES if getattr(self, name) is not None]
        two = given in (["source", "target"], ["features", "captions"], ["images", "captions"])
        if not two and not (len(given) == 1 and given[0] in FORMS):
            came = " and ".join(given) or "none of them"
            raise ValueError(
                f"expected source and target, features or images with captions, or one of {', '.join(FORMS)} alone; "
                f"came {came}"
            )
        if given[0] in NAMED and not all(isinstance(column, str) for column in self.flat_columns()):
            raise ValueError(f"the columns of {given[0]} have names; set columns, such as [en, fr]")
        if self.split and given[0] not in ("bundled", "dataset"):
            raise ValueError("split goes with bundled and dataset; leave it out")
        if self.subset and given[0] != "dataset":
            raise ValueError("subset goes with dataset; leave it out")
        return self


class SeriesOptions(Section):
    """Which columns of the table `data.train` are series, and which of its rows are learnt from.

    Args:
        columns: Names, or numbers from 0; every column but the time when left out.
        time: Column of the times, as ISO 8601 writes them; the first one when left out and it holds such.
        gaps: Take rows as neighbours however far apart their times are, as working days are.
        split: Rows to learn from, to choose by and to be judged on, one behind the other: how many of each, or shares.
    """

    columns: list[int | str] | None = Field(default=None, min_length=1)
    time: int | str | None = None
    gaps: bool = False
    split: list[float | int] = [0.7, 0.1, 0.2]

    @field_validator("columns", mode="before")
    @classmethod
    def _each_once(cls, columns: Any) -> Any:
        if isinstance(columns, list) and (odd := next((one for one in columns if columns.count(one) > 1), None)):
            raise ValueError(f"it names {brief(odd)} more than once; name each column once")
        return columns

    @model_validator(mode="after")
    def _three_parts(self) -> "SeriesOptions":
        split = self.split
        shares = all(0 < part < 1 for part in split) and sum(split) < 1 + 1e-9
        rows = all(float(part).is_integer() and 1 <= part <= MOST_ROWS for part in split)
        if len(split) != 3 or not (shares or rows):
            raise ValueError(
                f"split is {split}; expected three shares, such as [0.7, 0.1, 0.2], or three numbers of rows, to learn "
                "from, to choose by and to be judged on"
            )
        return self


def _is_column(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or (type(value) is int and value >= 0)


def _are_columns(value: Any) -> bool:
    return all(map(_is_column, value)) and value != [] if isinstance(value, list) else _is_column(value)


def _how_many(value: Any) -> str:
    return TAGS[isinstance(value, list)]


class DataOptions(Section):
    """The pairs to learn from, to choose by, and to be judged on.

    Args:
        train: Pairs to learn from; a list where there are several sets.
        valid: Pairs that choose the best checkpoint; some of `train` are held out when left out.
        test: Pairs for the final score; may be left out.
        where: Which rows of all these tables are read, as in `{column: 0, equals: fre}`; all when left out.
        hold_out: Where `valid` is left out: how many source sentences of `train` to hold out, with all their
            translations, chosen by their hash; never more than a tenth of the pairs.
        deduplicate: Keep one of training pairs that differ in nothing but case, spaces and shapes of characters.
        max_length: Most tokens of a training sentence on either side; longer pairs are left out and counted. A
            classifier reads so many of any text, and no further.
        cut_source: Tokens of a source text that are read, of a long document; how many are cut there is said. Null for
            all.
        max_chars: Most characters of a cell; longer ones are taken for a damaged file, left out and counted.
        balance_labels: Of a classifier: every label counts the same in the loss, however many texts have it.
        max_ratio: Most tokens of one side of a training pair relative to the other; null for any.
        streaming: Keep the training pairs on the disk, in the output folder, and read what each epoch needs: for what
            does not fit in memory.
        epoch_pairs: Pairs of an epoch, nearly; null for all of them, or for 100,000 with `streaming`.
        series: Of forecasts, which columns of the one table in `train` are series, and which rows are for what.
    """

    train: Annotated[
        Annotated[DataPart, Tag(TAGS[0])] | Annotated[list[DataPart], Field(min_length=1), Tag(TAGS[1])],
        Discriminator(_how_many),
    ]
    valid: DataPart | None = None
    test: DataPart | None = None
    where: Where | None = None
    hold_out: int = Field(default=1000, gt=0)
    deduplicate: bool = False
    max_length: int = Field(default=100, gt=0)
    cut_source: int | None = Field(default=None, gt=0)
    max_chars: int = Field(default=MAX_CHARS, gt=0)
    balance_labels: bool = False
    max_ratio: float | None = Field(default=None, ge=1)
    streaming: bool = False
    epoch_pairs: int | None = Field(default=None, gt=0)
    series: SeriesOptions = Field(default_factory=SeriesOptions)

    @property
    def train_parts(self) -> list[DataPart]:
        """The sets of `train`, one or several."""
        return self.train if isinstance(self.train, list) else [self.train]

    @model_validator(mode="after")
    def _splits(self) -> "DataOptions":
        for name, part in self._parts():
            place = name.partition(".")[0]
            part.split = part.split or (
                SPLITS[place] if part.bundled else DATASET_SPLITS[place] if part.dataset else None
            )
        return self

    @model_validator(mode="after")
    def _rows(self) -> "DataOptions":
        where = self.where
        if where is None:
            return self
        for name, part in self._parts():
            if part.source or part.bundled or part.captions:
                raise ValueError(f"where goes with tables, and {name} is none; leave it out")
            if isinstance(where.column, int) and any(getattr(part, form) for form in NAMED):
                raise ValueError(f"the columns of {name} have names; set where.column to one")
            part._where = where
        return self

    @model_validator(mode="after")
    def _weights(self) -> "DataOptions":
        weights = [part.weight for part in self.train_parts]
        if None in weights and weights != [None] * len(weights):
            raise ValueError("some sets of train have a weight and some have none; give one to each, or to none")
        if any(part is not None and part.weight for part in (self.valid, self.test)):
            raise ValueError("weight goes with the sets of train; leave it out")
        return self

    def paths(self) -> Iterator[tuple[str, str]]:
        """Every path as it is written, with its key."""
        for place, part in self._parts():
            for name in PLACES:
                if name not in ("dataset", "bundled"):
                    yield f"{place}.{name}", getattr(part, name) or ""

    def _parts(self) -> Iterator[tuple[str, DataPart]]:
        """Every part with its place."""
        several = isinstance(self.train, list)
        yield from ((f"train.{number}" if several else "train", part) for number, part in enumerate(self.train_parts))
        yield from ((name, part) for name in ("valid", "test") if (part := getattr(self, name)) is not None)


class TokenizerOptions(Section):
    """How text becomes ids.

    Args:
        kind: The unit: "word", "character", "letter" (characters of words by themselves, where a feature, name=value,
            is one piece), "symbol" (what stands between spaces, as phones do), "bpe" or "byte_bpe". Text without spaces
            between words wants characters or one of the last two.
        target_kind: The unit of the target; `kind` when left out.
        vocab_size: Most entries, of each side or of the joint vocabulary.
        joint: One vocabulary for both sides.
        lowercase: Lower-case both sides.
        lowercase_source: Lower-case the source only.
        unicode: Form into which text is put: "nfc", or "nfkc", which also makes one of characters that differ in shape
            only; null for the kind's own, which is NFC, and none for "byte_bpe".
        dropout: Probability that a merge of "bpe" or "byte_bpe" is left out in training, so that words are cut in many
            ways (BPE-dropout); 0.1 helps small corpora.
        source_vocabulary: File with the vocabulary of the source instead of one that is learned: the entries of kind
            "word" or "character", one a line, or the `tokenizer.json` of a model folder, for any kind.
        target_vocabulary: Likewise of the target, and of both sides where they share one.
    """

    kind: Kind = "bpe"
    target_kind: Kind | None = None
    vocab_size: int = Field(default=8000, gt=4)
    joint: bool = False
    lowercase: bool = False
    lowercase_source: bool = False
    unicode: Literal["nfc", "nfkc"] | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)
    source_vocabulary: Text = None
    target_vocabulary: Text = None

    @model_validator(mode="after")
    def _sides(self) -> "TokenizerOptions":
        if self.joint and self.lowercase_source:
            raise ValueError(
                "lowercase_source needs a vocabulary per side; set joint: false, or lowercase: true for both"
            )
        if self.joint and self.source_vocabulary:
            raise ValueError("with joint both sides have target_vocabulary; leave source_vocabulary out")
        if self.joint and self.target_kind not in (None, self.kind):
            raise ValueError("with joint both sides have one kind; leave target_kind out")
        if self.dropout and (odd := {self.kind, self.target_kind or self.kind} - {"bpe", "byte_bpe"}):
            raise ValueError(f"kind {min(odd)!r} has no merges to leave out; set dropout to 0, or kind to bpe")
        return self
