"""Optimisers as the options name them, with a rate for the encoder and one for all else."""

import torch
from torch import nn

from .options import TrainingOptions


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser of a model's parameters that are to be trained.

    Every group has a `peak`, the learning rate that a schedule's factor multiplies. A parameter that the encoder shares
    with other parts is the encoder's.

    Args:
        model: Whatever lies under its `encoder` is the encoder.
        options: Name the optimiser, its rates and its constants.

    Example:
        >>> model = nn.ModuleDict({"encoder": nn.Linear(2, 3), "decoder": nn.Linear(3, 5)})
        >>> options = TrainingOptions(max_steps=1, optimizer="sgd", learning_rate=0.5, decoder_learning_rate=2.5)
        >>> [(group["peak"], len(group["params"])) for group in make_optimizer(model, options).param_groups]
        [(0.5, 2), (2.5, 2)]
    """
    parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
    rates = dict.fromkeys(parameters, options.learning_rate)
    if options.decoder_learning_rate is not None:
        rates |= {name: options.decoder_learning_rate for name in parameters if not name.startswith("encoder.")}
    groups = [
        {"params": [parameters[name] for name in parameters if rates[name] == rate], "lr": rate, "peak": rate}
        for rate in dict.fromkeys(rates.values())
    ]
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=options.betas[1], weight_decay=options.weight_decay)
    # A fused update takes every group in one pass over the memory; with float16 it would also have to undo the scale of
    # the gradients, and then they could not be clipped before.
    common = {"weight_decay": options.weight_decay, "fused": options.precision != "16"}
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=options.momentum, **common)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, betas=(options.betas[0], options.betas[1]), **common)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's rate to its peak times a factor, and return the first one's."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return optimizer.param_groups[0]["lr"]
