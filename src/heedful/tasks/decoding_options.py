"""The part of a recipe that says how its model decodes; every method of `heedful.decoding` is reached by it."""

from typing import Literal

from pydantic import Field, model_validator

from .data_options import Section
from .shortlist import MOST


class DecodingOptions(Section):
    """How the trained model translates, or goes on with a text, when nothing else is asked for.

    Args:
        beam: Hypotheses kept; 1 is greedy.
        groups: From 2 on, the beam is made of so many groups that keep away from each other (diverse beam search).
        diversity: How far they keep away; 0.2 to 0.8 are common.
        sample: Draw at random instead of searching the best.
        temperature: Of `sample`: above 1 flatter, below 1 sharper.
        top_k: Of `sample`: how many tokens may be drawn; null for all.
        top_p: Of `sample`: the probability that the tokens to draw from hold together; null for 1.
        min_p: Of `sample`: the share of the best token's probability that a token needs; null for 0.
        risk_draws: Of `sample`: draw so many, and return those most like all of them (minimum Bayes risk, chrF), the
            most alike first; null returns every draw, the most probable first.
        length_penalty: 0 ranks by probability, which favours the short; 1 nearly by mean log-probability.
        coverage_penalty: How much unread words of the source count against a translation; 0 for not at all.
        overcoverage_penalty: How much source words that were read more than once count against it, for summaries; 0 for
            not at all.
        repetition_penalty: By what the logit of a token that was said before is made smaller; 1 for not at all.
        min_length: Fewest tokens of a translation.
        max_length: Most tokens.
        max_ratio: Most tokens relative to those of the source; null for `max_length` alone.
        max_extra: Tokens that `max_ratio` grants on top.
        no_repeat_ngram: A run of so many tokens occurs once at most; 0 allows repetition.
        prefix: Text that every translation begins with.
        required: Words or phrases that every translation holds, in any order; needs a search, of one group.
        banned: Words or phrases that none holds, as the tokenizer cuts them.
        replace_unknown: Put the source word looked at most in place of an unknown token.
        precision: Of the large products, "float32", "bf16" or "int8", on the CPU; attention stays in float32.
        shortlist: Say only the so many target tokens most often aligned to each source token, and the 256 most frequent
            ones (`heedful shortlist MODEL` learns which); null for all. Up to 100.
        ensemble: Folders of models of the same vocabularies; `heedful translate` and `evaluate` average with them.
        ensemble_mean: Of what the mean is: "probabilities", or "log_probabilities", where all have to agree.
    """

    # the upper limits are there since a model's recipe is somebody else's
    beam: int = Field(default=5, gt=0, le=1000)
    groups: int = Field(default=1, gt=0, le=1000)
    diversity: float = Field(default=0.5, ge=0, le=100)
    sample: bool = False
    temperature: float = Field(default=1.0, gt=0, le=1000)
    top_k: int | None = Field(default=None, gt=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    risk_draws: int | None = Field(default=None, gt=0, le=1000)
    length_penalty: float = Field(default=0.6, ge=0, le=10)
    coverage_penalty: float = Field(default=0.0, ge=0, le=10)
    overcoverage_penalty: float = Field(default=0.0, ge=0, le=100)
    repetition_penalty: float = Field(default=1.0, ge=1, le=100)
    min_length: int = Field(default=0, ge=0, le=10_000)
    max_length: int = Field(default=256, gt=0, le=10_000)
    max_ratio: float | None = Field(default=2.0, ge=0, le=1000)
    max_extra: int = Field(default=10, ge=0, le=10_000)
    no_repeat_ngram: int = Field(default=0, ge=0)
    prefix: str = ""
    required: list[str] = Field(default=[], max_length=100)
    banned: list[str] = Field(default=[], max_length=10_000)
    replace_unknown: bool = True
    precision: Literal["float32", "bf16", "int8"] = "float32"
    shortlist: int | None = Field(default=None, gt=0, le=MOST)
    ensemble: list[str] = Field(default=[], max_length=100)
    ensemble_mean: Literal["probabilities", "log_probabilities"] = "probabilities"

    @model_validator(mode="after")
    def _agree(self) -> "DecodingOptions":
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length is {self.min_length}, above max_length, {self.max_length}; lower it, or raise max_length"
            )
        if self.beam % self.groups:
            raise ValueError(f"beam is {self.beam} and groups {self.groups}; make the beam a multiple of the groups")
        if self.required and (self.sample or self.groups > 1):
            raise ValueError("required needs a search of one group; set sample to false and groups to 1")
        return self

    def greedy(self) -> "DecodingOptions":
        """The same limits and penalties with the quickest search; exact, since a model that learns is asked."""
        return self.model_copy(
            update={"beam": 1, "groups": 1, "sample": False, "precision": "float32", "shortlist": None}
        )
