"""A comparison before any training: equal sizes, equal work; and what its numbers allow to say."""

from pathlib import Path

import pytest

from heedful._errors import RecipeError
from heedful.metrics.significance import Difference, SystemScore
from heedful.tasks.comparable import Nouns
from heedful.tasks.comparison import Contender, recipe_of, size_models, with_limit
from heedful.tasks.comparison_results import Row, conclusion, score_tables, thirds
from heedful.tasks.equal_sizes import (
    ADDITIVE_SCORES,
    NAMES,
    PLACES,
    SCORES,
    TOLERANCE,
    TRANSFORMER_SCORES,
    count_parameters,
    with_attention,
)
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.parts import Part
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.transformer_options import PlaceOptions, TransformerOptions

VOCABULARY = (4000, 3900)


def test_every_attention_gets_as_many_parameters_as_the_first():
    recipe = load_recipe("tatoeba_en_fr")
    names = ["bahdanau", *(name for name in NAMES if name != "bahdanau")]
    found = size_models(recipe.model, names, VOCABULARY)
    assert [one.name for one in found] == names
    assert found[0].model.decoder_units == recipe.model.decoder_units
    for one in found:
        assert one.parameters == count_parameters(one.model, VOCABULARY)
        assert abs(one.parameters / found[0].parameters - 1) <= TOLERANCE, one.name
        assert (one.model.decoder == "transformer") == (one.name == "transformer")
        assert one.name in (one.model.attention, one.model.architecture)
    transformer = recipe_of(with_limit(recipe), found[-1], 7, Path("folder"))
    assert (transformer.seed, transformer.training.learning_rate) == (7, 0.003)


def test_every_score_makes_a_transformer_of_the_size_of_the_first():
    own = TransformerOptions(heads=2, hidden_units=50, cross=PlaceOptions(normalizer=Part(name="sparsemax")))
    model = ModelOptions(architecture="transformer", embedding_dim=16, transformer=own)
    names = ["scaled_dot", *(name for name in TRANSFORMER_SCORES if name != "scaled_dot")]
    assert {"additive", "cosine", "dot", "general", "sine"} < set(names)
    found = size_models(model, names, VOCABULARY)
    assert found[0].parameters == count_parameters(model, VOCABULARY)
    for one in found:
        assert abs(one.parameters / found[0].parameters - 1) <= TOLERANCE, one.name
        options = one.model.transformer
        assert {getattr(options, place).score.name for place in PLACES} == {one.name}
        assert (options.heads, options.cross.normalizer.name) == (2, "sparsemax")


def test_a_score_of_a_recurrent_decoder_is_a_name_too():
    model = load_recipe("tatoeba_en_fr").model
    found = size_models(model, ["bahdanau", *SCORES], VOCABULARY)
    for one in found[1:]:
        assert one.model.score == one.name
        assert one.model.attention == ("bahdanau" if one.name in ADDITIVE_SCORES else "luong")
        assert abs(one.parameters / found[0].parameters - 1) <= TOLERANCE, one.name


def test_names_of_the_other_kind_of_decoder_are_refused():
    with pytest.raises(RecipeError, match=r"dot is a score for the attentions of a Transformer, .* are add"):
        with_attention(ModelOptions(), "dot")
    with pytest.raises(RecipeError, match="attentions differ in their scores, but luong is none; choose from add"):
        with_attention(ModelOptions(architecture="transformer"), "luong")


def test_a_wiring_that_the_recipe_names_stays_and_a_score_does_not():
    model = ModelOptions(attention="luong", wiring="look_between", score="concat", decoder_layers=2)
    assert with_attention(model, "luong") is model
    for name, wiring, score in (("bahdanau", "look_between", "additive"), ("local_p", "look_between", None)):
        changed = with_attention(model, name)
        assert (changed.attention, changed.wiring, changed.score) == (name, wiring, score)
    assert with_attention(model, "none").wiring == "none"
    assert with_attention(ModelOptions(), "luong").wiring == "luong"


def test_all_trainings_end_at_one_limit():
    recipe = load_recipe("tatoeba_en_fr")
    for given, steps, seconds in (({}, 1800, None), ({"steps": 9}, 9, None), ({"seconds": 5.0}, None, 5.0)):
        training = with_limit(recipe, **given).training
        assert (training.max_steps, training.max_seconds, training.max_epochs) == (steps, seconds, None)
    with pytest.raises(RecipeError, match="both steps and seconds are given"):
        with_limit(recipe, 9, 5.0)
    recipe.training = recipe.training.model_copy(update={"max_steps": None, "max_epochs": 4, "patience": 2})
    training = with_limit(recipe).training
    assert (training.max_steps, training.max_seconds, training.max_epochs, training.patience) == (None, None, 4, None)
    assert with_limit(recipe, 9).training.max_epochs is None
    recipe.training = recipe.training.model_copy(update={"max_epochs": None})
    with pytest.raises(RecipeError, match=r"has no training\.max_steps or max_epochs; give --steps or --seconds"):
        with_limit(recipe)


def row(
    name: str,
    values: list[float],
    gap: float | None = None,
    p_value: float | None = None,
    size: int = 1000,
    metric: str = "bleu",
) -> Row:
    difference = None if gap is None else Difference(gap, gap - 1, gap + 0.5, 0.01)
    scores = {metric: SystemScore(sum(values) / len(values), 0.0, 9.0, values, difference)}
    return Row(
        Contender(name, ModelOptions(), size),
        [{"seed": 1 + place} for place in range(len(values))],
        scores,
        [],
        p_value,
        300,
    )


def test_no_more_is_said_than_the_numbers_allow():
    first = row("bahdanau", [20.0, 21.0])
    assert conclusion([first, row("luong", [22.0, 23.0], 2.0, 0.01)], Nouns()) == (
        "Compared with bahdanau, luong is better by 2.0 BLEU (95 % interval 1.0 to 2.5, p = 0.010, in each of 2 seeds)."
    )
    others = [
        row("none", [2.0, 3.0], -18.0, 0.002),
        row("sine", [22.0, 20.5], 2.0, 0.01),
        row("milk", [21.0, 22.0], 1.0, 0.2),
    ]
    assert conclusion([first, *others], Nouns()) == (
        "Compared with bahdanau, none is worse by 18.0 BLEU (95 % interval 17.5 to 19.0, p = 0.002, in each of 2 "
        "seeds); no difference was shown for sine and milk. p is corrected for 3 comparisons (Holm)."
    )
    assert conclusion([row("none", [1.0]), row("luong", [1.0], 0.0, 0.9, size=1050)], Nouns()) == (
        "Compared with none, no difference was shown for luong. One training each says nothing of other seeds. "
        "Not equal in size within 2 %: luong (+5.0 %)."
    )


@pytest.mark.parametrize(
    ("lengths", "parts"), [([5], [(1, None)]), ([5] * 9, [(1, None)]), ([2, 3, 9], [(1, 2), (3, 3), (4, None)])]
)
def test_parts_by_length_hold_every_sentence_once(lengths, parts):
    assert thirds(lengths) == parts


def test_where_lower_is_better_the_lower_model_is_the_better_one():
    first = row("luong", [20.0, 21.0], metric="wer")
    told = conclusion([first, row("sine", [18.0, 19.0], -2.0, 0.01, metric="wer")], Nouns())
    assert told.startswith("Compared with luong, sine is better by 2.0 WER (95 % interval 1.5 to 3.0, p = 0.010,")
    told = conclusion([first, row("none", [22.0, 23.0], 2.0, 0.01, metric="wer")], Nouns())
    assert told.startswith("Compared with luong, none is worse by 2.0 WER (95 % interval 1.0 to 2.5,")


def test_tables_round_to_no_signed_zero_and_begin_with_a_capital():
    rows = [row("none", [1.0], metric="exact_match"), row("luong", [1.0], -0.02, 0.9, metric="exact_match")]
    (table,) = score_tables(rows, Nouns())
    assert table.title == "Exact match on the test pairs, and with each seed"
    assert table.rows[1][3:5] == ["0.0", "-1.0 to +0.5"]


def test_a_difference_that_rounds_to_zero_is_none():
    assert "no difference was shown for none" in conclusion(
        [row("luong", [0.004]), row("none", [0.001], -0.003, 0.001)], Nouns()
    )
