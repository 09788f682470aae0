"""Classify with an exported model, by onnxruntime, numpy and tokenizers alone: neither heedful nor torch is needed.

heedful export runs/classify --format onnx --output classify-onnx
python examples/onnx_classify.py classify-onnx "A lovely film." "It goes on and on."
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Classifier:
    """The graph of an export; all texts of a batch at once."""

    def __init__(self, folder):
        self.about = json.loads(Path(folder, "heedful.json").read_text(encoding="utf-8"))
        graph = Path(folder, self.about["model"]["file"])
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(Path(folder, self.about["tokenizers"]["source"]["file"])))

    def classify(self, texts):
        """For each text the probabilities of the labels, the largest first; none may be empty."""
        found: dict = self.run([self.read(text) for text in texts])
        labels, numbers = self.about["labels"], found["probabilities"]
        return [{labels[place]: float(row[place]) for place in np.argsort(-row, kind="stable")} for row in numbers]

    def read(self, text):
        """The ids of a text as far as they are read; of a model that reads sentences, a list of lists."""
        left, cut = self.about["max_length"], self.about.get("sentences")
        if cut is None:
            return self.tokenizer.encode(text).ids[:left]
        sentences = []
        for part in re.split(cut["split"], text):
            ids = self.tokenizer.encode(part).ids if part.strip() else []
            for first in range(0, len(ids), cut["longest"]):
                sentences.append(ids[first : first + min(cut["longest"], left)])
                # the end of a sentence counts, too
                left = max(0, left - len(sentences[-1]) - 1)
        return [sentence for sentence in sentences if sentence]

    def run(self, texts):
        """All outputs of the graph for lists of ids, or lists of lists, by their names."""
        names = [output.name for output in self.session.get_outputs()]
        ids, lengths = [one.name for one in self.session.get_inputs()]
        padded, counts = pad(texts, self.about["ids"]["pad"])
        return dict(zip(names, self.session.run(names, {ids: padded, lengths: counts}), strict=True))


def pad(texts, filling):
    """Lists of ids, or lists of lists of them, in one array, and the lengths of the innermost."""
    if not isinstance(texts[0][0], list):
        lengths = np.array([len(text) for text in texts])
        padded = np.full((len(texts), lengths.max()), filling)
        for row, text in zip(padded, texts, strict=True):
            row[: len(text)] = text
        return padded, lengths
    most = max(map(len, texts))
    padded, lengths = pad([sentence for text in texts for sentence in text + [[]] * (most - len(text))], filling)
    return padded.reshape(len(texts), most, -1), lengths.reshape(len(texts), most)


def main():
    """Classify every text of the command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, *texts = sys.argv[1:]
    for text, found in zip(texts, Classifier(folder).classify(texts), strict=True):
        print(*(f"{label} {share:.3f}" for label, share in found.items()), text, sep="\t")


if __name__ == "__main__":
    main()
