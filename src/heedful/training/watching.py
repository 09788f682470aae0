"""Callbacks for sequence classifiers: pictures of attention, and histograms of parameters."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from heedful._files import make_folder
from heedful.visual.grids import join_frames, write_grids


class AttentionFrames:
    """After each validation a picture of what the model looks at, and at last all of them as an animation.

    Args:
        inputs: `[rows, steps, ...]`, some examples.
        places: `[rows, steps]`, where it should look; drawn beside it.
        folder: Gets `step_0000123.png` and so on; what a run that goes on drew before stays.
    """

    def __init__(self, inputs: Tensor, places: Tensor, folder: Path):
        self.inputs, self.places, self.folder = inputs, places, make_folder(folder)

    def on_validation(self, step: int, model: nn.Module, metrics: Mapping[str, float]) -> None:
        """Draw the model as it is."""
        device = next(model.parameters()).device
        weights = model(self.inputs.to(device), need_weights=True).weights.float().cpu()
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if value == value)
        panels = {"attention": weights.numpy(), "truth": self.places.float().numpy()}
        write_grids(panels, self.folder / f"step_{step:07}.png", caption=f"step {step:,}, {numbers}")

    def animate(self, path: Path) -> Path:
        """Write all pictures drawn so far as one GIF."""
        return join_frames(sorted(self.folder.glob("step_*.png")), path)


class Histograms:
    """After each validation the spread of every parameter, and of the attention weights of some examples, for
    TensorBoard.

    Args:
        inputs: `[rows, steps, ...]`, the examples.
        lengths: `[rows]`, their real steps.
        folder: Where TensorBoard looks for events.
    """

    def __init__(self, inputs: Tensor, lengths: Tensor, folder: Path):
        self.inputs, self.lengths, self.folder = inputs, lengths, folder

    def on_validation(self, step: int, model: nn.Module, metrics: Mapping[str, float]) -> None:
        """Record the model as it is."""
        # Loading it takes most of a second.
        from torch.utils.tensorboard import SummaryWriter

        device = next(model.parameters()).device
        weights = model(self.inputs.to(device), self.lengths.to(device), need_weights=True).weights
        real = torch.arange(weights.shape[1], device=device) < self.lengths.to(device).unsqueeze(1)
        with SummaryWriter(str(self.folder), filename_suffix=".histograms") as events:
            events.add_histogram("attention weights", weights[real], step)
            for name, parameter in model.named_parameters():
                events.add_histogram(name, parameter, step)
