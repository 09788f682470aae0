"""The paired bootstrap: sacreBLEU called directly where each translator ran once, and sums over runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from heedful.data.bundled import load_pairs
from heedful.metrics import significance
from heedful.metrics.significance import bootstrap_counts, corrected, paired_bootstrap
from heedful.metrics.translation import bleu, tokenized_bleu

TRUTH = load_pairs("tatoeba_en_fr", "test").target[:40]
# three translators, each worse than the one before
RUNS = {
    "good": [" ".join(line.split()[:-1]) for line in TRUTH],
    "fair": [" ".join(line.split()[1:-1]) for line in TRUTH],
    "poor": [" ".join(sorted(line.split())) for line in TRUTH],
}
SAMPLES = 60


@pytest.mark.parametrize(("metric", "theirs"), [("bleu", BLEU), ("chrf", CHRF)])
def test_with_one_run_each_it_is_sacrebleus_paired_test(metric, theirs):
    found = paired_bootstrap({name: [run] for name, run in RUNS.items()}, TRUTH, metric, samples=SAMPLES)
    _, direct = PairedTest(list(RUNS.items()), {"it": theirs()}, [TRUTH], "bs", SAMPLES)()
    (wanted,) = (value for key, value in direct.items() if key != "System")
    for ours, one in zip(found.values(), wanted, strict=True):
        assert (ours.value, ours.low, ours.high) == pytest.approx((one.score, one.mean - one.ci, one.mean + one.ci))
        assert ours.runs == pytest.approx([one.score])
        if ours.difference:
            assert ours.difference.p_value == one.p_value
            assert ours.difference.value == pytest.approx(one.score - wanted[0].score)
            assert ours.difference.low < ours.difference.value < ours.difference.high
    assert found["good"].difference is None
    assert found["poor"].difference.high < 0


def test_several_runs_are_one_corpus_but_not_more_sentences():
    twice = {name: [run, run] for name, run in RUNS.items()}
    # chrF, for BLEU smooths a count of zero by the size of the corpus
    once = paired_bootstrap({name: [run] for name, run in RUNS.items()}, TRUTH, "chrf", samples=SAMPLES)
    # a second run that says the same adds no certainty
    for name, found in paired_bootstrap(twice, TRUTH, "chrf", samples=SAMPLES).items():
        assert (found.value, found.low, found.high) == pytest.approx(
            (once[name].value, once[name].low, once[name].high)
        )
        if found.difference:
            assert vars(found.difference) == pytest.approx(vars(once[name].difference))
    mixed = paired_bootstrap({"a": [RUNS["good"], RUNS["poor"]], "b": [RUNS["fair"]]}, TRUTH, samples=SAMPLES)
    assert mixed["a"].value == pytest.approx(bleu(RUNS["good"] + RUNS["poor"], TRUTH * 2).value)
    assert mixed["a"].runs == pytest.approx([bleu(RUNS[name], TRUTH).value for name in ("good", "poor")])


def test_tokenised_bleu_is_of_tokenised_text():
    found = paired_bootstrap({"a": [RUNS["good"]], "b": [RUNS["fair"]]}, TRUTH, "tokenized_bleu", "fr", SAMPLES)
    assert found["b"].value == pytest.approx(tokenized_bleu(RUNS["fair"], TRUTH, "fr").value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_is_its_definition(values):
    order = sorted(range(len(values)), key=lambda place: values[place])
    wanted, largest = np.zeros(len(values)), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(values) - rank) * values[place])
        wanted[place] = min(largest, 1.0)
    assert corrected(values) == pytest.approx(wanted.tolist())


@pytest.mark.parametrize(
    ("systems", "references", "message"),
    [
        ({"a": [["x", "y"]]}, ["x", "y"], "there are 1 models; expected two"),
        ({"a": [["x"]], "b": [["y"]]}, ["x"], "there are 1 examples; expected two"),
        ({"a": [["x", "y"]], "b": []}, ["x", "y"], "b has no run; expected one"),
        ({"a": [["x", "y"]], "b": [["y"]]}, ["x", "y"], "a run has 1 examples; expected 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(systems, references, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(systems, references)


def test_draws_made_in_pieces_are_those_of_all_at_once(monkeypatch):
    chance = np.random.default_rng(7)
    counts = {name: [chance.integers(0, 9, (37, 2)).astype(float) + 1] for name in "ab"}
    whole, pieces = [], []
    for found, limit in ((whole, 10**6), (pieces, 37 * 7)):
        monkeypatch.setattr(significance, "DRAWN_AT_ONCE", limit)
        found.append(bootstrap_counts(counts, lambda sums: sums[0] / sums[1], samples=50))
    assert whole == pieces
