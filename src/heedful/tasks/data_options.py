"""The part of a recipe that is about text: where pairs come from, and how they become ids."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SPLITS = {"train": "train", "valid": "val", "test": "test"}


class Section(BaseModel):
    """A part of a recipe: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DataPart(Section):
    """Where one set of pairs comes from; exactly one of `source` with `target`, `tsv`, and `bundled`.

    A path may begin with a variable of the environment, as in `${HEEDFUL_DATA}/train.en.gz`, or with `~`; a relative
    one starts from the folder in which the command is run. Files may be plain, .gz or .xz.

    Args:
        source: File of source sentences, one a line.
        target: File of target sentences, in the same order.
        tsv: File with both, separated by tabs.
        columns: Numbers, from 0, of the source's and the target's column of `tsv`.
        bundled: Name of a set that ships with heedful.
        split: Its part: "train", "val" or "test"; the one that fits the place in the recipe when left out.
    """

    source: str | None = Field(default=None, min_length=1)
    target: str | None = Field(default=None, min_length=1)
    tsv: str | None = Field(default=None, min_length=1)
    columns: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1], min_length=2, max_length=2)
    bundled: str | None = Field(default=None, min_length=1)
    split: Literal["train", "val", "test"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "DataPart":
        given = [name for name in ("source", "target", "tsv", "bundled") if getattr(self, name) is not None]
        if given not in (["source", "target"], ["tsv"], ["bundled"]):
            came = " and ".join(given) or "none of them"
            raise ValueError(f"expected source and target, or tsv alone, or bundled alone; came {came}")
        if self.split and not self.bundled:
            raise ValueError("split goes with bundled; leave it out")
        return self


class DataOptions(Section):
    """The pairs to learn from, to choose by, and to be judged on.

    Args:
        train: Pairs to learn from.
        valid: Pairs that choose the best checkpoint.
        test: Pairs for the final score; may be left out.
        max_length: Most tokens of a training sentence on either side; longer pairs are left out and counted.
    """

    train: DataPart
    valid: DataPart
    test: DataPart | None = None
    max_length: int = Field(default=100, gt=0)

    @model_validator(mode="after")
    def _splits(self) -> "DataOptions":
        for name, split in SPLITS.items():
            part = getattr(self, name)
            if part is not None and part.bundled and part.split is None:
                part.split = split
        return self

    def paths(self) -> Iterator[tuple[str, str]]:
        """Every path as it is written, with its key."""
        for part, name in ((part, name) for part in SPLITS for name in ("source", "target", "tsv")):
            yield f"{part}.{name}", getattr(getattr(self, part), name, None) or ""


class TokenizerOptions(Section):
    """How text becomes ids.

    Args:
        kind: The unit: "word", "character", "bpe" or "byte_bpe".
        vocab_size: Most entries, of each side or of the joint vocabulary.
        joint: One vocabulary for both sides.
        lowercase: Lower-case both sides.
        lowercase_source: Lower-case the source only.
    """

    kind: Literal["word", "character", "bpe", "byte_bpe"] = "bpe"
    vocab_size: int = Field(default=8000, gt=4)
    joint: bool = False
    lowercase: bool = False
    lowercase_source: bool = False

    @model_validator(mode="after")
    def _sides(self) -> "TokenizerOptions":
        if self.joint and self.lowercase_source:
            raise ValueError(
                "lowercase_source needs a vocabulary per side; set joint: false, or lowercase: true for both"
            )
        return self
