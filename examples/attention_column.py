"""Noise in which one feature, or one step, is the answer: attention must find it, and its mean shows as bars.

The generators of keras-attention's first version, with its two layers: `FeatureAttention` on vectors (the "dense"
task), `FeatureTemporalAttention` before or after an LSTM on sequences (the "recurrent" one).

    python examples/attention_column.py --task dense
    python examples/attention_column.py --task recurrent --after
"""

# %%
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from heedful._files import write_whole
from heedful.attention import FeatureAttention, FeatureTemporalAttention
from heedful.data.examples import Examples
from heedful.data.synthetic import attention_column, attention_step
from heedful.models import Prediction, predict_all
from heedful.training import TrainingOptions, binary_loss, mean_loss, train
from heedful.visual.bars import write_bars


# %%
class Dense(nn.Module):
    """Vectors: weigh the features, then a layer of 64."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.attention = FeatureAttention(features)
        self.head = nn.Sequential(nn.Linear(features, 64), nn.Linear(64, 1))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, need_weights: bool = False) -> Prediction:
        """One logit for each vector."""
        weighed, weights = self.attention(inputs, need_weights)
        return Prediction(self.head(weighed).squeeze(-1), weights)


class Recurrent(nn.Module):
    """Sequences: weigh the steps of each feature before or after an LSTM of 32."""

    def __init__(self, steps: int, features: int, after: bool, shared: bool) -> None:
        super().__init__()
        self.after = after
        self.attention = FeatureTemporalAttention(steps, shared)
        self.rnn = nn.LSTM(features, 32, batch_first=True)
        self.head = nn.Linear(steps * 32 if after else 32, 1)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, need_weights: bool = False) -> Prediction:
        """One logit for each sequence; the weights are those of a step, averaged over the features."""
        steps = self.rnn(inputs)[0] if self.after else inputs
        weighed, weights = self.attention(steps, need_weights=need_weights)
        read = weighed.flatten(1) if self.after else self.rnn(weighed)[0][:, -1]
        return Prediction(self.head(read).squeeze(-1), None if weights is None else weights.mean(2))


# %%
def main(arguments: list[str] | None = None) -> None:
    """Train, and draw the mean attention over 300 examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=["dense", "recurrent"], default="dense")
    parser.add_argument("--after", action="store_true", help="attention after the LSTM, not before it")
    parser.add_argument("--shared", action="store_true", help="one weight for all features of a step")
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--output", type=Path, help="by default runs/attention_column-TASK")
    wish = parser.parse_args(arguments)
    name = wish.task + ("-after" if wish.after else "") + ("-shared" if wish.shared else "")
    output = wish.output or Path("runs", f"attention_column-{name}")

    random = np.random.RandomState(wish.seed)
    make = attention_column if wish.task == "dense" else attention_step
    learning, held_out, test = make(wish.examples, random), make(wish.examples // 5, random), make(300, random)
    torch.manual_seed(wish.seed)
    model = Dense(32) if wish.task == "dense" else Recurrent(20, 2, wish.after, wish.shared)
    judge = Examples(held_out.inputs, held_out.answers, batch_size=500)
    train(
        model,
        Examples(learning.inputs, learning.answers, batch_size=64, seed=wish.seed),
        lambda learnt: mean_loss(learnt, judge.in_order(), binary_loss),
        TrainingOptions(optimizer="adam", gradient_clip=None, max_epochs=wish.epochs),
        output,
        seed=wish.seed,
        loss=binary_loss,
    )
    answer, weights = predict_all(model, Examples(test.inputs, test.answers, batch_size=300).in_order())
    mean = weights.mean(0)
    write_bars(mean.numpy(), output / "attention.png", title="mean attention over 300 examples")
    figures = {"task": name, "seed": wish.seed, "accuracy": ((answer > 0) == (test.answers > 0)).double().mean().item()}
    figures |= {"largest_at": int(mean.argmax()), "truth": int(test.places[0].int().argmax())}
    figures |= {"weight_there": mean[test.places[0]].item()}
    write_whole(output / "result.json", json.dumps(figures) + "\n")
    print(json.dumps(figures, indent=2), f"Pictures and figures are in {output}.", sep="\n")


if __name__ == "__main__":
    main()
