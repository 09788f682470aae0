"""Text to ids and back: nothing known is lost, the unknown is UNK, and every piece knows its word."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful import _errors
from heedful.data.tokenizers import KINDS, Segments, Tokenizer, TokenizerPair, cut_words
from heedful.data.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

LINES = [
    "Hello, world! Don't you see the 10 old men?",
    "J'ai vu l'homme à « Paris »\u202f! Aujourd’hui, n'est-ce pas ?",
    "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
    "the old men see the world",
    "Hello, old world",
]
SIZES = {"word": 200, "character": 200, "letter": 200, "symbol": 200, "bpe": 160, "byte_bpe": 320}
TRAINED = {kind: Tokenizer.train(LINES, kind=kind, vocab_size=size) for kind, size in SIZES.items()}

kinds = st.sampled_from(KINDS)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
known_text = st.text("".join(sorted(set("".join(LINES)) - set("\u202f"))) + " ", max_size=40)


@pytest.fixture(params=KINDS)
def tokenizer(request):
    return TRAINED[request.param]


def test_the_special_ids_are_the_same_for_every_kind(tokenizer):
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [PAD, UNK, BOS, EOS] == [0, 1, 2, 3]
    assert tokenizer.token_to_id("no such token") is None


def test_words_by_hand():
    words = Tokenizer.train(["the old men see the old men", "the men"], kind="word", vocab_size=7)
    assert [words.token_to_id(token) for token in ("men", "the", "old", "see")] == [4, 5, 6, None]
    assert words.encode("old men see the world") == [6, 4, UNK, 5, UNK]
    assert words.decode([6, 4, UNK, 5]) == "old men <unk> the"


def test_characters_by_hand():
    characters = Tokenizer.train(["abaab", "ba"], kind="character", vocab_size=50)
    assert characters.encode("abc") == [characters.token_to_id("a"), characters.token_to_id("b"), UNK]
    assert characters.vocab_size == 6


def test_symbols_are_what_stands_between_spaces():
    symbols = Tokenizer.train(["t̪ ʁː u˧˨", "t̪ d͡ʒ"], kind="symbol")
    assert symbols.vocab_size == 4 + 4
    segments = symbols.segment(" d͡ʒ  u˧˨ x")
    assert (segments.words, segments.word_of) == (["d͡ʒ", "u˧˨", "x"], [0, 1, 2])
    assert symbols.decode(segments.ids) == "d͡ʒ u˧˨ <unk>"
    assert symbols.segment_ids(segments.ids).words == ["d͡ʒ", "u˧˨", "<unk>"]


def test_letters_of_a_word_and_its_features():
    letters = Tokenizer.train(["ʾaʿadda pos=V,case={NOM/ACC},per=3", "go per=1"], kind="letter")
    segments = letters.segment("dago pos=V, per=1")
    assert segments.words == segments.pieces == ["d", "a", "g", "o", "pos=V", "per=1"]
    assert segments.word_of == [*range(6)]
    assert letters.segment_ids(segments.ids) == segments
    assert letters.decode(segments.ids) == letters.normalize("dago pos=V, per=1") == "dago pos=V per=1"
    # a feature in front stands by itself, too; one that is not known is one unknown, and an equals sign is a letter
    assert letters.decode(letters.encode("pos=V go")) == "pos=V<unk>go"
    assert letters.encode("g num=PL") == [letters.token_to_id("g"), UNK]
    assert letters.segment("= =").words == ["=", " ", "="]


def test_merges_by_hand():
    # "▁a" 3 times is merged first, then "▁ab" 2 times; nothing is left for "c" to join
    merged = Tokenizer.train(["ab ab ac"], kind="bpe", vocab_size=4 + 4 + 2)
    assert merged.tokens(merged.encode("ab ac")) == ["▁ab", "▁a", "c"]


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "character"])
@pytest.mark.parametrize("text", ["Hello, world!", "n'est-ce pas ?", "« Paris » à 10!", "Don't see men.", "''a'' ..b"])
def test_ordinary_text_comes_back_exactly(kind, text):
    tokenizer = Tokenizer.train([*LINES, text], kind=kind, vocab_size=400)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(kind=st.sampled_from(["bpe", "character"]), text=known_text)
def test_known_text_comes_back_with_single_spaces(kind, text):
    tokenizer = TRAINED[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalize(text) == " ".join(text.split())


@given(text=any_text)
def test_byte_level_keeps_any_text(text):
    tokenizer = TRAINED["byte_bpe"]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == tokenizer.normalize(text) == text
    assert not set(ids) & {PAD, UNK, BOS, EOS}


def test_every_kind_of_space_becomes_a_plain_one():
    tokenizer = TRAINED["bpe"]
    for space in (" ", "  ", "\t", "\n", "\u00a0", "\u2009", "\u202f", "\u0085", "\u2028", "\u3000"):
        assert tokenizer.decode(tokenizer.encode(f"{space}old{space}men{space}")) == "old men"


def test_composed_and_decomposed_letters_are_the_same():
    for kind in ("word", "character", "bpe"):
        assert TRAINED[kind].encode("a\u0300 Ma\u0308nner") == TRAINED[kind].encode("à Männer")


def test_lower_casing_is_an_option(tokenizer):
    lower = Tokenizer.train(LINES, kind=tokenizer.kind, vocab_size=SIZES[tokenizer.kind], lowercase=True)
    assert lower.encode("HELLO, Zwei ÉTÉ") == lower.encode("hello, zwei été")
    assert tokenizer.encode("Hello,") != tokenizer.encode("hello,")
    assert "".join(lower.segment("Old Men").words).replace(" ", "") == "OldMen"


@given(kind=kinds, text=any_text)
def test_every_piece_has_a_word_and_every_word_a_piece(kind, text):
    tokenizer = TRAINED[kind]
    segments = tokenizer.segment(text)
    assert segments.ids == tokenizer.encode(text)
    assert len(segments.ids) == len(segments.pieces) == len(segments.word_of)
    assert segments.word_of == sorted(segments.word_of)
    if tokenizer.normalize(text).strip():
        assert sorted(set(segments.word_of)) == list(range(len(segments.words)))
        # Python, unlike Unicode, also splits at four control characters
        assert "".join("".join(segments.words).split()) == "".join(text.split())


@given(kind=kinds, text=any_text.filter(str.strip))
def test_a_line_that_is_not_empty_has_tokens(kind, text):
    assert TRAINED[kind].encode(text)


def test_words_and_their_pieces_by_hand():
    segments = TRAINED["bpe"].segment("l'homme dort-il « à 東京塔 »\u202f?")
    assert segments.words == ["l'", "homme", "dort", "-", "il", "«", "à", "東京塔", "»", "?"]
    of_word = [
        "".join(piece for piece, place in zip(segments.pieces, segments.word_of, strict=True) if place == word)
        for word in range(10)
    ]
    assert of_word == ["▁l'", "homme", "▁dort", "-", "il", "▁«", "▁à", "▁<unk>", "▁»", "▁?"]


def test_words_are_those_of_the_text_as_it_came():
    lower = Tokenizer.train(LINES, kind="word", vocab_size=200, lowercase=True)
    assert lower.segment("  HELLO\u00a0Ma\u0308nner, İstanbul ") == Segments(
        ids=[*lower.encode("hello männer ,"), UNK],
        pieces=["hello", "männer", ",", "<unk>"],
        words=["HELLO", "Ma\u0308nner", ",", "İstanbul"],
        word_of=[0, 1, 2, 3],
    )


@pytest.mark.parametrize("text", ["Hello, world! Don't", "J'ai vu l'homme", "« à 東京 » été", "a\ufffcb"])
def test_what_a_model_wrote_is_traced_as_text_is(tokenizer, text):
    read = tokenizer.segment(text)
    written = tokenizer.segment_ids(read.ids)
    assert (written.ids, written.pieces) == (read.ids, read.pieces)
    if UNK not in read.ids:
        assert [word.strip() or word for word in written.words] == read.words
        assert written.word_of == read.word_of


def test_special_ids_are_words_of_their_own(tokenizer):
    known = tokenizer.segment("old")
    ids = [BOS, *known.ids, UNK, UNK, EOS, PAD]
    segments = tokenizer.segment_ids(ids)
    assert segments.words == ["<s>", *known.words, "<unk>", "<unk>", "</s>", "<pad>"]
    last = 1 + len(known.words)
    assert segments.word_of == [0, *(1 + word for word in known.word_of), *range(last, last + 4)]
    assert len(segments.pieces) == len(ids)


@given(kind=kinds, numbers=st.lists(st.integers(0, 10_000), max_size=25))
def test_any_ids_can_be_written_and_traced(kind, numbers):
    tokenizer = TRAINED[kind]
    ids = [number % tokenizer.vocab_size for number in numbers]
    segments = tokenizer.segment_ids(ids)
    assert isinstance(tokenizer.decode(ids), str)
    assert len(segments.word_of) == len(ids)
    assert segments.word_of == sorted(segments.word_of)
    assert sorted(set(segments.word_of)) == list(range(len(segments.words)))
    names = "".join(segments.words)
    assert all(names.count(name) >= ids.count(index) for index, name in enumerate(SPECIAL_TOKENS))


def test_a_piece_of_two_words_makes_one_of_them():
    tokenizer = Tokenizer.train(["l'eau l'homme l'or"] * 9, kind="bpe", vocab_size=40)
    ids = [tokenizer.token_to_id(token) for token in ("▁l'", "▁l'", "o", "r")]
    assert None not in ids
    # an apostrophe before a space elides nothing, and would be a word of its own without a piece of its own
    segments = tokenizer.segment_ids(ids)
    assert (segments.words, segments.word_of) == (["l'", "l'", "or"], [0, 1, 2, 2])


def test_a_space_sign_typed_in_a_text_is_part_of_a_word():
    segments = TRAINED["bpe"].segment("▁old men")
    assert (segments.words[-2:], sorted(set(segments.word_of))) == (["▁old", "men"], list(range(len(segments.words))))


@pytest.mark.parametrize("text", ["", " ", "\u202f\n"])
def test_an_empty_text_has_no_tokens(text):
    for kind in ("word", "character", "bpe"):
        assert TRAINED[kind].segment(text).ids == []
    assert TRAINED["byte_bpe"].encode("") == []
    assert TRAINED["byte_bpe"].decode([]) == ""


def test_a_source_of_unknown_symbols_is_unknown_throughout():
    assert TRAINED["word"].encode("東京 塔 ☃") == [UNK, UNK, UNK]
    assert TRAINED["character"].encode("東京") == [UNK, UNK]
    assert TRAINED["bpe"].tokens(TRAINED["bpe"].encode("東京 塔")) == ["▁", "<unk>", "▁", "<unk>"]


def test_the_unknown_can_be_replaced():
    words, pieces = TRAINED["word"], TRAINED["bpe"]
    assert words.decode(words.encode("see Tom , see Ann"), unknown=["Tom", "Ann"]) == "see Tom , see Ann"
    assert pieces.decode(pieces.encode("see 東京, old 塔!"), unknown=["Tokyo"]) == "see Tokyo, old <unk>!"


def test_special_ids_are_not_written(tokenizer):
    ids = tokenizer.encode("the old men")
    assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == "the old men"


def test_marks_are_words_and_special_tokens_are_none():
    text = "<e1>Bonn</e1>x <s>a</s> <unk> <pad> a<b <b2> < b> <1> </ b> <é>"
    words = ["<e1>", "Bonn", "</e1>", "x", "<", "s", ">", "a", "<", "/", "s", ">", "<", "unk", ">", "<", "pad", ">"]
    words += ["a", "<", "b", "<b2>", "<", "b", ">", "<", "1", ">", "<", "/", "b", ">", "<é>"]
    assert cut_words(text) == words


def test_special_tokens_typed_in_a_text_stay_text(tokenizer):
    for token in SPECIAL_TOKENS:
        assert not {PAD, BOS, EOS} & set(tokenizer.encode(f"old {token}men{token} {token}"))


def test_many_texts_are_encoded_as_one_by_one(tokenizer):
    assert tokenizer.encode_batch([*LINES, "", "東"]) == [tokenizer.encode(text) for text in [*LINES, "", "東"]]


def test_very_long_text_is_no_trouble(tokenizer):
    for text in ("x" * 100_000, "old men " * 12_500, "!" * 100_000):
        assert len(tokenizer.encode(text)) >= 1


def test_an_id_outside_the_vocabulary_is_refused(tokenizer):
    for index in (tokenizer.vocab_size, -1):
        with pytest.raises(ValueError, match=rf"id {index} is not in this vocabulary, which ends at \d+"):
            tokenizer.decode([index])


def test_a_vocabulary_keeps_to_its_size():
    for kind, size in (("word", 9), ("character", 9), ("bpe", 9), ("bpe", 70), ("byte_bpe", 300)):
        assert Tokenizer.train(LINES, kind=kind, vocab_size=size).vocab_size <= size


def test_rare_words_can_be_left_out():
    words = Tokenizer.train(LINES, kind="word", vocab_size=200, min_count=2)
    assert words.encode("the men see Paris") == [*words.encode("the men see"), UNK]
    assert UNK not in words.encode("the men see")


TRAIN_IN_A_CHILD = """
import json, sys
from heedful.data.tokenizers import KINDS, Tokenizer
lines = json.load(sys.stdin)
print(json.dumps([Tokenizer.train(lines, kind=kind, vocab_size=400).to_dict() for kind in KINDS]))
"""


def test_training_gives_the_same_vocabulary_in_every_process():
    lines = [f"{line} {number} {number * number:x}" for number in range(200) for line in LINES]
    children = [
        subprocess.run(
            [sys.executable, "-c", TRAIN_IN_A_CHILD],
            input=json.dumps(lines), capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert children[0] == children[1]
    assert json.loads(children[0]) == [Tokenizer.train(lines, kind=kind, vocab_size=400).to_dict() for kind in KINDS]


def test_a_tokeniser_survives_json(tokenizer):
    copy = Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    text = "Hello, 東京 old « men »\u202f!"
    assert copy.segment(text) == tokenizer.segment(text)
    assert copy.decode(copy.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert (copy.kind, copy.lowercase, copy.vocab_size) == (tokenizer.kind, tokenizer.lowercase, tokenizer.vocab_size)


@pytest.mark.parametrize("joint", [True, False])
def test_a_pair_survives_its_file(tmp_path, joint):
    pair = TokenizerPair.train(LINES[:1], LINES[1:2], joint=joint, kind="word", vocab_size=100)
    path = tmp_path / "tokenizer.json"
    pair.save(path)
    loaded = TokenizerPair.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]
    assert loaded.joint == joint == (loaded.source is loaded.target)
    assert loaded.source.encode(LINES[0]) == pair.source.encode(LINES[0])
    assert loaded.target.encode(LINES[1]) == pair.target.encode(LINES[1])
    assert (UNK in loaded.source.encode(LINES[1])) != joint or loaded.source.token_to_id("Paris") is not None


def test_joint_training_sees_both_sides():
    pair = TokenizerPair.train(["one two"], ["un deux"], joint=True, kind="word", vocab_size=100)
    assert UNK not in pair.source.encode("one un deux two")
    apart = TokenizerPair.train(["one two"], ["un deux"], kind="word", vocab_size=100)
    assert apart.source.encode("one un") == [apart.source.token_to_id("one"), UNK]


def test_a_missing_tokeniser_file_is_named(tmp_path):
    with pytest.raises(_errors.ModelFolderError, match=r"tokenizer\.json is missing; copy the whole model folder"):
        TokenizerPair.load(tmp_path / "tokenizer.json")
    with pytest.raises(_errors.ModelFolderError, match="cannot be read: Is a directory"):
        TokenizerPair.load(tmp_path)


def test_a_cut_off_tokeniser_file_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    TokenizerPair(TRAINED["bpe"], TRAINED["word"], False).save(path)
    whole = path.read_bytes()
    for kept in range(0, len(whole), len(whole) // 23):
        path.write_bytes(whole[:kept])
        with pytest.raises(_errors.ModelFolderError, match=r"tokenizer\.json is damaged or not from heedful"):
            TokenizerPair.load(path)


# it takes longer than anybody lives to find that "aaaa...b" does not fit
EVIL = "(?:(?:a*)*)*$"


def changed(**changes):
    return {"joint": True, "source": TRAINED["word"].to_dict() | changes}


def changed_core(kind, **changes):
    values = TRAINED[kind].to_dict()
    return {"joint": True, "source": values | {"core": values["core"] | changes}}


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("[" * 10**6, encoding="utf-8")
    with pytest.raises(_errors.ModelFolderError, match=r"tokenizer\.json is damaged or not from heedful \(maximum rec"):
        TokenizerPair.load(path)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "list indices"),
        ({"joint": True}, "'source'"),
        ({"joint": False, "source": TRAINED["word"].to_dict()}, "'target'"),
        ({"joint": True, "source": {"kind": "word"}}, "'lowercase' is missing"),
        (
            changed(kind="wordpiece"),
            "kind is 'wordpiece'; expected one of word, character, letter, symbol, bpe, byte_bpe",
        ),
        (changed(core={}), "the core of the tokeniser cannot be read"),
        (changed(core="x"), "the core of the tokeniser cannot be read"),
        (
            changed_core("word", model={"vocab": {"a": 0, "<unk>": 1}}),
            "ids 0 to 3 of the tokeniser must be <pad>, <unk>,",
        ),
        (changed_core("word", model={"vocab": {"a": 0, "b": 2}}), "ids of a vocabulary of 2 must be 0 to 1, each once"),
        (changed_core("word", model={"vocab": {"a": 0, "b": -1}}), "ids of a vocabulary of 2 must be"),
        (changed_core("word", model={"vocab": {"a": 0, "b": 2**32}}), "ids of a vocabulary of 2 must be"),
        (changed_core("word", model={"vocab": {"a": 0, "b": 0}}), "ids of a vocabulary of 2 must be"),
        (changed_core("word", model={"vocab": {"a\ud800": 0}}), "core of the tokeniser cannot be read"),
        (
            changed_core("bpe", model={"vocab": {"a": 0}, "merges": [["a", "b"]]}),
            "a merge joins what is not in the vocabulary",
        ),
        (
            changed_core("bpe", model={"vocab": {"a": 0}, "merges": [["a", "a"]]}),
            "a merge joins what is not in the vocab",
        ),
        (changed_core("bpe", model={"vocab": {"a": 0}, "merges": [["a"]]}), "core of the tokeniser cannot be read"),
        (changed_core("bpe", model=[]), "core of the tokeniser cannot be read"),
        (changed_core("bpe", normalizer=None), "it cuts text in another way than kind 'bpe' does"),
        (
            changed_core("bpe", pre_tokenizer={"type": "Split", "pattern": {"Regex": EVIL}}),
            "it cuts text in another way",
        ),
        (changed_core("byte_bpe", pre_tokenizer=TRAINED["bpe"].to_dict()["core"]["pre_tokenizer"]), "cuts text"),
        (changed(core=TRAINED["bpe"].to_dict()["core"]), "it cuts text in another way than kind 'word' does"),
    ],
)
def test_a_foreign_tokeniser_file_is_refused(tmp_path, values, reason):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(_errors.ModelFolderError, match=reason):
        TokenizerPair.load(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(_errors.OutputError, match=r"cannot write .*tokenizer\.json: .*file is a file, not a folder"):
        TokenizerPair(TRAINED["word"], TRAINED["word"], True).save(file / "tokenizer.json")
    assert file.read_text(encoding="utf-8") == "mine"


def test_an_unknown_kind_is_refused():
    with pytest.raises(
        ValueError, match="kind is 'unigram'; expected one of word, character, letter, symbol, bpe, byte_bpe"
    ):
        Tokenizer.train(LINES, kind="unigram")


@pytest.mark.parametrize(("kind", "size", "least"), [("bpe", 4, 5), ("byte_bpe", 200, 260), ("word", 0, 5)])
def test_a_vocabulary_that_is_too_small_is_refused(kind, size, least):
    with pytest.raises(ValueError, match=f"vocab_size is {size}; kind '{kind}' needs at least {least}"):
        Tokenizer.train(LINES, kind=kind, vocab_size=size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_nothing_to_learn_from_is_refused(kind, lines):
    with pytest.raises(_errors.DataError, match=r"nothing to learn a vocabulary from: 0 lines .* give more text"):
        Tokenizer.train(lines, kind=kind)


def test_a_count_that_nothing_reaches_is_refused():
    with pytest.raises(_errors.DataError, match=r"5 lines that are not empty, min_count 99; .* a lower min_count"):
        Tokenizer.train(LINES, kind="word", min_count=99)
