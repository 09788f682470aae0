"""Language models in a comparison: perplexity by text, and how each goes on with the first half of a text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.counts import Counted, count_losses
from heedful.training import next_token_loss
from heedful.visual.comparison import Table

from .batches import encode, make_tokenizers
from .comparable import (
    LOOKED_AT,
    Comparable,
    Ground,
    Nouns,
    refuse_no_attention,
    refuse_no_test,
    sample_places,
    sharpness_of,
    timed,
)
from .comparable_texts import learnt_from, losses_of, read_test, sizes_of
from .corpora import Say
from .equal_sizes import NAMES_AND_SCORES, with_attention
from .faithfulness import Faithful
from .language_faithfulness import writer_faithfulness
from .language_model import Writer
from .model_options import ModelOptions
from .recipe import Recipe
from .scoring import check_decoding

# texts whose first half is gone on with, to measure how fast
CONTINUED = 64


class ComparableLanguage(Comparable):
    """Language models, by `model.attention`; see `heedful.tasks.comparable.Comparable`."""

    key: str = "model.attention"
    names: Sequence[str] = NAMES_AND_SCORES

    def refuse(self, recipe: Recipe) -> None:
        refuse_no_attention(recipe.model)
        check_decoding(recipe.decoding)
        refuse_no_test(recipe, "data.test={tsv: FILE, columns: [0, 0]}")

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        # a Transformer's other side, which there is none of, keeps what the recipe says
        return with_attention(model, name).model_copy(update={"encoder_layers": model.encoder_layers})

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        tokenizers = make(lambda: make_tokenizers(learnt_from(recipe, say), recipe.tokenizer))
        test = read_test(recipe, say)
        # the targets are read
        test = encode(Pairs(test.target, test.target, {}, test.origin), tokenizers, say=say).pairs
        nouns = Nouns("test texts", "continuations", sizes_of(test.target, "the text")[1])
        return Ground(test, tokenizers, recipe.model, nouns, test.origin, len(test))

    def content(self, test: Pairs) -> list[Any]:
        return [test.target]

    def measure(self, trained: Writer, test: Pairs) -> dict[str, Any]:
        shown = _shown(test)
        others = [place for place in range(len(test)) if place not in shown][: CONTINUED - len(shown)]
        prompts = [_halves(test.target[place])[0] for place in (*shown, *others)]
        found, seconds = timed(lambda texts: [best[0] for best in trained.translate(texts)], prompts)
        tokens = sum(len(one.hypothesis.tokens) for one in found)
        return {
            "decoding_tokens_per_second": round(tokens / seconds, 1),
            "answers": [one.text for one in found[: len(shown)]],
            "losses": losses_of(trained, test, next_token_loss),
        }

    def look(self, trained: Writer, test: Pairs, gold: Sequence[str] | None) -> dict[str, Any]:
        if not trained.looks_back:
            return {}
        return {"sharpness": sharpness_of(trained.look_back(text) for text in test.target[:LOOKED_AT])}

    def faithfulness(self, trained: Writer, test: Pairs, count: int) -> Mapping[str, Faithful]:
        if not trained.looks_back:
            return {}
        return writer_faithfulness(trained, [trained.tokenizers.target.encode(text) for text in test.target[:count]])

    def count(self, metric: str, run: Mapping[str, Any], test: Pairs, recipe: Recipe) -> Counted:
        return count_losses(run["losses"]).with_sizes(sizes_of(test.target)[0])

    def samples(self, test: Pairs, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        tables = []
        for number, place in enumerate(_shown(test)):
            first, rest = _halves(test.target[place])
            said = [[name, run["answers"][number].removeprefix(first).strip()] for name, run in runs.items()]
            tables.append(Table(f"{first} ...", ["model", "how it goes on"], [["by a person", rest], *said]))
        return tables


def _shown(test: Pairs) -> list[int]:
    return sample_places(sizes_of(test.target)[0])


def _halves(text: str) -> tuple[str, str]:
    """The first half of the words of a text, and the others.

    >>> _halves("we see a dog")
    ('we see', 'a dog')
    """
    words = text.split()
    middle = max(1, len(words) // 2)
    return " ".join(words[:middle]), " ".join(words[middle:])
