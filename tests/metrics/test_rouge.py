"""ROUGE by the package against counts written out, several references, and what it cannot score."""

from collections import Counter

import pytest

from heedful.metrics import rouge
from heedful.metrics.rouge import check_installed

pytest.importorskip("rouge_score")


def by_hand(output: str, reference: str, kind: str) -> float:
    """F1 of words, pairs of words or the longest common subsequence; no stems, no marks."""
    ours, theirs = output.lower().split(), reference.lower().split()
    if kind == "rougeL":
        table = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
        for i, one in enumerate(ours):
            for j, other in enumerate(theirs):
                table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
        hits, sizes = table[-1][-1], (len(ours), len(theirs))
    else:
        size = int(kind[-1])
        grams = [Counter(zip(*(words[place:] for place in range(size)), strict=False)) for words in (ours, theirs)]
        hits, sizes = (grams[0] & grams[1]).total(), tuple(one.total() for one in grams)
    return 200 * hits / sum(sizes) if hits else 0.0


PAIRS = [
    ("the red cat sat on the mat", "the cat sat on the red mat"),
    ("dog dog dog", "a dog"),
    ("Nothing here", "all else"),
    ("", "a word"),
    ("one", "one"),
]


@pytest.mark.parametrize("kind", rouge.METRICS)
def test_it_is_the_mean_f1_of_overlaps(kind):
    outputs, references = zip(*PAIRS, strict=True)
    found = rouge.METRICS[kind](outputs, [[one] for one in references])
    assert found.value == pytest.approx(sum(by_hand(*pair, kind) for pair in PAIRS) / len(PAIRS))
    assert found.name == rouge.NAMES[kind]
    assert "nrefs:1|texts:5|measure:F1" in found.signature
    best = rouge.METRICS[kind](outputs[:1], [["quite other words", references[0]]])
    assert best.value == pytest.approx(by_hand(*PAIRS[0], kind))


def test_words_are_stemmed():
    assert rouge.rouge(["meeting dogs"], [["meetings dog"]], "rouge2").value == 100


def test_bad_input_is_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match="kind is 'rouge9'; choose one of rouge1, rouge2, rougeL"):
        rouge.rouge(["a"], [["a"]], "rouge9")
    for outputs, references in (([], []), (["a"], []), (["a"], [[]])):
        with pytest.raises(ValueError, match=f"{len(outputs)} outputs came with {len(references)} lists"):
            rouge.rouge(outputs, references, "rouge1")

    def missing(_):
        raise rouge.PackageNotFoundError

    monkeypatch.setattr(rouge, "version", missing)
    with pytest.raises(ValueError, match=r"rouge1 needs the package rouge-score.*pip install 'heedful\[summaries\]'"):
        check_installed("rouge1")
