"""CTranslate2's side of decoding.py: a Transformer of the same sizes through its own specification, random weights.

python decoding_ctranslate2.py EXTRA_FOLDER WORK_FOLDER transformer float32|int8
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

extra_folder, work_folder, architecture, precision = sys.argv[1:]
# behind the packages that all sides share
sys.path.append(extra_folder)

import ctranslate2  # noqa: E402
import numpy as np  # noqa: E402
from ctranslate2.specs import common_spec, transformer_spec  # noqa: E402
from paced import serve  # noqa: E402


def fill(spec, dim, hidden, vocab_size, generator):
    """Random weights of the right shapes, biases zero; where layers tie, one matrix for each of them."""

    def matrix(out_dim, in_dim):
        return generator.normal(0, in_dim**-0.5, (out_dim, in_dim)).astype(np.float32)

    def linear(part, out_dim, in_dim):
        part.weight, part.bias = matrix(out_dim, in_dim), np.zeros(out_dim, np.float32)

    def norm(part):
        part.gamma, part.beta = np.ones(dim, np.float32), np.zeros(dim, np.float32)

    def attention(part, *sizes):
        for one, size in zip(part.linear, sizes, strict=True):
            linear(one, size, dim)
        norm(part.layer_norm)

    for side, names in ((spec.encoder, ("self_attention",)), (spec.decoder, ("self_attention", "attention"))):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = matrix(vocab_size, dim)
        embeddings.multiply_by_sqrt_depth = True
        for layer in side.layer:
            for name in names:
                sizes = (3 * dim, dim) if name == "self_attention" else (dim, 2 * dim, dim)
                attention(getattr(layer, name), *sizes)
            linear(layer.ffn.linear_0, hidden, dim)
            linear(layer.ffn.linear_1, dim, hidden)
            norm(layer.ffn.layer_norm)
    linear(spec.decoder.projection, vocab_size, dim)


def build(given):
    """A translator of ids as words."""
    sizes = given["transformer"]
    spec = transformer_spec.TransformerSpec.from_config(
        (sizes["layers"], sizes["layers"]),
        sizes["heads"],
        pre_norm=False,
        activation=common_spec.Activation.RELU,
    )
    fill(spec, sizes["dim"], sizes["hidden"], given["vocab_size"], np.random.default_rng(1))
    words = ["<pad>", "<unk>", "<s>", "</s>", *map(str, range(4, given["vocab_size"]))]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    config: Any = spec.config
    config.add_source_bos = config.add_source_eos = False
    spec.validate()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        return ctranslate2.Translator(
            folder, device="cpu", compute_type=precision, inter_threads=1, intra_threads=given["threads"]
        )


def main():
    """Answer until the input ends."""
    if architecture != "transformer":
        raise SystemExit("CTranslate2 has no recurrent models")
    given = json.loads((Path(work_folder) / "work.json").read_text())
    translator = build(given)

    def decode(sentences, beam):
        found = translator.translate_batch(
            [[str(token) for token in sentence] for sentence in sentences],
            beam_size=beam,
            min_decoding_length=given["tokens"],
            max_decoding_length=given["tokens"],
        )
        return sum(len(one.hypotheses[0]) for one in found)

    serve(0, decode, given)


if __name__ == "__main__":
    main()
