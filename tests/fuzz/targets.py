"""What the fuzzer feeds: one function per entry point for untrusted input.

Each takes any bytes at all and returns. What heedful refuses, it must refuse with a `HeedfulError` of one readable
sentence; whatever it accepts must then work. Anything else that is raised is a finding.
"""

import copy
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import save

from heedful._errors import HeedfulError, ModelFolderError
from heedful.data.readers import gather, parse_lines, read_lines, read_pairs
from heedful.data.series import read_series
from heedful.data.sources import DataSource
from heedful.data.tokenizers import KINDS, LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import SPECIAL_TOKENS
from heedful.tasks.build import build_model
from heedful.tasks.model_folder import CONFIG, FILES, METRICS, RECIPE, TOKENIZER, WEIGHTS, file_hashes, load_folder
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.pretrained import read_pretrained
from heedful.tasks.recipe import Recipe, check_recipe, dump_recipe
from heedful.tasks.recipe_files import load_recipe, settle_recipe, shipped_recipes
from heedful.tasks.recipe_yaml import parse_yaml
from heedful.tasks.translator import Translator
from tests.fuzz.edits import edited, edited_bytes, edited_weights

Found = TypeVar("Found")

SMALLEST_RECIPE = """\
name: small
output: run
data: {train: {tsv: a}}
model: {embedding_dim: 2, units: 3, bidirectional: false}
training: {max_epochs: 1}
decoding: {beam: 2, max_length: 3}
"""
LINES = ["I love you.", "Tom's dog isn't here, l’homme dit.", "漢字 かな", "a\u0301 \u202eb c"]
LONGEST_SENTENCE = 1200
# the file of a model that an input harms: seldom one that has an entry point of its own, or says little
HARMED = [*[WEIGHTS] * 6, *[CONFIG] * 4, *[TOKENIZER] * 4, RECIPE, METRICS]
FORMS = [
    ("pairs.txt", None),
    ("pairs.tsv", (0, 1)),
    ("pairs.tsv", ("en", "fr")),
    ("pairs.csv", (1, 0)),
    ("pairs.csv", ("en", "fr")),
    ("pairs.jsonl", ("en", "fr")),
    ("pairs.json", ("pair.en", "pair.fr")),
    ("pairs.parquet", ("en", "fr")),
]
WIDE = ("utf-16", "utf-32", "utf-16-le")
PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, lzma.compress]


def recipes(data: bytes) -> None:
    """A recipe file of these bytes."""
    path = scratch() / "fuzzed.yaml"
    path.write_bytes(data)
    recipe = refused(lambda: load_recipe(path), faults=40)
    if recipe is not None:
        text = dump_recipe(recipe)
        assert check_recipe(parse_yaml(text, "written"), "written") == recipe


def expressions(data: bytes) -> None:
    """`--set` expressions as the shell hands them over, one a line, upon a recipe that is right."""
    content = copy.deepcopy(right_values())
    overrides = [os.fsdecode(line.replace(b"\0", b"")) for line in data.split(b"\n")]
    refused(lambda: settle_recipe(content, "recipe", overrides), faults=40, typed=overrides)


def texts(data: bytes) -> None:
    """A text that is cut into pieces and put together again, by every kind of tokeniser."""
    text = data.decode("utf-8", errors="ignore")
    for tokenizer in some_tokenizers():
        segments = tokenizer.segment(text)
        assert segments.ids == tokenizer.encode(text) == tokenizer.encode_batch([text])[0]
        assert len(segments.ids) == len(segments.pieces) == len(segments.word_of)
        assert all(0 <= word < len(segments.words) for word in segments.word_of)
        written = tokenizer.decode(segments.ids)
        if len(SPECIAL_TOKENS) - 1 < min(segments.ids, default=9) and tokenizer.kind != "word":
            assert written == tokenizer.normalize(text)
        tokenizer.segment_ids(segments.ids[:9])


def vocabularies(data: bytes) -> None:
    """A tokeniser file; one that is accepted reads and writes any text.

    The first byte says whether the others are the file, or edits of a right one, and of which.
    """
    path, choice = scratch() / TOKENIZER, data[0] if data else 0
    right = right_vocabularies()
    path.write_bytes(data[1:] if choice % 2 else json.dumps(edited(right[choice // 2 % len(right)], data[1:])).encode())
    pair = refused(lambda: TokenizerPair.load(path))
    for tokenizer in [pair.source, pair.target] if pair else []:
        for line in LINES:
            segments = tokenizer.segment(line)
            assert all(0 <= index < tokenizer.vocab_size for index in segments.ids)
            tokenizer.decode(segments.ids)
        tokenizer.segment_ids(range(min(tokenizer.vocab_size, 9)))


def readers(data: bytes) -> None:
    """A file of pairs of these bytes, but for the first, which says what its name is and how it is packed."""
    place, content = data[0] if data else 0, data[1:]
    name, columns = FORMS[place % len(FORMS)]
    packer = PACKERS[place // len(FORMS) % len(PACKERS)]
    path, other = scratch() / name, scratch() / "other.txt"
    path.write_bytes(packer(content))
    other.write_bytes(content[::-1])
    refused(lambda: read_pairs(path, other) if columns is None else read_pairs(path, columns=columns))
    lines = refused(lambda: read_lines(path))
    if lines and packer is bytes and not content.startswith((b"\x1f\x8b", b"\xfd7zXZ")):
        again = parse_lines(content, origin=str(path))
        assert (lines.text, lines.skipped) == (again.text, again.skipped)


def series(data: bytes) -> None:
    """A table of time series of these bytes."""
    path = scratch() / "fuzzed.csv"
    path.write_bytes(data)
    found = refused(lambda: read_series(path))
    if found is not None:
        assert found.values.shape == (len(found.times), len(found.names))
        assert np.isfinite(found.values).all()
        refused(lambda: found.times_after(3))


def model_folders(data: bytes) -> None:
    """A model folder of which one file is another; its hash is right, as an attacker would write it.

    The first byte says of which, and whether the others are the file, or edits of the right one.
    """
    choice, rest = data[0] if data else 0, data[1:]
    name = HARMED[choice % len(HARMED)]
    folder, config, right = small_model(name)
    content = rest if choice // len(HARMED) % 2 else edited_file(name, right, rest)
    (folder / name).write_bytes(content)
    if name != CONFIG:
        hashes = config["sha256"] | {name: hashlib.sha256(content).hexdigest()}
        (folder / CONFIG).write_text(json.dumps(config | {"sha256": hashes}))
    if name in (CONFIG, METRICS):
        refused(lambda: load_folder(folder), kind=ModelFolderError)
    elif translator := refused(lambda: Translator.load(folder), kind=ModelFolderError):
        ((found,),) = translator.translate(["I love you."])
        assert isinstance(found.text, str)


def data_sets(data: bytes) -> None:
    """A data set of Hugging Face in a folder of which one file is another, as `model_folders` has it."""
    choice, rest = data[0] if data else 0, data[1:]
    files = right_data_set()
    name = sorted(files)[choice % len(files)]
    folder = scratch() / f"data set without {name}"
    if not folder.is_dir():
        shutil.copytree(scratch() / "data set", folder)
    (folder / name).write_bytes(rest if choice // len(files) % 2 else edited_file(name, files[name], rest))
    refused(lambda: gather(DataSource("dataset", str(folder), columns=("en", "pair.fr"))))


def embeddings(data: bytes) -> None:
    """A pretrained embedding; the first byte says of which kind, and whether the others are it, or edits of one."""
    choice = data[0] if data else 0
    words = Tokenizer.from_entries(["a", "b", "c"])
    if choice // 2 % 2:
        path = scratch() / "embedding.txt"
        path.write_bytes(data[1:] if choice % 2 else edited_bytes(b"a 1 2 3\nb 0.5 -1 1e-3\n", data[1:]))
    else:
        path = scratch() / "embedding.safetensors"
        path.write_bytes(data[1:] if choice % 2 else edited_weights(right_embedding(), data[1:]))
    options = ModelOptions(embedding_dim=3, units=2, target_embeddings=str(path))
    found = refused(lambda: read_pretrained(options, TokenizerPair(words, words, True), lambda _: None))
    if found and (model := refused(lambda: build_model(options, 7, 7, found))):
        assert all(parameter.isfinite().all() for parameter in model.parameters())


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (recipes, expressions, readers, series, data_sets, texts, vocabularies, model_folders, embeddings)
}


def refused(
    function: Callable[[], Found],
    kind: type[HeedfulError] = HeedfulError,
    faults: int = 1,
    typed: list[str] | None = None,
) -> Found | None:
    """What a function gives, or None if it refuses in a sentence that a person can read.

    Args:
        function: takes the bytes in.
        kind: of the only errors that may come out.
        faults: most sentences, one a line.
        typed: what the person typed, which may be said back as it came.
    """
    try:
        return function()
    except kind as error:
        said = str(error)
    for text in typed or []:
        said = said.replace(text, "")
    assert 0 < len(said.splitlines()) <= faults, f"{len(said.splitlines())} sentences"
    for line in said.split("\n"):
        assert len(line) <= LONGEST_SENTENCE, f"a sentence of {len(line)} characters"
        assert line.isprintable(), f"{line!r} would do something to a terminal"
    return None


@cache
def scratch() -> Path:
    """A folder for this process alone."""
    memory = Path("/dev/shm")  # a disk would be waited for
    folder = tempfile.TemporaryDirectory(prefix="heedful-fuzz-", dir=memory if memory.is_dir() else None)
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory] = []


@cache
def right_values() -> dict[str, Any]:
    """What a recipe holds that is right."""
    return parse_yaml(SMALLEST_RECIPE, "right")


@cache
def some_tokenizers() -> list[Tokenizer]:
    """One of each kind, one that lower-cases, and labels."""
    made = [Tokenizer.train(LINES, kind=kind, vocab_size=300) for kind in KINDS]
    labels = Tokenizer.from_entries(LINES, LABEL)
    return [*made, Tokenizer.train(LINES, kind="bpe", vocab_size=60, lowercase=True), labels]


@cache
def right_vocabularies() -> list[dict[str, Any]]:
    """What files of tokenisers hold: two sides, or one for both."""
    sides = [tokenizer.to_dict() for tokenizer in some_tokenizers()]
    return [
        *({"joint": True, "source": side} for side in sides),
        {"joint": False, "source": sides[0], "target": sides[2]},
    ]


@cache
def small_model(name: str) -> tuple[Path, dict[str, Any], bytes]:
    """A model folder of a few kilobytes, of which one file may be harmed, what its config says, and that file."""
    recipe = check_recipe(parse_yaml(SMALLEST_RECIPE, "small"), "small")
    tokenizers = TokenizerPair.train(LINES, LINES, kind="word", vocab_size=9)
    model = build_model(recipe.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size)
    folder = Translator(model.eval(), tokenizers, recipe, {"parameters": 1}).save(scratch() / f"without {name}")
    (folder / RECIPE).write_text(SMALLEST_RECIPE, encoding="utf-8")
    config = json.loads((folder / CONFIG).read_text()) | {"sha256": file_hashes(folder)}
    (folder / CONFIG).write_text(json.dumps(config))
    Translator.load(folder).translate(LINES)  # compiles the kernels, which no input shall pay for
    return folder, config, (folder / name).read_bytes()


@cache
def right_data_set() -> dict[str, bytes]:
    """The files of a saved data set, a few kilobytes."""
    import datasets

    datasets.disable_progress_bars()
    rows = [{"en": "Go.", "pair": {"fr": "Va !"}, "id": 3}, {"en": "Hi.", "pair": {"fr": "Salut."}, "id": None}]
    datasets.Dataset.from_list(rows).save_to_disk(str(scratch() / "data set"))
    return {path.name: path.read_bytes() for path in (scratch() / "data set").iterdir()}


@cache
def right_embedding() -> bytes:
    """A safetensors file with one matrix."""
    return save({"words": torch.arange(21, dtype=torch.float32).view(7, 3)})


def edited_file(name: str, content: bytes, data: bytes) -> bytes:
    """A file of a model folder or a data set with edits."""
    if name == WEIGHTS:
        return edited_weights(content, data)
    if name.endswith(".arrow"):
        return edited_bytes(content, data)
    if name == RECIPE:
        return json.dumps(edited(parse_yaml(content.decode(), name), data)).encode()  # JSON is YAML, all but a little
    return json.dumps(edited(json.loads(content), data)).encode()


def some_pairs() -> list[bytes]:
    """Two right pairs in each of `FORMS`, and once packed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"en": ["Go.", "Hi, you."], "fr": ["Va !", 'Dis "salut".']}
    rows = list(zip(*columns.values(), strict=True))
    table = "".join(f"{en}\t{fr}\n" for en, fr in rows).encode()
    cells = "".join('"{}","{}"\n'.format(*(cell.replace('"', '""') for cell in row)) for row in rows).encode()
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    flat = "".join(json.dumps(record) + "\n" for record in records).encode()
    nested = "".join(json.dumps({"pair": record}) + "\n" for record in records).encode()
    pq.write_table(pa.table(columns), scratch() / "seed.parquet")
    parquet = (scratch() / "seed.parquet").read_bytes()
    plain = [b"Go.\r\nHi.\n", table, b"en\tfr\n" + table, cells, b"en,fr\n" + cells, flat, nested, parquet]
    return [*plain, *plain[:7], b"", gzip.compress(plain[0])]


def seeds(name: str) -> list[bytes]:
    """Inputs to begin from: what is right, in several shapes."""
    if name == "recipes":
        # section by section: reading YAML is slow, and short inputs say as much
        whole = [re.sub(r" *#.*", "", text) for text in shipped_recipes().values()]
        sections = [part for text in whole for part in re.split(r"\n(?=\w)", text) if ":\n" in part]
        return [text.encode() for text in (SMALLEST_RECIPE, *(f"name: a\n{part}\n" for part in sections))]
    if name == "expressions":
        return [b"model.units=256", b"training.betas=[0.8, 0.9]\nseed=4", b"data.test={tsv: a.tsv}\nname='1e3'"]
    if name == "readers":
        pairs = some_pairs()
        wide = [bytes([place]) + pairs[place].decode().encode(encoding) for place in (1, 3) for encoding in WIDE]
        return [*(bytes([place]) + text for place, text in enumerate(pairs)), *wide]
    if name == "series":
        return [b"date,a\n2020-01-01,1\n2020-01-02,2.5\n", b"1;2\n3;-4e1\n", b'"a"\tb\n1\t"2"\n']
    if name == "texts":
        return [line.encode() for line in LINES]
    if name == "vocabularies":
        files = [json.dumps(values).encode() for values in right_vocabularies()]
        return [*(b"\1" + file for file in files), *(bytes([2 * place]) for place in range(len(files)))]
    if name == "data_sets":
        files = right_data_set()
        whole = [bytes([len(files) + place]) + files[name] for place, name in enumerate(sorted(files))]
        return [*whole, *(bytes([place]) for place in range(len(files)))]
    if name == "embeddings":
        return [b"\0", b"\1" + right_embedding()]
    kinds = len(HARMED)
    whole = [bytes([kinds + HARMED.index(file)]) + small_model(file)[2] for file in FILES]
    return [*whole, *(bytes([HARMED.index(file)]) for file in FILES)]


def words(name: str) -> list[str]:
    """Words that a mutation may throw in."""
    if name in ("recipes", "expressions"):
        schema = json.dumps(Recipe.model_json_schema())
        return sorted(
            {word for word in schema.split('"') if word.isidentifier()} | {"&a", "*a", "<<", "!!merge", "!!int"}
        )
    if name == "vocabularies":
        return [
            "Regex",
            "String",
            "Split",
            "Sequence",
            "BPE",
            "WordLevel",
            "Unigram",
            "vocab",
            "merges",
            "added_tokens",
        ]
    if name == "data_sets":
        return ["_type", "Value", "Translation", "Sequence", "string", "dtype", "features", "filename", "ARROW1"]
    return [METRICS, WEIGHTS, "F32", "F64", "I64", "dtype", "shape", "data_offsets", "__metadata__", "[", "{"]
