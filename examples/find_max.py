"""Ten numbers, and the largest to be said: attention must find it.

The model and the training of keras-attention's experiment: LSTM(128), `LastStateAttention(128)`, one number out
(115,841 parameters); 100,000 examples, of which the last fifth is held out, RMSprop, batches of 32. A
rate that falls to 0 tells numbers apart that are nearly equal; the original's did not fall.

    python examples/find_max.py

The output folder gets a picture for each epoch, an animation, a plot in three panels, and the figures.
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
from heedful.data.synthetic import find_maximum, looks_right
from heedful.layers import init_like_keras
from heedful.models import RecurrentEncoder, SequenceClassifier, count_parameters, predict_all
from heedful.training import TrainingOptions, absolute_loss, train
from heedful.training.watching import AttentionFrames
from heedful.visual.bars import write_bars
from heedful.visual.grids import write_grids


# %%
def build() -> SequenceClassifier:
    """The old model."""
    encoder = RecurrentEncoder(None, 1, units=128, cell="lstm", bidirectional=False)
    model = SequenceClassifier(encoder, LastStateAttention(128, 128), nn.Linear(128, 1), masked=False)
    init_like_keras(model)
    return model


# %%
def main(arguments: list[str] | None = None) -> None:
    """Train, and see where the model looks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--schedule", choices=["cosine", "constant"], default="cosine", help="constant in the original")
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--output", type=Path, help="by default runs/find_max-SEED")
    wish = parser.parse_args(arguments)
    output = wish.output or Path("runs", f"find_max-{wish.seed}")

    random = np.random.RandomState(wish.seed)
    task = find_maximum(wish.examples, random)
    learning, held_out = task.part(slice(wish.examples * 4 // 5)), task.part(slice(wish.examples * 4 // 5, None))
    test = find_maximum(wish.examples // 5, random)
    judge = Examples(held_out.inputs, held_out.answers, batch_size=1000)

    torch.manual_seed(wish.seed)
    model = build()

    def validate(learnt: nn.Module) -> dict[str, float]:
        answer, weights = predict_all(learnt, judge.in_order())
        error = (answer - held_out.answers).abs().mean().item()
        return {"mae": error, "looks_right": looks_right(weights, held_out.places)}

    frames = AttentionFrames(held_out.inputs[:12], held_out.places[:12], output / "frames")
    train(
        model,
        Examples(learning.inputs, learning.answers, batch_size=32, seed=wish.seed),
        validate,
        TrainingOptions(
            optimizer="rmsprop",
            betas=[0.0, 0.9],
            gradient_clip=None,
            schedule=wish.schedule,
            max_epochs=wish.epochs,
            best_by="mae",
        ),
        output,
        seed=wish.seed,
        callbacks=[frames],
        loss=absolute_loss,
    )
    frames.animate(output / "attention.gif")

    answer, weights = predict_all(model, Examples(test.inputs, test.answers, batch_size=1000).in_order())
    largest = nn.functional.one_hot(weights.argmax(1), weights.shape[1])
    panels = {"attention": weights[:12], "its largest": largest[:12], "truth": test.places[:12].float()}
    write_grids({name: numbers.numpy() for name, numbers in panels.items()}, output / "attention.png")
    write_bars(weights[0].numpy(), output / "first.png", title="what the first example looked at")
    figures = {"task": "find_max", "seed": wish.seed, "parameters": count_parameters(model)}
    figures |= {"mae": (answer - test.answers).abs().mean().item(), "looks_right": looks_right(weights, test.places)}
    # where two numbers are nearly equal, or all nearly 0, it does not matter which one is looked at
    seen = test.inputs.squeeze(-1).gather(1, weights.argmax(1, keepdim=True)).squeeze(1)
    figures |= {"looks_within_0.01": (test.answers - seen <= 0.01).double().mean().item()}
    write_whole(output / "result.json", json.dumps(figures) + "\n")
    print(json.dumps(figures, indent=2), f"Pictures and figures are in {output}.", sep="\n")


if __name__ == "__main__":
    main()
