"""Links from weights, their text form, and weights of words from weights of pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heedful.metrics.alignment import (
    alignment_error_rate,
    from_pharaoh,
    hard_links,
    merge_pieces,
    soft_alignment_error_rate,
    symmetrize,
    to_pharaoh,
)

WEIGHTS = np.array([[0.6, 0.3, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0]])
LINKS = st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20)
MATRICES = hnp.arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=st.floats(0, 1))


def test_each_target_links_to_the_source_it_looks_at_most():
    assert hard_links(WEIGHTS) == [(0, 0), (3, 1)]


def test_a_threshold_links_everything_from_there_up():
    assert hard_links(WEIGHTS, threshold=0.3) == [(0, 0), (1, 0), (2, 1), (3, 1)]


def test_of_equal_weights_the_first_wins():
    assert hard_links(np.full((1, 3), 1 / 3)) == [(0, 0)]


@given(MATRICES)
def test_no_other_source_beats_a_link(weights):
    links = hard_links(weights)
    assert len(links) == (weights.max(axis=1) > 0).sum()
    for source, target in links:
        assert all(weights[target, source] >= other for other in weights[target])


@given(LINKS)
def test_pharaoh_text_comes_back_as_the_same_links(links):
    assert from_pharaoh(to_pharaoh(links)) == sorted(links)


@given(LINKS)
def test_one_based_files_come_back_zero_based(links):
    line = " ".join(f"{source + 1}-{target + 1}" for source, target in links)
    assert from_pharaoh(line, first=1) == sorted(links)


def test_pharaoh_writes_source_first():
    assert to_pharaoh([(3, 0), (1, 2)]) == "3-0 1-2"


def test_weights_stand_behind_the_links_and_are_read_over():
    line = to_pharaoh([(0, 0), (3, 1)], WEIGHTS)
    assert line == "0-0:0.6000 3-1:0.4000"
    assert from_pharaoh(line) == [(0, 0), (3, 1)]


@pytest.mark.parametrize("mark", ["2?1", "2p1", "*2-1"])
def test_possible_links_are_read_only_when_asked_for(mark):
    assert from_pharaoh(f"0-0 {mark}") == [(0, 0)]
    assert from_pharaoh(f"0-0 {mark}", possible=True) == [(0, 0), (2, 1)]


@pytest.mark.parametrize("piece", ["3", "a-b", "1--2", "-1-2", "1-2:x", "1-2-3"])
def test_what_is_no_link_is_named(piece):
    with pytest.raises(ValueError, match=f'{piece!r} is not a link; write "source-target"'):
        from_pharaoh(f"0-0 {piece}")


def test_a_zero_in_a_one_based_file_is_named():
    with pytest.raises(ValueError, match="link '0-1' is below the first position 1"):
        from_pharaoh("0-1", first=1)


@given(LINKS, LINKS)
def test_grown_links_lie_between_intersection_and_union(forward, backward):
    inner, grown, outer = (set(symmetrize(forward, backward, m)) for m in ("intersection", "grow_diag", "union"))
    assert inner == forward & backward
    assert outer == forward | backward
    assert inner <= grown <= outer


def test_growing_adds_neighbours_of_words_that_stand_alone():
    forward = [(0, 0), (1, 1), (3, 3), (5, 0)]
    backward = [(0, 0), (1, 1), (2, 2)]
    # (2, 2) touches (1, 1), then (3, 3) touches (2, 2); (5, 0) touches nothing
    assert symmetrize(forward, backward, "grow_diag") == [(0, 0), (1, 1), (2, 2), (3, 3)]
    # (1, 0) touches, but both its words have links already
    assert symmetrize([*forward, (1, 0)], backward, "grow_diag") == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_an_unknown_way_to_symmetrize_is_named():
    with pytest.raises(ValueError, match='method is \'grow\'; choose "intersection", "union" or "grow_diag"'):
        symmetrize([], [], "grow")


def test_pieces_merge_by_sum_over_source_and_mean_over_target():
    weights = np.array([[0.5, 0.2, 0.3, 0.0], [0.1, 0.1, 0.6, 0.2], [0.0, 0.0, 0.1, 0.9]])
    merged = merge_pieces(weights, [0, 0, 1, None], [0, 0, None])
    assert merged.shape == (1, 2)
    np.testing.assert_allclose(merged, [[(0.7 + 0.2) / 2, (0.3 + 0.6) / 2]])


@given(MATRICES, st.data())
def test_merging_is_what_two_loops_do(weights, data):
    def words(count):
        # 0 0 1 2 2 ...: each piece begins a word or continues the last one
        steps = data.draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1))
        return [0, *np.cumsum(steps).tolist()]

    target_words, source_words = (words(count) for count in weights.shape)
    merged = merge_pieces(weights, source_words, target_words)
    for t in range(max(target_words) + 1):
        for s in range(max(source_words) + 1):
            rows = [i for i, word in enumerate(target_words) if word == t]
            sums = [sum(weights[i, j] for j, word in enumerate(source_words) if word == s) for i in rows]
            assert merged[t, s] == pytest.approx(sum(sums) / len(rows))


def test_distributions_stay_distributions_when_pieces_merge():
    weights = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    merged = merge_pieces(weights, [0, 0, 1, 2, 2, 2, 3], [0, 1, 1, 1, 2])
    np.testing.assert_allclose(merged.sum(axis=1), 1)


def test_wrong_shapes_are_named():
    with pytest.raises(
        ValueError, match=r"shape \(3, 4\) but there are 2 target and 4 source pieces; expected \(2, 4\)"
    ):
        merge_pieces(WEIGHTS, [0, 1, 2, 3], [0, 1])
    with pytest.raises(ValueError, match=r"source_words names the words \[0, 2\]; expected 0, 1, 2, ... without a gap"):
        merge_pieces(WEIGHTS, [0, 0, 2, 2], [0, 1, 2])
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4\); expected \[target_len, source_len\]"):
        hard_links(WEIGHTS[None])
    with pytest.raises(ValueError, match="weights hold NaN or infinity"):
        hard_links(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match=r"threshold is 0\.0; it must be above 0"):
        hard_links(WEIGHTS, threshold=0.0)


def test_the_error_rate_of_a_count_by_hand():
    quality = alignment_error_rate([[(0, 0), (2, 1), (2, 2)]], [[(0, 0), (1, 1)]], [[(0, 0), (1, 1), (2, 1)]])
    assert quality.error_rate == pytest.approx(0.4)
    assert quality.precision == pytest.approx(2 / 3)
    assert quality.recall == pytest.approx(1 / 2)


def test_counts_are_summed_before_they_are_divided():
    found, sure = [[(0, 0)], [(0, 1), (1, 0), (2, 2)]], [[(0, 0)], [(2, 2)]]
    assert alignment_error_rate(found, sure).error_rate == pytest.approx(1 - (2 + 2) / (4 + 2))


@given(st.lists(LINKS, max_size=4))
def test_gold_links_are_without_error_and_others_have_nothing_right(sentences):
    assert alignment_error_rate(sentences, sentences, sentences).error_rate == 0
    elsewhere = [{(source + 20, target) for source, target in links} for links in sentences]
    if any(sentences):
        quality = alignment_error_rate(elsewhere, sentences)
        assert (quality.error_rate, quality.precision, quality.recall) == (1, 0, 0)


@given(MATRICES, LINKS, LINKS)
def test_weights_of_one_link_each_have_the_error_rate_of_these_links(weights, sure, possible):
    inside = [
        {(source, target) for source, target in links if source < weights.shape[1] and target < weights.shape[0]}
        for links in (sure, possible)
    ]
    links = hard_links(weights)
    hard = np.zeros(weights.shape)
    for source, target in links:
        hard[target, source] = 1
    soft = soft_alignment_error_rate([hard], [inside[0]], [inside[1]])
    assert soft == alignment_error_rate([links], [inside[0]], [inside[1]])


def test_soft_counts_are_sums_of_weights():
    quality = soft_alignment_error_rate([WEIGHTS], [[(0, 0)]], [[(3, 1), (2, 1)]])
    assert quality.error_rate == pytest.approx(1 - (0.6 + 0.6 + 0.4 + 0.3) / (WEIGHTS.sum() + 1))
    assert quality.precision == pytest.approx(1.3 / 2)
    assert quality.recall == pytest.approx(0.6)


def test_error_rates_say_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"there are 1 sentences found, 2 sure and 2 possible; expected as many of each"
    ):
        alignment_error_rate([[]], [[], []])
    with pytest.raises(
        ValueError, match=r"link 4-0 lies outside weights of shape \(3, 4\); expected \(source, target\)"
    ):
        soft_alignment_error_rate([WEIGHTS], [[(4, 0)]])
