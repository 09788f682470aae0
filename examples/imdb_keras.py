"""The film reviews of imdb.py in Keras: the same model, sizes, words and training, on the backend of your choice.

    KERAS_BACKEND=jax HEEDFUL_DATA=FOLDER python examples/imdb_keras.py --model attention --seed 1

It learns from all 25,000 training reviews and measures the test accuracy after each of 10 epochs, as the published
figures do. At the end the learnt weights are copied into the PyTorch model of imdb.py: both must say the same of 1,000
test reviews. A run that was killed goes on with its next epoch when the same command is given again.
"""

# %%
import argparse
import csv
import json
import os
from pathlib import Path
from statistics import mean

import keras
import numpy as np
from imdb import NUM_WORDS, STEPS

from heedful._files import write_whole
from heedful.data.imdb import RankedWords, pad_before, read_reviews
from heedful.keras import Attention


# %% The model: only what stands between LSTM and answer differs.
def build(name: str) -> keras.Model:
    """The model with "attention" or with "none"."""
    rows = [
        keras.Input((STEPS,), dtype="int32"),
        keras.layers.Embedding(NUM_WORDS, 32),
        keras.layers.Dropout(0.5),
        keras.layers.LSTM(100, return_sequences=name == "attention"),
        Attention(units=128) if name == "attention" else keras.layers.Dense(350, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(rows)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


# %% The data.
def load(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test reviews as ids, with their labels."""
    parts = [read_reviews(folder / "imdb" / f"{split}.tsv.xz") for split in ("train", "test")]
    words = RankedWords(parts[0].texts, NUM_WORDS)
    return [(pad_before([words.ids(text) for text in part.texts], STEPS), part.labels[:, None]) for part in parts]


# %% The same weights in PyTorch.
def difference(model: keras.Model, name: str, reviews: np.ndarray) -> float:
    """The largest difference of the two models' probabilities."""
    import imdb
    import torch

    twin = imdb.build(name).eval()
    words, gates, states, bias, *block, last, end = (torch.from_numpy(np.array(w)) for w in model.weights)
    copies = {
        twin.encoder.embedding.table.weight: words,
        twin.encoder.rnn.weight_ih_l0: gates.T,
        twin.encoder.rnn.weight_hh_l0: states.T,
        twin.encoder.rnn.bias_ih_l0: bias,
        twin.head[-1].weight: last.T,
        twin.head[-1].bias: end,
    }
    if name == "attention":
        copies |= {twin.pooling.query_proj: block[0].T, twin.pooling.output_proj: block[1].T}
    else:
        copies |= {twin.head[0].weight: block[0].T, twin.head[0].bias: block[1]}
    with torch.no_grad():
        for parameter, values in copies.items():
            parameter.copy_(values)
        answers = torch.cat([twin(part).answer.sigmoid() for part in torch.from_numpy(reviews).split(200)])
    return float(np.abs(answers.numpy() - model.predict(reviews, batch_size=200, verbose=0)[:, 0]).max())


# %% One run.
def main(arguments: list[str] | None = None) -> None:
    """Train one model and leave its figures in the output folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["attention", "none"], default="attention")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEEDFUL_DATA"), help="holds imdb/train.tsv.xz")
    parser.add_argument("--output", type=Path, help="by default runs/imdb_keras/MODEL-SEED")
    wish = parser.parse_args(arguments)
    if wish.data is None:
        parser.error("name the folder of data sets: --data FOLDER, or HEEDFUL_DATA=FOLDER")
    output = wish.output or Path("runs", "imdb_keras", f"{wish.model}-{wish.seed}")
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(wish.seed)
    (reviews, labels), test = load(wish.data)
    model = build(wish.model)
    kept = output / "last.weights.h5"
    keep = [
        keras.callbacks.BackupAndRestore(str(output / "backup"), delete_checkpoint=False),
        keras.callbacks.CSVLogger(str(output / "epochs.csv"), append=True),
        keras.callbacks.ModelCheckpoint(str(kept), save_weights_only=True),
    ]
    model.fit(reviews, labels, batch_size=64, epochs=wish.epochs, validation_data=test, callbacks=keep, verbose=2)
    with (output / "epochs.csv").open(newline="") as file:
        accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    figures = {
        "model": wish.model,
        "backend": keras.backend.backend(),
        "seed": wish.seed,
        "parameters": model.count_params(),
        "test_accuracy_most": max(accuracies),
        "test_accuracy_mean": mean(accuracies),
        "difference_to_torch": difference(model, wish.model, test[0][:1000]),
    }
    write_whole(output / "result.json", json.dumps(figures) + "\n")
    print(json.dumps(figures), f"\nall figures are in {output}", sep="")


if __name__ == "__main__":
    main()
