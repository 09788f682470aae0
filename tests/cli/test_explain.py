"""`heedful explain`: the heat map in the terminal, and every kind of file."""

import json
import re

import pytest

SENTENCE = "I love you, Tom."


def test_the_terminal_gets_the_translation_and_a_row_for_each_word(run, small_run, model):
    outcome = run("explain", model, SENTENCE)
    best = small_run.translator.explain(SENTENCE)
    assert (outcome.code, outcome.err) == (0, "")
    text, empty, header, *rows = outcome.out.splitlines()
    assert (text, empty) == (best.text, "")
    assert header.split() == best.source.words
    assert [row.split()[0] for row in rows] == best.target.words
    for row, weights in zip(rows, best.word_weights, strict=True):
        word, share = re.search(r"(\S+) (\d+)%$", row).groups()
        assert word == best.source.words[weights.argmax()]
        assert int(share) == pytest.approx(100 * weights.max(), abs=0.51)
    assert outcome.out.endswith("\n")


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.HTML", b"<!"), ("new/a.json", b"{")]
)
def test_a_file_gets_the_kind_that_its_ending_names(run, model, tmp_path, name, start):
    outcome = run("explain", model, SENTENCE, "--output", tmp_path / name)
    assert outcome.code == 0
    assert outcome.err == f"Wrote what each word looked at to {tmp_path / name}.\n"
    assert (tmp_path / name).read_bytes().lower().startswith(start.lower())
    assert len(outcome.out.splitlines()) == 1


def test_json_holds_the_words_and_weights_of_the_translation(run, small_run, model, tmp_path):
    run("explain", model, SENTENCE, "--output", tmp_path / "a.json")
    (found,) = json.loads((tmp_path / "a.json").read_text("utf-8"))["sentences"]
    best = small_run.translator.explain(SENTENCE)
    assert (found["source"], found["target"]) == (best.source.words, best.target.words)
    assert found["weights"] == best.word_weights.round(6).tolist()


@pytest.mark.parametrize("name", ["a.pdf", "a", "png"])
def test_another_ending_is_wrong_use_before_anything_is_read(one_sentence, tmp_path, name):
    sentence = one_sentence("explain", tmp_path / "no-model", SENTENCE, "--output", tmp_path / name, code=2)
    assert sentence.endswith("expected one of .png, .svg, .html, .json")


def test_line_ends_in_a_sentence_are_spaces(run, model):
    assert run("explain", model, "I love\nyou, Tom.").out == run("explain", model, SENTENCE).out


def test_faithfulness_is_a_table_and_stands_in_the_json(run, model, tmp_path):
    outcome = run("explain", model, SENTENCE, "--faithfulness", "--output", tmp_path / "a.json")
    assert outcome.code == 0
    (found,) = json.loads((tmp_path / "a.json").read_text("utf-8"))["sentences"]
    assert list(found["faithfulness"]) == ["attention", "gradient x attention", "leave one out"]
    row = next(line.split() for line in outcome.out.splitlines() if line.startswith("attention "))
    assert row == ["attention", *(f"{value:z.3f}" for value in found["faithfulness"]["attention"].values())]
    assert found["faithfulness"]["leave one out"]["agreement"] == pytest.approx(1)
    assert "Faithfulness" not in run("explain", model, SENTENCE).out


def test_a_page_to_explore_holds_every_sentence_at_every_kept_step(run, small_run, model, tmp_path):
    outcome = run("explain", model.parent, SENTENCE, "Tom\nis here.", "--explore", "--output", tmp_path / "a.html")
    best = [small_run.translator.explain(sentence) for sentence in (SENTENCE, "Tom is here.")]
    assert outcome.code == 0
    assert outcome.out.splitlines() == [one.text for one in best]
    # the small run validates once
    assert outcome.err == (
        f"Wrote a page to explore what each piece looked at, at 2 steps of training, to {tmp_path / 'a.html'}.\n"
    )
    (packed,) = re.findall(r'id="heedful-data">(.*?)</script>', (tmp_path / "a.html").read_text("utf-8"))
    data = json.loads(packed)
    assert [sentence["text"] for sentence in data["sentences"]] == [SENTENCE, "Tom is here."]
    assert data["steps"] == ["step 30", "the model as it is"]


@pytest.mark.parametrize(
    ("more", "end"),
    [
        (("--explore",), "--explore makes a page, but --output is None; name a file that ends in .html"),
        (("--explore", "--output", "a.png"), "but --output is a.png; name a file that ends in .html"),
        (("--explore", "--output", "a.html", "--faithfulness"), "leave out one of the two options"),
        (("--explore", "--output", "a.html", "--picture", "a.png"), "not of a page to explore; leave it out"),
        (("Tom is here.",), "there are 2 sentences; give one, in quotes, or --explore for a page of several"),
    ],
)
def test_what_does_not_go_together_is_wrong_use_before_anything_is_read(one_sentence, tmp_path, more, end):
    assert one_sentence("explain", tmp_path / "no-model", SENTENCE, *more, code=2).endswith(end)
