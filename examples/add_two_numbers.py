"""Twenty numbers, two of them marked by the 0 before them, and their mean to be said: attention must find both.

The model and the training of keras-attention's experiment: LSTM(100), `LastStateAttention(128, "bahdanau")`, dropout,
one number out (86,629 parameters); 20,000 examples, batches of 64, 150 epochs. In the old examples the two numbers may
be neighbours, and then one of them is lost; `--apart` leaves these examples out.

    python examples/add_two_numbers.py --apart

The output folder gets a picture for each epoch, an animation, and the figures.
"""

# %%
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from heedful._files import write_whole
from heedful.attention import LastStateAttention
from heedful.data.examples import Examples
from heedful.data.synthetic import add_two_numbers, looks_right
from heedful.layers import init_like_keras
from heedful.models import RecurrentEncoder, SequenceClassifier, count_parameters, predict_all
from heedful.training import TrainingOptions, absolute_loss, train
from heedful.training.watching import AttentionFrames


# %%
def build() -> SequenceClassifier:
    """The old model."""
    encoder = RecurrentEncoder(None, 1, units=100, cell="lstm", bidirectional=False)
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(128, 1))
    model = SequenceClassifier(encoder, LastStateAttention(100, 128, "bahdanau"), head, masked=False)
    init_like_keras(model)
    return model


# %%
def main(arguments: list[str] | None = None) -> None:
    """Train, and see where the model looks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apart", action="store_true", help="the two numbers are never neighbours")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--output", type=Path, help="by default runs/add_two_numbers, with -apart and the seed")
    wish = parser.parse_args(arguments)
    name = f"add_two_numbers{'-apart' if wish.apart else ''}-{wish.seed}"
    output = wish.output or Path("runs", name)

    random = np.random.RandomState(wish.seed)
    learning, held_out = (add_two_numbers(n, random, apart=wish.apart) for n in (wish.examples, wish.examples // 5))
    shown = add_two_numbers(10, random, at=(4, 9))
    judge = Examples(held_out.inputs, held_out.answers, batch_size=500)

    torch.manual_seed(wish.seed)
    model = build()

    def validate(learnt: nn.Module) -> dict[str, float]:
        answer, weights = predict_all(learnt, judge.in_order())
        error = (answer - held_out.answers).abs().mean().item()
        return {"mae": error, "looks_right": looks_right(weights, held_out.places)}

    frames = AttentionFrames(shown.inputs, shown.places, output / "frames")
    train(
        model,
        Examples(learning.inputs, learning.answers, batch_size=64, seed=wish.seed),
        validate,
        TrainingOptions(optimizer="adam", gradient_clip=None, max_epochs=wish.epochs, best_by="mae"),
        output,
        seed=wish.seed,
        callbacks=[frames],
        loss=absolute_loss,
    )
    frames.animate(output / "attention.gif")

    # the model as it is at its best epoch, on examples it has never seen
    test = add_two_numbers(wish.examples // 5, random, apart=wish.apart)
    fixed = add_two_numbers(wish.examples // 5, random, at=(4, 9))
    answer, weights = predict_all(model, Examples(test.inputs, test.answers, batch_size=500).in_order())
    _, weights_fixed = predict_all(model, Examples(fixed.inputs, fixed.answers, batch_size=500).in_order())
    figures = {"task": name, "parameters": count_parameters(model), "mae": (answer - test.answers).abs().mean().item()}
    figures |= {"looks_right": looks_right(weights, test.places)}
    figures |= {"looks_right_at_4_and_9": looks_right(weights_fixed, fixed.places)}
    write_whole(output / "result.json", json.dumps(figures) + "\n")
    print(json.dumps(figures, indent=2), f"Pictures and figures are in {output}.", sep="\n")


if __name__ == "__main__":
    main()
