"""Film reviews, good or bad: an LSTM with attention beside one without, at equal parameters.

The architecture, sizes and training of keras-attention's experiment: 5,000 words, the last 500 of a review, padding in
front that is a word like any other, LSTM(100), and then either `LastStateAttention` (248,929 parameters) or the last
state and a layer of 350 (248,901). The word ids are rebuilt from the raw text.

    HEEDFUL_DATA=FOLDER python examples/imdb.py --model attention --seed 1

`--protocol published` learns from all 25,000 training reviews and measures the test accuracy after each of 10 epochs,
as the published figures do; `--protocol honest` holds 2,500 training reviews out, chooses the epoch by them, and
measures the test accuracy once. A run that was killed goes on when the same command is given again.
"""

# %%
import argparse
import json
import os
from pathlib import Path

import torch
from torch import nn

from heedful._files import write_whole
from heedful.attention import LastPooling, LastStateAttention
from heedful.data.examples import Examples
from heedful.data.imdb import RankedWords, Reviews, pad_before, read_reviews
from heedful.layers import TokenEmbedding, init_like_keras
from heedful.models import RecurrentEncoder, SequenceClassifier, count_parameters
from heedful.training import TrainingOptions, binary_loss, keep_freed_memory, mean_loss, train

NUM_WORDS, STEPS, HELD_OUT = 5000, 500, 2500


# %% The model: only what stands between LSTM and answer differs.
def build(name: str) -> SequenceClassifier:
    """The model with "attention" or with "none"."""
    words = torch.empty(NUM_WORDS, 32).uniform_(-0.05, 0.05)
    embedding = TokenEmbedding(NUM_WORDS, 32, dropout=0.5, matrix=words, padding=False)
    encoder = RecurrentEncoder(embedding, 32, units=100, cell="lstm", bidirectional=False)
    init_like_keras(encoder.rnn)
    if name == "attention":
        pooling, head = LastStateAttention(100, units=128), nn.Sequential(nn.Dropout(0.5), nn.Linear(128, 1))
    else:
        pooling = LastPooling()
        head = nn.Sequential(nn.Linear(100, 350), nn.ReLU(), nn.Dropout(0.5), nn.Linear(350, 1))
    init_like_keras(head)
    return SequenceClassifier(encoder, pooling, head, masked=False)


# %% The data.
def load(folder: Path, seed: int) -> tuple[Examples, Examples]:
    """Training and test reviews as ids."""
    train_set, test_set = (read_reviews(folder / "imdb" / f"{split}.tsv.xz") for split in ("train", "test"))
    words = RankedWords(train_set.texts, NUM_WORDS)

    def examples(part: Reviews) -> Examples:
        ids = pad_before([words.ids(text) for text in part.texts], STEPS)
        return Examples(torch.from_numpy(ids), torch.from_numpy(part.labels), batch_size=64, seed=seed)

    return examples(train_set), examples(test_set)


# %% One run.
def main(arguments: list[str] | None = None) -> None:
    """Train one model and leave its figures in the output folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["attention", "none"], default="attention")
    parser.add_argument("--protocol", choices=["published", "honest"], default="published")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEEDFUL_DATA"), help="holds imdb/train.tsv.xz")
    parser.add_argument("--output", type=Path, help="by default runs/imdb/MODEL-PROTOCOL-SEED")
    wish = parser.parse_args(arguments)
    if wish.data is None:
        parser.error("name the folder of data sets: --data FOLDER, or HEEDFUL_DATA=FOLDER")
    output = wish.output or Path("runs", "imdb", f"{wish.model}-{wish.protocol}-{wish.seed}")
    keep_freed_memory()
    torch.manual_seed(wish.seed)
    learning, test = load(wish.data, wish.seed)
    model = build(wish.model)
    judge = test
    if wish.protocol == "honest":
        order = torch.randperm(len(learning), generator=torch.Generator().manual_seed(wish.seed))
        judge, learning = learning.chosen(order[:HELD_OUT]), learning.chosen(order[HELD_OUT:])
    options = TrainingOptions(
        optimizer="adam", gradient_clip=None, max_epochs=wish.epochs, best_by="accuracy", checkpoint_minutes=2
    )
    result = train(
        model,
        learning,
        lambda learnt: mean_loss(learnt, judge.in_order(), binary_loss),
        options,
        output,
        seed=wish.seed,
        loss=binary_loss,
    )
    last = mean_loss(model, test.in_order(), binary_loss)
    figures = {"model": wish.model, "protocol": wish.protocol, "seed": wish.seed}
    figures |= {"parameters": count_parameters(model), "best_step": result.best_step, "seconds": result.seconds}
    write_whole(output / "result.json", json.dumps(figures | {"test_accuracy": last["accuracy"]}) + "\n")
    print(f"test accuracy of the chosen epoch: {100 * last['accuracy']:.2f} %; all figures are in {output}")


if __name__ == "__main__":
    main()
