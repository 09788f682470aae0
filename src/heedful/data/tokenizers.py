"""Text to ids and back: words, characters, symbols between spaces, byte-pair encoding, also of bytes.

Byte-pair encoding is that of Sennrich, Haddow and Birch (2016), its byte-level form that of Radford et al. (2019).

All kinds cut text at the same words, so that every piece can be traced to a word a person would point at. A word is a
run of letters, marks and digits; an apostrophe before a letter ends the word on its left (l' homme), but for English
contractions (don't, he'll, Tom's), which are one word; every other visible character is a word of its own.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice, repeat
from pathlib import Path
from typing import Any

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from heedful._errors import DataError, ModelFolderError
from heedful._files import write_whole
from heedful.data.ids import Ids
from heedful.data.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

KINDS = ("word", "character", "letter", "symbol", "bpe", "byte_bpe")
# every text is one entry, whole: what labels are
LABEL = "label"
SPACE = "▁"

_LETTERS = r"[\p{L}\p{M}\p{N}]+"
_ELISION = "(?:['\u2019](?=\\p{L}))?"
_CONTRACTION = "(?:['\u2019](?i:t|s|d|m|ll|re|ve)(?![\\p{L}\\p{M}\\p{N}]))"
# merges never cross a run; a word is one run, or two that a contraction joins
_RUN = _LETTERS + _ELISION
_WORD = f"{_LETTERS}(?:{_CONTRACTION}|{_ELISION})"
# a mark such as <e1> and </e1>; what reads like a special token is none
_MARK = rf"</?(?!(?:{'|'.join(sorted({token.strip('</>') for token in SPECIAL_TOKENS}))})>)\p{{L}}[\p{{L}}\p{{N}}]*>"
_SYMBOL = r"[^\s▁\p{L}\p{M}\p{N}]"
# name=value, as tables of inflection write a feature
_FEATURE = r"(?<![^\s,])[^\s,=]+=[^\s,]+"
_NUM_BYTES = 256
_UNICODE = {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}
# texts that are encoded at once: what they need on the way is many times what they give
_CHUNK = 2_000
_OBJECT = "\ufffc"
_HALF = "\ufffd"


@dataclass(frozen=True)
class Segments:
    """A sentence cut into pieces, each traced to its word.

    - `ids`, `pieces`: the ids and how they read, of equal length; a space is shown as "▁".
    - `words`: the words as they stand in the text, untouched by lower-casing.
    - `word_of`: for each piece, the index of its word in `words`.
    """

    ids: list[int]
    pieces: list[str]
    words: list[str]
    word_of: list[int]


class Tokenizer:
    """One side's text to ids and back. Make one with `train` or `from_dict`.

    All kinds but "byte_bpe" first put text into Unicode NFC with single plain spaces and none at the ends
    (no-break and thin spaces become plain ones); a character or word they have not seen becomes `UNK`. Kind "byte_bpe"
    keeps every byte and knows no unknown. With `unicode` "nfc" or "nfkc" every kind puts text into that form; nfkc
    makes one of characters that differ in their shape only, such as ﬁ and fi, Ａ and A.

    Kind "letter" is for words by themselves: characters, each traced to itself, and features, name=value after a space
    or a comma, each of which is one piece. Kind "symbol" cuts at spaces alone, as phones are written.

    Kind "label" is no cutter of text but a list of labels: a text is one entry, whole, or `UNK`.

    >>> tokenizer = Tokenizer.train(["Hello, world!", "Hello, you!"], kind="bpe", vocab_size=60)
    >>> tokenizer.decode(tokenizer.encode("Hello, world!"))
    'Hello, world!'
    >>> Tokenizer.train(["go tense=past,num=PL"], kind="letter").segment("go num=PL").pieces
    ['g', 'o', 'num=PL']
    """

    def __init__(self, core: hf.Tokenizer, kind: str, lowercase: bool = False, unicode: str | None = None):
        self.kind = kind
        self.lowercase = lowercase
        self.unicode = unicode
        self._core = core
        self._words = _SPACES if kind == "symbol" else _CUTTER

    @classmethod
    def train(
        cls,
        lines: Iterable[str],
        kind: str = "bpe",
        vocab_size: int = 8000,
        lowercase: bool = False,
        min_count: int = 1,
        unicode: str | None = None,
    ) -> "Tokenizer":
        """Learn a vocabulary of at most `vocab_size` entries, the four special ones included, from `lines`.

        Words, merges and the characters of kind "character" seen fewer than `min_count` times are left out. The same
        lines in the same order always give the same vocabulary. Raises `ValueError` for an unknown kind or a size too
        small for it and `DataError` when `lines` hold no text.
        """
        _check_kind(kind, unicode)
        smallest = len(SPECIAL_TOKENS) + (_NUM_BYTES if kind == "byte_bpe" else 1)
        if vocab_size < smallest:
            raise ValueError(f"vocab_size is {vocab_size}; kind '{kind}' needs at least {smallest}.")
        lines = [line for line in lines if line.strip()]
        engine = _build_core(kind, lowercase, _build_model(kind, {}, []), unicode)
        engine.train_from_iterator(lines, _build_trainer(kind, vocab_size, min_count))
        if not lines or engine.get_vocab_size() < smallest:
            raise DataError(
                f"There is nothing to learn a vocabulary from: {len(lines)} lines that are not empty, "
                f"min_count {min_count}; give more text or a lower min_count."
            )
        # a fresh core: training marks the special tokens so that "<s>" typed in a text would become BOS
        return cls(_build_core(kind, lowercase, engine.model, unicode), kind, lowercase, unicode)

    @classmethod
    def from_entries(
        cls, entries: Iterable[str], kind: str = "word", lowercase: bool = False, unicode: str | None = None
    ) -> "Tokenizer":
        """A given vocabulary, in its order after the four special entries, which are left out where it lists them.

        Raises `ValueError` for kinds whose vocabulary is more than a list, and `DataError` where there is no entry.

        >>> Tokenizer.from_entries(["the", "cat"]).encode("the black cat")
        [4, 1, 5]
        """
        if kind in ("bpe", "byte_bpe"):
            raise ValueError(f"kind '{kind}' needs merges besides its entries; give the tokenizer.json of a model.")
        normalizer = _build_normalizer(kind, lowercase, unicode)
        texts = (normalizer.normalize_str(entry) for entry in entries if entry not in SPECIAL_TOKENS)
        # a space is a character like any other, but stripped from the ends of a text; there are no empty words
        known = dict.fromkeys(text or " " for text in texts if text or kind in ("character", "letter"))
        if not known:
            raise DataError("A vocabulary without entries is of no use; give one a line.")
        vocab = {entry: index for index, entry in enumerate((*SPECIAL_TOKENS, *known))}
        model = _build_model(kind, vocab, [])
        return cls(_build_core(kind, lowercase, model, unicode), kind, lowercase, unicode)

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the special ones included."""
        return self._core.get_vocab_size()

    @property
    def whole_words(self) -> bool:
        """Whether every piece is a word of its own, so that one which is unknown is a word that can be named."""
        return self.kind in ("word", "letter", "symbol")

    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry, None if there is none."""
        return self._core.token_to_id(token)

    def normalize(self, text: str) -> str:
        """The text as the vocabulary sees it: what known text decodes to, but for the spaces of kind "word"."""
        normalized = self._core.normalizer.normalize_str(text)
        if self.kind == "bpe":
            normalized = normalized.replace(SPACE, " ")
        return normalized[1:] if self.kind in ("bpe", "byte_bpe") else normalized

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without BOS and EOS."""
        return self._core.encode(text).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, without BOS and EOS."""
        return [encoding.ids for encoding in self._core.encode_batch_fast(list(texts))]

    def encode_all(self, texts: Sequence[str]) -> Ids:
        """The same for any number of texts, in little memory."""
        starts = range(0, len(texts), _CHUNK)
        return Ids.join([Ids.pack(self.encode_batch(texts[first : first + _CHUNK])) for first in starts])

    def segment(self, text: str) -> Segments:
        """The ids of a text with their pieces and the words these belong to.

        >>> segments = Tokenizer.train(["a bat", "bat"], kind="character", vocab_size=20).segment("Bat, a")
        >>> segments.pieces
        ['<unk>', 'a', 't', '<unk>', '▁', 'a']
        >>> segments.words, segments.word_of
        (['Bat', ',', 'a'], [0, 0, 0, 1, 2, 2])
        """
        encoding = self._core.encode(text)
        if self.kind == "letter":
            words = [text[start:end] for start, end in encoding.offsets]
            return Segments(encoding.ids, self.tokens(encoding.ids), words, list(range(len(words))))
        starts = [start for start, _ in encoding.offsets]
        return self._trace(encoding.ids, starts, text)

    def segment_ids(self, ids: Iterable[int]) -> Segments:
        """The same for ids that a model wrote, all of them: PAD, UNK, BOS and EOS are words of their own."""
        ids = list(ids)
        if self.whole_words:
            pieces = self.tokens(ids)
            words = [piece.replace(SPACE, " ") for piece in pieces] if self.kind == "letter" else pieces
            return Segments(ids, pieces, words, list(range(len(ids))))
        # an object replacement character is no letter, so it is cut out as one word
        shown = [UNK if index < len(SPECIAL_TOKENS) else index for index in ids]
        texts = [self._write(shown[:count], repeat(_OBJECT)) for count in range(len(ids) + 1)]
        # half a character at the end reads "�" and belongs to what follows
        segments = self._trace(ids, [len(text.rstrip(_HALF)) for text in texts[:-1]], texts[-1])
        names = (SPECIAL_TOKENS[index] for index in ids if index < len(SPECIAL_TOKENS))
        words = ["".join(next(names, char) if char == _OBJECT else char for char in word) for word in segments.words]
        return replace(segments, words=words)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """How each id reads, special ones as in `SPECIAL_TOKENS`, a space as "▁", part of a character as "�"."""
        return [self._show(self._token(index)) for index in ids]

    def decode(self, ids: Iterable[int], unknown: Sequence[str] | None = None) -> str:
        """The text of ids. PAD, BOS and EOS are left out; the i-th UNK reads `unknown[i]`, or "<unk>" without it.

        Kind "word" puts one plain space between any two words, before punctuation too.
        """
        kept = [index for index in ids if index not in (PAD, BOS, EOS)]
        text = self._write(kept, chain(unknown or [], repeat(SPECIAL_TOKENS[UNK])))
        return text.removeprefix(" ") if self.kind in ("letter", "bpe", "byte_bpe") else text

    def cut(self, text: str) -> list[str]:
        """The words of a text in the alphabet that merges are made of; no merge crosses their ends."""
        normalized = self._core.normalizer.normalize_str(text)
        return [word for word, _ in self._core.pre_tokenizer.pre_tokenize_str(normalized)]

    def merges(self) -> tuple[dict[str, int], list[tuple[int, int, int]]]:
        """The id of every entry, and the merges in the order of learning: left id, right id, the id they make.

        Raises `ValueError` for kinds without merges.
        """
        if self.kind not in ("bpe", "byte_bpe"):
            raise ValueError(f"kind '{self.kind}' has no merges; subword regularisation is for 'bpe' and 'byte_bpe'.")
        model = json.loads(self._core.to_str())["model"]
        vocab: dict[str, int] = model["vocab"]
        return vocab, [(vocab[left], vocab[right], vocab[left + right]) for left, right in model["merges"]]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values that JSON can hold."""
        options = {"kind": self.kind, "lowercase": self.lowercase, "unicode": self.unicode}
        return {**options, "core": json.loads(self._core.to_str())}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Tokenizer":
        """The tokeniser that `to_dict` described. Raises `ValueError` for anything else.

        Vocabulary and merges are all that is taken over: what cuts text is built anew, and must be what was written.
        """
        try:
            kind, lowercase, core = values["kind"], bool(values["lowercase"]), values["core"]
            unicode = values.get("unicode")
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"a tokeniser needs the keys kind, lowercase and core; {error} is missing.") from None
        _check_kind(kind, unicode)
        built = _read_core(kind, lowercase, core, unicode)
        if [built.id_to_token(index) for index in range(len(SPECIAL_TOKENS))] != list(SPECIAL_TOKENS):
            raise ValueError(f"ids 0 to 3 of the tokeniser must be {', '.join(SPECIAL_TOKENS)}.")
        return cls(built, kind, lowercase, unicode)

    def _trace(self, ids: list[int], starts: list[int], text: str) -> Segments:
        """Give each piece the first word that ends after the piece starts; a space belongs to the word after it.

        A word in which no piece starts is written by the piece before, and becomes one with that piece's word.
        """
        spans = [span for _, span in self._words.pre_tokenize_str(text)]
        if ids and not spans:
            spans = [(0, len(text))]
        ends = [end for _, end in spans]
        found = [min(bisect_right(ends, start), len(ends) - 1) for start in starts]
        firsts = sorted(set(found))
        lasts = [first - 1 for first in firsts[1:]] + [len(spans) - 1] * bool(firsts)
        words = [text[spans[first][0] : ends[last]] for first, last in zip(firsts, lasts, strict=True)]
        place = {first: index for index, first in enumerate(firsts)}
        return Segments(ids, self.tokens(ids), words, [place[word] for word in found])

    def _write(self, ids: list[int], unknown: Iterator[str]) -> str:
        """The text of ids with the next of `unknown` for every UNK."""
        parts = []
        for is_unknown, run in groupby(ids, key=lambda index: index == UNK):
            tokens = [self._token(index) for index in run]
            parts.extend(islice(unknown, len(tokens)) if is_unknown else [self._join(tokens)])
        return (" " if self.kind in ("word", "symbol") else "").join(parts)

    def _token(self, index: int) -> str:
        token = self._core.id_to_token(index) if index >= 0 else None
        if token is None:
            raise ValueError(f"id {index} is not in this vocabulary, which ends at {self.vocab_size - 1}.")
        return token

    def _join(self, tokens: list[str]) -> str:
        if self.kind in ("word", "symbol", LABEL):
            return " ".join(tokens)
        if self.kind == "letter":
            return "".join(f" {token}" if _is_feature(token) else token for token in tokens)
        if self.kind == "byte_bpe":
            return decoders.ByteLevel().decode(tokens)
        return "".join(tokens).replace(SPACE, " ")

    def _show(self, token: str) -> str:
        if token in SPECIAL_TOKENS or self.kind == "letter":
            return token.replace(" ", SPACE)
        return self._join([token]).replace(" ", SPACE)


@dataclass(frozen=True)
class TokenizerPair:
    """The tokenisers of both sides; the same object twice when `joint`."""

    source: Tokenizer
    target: Tokenizer
    joint: bool

    @classmethod
    def train(
        cls,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        joint: bool = False,
        kind: str = "bpe",
        vocab_size: int = 8000,
        lowercase: bool = False,
        min_count: int = 1,
        unicode: str | None = None,
    ) -> "TokenizerPair":
        """Learn one vocabulary of `vocab_size` per side, or a single one from both sides. See `Tokenizer.train`."""
        options = {
            "kind": kind,
            "vocab_size": vocab_size,
            "lowercase": lowercase,
            "min_count": min_count,
            "unicode": unicode,
        }
        if joint:
            both = Tokenizer.train([*sources, *targets], **options)
            return cls(both, both, True)
        return cls(Tokenizer.train(sources, **options), Tokenizer.train(targets, **options), False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write both sides to one JSON file, whole or not at all."""
        values = {"joint": self.joint, "source": self.source.to_dict()}
        if not self.joint:
            values["target"] = self.target.to_dict()
        write_whole(path, json.dumps(values, ensure_ascii=False))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TokenizerPair":
        """Read what `save` wrote. Raises `ModelFolderError` when it is missing or damaged."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            joint, source = values["joint"], Tokenizer.from_dict(values["source"])
            return cls(source, source if joint else Tokenizer.from_dict(values["target"]), bool(joint))
        except FileNotFoundError:
            raise ModelFolderError(f"{path} is missing; copy the whole model folder or train again.") from None
        except OSError as error:
            raise ModelFolderError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelFolderError(
                f"{path} is damaged or not from heedful ({error}); copy the whole model folder or train again."
            ) from error


def _check_kind(kind: str, unicode: str | None) -> None:
    if kind not in (*KINDS, LABEL):
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}.")
    if unicode is not None and unicode not in _UNICODE:
        raise ValueError(f"unicode is {unicode!r}; expected one of {', '.join(_UNICODE)}, or None.")


def _build_model(kind: str, vocab: dict[str, int], merges: list[tuple[str, str]]) -> models.Model:
    if kind not in ("bpe", "byte_bpe"):
        return models.WordLevel(vocab, unk_token=SPECIAL_TOKENS[UNK])
    if kind == "byte_bpe":
        return models.BPE(vocab, merges)
    # the token carries the id: unknown characters in a row become one UNK
    return models.BPE(vocab, merges, unk_token=SPECIAL_TOKENS[UNK], fuse_unk=True)


def _read_core(kind: str, lowercase: bool, values: Any, unicode: str | None) -> hf.Tokenizer:
    """The core with the vocabulary and the merges of a file."""
    try:
        model, cutters = values["model"], {name: values[name] for name in ("normalizer", "pre_tokenizer")}
        vocab, merges = dict(model["vocab"]), [(str(left), str(right)) for left, right in model.get("merges", [])]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the core of the tokeniser cannot be read: {error!r}.") from None
    if sorted(map(repr, vocab.values())) != sorted(map(repr, range(len(vocab)))):
        raise ValueError(f"the ids of a vocabulary of {len(vocab)} must be 0 to {len(vocab) - 1}, each once.")
    # the tokenizers library crashes on some invalid merges
    if any(not {left, right, left + right} <= vocab.keys() for left, right in merges):
        raise ValueError("a merge joins what is not in the vocabulary.")
    try:
        core = _build_core(kind, lowercase, _build_model(kind, vocab, merges), unicode)
    except Exception as error:  # the tokenizers library raises no narrower class
        raise ValueError(f"the core of the tokeniser cannot be read: {error!r}.") from None
    if not cutters.items() <= json.loads(core.to_str()).items():
        raise ValueError(f"it cuts text in another way than kind '{kind}' does.")
    return core


def _build_core(kind: str, lowercase: bool, model: models.Model, unicode: str | None) -> hf.Tokenizer:
    core = hf.Tokenizer(model)
    core.normalizer = _build_normalizer(kind, lowercase, unicode)
    core.pre_tokenizer = _build_pre_tokenizer(kind)
    return core


def _build_normalizer(kind: str, lowercase: bool, unicode: str | None) -> normalizers.Normalizer:
    steps = [normalizers.Lowercase()] if lowercase else []
    if kind == "byte_bpe":
        return normalizers.Sequence([*steps, *([_UNICODE[unicode]()] if unicode else []), normalizers.Prepend(" ")])
    steps += [_UNICODE[unicode or "nfc"](), normalizers.Replace(hf.Regex(r"\s+"), " "), normalizers.Strip()]
    if kind == "bpe":
        # the first word reads like any other: "▁Hello▁world"
        steps += [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    if kind == "letter":
        steps += [normalizers.Replace(hf.Regex(rf",\s?(?={_FEATURE})"), " ")]
    return normalizers.Sequence(steps)


def _build_pre_tokenizer(kind: str) -> pre_tokenizers.PreTokenizer:
    if kind == "word":
        return _build_word_cutter()
    if kind == LABEL:
        return pre_tokenizers.Sequence([])
    if kind == "symbol":
        # a special token that is typed in a text is no symbol
        special = "|".join(token[1:] for token in SPECIAL_TOKENS)
        return pre_tokenizers.Sequence([_SPACES, pre_tokenizers.Split(hf.Regex(f"^<(?=(?:{special})$)"), "isolated")])
    if kind == "letter":
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(hf.Regex(rf" (?={_FEATURE})"), "removed"),
                pre_tokenizers.Split(hf.Regex(f"{_FEATURE}|."), "isolated"),
            ]
        )
    if kind == "character":
        return pre_tokenizers.Split(hf.Regex("."), "isolated")
    if kind == "bpe":
        return pre_tokenizers.Split(hf.Regex(f"{SPACE}?(?:{_RUN}|{_SYMBOL})"), "isolated")
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(hf.Regex(f" ?(?:{_RUN}|{_SYMBOL})"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )


def _build_trainer(kind: str, vocab_size: int, min_count: int) -> trainers.Trainer:
    options = {"vocab_size": vocab_size, "special_tokens": list(SPECIAL_TOKENS), "show_progress": False}
    if kind not in ("bpe", "byte_bpe"):
        return trainers.WordLevelTrainer(min_frequency=min_count, **options)
    if kind == "bpe":
        options["limit_alphabet"] = vocab_size - len(SPECIAL_TOKENS)
    else:
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(min_frequency=min_count, **options)


def cut_words(text: str) -> list[str]:
    """The words of a text, as every kind of tokeniser sees them.

    >>> cut_words("I don't know l'été, sorry!")
    ['I', "don't", 'know', "l'", 'été', ',', 'sorry', '!']
    >>> cut_words("the <e1>author</e1>")  # a mark is a word
    ['the', '<e1>', 'author', '</e1>']
    """
    return [word for word, _ in _CUTTER.pre_tokenize_str(text)]


def _is_feature(token: str) -> bool:
    """Whether a piece of kind "letter" is a feature, not a character."""
    return "=" in token and len(token) > 1


def _build_word_cutter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(hf.Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(hf.Regex(f"{_MARK}|{_WORD}|."), "isolated"),
        ]
    )


_SPACES = pre_tokenizers.Split(hf.Regex(r"\s+"), "removed")
_CUTTER = _build_word_cutter()
