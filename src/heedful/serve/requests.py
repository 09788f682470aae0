"""What a client may ask for, and how that becomes work for the translator."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from heedful._errors import DataError, brief
from heedful.data.readers import EMPTY, NUL, TOO_LONG, read_cell
from heedful.tasks.data_options import Section
from heedful.tasks.decoding_options import DecodingOptions
from heedful.tasks.recipe import did_you_mean, wrong_value

from .limits import Limits
from .refusal import RefusalError

if TYPE_CHECKING:
    from heedful.tasks.translator import Translator

# they name folders of the server, which no client has a say in
NOT_ASKED = ("ensemble", "ensemble_mean")
EXAMPLE = '{"text": "I love you."}'


class Asked(Section):
    """What a request says besides how to decode."""

    text: str | list[str] = Field(description="A sentence, or a list of them.", examples=["I love you."])
    n_best: int = Field(default=1, gt=0, description="Translations of each sentence, up to the beam.")
    alignments: bool = Field(
        default=False, description="Also the tokens with their log-probabilities, the words, and what each looked at."
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="Of sample: the same seed draws the same; such requests go alone."
    )


def decoding_keys() -> dict[str, Any]:
    """Every key of decoding that a request may set, with the limits that a recipe has; left out is the server's own."""
    meanings = re.findall(r"^        (\w+): (.*(?:\n {12}.*)*)", DecodingOptions.__doc__ or "", flags=re.MULTILINE)
    described = {name: re.sub(r"\s+", " ", text.replace("`", "")) for name, text in meanings}
    keys = {}
    for name, field in DecodingOptions.model_fields.items():
        if name not in NOT_ASKED:
            left_out = copy(field)
            left_out.default, left_out.default_factory, left_out.description = None, None, described.get(name)
            keys[name] = (field.annotation | None, left_out)  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    return keys


TranslateRequest: Any = create_model("TranslateRequest", __base__=Asked, **decoding_keys())
TranslateRequest.__doc__ = "Text, and any key of the section decoding of a recipe."


@dataclass(frozen=True, eq=False)
class Order:
    """How the sentences of a request are translated.

    Attributes:
        decoding: the search.
        nbest: translations of each sentence.
        need_weights: whether what they looked at is wanted.
        generator: the source of chance, where the request has one of its own.
    """

    decoding: DecodingOptions
    nbest: int = 1
    need_weights: bool = False
    generator: torch.Generator | None = None

    @property
    def key(self) -> object:
        """What is equal of requests that may be decoded together."""
        return self if self.generator else (self.decoding.model_dump_json(), self.nbest, self.need_weights)


def make_order(
    asked: Any, translator: "Translator", defaults: DecodingOptions, limits: Limits
) -> tuple[list[str], Order]:
    """The sentences of a request, checked, and how to translate them.

    Args:
        asked: a `TranslateRequest`.
        translator: who will do it.
        defaults: what holds where the request says nothing.
        limits: of the server.

    Raises:
        RefusalError: what no model could do, or what is above a limit.
    """
    texts = check_texts(asked.text, limits)
    said = asked.model_dump(include=asked.model_fields_set & set(DecodingOptions.model_fields))
    most = {"n_best": asked.n_best, "beam": said.get("beam"), "risk_draws": said.get("risk_draws")}
    for name, value in most.items():
        if value is not None and value > limits.hypotheses:
            raise RefusalError(422, f"{name} is {value}; this server takes at most {limits.hypotheses}")
    for name in ("banned", "required"):
        if len(said.get(name) or ()) > limits.phrases:
            raise RefusalError(422, f"{name} has {len(said[name])} phrases; this server takes at most {limits.phrases}")
    longest = max(said.get("max_length") or 0, said.get("min_length") or 0)
    if longest > defaults.max_length:
        raise RefusalError(422, f"max_length is {longest}; this server takes at most {defaults.max_length}")
    try:
        decoding = DecodingOptions.model_validate(defaults.model_dump() | said)
        search = translator.search(decoding, asked.n_best)
    except ValidationError as error:
        raise RefusalError(422, first_fault(error.errors())) from None
    except (DataError, ValueError) as error:
        raise RefusalError(422, str(error).replace("nbest", "n_best")) from None
    if asked.seed is not None and not decoding.sample:
        raise RefusalError(422, "seed is of use in sampling only; add sample: true, or leave it out")
    if asked.alignments:
        lengths = [len(translator.tokenizers.source.encode(text)) for text in texts]
        # no more words than tokens are said, nor looked at
        most = asked.n_best * sum(map(mul, lengths, search.constraints.max_lengths(lengths)))
        if most > limits.numbers:
            raise RefusalError(
                422,
                f"alignments of this text may have {most:,} numbers; this server sends at most {limits.numbers:,}: ask "
                "for fewer or shorter sentences, a smaller n_best or a lower max_length",
            )
    seeded = None if asked.seed is None else torch.Generator().manual_seed(asked.seed)
    return texts, Order(decoding, asked.n_best, asked.alignments, seeded)


def check_texts(given: str | Sequence[str], limits: Limits) -> list[str]:
    """The sentences, each on one line.

    Raises:
        RefusalError: there are none or too many, or one cannot be used.
    """
    texts = [given] if isinstance(given, str) else list(given)
    if not 0 < len(texts) <= limits.sentences:
        raise RefusalError(422, f"text has {len(texts)} sentences; give 1 to {limits.sentences} in a request")
    lines = [" ".join(text.splitlines()) for text in texts]
    for place, line in enumerate(lines):
        _, fault = read_cell(line, limits.chars)
        if fault:
            why = {
                EMPTY: "is empty; give at least one word",
                NUL: "holds a NUL character; take it out",
                TOO_LONG: f"has {len(line):,} characters; give at most {limits.chars:,}",
            }.get(fault, "holds half a character (a surrogate), which is no text; take it out")
            raise RefusalError(422, f"text{'' if isinstance(given, str) else f'[{place}]'} {why}")
    return lines


def first_fault(faults: Sequence[ErrorDetails | Any]) -> str:
    """The first finding of pydantic about a request as a sentence."""
    fault = faults[0]
    place = [str(part) for part in fault["loc"] if part != "body"]
    key = ".".join(place)
    if place[:1] == ["text"] and fault["type"] != "missing":
        return f"text is {brief(fault['input'])}; expected a sentence, or a list of sentences"
    if fault["type"] == "extra_forbidden":
        names = list(TranslateRequest.model_fields)
        return f"{key} is nothing to ask for{did_you_mean(key, names)}; expected {', '.join(names)}"
    if fault["type"] == "missing":
        return f"{key or 'the body'} is missing; send an object such as {EXAMPLE}"
    if fault["type"] == "value_error":
        return str(fault.get("ctx", {}).get("error"))
    if not key:
        return f"the body is {brief(fault['input'])}; send an object such as {EXAMPLE}"
    return wrong_value(fault, key)
