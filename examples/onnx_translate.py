"""Translate or summarise with an exported model, by onnxruntime, numpy and tokenizers alone, without heedful or torch.

heedful export heedful-demo --format onnx --output demo-onnx
python examples/onnx_translate.py demo-onnx "I love you." "Where is the station?"
"""

import json
import sys
from pathlib import Path
from unicodedata import normalize

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Translator:
    """Both graphs of an export, decoded greedily; every sentence of a batch at once."""

    def __init__(self, folder):
        self.about = json.loads(Path(folder, "heedful.json").read_text(encoding="utf-8"))
        self.encoder, self.step = (
            onnxruntime.InferenceSession(Path(folder, self.about[graph]["file"]), providers=["CPUExecutionProvider"])
            for graph in ("encoder", "step")
        )
        self.source, self.target = (
            Tokenizer.from_file(str(Path(folder, self.about["tokenizers"][side]["file"])))
            for side in ("source", "target")
        )

    def translate(self, sentences):
        """Translations of sentences, each with what it looked at, `[tokens, source tokens]`; none may be empty."""
        sources, words = zip(*map(self.read, sentences), strict=True)
        said, looked = self.decode(sources)
        return [self.write(*one) for one in zip(said, words, strict=True)], looked

    def read(self, sentence):
        """The ids of a sentence; where words are copied, those that the vocabulary lacks by ids of their own, too."""
        first, words, alike = self.about.get("copies", {}).get("first"), {}, {}
        # offsets are those of composed characters
        text = sentence if first is None else normalize("NFC", sentence)
        found = self.source.encode(text)
        ids = found.ids[: self.about.get("cut_source")]
        for place, (begin, end) in enumerate(found.offsets[: len(ids)]):
            if first is not None and ids[place] == self.about["ids"]["unk"]:
                word = text[begin:end]
                ids[place] = alike.setdefault(self.source.normalizer.normalize_str(word), first + len(alike))
                words.setdefault(ids[place], word)
        return ids, words

    def write(self, ids, words):
        """The text of ids, of which some may be words of the source."""
        if not words:
            return self.target.decode(ids)
        tokens = [words[token] if token in words else str(self.target.id_to_token(token)) for token in ids]
        return self.target.decoder.decode(tokens) if self.target.decoder else " ".join(tokens)

    def decode(self, sources):
        """Ids of translations of lists of ids, and what each of their tokens looked at."""
        ids, names = self.about["ids"], self.about["step"]["outputs"]
        lengths = np.array([len(source) for source in sources])
        padded = np.full((len(sources), lengths.max()), ids["pad"])
        for row, source in zip(padded, sources, strict=True):
            row[: len(source)] = source
        limits = [self.longest(length) for length in lengths]
        memory = run(self.encoder, {"source": padded, "lengths": lengths})
        tokens, said = np.full(len(sources), ids["bos"]), [[] for _ in sources]
        looked, unfinished = [[] for _ in sources], set(range(len(sources)))
        while unfinished:
            output: dict = run(self.step, {"tokens": tokens, **memory})
            output["logits"][:, [ids["pad"], ids["bos"]]] = -np.inf
            tokens = output["logits"].argmax(1)
            for row in sorted(unfinished):
                if tokens[row] != ids["eos"]:
                    said[row].append(int(tokens[row]))
                    if "alignment" in names:
                        looked[row].append(output["alignment"][row, : lengths[row]])
                if tokens[row] == ids["eos"] or len(said[row]) == limits[row]:
                    unfinished.remove(row)
            # what the step calls next.* is state.* of the step after it
            memory |= {name.replace("next.", "state.", 1): output[name] for name in names if name.startswith("next.")}
        return said, looked

    def longest(self, length):
        """The most tokens of a translation of a sentence with so many."""
        limits = self.about["limits"]
        if limits["max_ratio"] is None:
            return limits["max_length"]
        return max(1, min(limits["max_length"], int(limits["max_ratio"] * length + 1e-9) + limits["max_extra"]))


def run(session, inputs):
    """All outputs of a graph by their names."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def main():
    """Translate every sentence of the command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, *sentences = sys.argv[1:]
    for translation in Translator(folder).translate(sentences)[0]:
        print(translation)


if __name__ == "__main__":
    main()
