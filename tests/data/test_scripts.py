"""Text of any script, however it is encoded: no-break spaces, right to left, no spaces between words, other shapes."""

import unicodedata

import pytest

from heedful._errors import DataError
from heedful.data.subwords import SubwordSampler
from heedful.data.tokenizers import KINDS, Tokenizer, TokenizerPair
from heedful.data.vocabulary import UNK, read_entries

SENTENCES = {
    "Arabic": "أين كتابي؟ هو على الطاولة.",
    "Hebrew": "שלום, עולם! מה שלומך?",
    "Persian": "می‌خواهم کتاب بخوانم.",  # a zero-width non-joiner inside a word
    "Chinese": "我的书在哪里？它在桌子上。",
    "Japanese": "私の本はどこですか。テーブルの上です。",
    "Thai": "หนังสือของฉันอยู่ที่ไหน",
    "Hindi": "मेरी किताब कहाँ है?",
    "Korean": "내 책은 어디에 있어요?",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "French": "Où est mon livre\u202f? «\u00a0Ici\u00a0», dit-il.",
    "emoji": "Great 👩‍🚀👍🏽 job!",
}


# "letter" is for single words
TEXT_KINDS = [kind for kind in KINDS if kind != "letter"]


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("script", SENTENCES)
def test_a_sentence_of_any_script_comes_back(kind, script):
    sentence = SENTENCES[script]
    tokenizer = Tokenizer.train([sentence] * 3, kind=kind, vocab_size=400)
    ids = tokenizer.encode(sentence)
    assert UNK not in ids
    if kind != "word":  # whose words are joined by spaces
        assert tokenizer.decode(ids) == tokenizer.normalize(sentence)
    segments = tokenizer.segment(sentence)
    assert segments.ids == ids
    assert "".join(segments.words) == "".join(sentence.split())
    assert sorted(set(segments.word_of)) == list(range(len(segments.words)))


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe"])
@pytest.mark.parametrize("script", SENTENCES)
def test_a_sentence_of_any_script_can_be_cut_by_chance(kind, script):
    tokenizer = Tokenizer.train([SENTENCES[script]] * 3, kind=kind, vocab_size=400)
    found = SubwordSampler(tokenizer, 0.3).encode_all([SENTENCES[script]] * 20, [1])
    assert len(found.flat) > 20 * len(tokenizer.encode(SENTENCES[script]))
    assert {tokenizer.decode(ids.tolist()) for ids in found} == {tokenizer.normalize(SENTENCES[script])}


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_shapes_of_a_character_are_one_with_nfkc_alone(kind):
    plain, odd = "office Apple 5 km", "o\ufb03ce Ａpple \uff15 \u339e"
    texts = [plain, odd] * 2
    for unicode in (None, "nfc"):
        tokenizer = Tokenizer.train(texts, kind=kind, vocab_size=400, unicode=unicode)
        assert tokenizer.encode(odd) != tokenizer.encode(plain)
    tokenizer = Tokenizer.train(texts, kind=kind, vocab_size=400, unicode="nfkc")
    assert tokenizer.normalize(odd) == tokenizer.normalize(plain) == plain
    assert tokenizer.encode(odd) == tokenizer.encode(plain)
    assert tokenizer.segment("o\ufb03ce").words == ["o\ufb03ce"]  # as it stands in the text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unicode", [None, "nfc", "nfkc"])
def test_a_letter_and_its_accent_are_one_character(kind, unicode):
    composed, split = "příliš", unicodedata.normalize("NFD", "příliš")
    tokenizer = Tokenizer.train([composed, split], kind=kind, vocab_size=400, unicode=unicode)
    same = tokenizer.encode(composed) == tokenizer.encode(split)
    assert same == (kind != "byte_bpe" or unicode is not None)


def test_the_form_is_kept_in_the_file(tmp_path):
    pair = TokenizerPair.train(["ab Ａ"] * 2, ["cd"] * 2, vocab_size=40, unicode="nfkc")
    pair.save(tmp_path / "tokenizer.json")
    again = TokenizerPair.load(tmp_path / "tokenizer.json")
    assert (again.source.unicode, again.target.unicode) == ("nfkc", "nfkc")
    assert again.source.encode("Ａ") == pair.source.encode("A")
    with pytest.raises(ValueError, match="unicode is 'nfd'; expected one of nfc, nfkc, or None"):
        Tokenizer.from_dict(pair.source.to_dict() | {"unicode": "nfd"})


# --- a vocabulary from a file ---


def test_a_vocabulary_of_a_file_keeps_its_order(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("the\t90\r\nCAT\t7\n<unk>\t5\n\nthe\t3\nl'\n", encoding="utf-8")
    assert read_entries(path) == ["the", "CAT", "<unk>", "the", "l'"]
    tokenizer = Tokenizer.from_entries(read_entries(path), "word", lowercase=True)
    assert tokenizer.tokens(range(tokenizer.vocab_size)) == ["<pad>", "<unk>", "<s>", "</s>", "the", "cat", "l'"]
    assert tokenizer.encode("The cat l'ours") == [4, 5, 6, UNK]
    again = Tokenizer.from_dict(tokenizer.to_dict())
    assert again.encode("The cat l'ours") == [4, 5, 6, UNK]


def test_a_list_of_characters_may_hold_a_space(tmp_path):
    (tmp_path / "characters.txt").write_text("a\n \nb\n", encoding="utf-8")
    tokenizer = Tokenizer.from_entries(read_entries(tmp_path / "characters.txt"), "character")
    assert tokenizer.encode("ab a") == [4, 6, 5, 4]


def test_a_list_that_is_no_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"kind 'bpe' needs merges besides its entries; give the tokenizer\.json of a"):
        Tokenizer.from_entries(["a"], "bpe")
    with pytest.raises(DataError, match="A vocabulary without entries is of no use"):
        Tokenizer.from_entries(["<unk>", " "], "word")
