"""Film reviews read both ways by a GRU and pooled by attention, every word marked by how much it was looked at.

The hyper-parameters of tf-rnn-attention: 10,000 words, the first 249 of a review, BiGRU(150), attention of 50, dropout
of 0.2, batches of 256, 3 epochs (1,241,301 parameters). There, padding took part in the softmax; here it is hidden.

    HEEDFUL_DATA=FOLDER python examples/imdb_pooling.py

The output folder gets the figures, histograms of all parameters and of the attention for TensorBoard, the model, and,
from the model as it is read back, `visualization.html`.
"""

# %%
import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from heedful._files import whole_file, write_whole
from heedful.attention import AttentionPooling
from heedful.data.examples import Examples
from heedful.data.imdb import START, UNKNOWN, RankedWords, pad_after, read_reviews
from heedful.layers import TokenEmbedding, init_like_keras
from heedful.models import RecurrentEncoder, SequenceClassifier, count_parameters, predict_all
from heedful.training import TrainingOptions, binary_loss, keep_freed_memory, mean_loss, train
from heedful.training.watching import Histograms
from heedful.visual.highlight import Reading, write_highlights

NUM_WORDS, STEPS, SHOWN = 10_000, 250, 20


# %%
def build() -> SequenceClassifier:
    """The old model: a single bias in each gate, embeddings from -1 to 1."""
    embedding = TokenEmbedding(NUM_WORDS, 100, matrix=torch.empty(NUM_WORDS, 100).uniform_(-1, 1), padding=False)
    encoder = RecurrentEncoder(embedding, 100, units=150, cell="gru")
    answer = nn.Linear(300, 1)
    model = SequenceClassifier(encoder, AttentionPooling(300, 50), nn.Sequential(nn.Dropout(0.2), answer))
    init_like_keras(encoder.rnn)
    nn.init.trunc_normal_(answer.weight, std=0.1)
    return model


# %% What is no known word is left out, as there; at least one padding stands at the end.
def ids_of(words: RankedWords, text: str) -> list[int]:
    """The ids of a review."""
    return [number for number in words.ids(text) if number != UNKNOWN][: STEPS - 1]


def load(folder: Path, seed: int) -> tuple[RankedWords, list[Examples]]:
    """The words, and training and test reviews as ids."""
    parts = [read_reviews(folder / "imdb" / f"{split}.tsv.xz") for split in ("train", "test")]
    words = RankedWords(parts[0].texts, NUM_WORDS)
    examples = []
    for part in parts:
        ids = [ids_of(words, text) for text in part.texts]
        lengths = torch.tensor([len(one) for one in ids])
        numbers = torch.from_numpy(pad_after(ids, STEPS))
        examples.append(Examples(numbers, torch.from_numpy(part.labels), batch_size=256, lengths=lengths, seed=seed))
    return words, examples


# %%
def marked(model: SequenceClassifier, words: RankedWords, test: Examples, places: Tensor) -> list[Reading]:
    """Some reviews, and what the model looked at in them."""
    part = test.chosen(places)
    answer, weights = predict_all(model, part.in_order())
    readings = []
    for ids, length, logit, own, label in zip(part.inputs, part.lengths, answer, weights, part.answers, strict=True):
        chosen = [place for place in range(int(length)) if ids[place] != START]
        caption = f"positive with {torch.sigmoid(logit):.0%}; it is {'positive' if label else 'negative'}"
        readings.append(Reading(words.words(ids[chosen].tolist()), own[chosen].numpy(), caption))
    return readings


# %%
def main(arguments: list[str] | None = None) -> None:
    """Train, save, read back, and mark the words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEEDFUL_DATA"), help="holds imdb/train.tsv.xz")
    parser.add_argument("--output", type=Path, help="by default runs/imdb_pooling-SEED")
    wish = parser.parse_args(arguments)
    if wish.data is None:
        parser.error("name the folder of data sets: --data FOLDER, or HEEDFUL_DATA=FOLDER")
    output = wish.output or Path("runs", f"imdb_pooling-{wish.seed}")
    keep_freed_memory()
    torch.manual_seed(wish.seed)
    words, (learning, test) = load(wish.data, wish.seed)
    model = build()
    watched = torch.from_numpy(np.random.default_rng(wish.seed).choice(len(test), SHOWN, replace=False))
    some = test.chosen(watched)
    result = train(
        model,
        learning,
        lambda learnt: mean_loss(learnt, test.in_order(), binary_loss),
        TrainingOptions(optimizer="adam", gradient_clip=None, max_epochs=wish.epochs, best_by="accuracy"),
        output,
        seed=wish.seed,
        callbacks=[Histograms(some.inputs, some.lengths, output / "tensorboard")],
        loss=binary_loss,
    )
    with whole_file(output / "model.safetensors") as path:
        save_file(model.state_dict(), path)
    restored = build()
    restored.load_state_dict(load_file(output / "model.safetensors"))
    restored.eval()
    again = mean_loss(restored, test.in_order(), binary_loss)["accuracy"]
    write_highlights(marked(restored, words, test, watched), output / "visualization.html", "What the model looked at")
    figures = {"seed": wish.seed, "parameters": count_parameters(model), "best_step": result.best_step}
    figures |= {"test_accuracy": result.metrics["accuracy"], "restored_test_accuracy": again, "seconds": result.seconds}
    write_whole(output / "result.json", json.dumps(figures) + "\n")
    print(json.dumps(figures, indent=2), f"Pictures and figures are in {output}.", sep="\n")


if __name__ == "__main__":
    main()
