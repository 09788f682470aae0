"""The folder of an exported model: files of the runtime, tokenisers, and `heedful.json`, which tells of them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tokenizers as hf
from tokenizers import decoders

import heedful
from heedful._errors import ExportError, OutputError
from heedful._files import whole_folder
from heedful.data.tokenizers import SPACE, Tokenizer, TokenizerPair
from heedful.data.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from heedful.decoding.constraints import Constraints

from .kinds import TRANSLATION, Kind

FORMAT = 1
MANIFEST = "heedful.json"
# what the runtimes' own files are called
FILES = (
    *(f"{graph}.{ending}" for graph in ("encoder", "prompt", "step", "model") for ending in ("onnx", "pt2")),
    *("model.bin", "config.json", "source_vocabulary.json", "target_vocabulary.json", "shared_vocabulary.json"),
    *("index.html", "page.css", "app.js", "opened.js", "search.js", "stage.js", "tokenizer.js", "translator.js"),
    *("onnxruntime-web.js", "onnxruntime-web.wasm", "onnxruntime-web.LICENSE.txt"),
)
TOKENIZERS = {"source": "source_tokenizer.json", "target": "target_tokenizer.json"}


@contextmanager
def export_folder(
    path: str | os.PathLike[str],
    tokenizers: TokenizerPair,
    constraints: Constraints | None = None,
    kind: Kind = TRANSLATION,
    facts: Mapping[str, Any] | None = None,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder to write to and what `heedful.json` will say, to add to; whole or not at all.

    Args:
        path: where the folder will stand; an older export there is replaced.
        tokenizers: of both sides; the entries of the target side may be labels or series.
        constraints: how long what is said may be; `Constraints()` when left out.
        kind: of the model.
        facts: what else `heedful.json` tells.

    Raises:
        OutputError: the place cannot be written, or holds anything but an export.
    """
    path = Path(path)
    _refuse_foreign(path)
    with whole_folder(path) as folder:
        files = {side: TOKENIZERS[side] for side in kind.sides}
        manifest = {"format": FORMAT, "heedful": heedful.__version__, "task": kind.task}
        manifest |= _told(tokenizers, constraints or Constraints(), kind)
        manifest["tokenizers"] = {
            side: {"file": name, "kind": getattr(tokenizers, side).kind} for side, name in files.items()
        }
        manifest |= facts or {}
        yield folder, manifest
        for side, name in files.items():
            reader(getattr(tokenizers, side)).save(str(folder / name))
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _told(tokenizers: TokenizerPair, constraints: Constraints, kind: Kind) -> dict[str, Any]:
    """Special ids, limits of length and what is copied, or the names of labels and series."""
    told: dict[str, Any] = {"ids": {"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}} if kind.sides else {}
    if kind.says:
        told["limits"] = {name: getattr(constraints, name) for name in ("max_length", "max_ratio", "max_extra")}
    if kind.copies:
        source = tokenizers.source
        told["copies"] = {"first": source.vocab_size if source.whole_words else None}
    if kind.names:
        target = tokenizers.target
        told[kind.names] = [target.decode([number]) for number in range(len(SPECIAL_TOKENS), target.vocab_size)]
    return told


def _refuse_foreign(path: Path) -> None:
    """What an export replaces must be an older one, with nothing of somebody's beside it."""
    if path.is_dir():
        found = {one.name for one in path.iterdir()}
        foreign = sorted(found - {MANIFEST, *TOKENIZERS.values(), *FILES} if MANIFEST in found else found)
    else:
        foreign = [path.name] if path.exists() else []
    if foreign:
        raise OutputError(
            f"cannot write an export to {path}: {foreign[0]} is there already; choose a folder of its own"
        )


def reader(tokenizer: Tokenizer) -> hf.Tokenizer:
    """The tokeniser as one of the library `tokenizers`, which can also put ids together to text.

    >>> reader(Tokenizer.train(["a bat"], kind="character", vocab_size=20)).decode([4, 5])
    'a '
    """
    core = hf.Tokenizer.from_str(json.dumps(tokenizer.to_dict()["core"]))
    if tokenizer.kind == "bpe":
        spaces = [decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        core.decoder = decoders.Sequence(spaces)
    elif tokenizer.kind == "byte_bpe":
        core.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    elif tokenizer.kind == "letter":
        # a feature, name=value, is put behind a space
        spaces = [decoders.Replace(hf.Regex("^(?=[^=]+=)"), " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        core.decoder = decoders.Sequence(spaces)
    elif tokenizer.kind == "character":
        core.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.Fuse()])
    return core


def require(*packages: str) -> None:
    """Check that what a format needs is installed.

    Raises:
        ExportError: names the package, and how to get it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ExportError(
                f"this format needs the package {package}, which is not installed; run: pip install 'heedful[export]'"
            )
