"""Writers of captions in a comparison: scores by picture, each against all of its captions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from heedful.data.captions import by_picture
from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.counts import Counted, count_captions
from heedful.visual.comparison import Table

from .batches import make_tokenizer
from .captioning import Captioner, most_common_dim, usable
from .comparable import (
    LOOKED_AT,
    NOTHING,
    Comparable,
    Ground,
    Nouns,
    refuse_no_attention,
    refuse_no_test,
    sample_places,
    sharpness_of,
    timed,
)
from .comparable_texts import learnt_from, read_test, sizes_of
from .corpora import Say
from .equal_sizes import NAMES_AND_SCORES, with_attention
from .faithfulness import Faithful, looks, translator_faithfulness
from .model_options import ModelOptions
from .picture_reading import make_reader, shape_of
from .recipe import Recipe
from .scoring import check_decoding


class ComparableCaptions(Comparable):
    """Captions, by `model.attention`; see `heedful.tasks.comparable.Comparable`."""

    key: str = "model.attention"
    names: Sequence[str] = NAMES_AND_SCORES

    def refuse(self, recipe: Recipe) -> None:
        refuse_no_attention(recipe.model)
        check_decoding(recipe.decoding)
        kind = "images" if recipe.model.encoder == "convolutional" else "features"
        refuse_no_test(recipe, f"data.test={{{kind}: FOLDER, captions: FILE}}")

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        return with_attention(model, name)

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        learnt, model = learnt_from(recipe, say), recipe.model
        if model.encoder != "convolutional" and model.feature_dim is None:
            dim = most_common_dim(map(shape_of, dict.fromkeys(learnt.source)))
            model = ModelOptions(**{**model.model_dump(exclude_unset=True), "feature_dim": dim})

        def learn() -> TokenizerPair:
            tokenizer = make_tokenizer("target", learnt.target, recipe.tokenizer)
            return TokenizerPair(tokenizer, tokenizer, joint=True)

        test = usable(read_test(recipe, say), make_reader(model), say)
        pictures, captions = by_picture(test)
        nouns = Nouns("test pictures", "captions", sizes_of(_first(captions), "the first caption")[1])
        return Ground(test, make(learn), model, nouns, test.origin, len(pictures))

    def content(self, test: Pairs) -> list[Any]:
        return [test.source, test.target]

    def measure(self, trained: Captioner, test: Pairs) -> dict[str, Any]:
        found, seconds = timed(
            lambda paths: [best[0] for best in trained.translate(paths)],
            by_picture(test)[0],
        )
        tokens = sum(len(one.hypothesis.tokens) for one in found)
        return {"decoding_tokens_per_second": round(tokens / seconds, 1), "answers": [one.text for one in found]}

    def look(self, trained: Captioner, test: Pairs, gold: Sequence[str] | None) -> dict[str, Any]:
        if not looks(trained.model):
            return {}
        pictures, captions = by_picture(test)
        pairs = zip(pictures[:LOOKED_AT], _first(captions), strict=False)
        shown = {str(place): _looked(trained, pictures[place]) for place in _shown(captions)}
        return {"sharpness": sharpness_of(trained.align(*pair).weights for pair in pairs), "shown": shown}

    def faithfulness(self, trained: Captioner, test: Pairs, count: int) -> Mapping[str, Faithful]:
        if not looks(trained.model):
            return {}
        pictures, captions = by_picture(test)
        reader, encode = make_reader(trained.recipe.model), trained.tokenizers.target.encode
        pairs = zip(pictures[:count], _first(captions), strict=False)
        return translator_faithfulness(trained, [(reader.read(path).ids, encode(caption)) for path, caption in pairs])

    def count(self, metric: str, run: Mapping[str, Any], test: Pairs, recipe: Recipe) -> Counted:
        _, captions = by_picture(test)
        return count_captions(metric, run["answers"], captions).with_sizes(sizes_of(_first(captions))[0])

    def samples(self, test: Pairs, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        pictures, captions = by_picture(test)
        tables = []
        for place in _shown(captions):
            rows = [["by a person", " | ".join(captions[place]), NOTHING]]
            for name, run in runs.items():
                rows.append([name, run["answers"][place], run.get("shown", {}).get(str(place)) or NOTHING])
            tables.append(Table(Path(pictures[place]).name, ["model", "caption", "where each word looked most"], rows))
        return tables


def _first(captions: Sequence[Sequence[str]]) -> list[str]:
    return [own[0] for own in captions]


def _shown(captions: Sequence[Sequence[str]]) -> list[int]:
    return sample_places(sizes_of(_first(captions))[0])


def _looked(captioner: Captioner, picture: str) -> str:
    """Each word of the caption, and the region that it looked at most."""
    found = captioner.explain(picture)
    if not found.target.ids:
        return ""
    seen = found.alignment
    tops = zip(seen.target, seen.weights.argmax(1).tolist(), strict=True)
    return "; ".join(f"{word}: {seen.source[top]}" for word, top in tops)
