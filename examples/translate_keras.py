"""A translator in Keras: encoder, attention, decoder, trained with `fit`, then translating step by step.

English to French on the bundled pairs, whole words, with either wiring and on any backend of Keras:

    KERAS_BACKEND=jax python examples/translate_keras.py --output keras-translator

The output folder gets what it translates of sentences that it has not seen, their alignments as pictures, and the
weights that come with the best loss on them.
"""

# %%
import argparse
import re
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from sacrebleu import corpus_bleu

from heedful.data.bundled import load_pairs
from heedful.keras import AdditiveAttention, AttentionDecoder, DotAttention
from heedful.visual.alignment import Alignment
from heedful.visual.heatmap import write_heatmap

PAD, START, END, UNKNOWN = 0, 1, 2, 3


# %%
def words(sentence: str) -> list[str]:
    """Words and signs, in lower case; what a French apostrophe cuts off stays with it."""
    return re.findall(r"\w+'?|[^\w\s]", sentence.lower().replace("\u2019", "'"))


def vocabulary(sentences: list[list[str]], at_least: int) -> dict[str, int]:
    """Every word that is seen so often, with its id; the most frequent first."""
    counts = Counter(word for sentence in sentences for word in sentence)
    known = [word for word, count in counts.most_common() if count >= at_least]
    return {word: place + UNKNOWN + 1 for place, word in enumerate(known)}


def ids(sentences: list[list[str]], known: dict[str, int], start: bool = False) -> np.ndarray:
    """Sentences as rows of ids, each with its end, padded with 0 behind."""
    rows = [[START] * start + [known.get(word, UNKNOWN) for word in sentence] + [END] for sentence in sentences]
    table = np.full((len(rows), max(map(len, rows))), PAD, "int32")
    for row, numbers in zip(table, rows, strict=True):
        row[: len(numbers)] = numbers
    return table


# %%
def build(sources: int, targets: int, wiring: str, units: int = 192) -> tuple[keras.Model, keras.Model]:
    """The model that is trained, (source, target so far) -> logits, and its encoder alone."""
    source = keras.Input((None,), dtype="int32", name="source")
    # words that start apart, not within 0.05 of each other as Keras has it, are learnt in a fraction of the steps
    apart = keras.initializers.RandomNormal(stddev=1.0)
    embedded = keras.layers.Embedding(sources, 128, apart, mask_zero=True)(source)
    embedded = keras.layers.Dropout(0.2)(embedded)
    read = keras.layers.GRU(units, return_sequences=True)
    encoded = keras.layers.Bidirectional(read, merge_mode="sum", name="encoder")(embedded)
    attention = AdditiveAttention(units) if wiring == "bahdanau" else DotAttention()
    decoder = AttentionDecoder(targets, 128, units, attention, wiring, dropout=0.3, name="decoder")
    so_far = keras.Input((None,), dtype="int32", name="target")
    model = keras.Model([source, so_far], decoder([so_far, encoded]))
    return model, keras.Model(source, encoded)


def translate(model: keras.Model, encoder: keras.Model, source: np.ndarray, known: dict[str, int]):
    """Words, and weights [words, source], of every row of ids."""
    names = {number: word for word, number in known.items()}
    encoded = encoder(source)
    tokens, weights = model.get_layer("decoder").greedy(encoded, START, END, max_steps=20, mask=source != PAD)
    for row, looked in zip(tokens, weights, strict=True):
        length = list(row).index(END) if END in row else len(row)
        yield [names.get(int(number), "?") for number in row[:length]], looked


# %%
def main() -> None:
    """Train, translate, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wiring", choices=["bahdanau", "luong"], default="bahdanau")
    parser.add_argument("--pairs", type=int, default=16000, help="how many of the shortest to learn from")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("keras-translator"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(1)

    train, held_out = load_pairs("tatoeba_en_fr", "train"), load_pairs("tatoeba_en_fr", "val")
    pairs = sorted(zip(train.source, train.target, strict=True), key=lambda pair: len(pair[0]))[: options.pairs]
    longest = len(pairs[-1][0])
    unseen = [pair for pair in zip(held_out.source, held_out.target, strict=True) if len(pair[0]) <= longest]
    english, french = [[words(sentence) for sentence in side] for side in zip(*pairs, strict=True)]
    asked, wanted = [[words(sentence) for sentence in side] for side in zip(*unseen, strict=True)]
    known, spoken = vocabulary(english, 2), vocabulary(french, 2)

    def batch(source: list[list[str]], target: list[list[str]]) -> tuple[list[np.ndarray], np.ndarray]:
        so_far = ids(target, spoken, start=True)
        # the last column holds nothing but ends and padding: there is nothing to say after it
        return [ids(source, known), np.where(so_far == END, PAD, so_far)[:, :-1]], so_far[:, 1:]

    model, encoder = build(len(known) + 4, len(spoken) + 4, options.wiring)
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    best = keras.callbacks.ModelCheckpoint(
        options.output / "best.weights.h5", save_best_only=True, save_weights_only=True, monitor="val_loss"
    )
    inputs, targets = batch(english, french)
    model.fit(inputs, targets, 64, options.epochs, verbose=2, callbacks=[best], validation_data=batch(asked, wanted))
    model.load_weights(options.output / "best.weights.h5")

    found = list(translate(model, encoder, ids(asked, known), spoken))
    said = [" ".join(sentence) for sentence, _ in found]
    bleu = corpus_bleu(said, [[" ".join(sentence) for sentence in wanted]], tokenize="none", force=True)
    lines = ["\t".join(row) for row in zip(map(" ".join, asked), said, map(" ".join, wanted), strict=True)]
    (options.output / "translations.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for place in np.argsort([-len(sentence) for sentence in asked], kind="stable")[:3]:
        sentence, weights = found[place]
        drawn = Alignment([*asked[place], "</s>"], sentence, weights[: len(sentence), : len(asked[place]) + 1])
        write_heatmap(drawn, options.output / f"alignment_{place}.png")
    print(f"{len(said)} sentences that it has not seen: {bleu}")


if __name__ == "__main__":
    main()
