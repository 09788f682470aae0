"""`heedful translate`: one line out for each line in, in order, and nothing else on standard output."""

import itertools
import json
import random
import re

import numpy as np
import pytest

from heedful.cli import translate as translate_module
from heedful.cli._stream import growing, read_stream, regrouped
from heedful.data import readers
from heedful.data.bundled import load_pairs
from heedful.data.readers import parse_lines
from heedful.metrics.alignment import from_pharaoh

SENTENCES = ["I love you.", "Tom is not here.", "Where do you live?", "It's late.", "Who are you?"]
TEXT = "".join(f"{sentence}\n" for sentence in SENTENCES).encode()


@pytest.fixture
def expected(small_run):
    return [best[0].text for best in small_run.translator.translate(SENTENCES)]


# --- plain ---


def test_standard_input_comes_out_line_by_line(run, model, expected):
    for args in ((), ("-",)):
        outcome = run("translate", model, *args, stdin=TEXT)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.splitlines() == expected


def test_a_file_comes_out_line_by_line_packed_or_not(run, model, expected, tmp_path):
    import gzip

    (tmp_path / "en.txt").write_bytes(TEXT)
    (tmp_path / "en.gz").write_bytes(gzip.compress(TEXT))
    for name in ("en.txt", "en.gz"):
        assert run("translate", model, tmp_path / name).out.splitlines() == expected


def test_the_folder_of_the_run_stands_for_its_model(run, small_run, expected):
    assert run("translate", small_run.folder, stdin=TEXT).out.splitlines() == expected


def test_a_file_gets_the_same_and_news_go_to_standard_error(run, model, expected, tmp_path):
    outcome = run("translate", model, "--output", tmp_path / "new" / "fr.txt", stdin=TEXT)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"Wrote the translations of 5 lines to {tmp_path}/new/fr.txt.\n"
    assert (tmp_path / "new" / "fr.txt").read_text("utf-8").splitlines() == expected


def test_an_input_without_a_last_line_end_and_one_with_carriage_returns_are_the_same(run, model, expected):
    assert run("translate", model, stdin=TEXT[:-1]).out.splitlines() == expected
    assert run("translate", model, stdin=TEXT.replace(b"\n", b"\r\n")).out.splitlines() == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_file_and_standard_input_may_be_as_windows_and_old_macs_leave_them(
    run, model, expected, tmp_path, encoding, ending
):
    data = "".join(f"{sentence}{ending}" for sentence in SENTENCES).encode(encoding)
    (tmp_path / "en.txt").write_bytes(data)
    for outcome in (run("translate", model, stdin=data), run("translate", model, tmp_path / "en.txt")):
        assert (outcome.code, outcome.err, outcome.out.splitlines()) == (0, "", expected)


def test_wide_text_without_a_mark_is_refused_and_nul_characters_leave_a_line_empty(run, model, expected, tmp_path):
    data = TEXT.decode().encode("utf-16-le")
    (tmp_path / "en.txt").write_bytes(data)
    for args, name in (([], "standard input"), ([tmp_path / "en.txt"], f"{tmp_path}/en.txt")):
        outcome = run("translate", model, *args, stdin=data)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == (
            f"Error: {name} is UTF-16LE without a byte-order mark; save it as UTF-8, "
            "or convert it: iconv -f UTF-16LE -t UTF-8.\n"
        )
    outcome = run("translate", model, stdin=b"I\0 love you.\n" + TEXT)
    assert outcome.out.splitlines() == ["", *expected]
    assert outcome.err == "Left empty what cannot be translated: 1 (1 NUL character).\n"


def test_the_beam_is_the_recipes_or_what_was_asked_for(run, small_run, model):
    for beam in (1, 3):
        decoding = small_run.translator.recipe.decoding.model_copy(update={"beam": beam})
        wanted = [best[0].text for best in small_run.translator.translate(SENTENCES, decoding=decoding)]
        assert run("translate", model, "--beam", beam, stdin=TEXT).out.splitlines() == wanted


# --- formats ---


def test_nbest_writes_number_text_and_score_best_first(run, small_run, model):
    lines = run("translate", model, "--nbest", 3, "--beam", 4, stdin=TEXT).out.splitlines()
    rows = [line.split(" ||| ") for line in lines]
    assert [int(index) for index, _, _ in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    for _, group in itertools.groupby(rows, key=lambda row: row[0]):
        scores = [float(score) for *_, score in group]
        assert scores == sorted(scores, reverse=True)
    assert run("translate", model, "--nbest", 1, stdin=TEXT).out.count("|||") == 2 * len(SENTENCES)


def test_pharaoh_adds_a_column_of_links_between_words(run, small_run, model, expected):
    lines = run("translate", model, "--alignments", "pharaoh", stdin=TEXT).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == expected
    for line, (best, *_) in zip(lines, small_run.translator.translate(SENTENCES, need_weights=True), strict=True):
        links = from_pharaoh(line.split("\t")[1])
        assert sorted(target for _, target in links) == list(range(len(best.target.words)))
        for source, target in links:
            assert best.word_weights[target, source] == best.word_weights[target].max()


def test_pharaoh_is_a_fourth_field_of_nbest(run, model):
    lines = run("translate", model, "--alignments", "pharaoh", "--nbest", 2, stdin=TEXT).out.splitlines()
    assert all(len(line.split(" ||| ")) == 4 and from_pharaoh(line.split(" ||| ")[3]) for line in lines)


def test_json_holds_words_weights_tokens_and_log_probs(run, model, expected):
    lines = run("translate", model, "--alignments", "json", stdin=TEXT).out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["index"] for row in rows] == list(range(5))
    assert [row["text"] for row in rows] == expected
    for row in rows:
        weights = np.array(row["weights"])
        assert weights.shape == (len(row["words"]), len(row["source_words"]))
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4)
        assert len(row["log_probs"]) == len(row["tokens"]) + row["finished"]
        assert "".join(row["tokens"]).replace("▁", " ").lstrip() == row["text"]
        assert "".join(row["words"]) == row["text"].replace(" ", "")


def test_json_and_nbest_give_an_object_for_each_translation(run, model):
    rows = run("translate", model, "--alignments", "json", "--nbest", 2, stdin=TEXT).out.splitlines()
    assert [json.loads(row)["index"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


# --- drawing at random ---


def test_the_same_seed_draws_the_same_and_another_does_not(run, model):
    drawn = [run("translate", model, "--sample", "--seed", seed, stdin=TEXT).out for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawing_from_one_token_is_greedy(run, model):
    greedy = run("translate", model, "--beam", 1, stdin=TEXT).out
    assert run("translate", model, "--sample", "--top-k", 1, stdin=TEXT).out == greedy
    assert run("translate", model, "--sample", "--min-p", 1, "--risk-draws", 2, stdin=TEXT).out == greedy
    assert run("translate", model, "--sample", "--top-p", 1e-9, "--temperature", 2, stdin=TEXT).out == greedy


def test_several_draws_of_one_sentence_differ(run, model):
    lines = run("translate", model, "--sample", "--seed", 5, "--nbest", 4, stdin=b"I love you.\n").out.splitlines()
    assert len(lines) == 4
    assert len(set(lines)) > 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--nbest", 3], "--nbest 3 is more than the beam, 2; add --beam 3"),
        (["--sample", "--beam", 2], "--sample draws and --beam searches; choose one"),
        (["--top-k", 3], "--top-k is of use with --sample only; add it"),
        (["--seed", 0], "--seed is of use with --sample only; add it"),
        (
            ["--sample", "--temperature", 0],
            "--temperature 0.0: decoding.temperature is 0.0; it should be greater than 0",
        ),
        (["--sample", "--min-p", 2], "--min-p 2.0: decoding.min_p is 2.0; it should be less than or equal to 1"),
        (["--set", "decoding.groups=3"], "decoding: beam is 2 and groups 3; make the beam a multiple of the groups"),
        (["--set", "decoding.max_length=0"], "decoding.max_length is 0; it should be greater than 0"),
        (["--set", "model.units=3"], "--set model.units=3: of a trained model only decoding.* can be changed"),
        (["--sample", "--set", "decoding.required=[Tom]"], "decoding: required needs a search of one group"),
        (["--sample", "--nbest", 3, "--risk-draws", 2], "--nbest 3 is more than --risk-draws 2; draw more"),
        (["--sample", "--top-p", 1.5], "--top-p 1.5: decoding.top_p is 1.5; it should be less than or equal to 1"),
        (["--interactive", "--output", "x"], "--interactive takes neither a file to read nor one to write"),
        (["file.txt", "--interactive"], "--interactive takes neither a file to read nor one to write"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_use(one_sentence, model, args, sentence):
    assert sentence in one_sentence("translate", model, *args, code=2)


# --- any key of decoding ---


def test_any_key_of_decoding_can_be_changed(run, model):
    same = run("translate", model, "--set", "decoding.beam=1", stdin=TEXT)
    assert same.out == run("translate", model, "--beam", 1, stdin=TEXT).out
    drawn = run("translate", model, "--set", "decoding.sample=true", "--seed", 3, stdin=TEXT)
    assert drawn.out == run("translate", model, "--sample", "--seed", 3, stdin=TEXT).out
    wanted = run(
        "translate", model, "--set", "decoding.required=[Marie]", "--set", "decoding.max_length=60", stdin=TEXT
    )
    assert (wanted.code, [("Marie" in line) for line in wanted.out.splitlines()]) == (0, [True] * len(SENTENCES))
    banned = run("translate", model, "--set", "decoding.required=[☃]", stdin=TEXT)
    assert (banned.code, banned.out) == (1, "")
    assert "'☃' cannot be written with the model's vocabulary" in banned.err


def test_a_model_with_itself_is_an_ensemble_that_says_the_same(run, model, expected):
    args = ("--set", f"decoding.ensemble=[{model}]", "--set", "decoding.ensemble_mean=log_probabilities")
    assert run("translate", model, *args, stdin=TEXT).out.splitlines() == expected


# --- conversation ---


def test_a_conversation_answers_until_an_empty_line(run, model, expected):
    stdin = f"{SENTENCES[0]}\n{SENTENCES[1]}\n\n{SENTENCES[2]}\n".encode()
    outcome = run("translate", model, "--interactive", stdin=stdin)
    assert (outcome.code, outcome.out.splitlines()) == (0, expected[:2])


def test_a_conversation_survives_what_cannot_be_translated(run, model, expected):
    stdin = b"\xff\xfe\n" + b"a" * 6000 + b"\n" + SENTENCES[0].encode()
    outcome = run("translate", model, "--interactive", stdin=stdin)
    assert (outcome.code, outcome.out.splitlines()) == (0, expected[:1])
    assert "The sentence is not UTF-8; " in outcome.err
    assert "The sentence has 6,000 characters; give at most 5,000" in outcome.err


def test_a_conversation_begins_behind_a_byte_order_mark_and_refuses_nul_characters(run, model, expected):
    outcome = run("translate", model, "--interactive", stdin=f"\ufeff{SENTENCES[0]}\nI\0 see.\n".encode())
    assert (outcome.code, outcome.out.splitlines()) == (0, expected[:1])
    assert "The sentence holds a NUL character; take it out." in outcome.err


# --- the stream ---


class Trickle:
    """A stream that gives what it has in pieces of chance."""

    def __init__(self, data: bytes, chance: random.Random):
        self.data, self.chance, self.read = data, chance, 0

    def read1(self, most: int) -> bytes:
        size = min(most, self.chance.choice([1, 2, 3, 50, 5000]))
        piece = self.data[self.read : self.read + size]
        self.read += len(piece)
        return piece


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"one", b"one\n\ntwo", "été\nça\r\n\n\nœuf\n".encode() * 40, b"\xff\n" * 9),
        *("é\n\ufeffça\r\n\nœuf".encode(encoding) * 40 for encoding in ("utf-8-sig", "utf-16", "utf-32")),
        *(b"one\rtwo\r\rthree", b"one\ntwo\rthree"),
    ],
)
def test_a_stream_gives_the_lines_of_the_whole_however_it_arrives(data):
    for seed in range(5):
        blocks = list(read_stream(Trickle(data, random.Random(seed)).read1))
        assert [line for block in blocks for line in block.text] == parse_lines(data, origin="").text


def test_a_line_is_handed_on_before_the_next_one_comes():
    stream = Trickle(b"one\ntwo\n", random.Random(0))
    stream.chance.choice = lambda _: 4
    assert next(read_stream(stream.read1)).text == ["one"]
    assert stream.read == 4


def test_groups_grow_and_keep_every_sentence_in_order():
    from collections import Counter

    texts = [str(number) for number in range(3000)]
    skipped = Counter()
    blocks = [parse_lines("\n".join(part).encode(), origin="") for part in (texts[:2500], texts[2500:])]
    groups = list(growing(blocks, skipped))
    assert [text for group in groups for text in group] == texts
    assert [len(group) for group in groups] == [8, 16, 32, 64, 128, 256, 512, 512, 512, 460, 500]
    assert {len(group) for group in list(regrouped(groups))[:-1]} == {8}
    assert [text for group in regrouped(groups) for text in group] == texts


def test_an_unknown_format_of_alignments_is_wrong_use(one_sentence, model):
    sentence = one_sentence("translate", model, "--alignments", "xml", code=2)
    assert sentence == "Invalid value for '--alignments': 'xml' is not one of pharaoh, json, heads"


def test_the_batch_size_changes_nothing(run, model):
    text = "".join(f"{sentence}\n" for sentence in load_pairs("tatoeba_en_fr", "val").source[:70]).encode()
    expected = run("translate", model, stdin=text)
    assert expected.code == 0
    for size in (1, 512):
        assert run("translate", model, "--batch-size", size, stdin=text).out == expected.out
    greedy = [run("translate", model, "--beam", 1, "--batch-size", size, stdin=text).out for size in (1, 64)]
    assert greedy[0] == greedy[1] != ""


def test_a_file_is_read_as_it_is_translated(run, model, tmp_path, monkeypatch):
    """What is in memory at once is a block and a group, not the file; speed is told where there are many lines."""
    monkeypatch.setattr(readers, "LINES_PER_BLOCK", 50)
    monkeypatch.setattr(translate_module, "MANY_LINES", 120)
    (tmp_path / "many.en").write_text("Go.\n" * 130)
    sizes = []
    growing = translate_module.growing

    def watched(blocks, skipped):
        return growing((sizes.append(len(block.text)) or block for block in blocks), skipped)

    monkeypatch.setattr(translate_module, "growing", watched)
    outcome = run("translate", model, tmp_path / "many.en")
    assert sizes == [50, 50, 30]
    assert outcome.out.count("\n") == 130
    assert re.search(r"^Translated 130 lines in \d+ seconds, [\d,]+ a second\.$", outcome.err, re.MULTILINE)
