"""Several trained models that translate as one."""

from collections.abc import Sequence

from heedful._errors import DataError
from heedful.decoding.ensemble import Ensemble

from .translator import Translator


def join(translators: Sequence[Translator], mean: str = "probabilities") -> Translator:
    """A translator that says what all of them say on average, of any architectures (`heedful.decoding.Ensemble`).

    Recipe and scores are those of the first; one alone stays as it is.

    Args:
        translators: of the same tokenizers; at least one.
        mean: of their "probabilities", or "log_probabilities", where all have to agree.

    Raises:
        DataError: one of them has other tokenizers, another task, or does not copy words as the others do.
    """
    first, *others = translators
    for place, other in enumerate(others, start=2):
        sides = ((one.tokenizers.source.to_dict(), one.tokenizers.target.to_dict()) for one in (first, other))
        if next(sides) != next(sides) or other.task != first.task:
            raise DataError(
                f"Model {place} of the ensemble has other tokenizers than the first, so their ids mean different "
                "things; train it on the same data with the same tokenizer, or from the first with --from."
            )
        if other.recipe.model.copies != first.recipe.model.copies:
            raise DataError(
                f"Model {place} of the ensemble and the first differ in model.copies, so they say other words; join "
                "models that are alike in it."
            )
    if not others:
        return first
    return type(first)(
        Ensemble([one.model for one in translators], mean), first.tokenizers, first.recipe, first.metrics
    )
