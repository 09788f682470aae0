"""First values as another library draws them: what a comparison at equal parameters needs."""

from torch import nn


def init_like_keras(module: nn.Module) -> None:
    """Give the recurrent and linear layers in a module Keras' first values, and Keras' single recurrent bias.

    Glorot uniform and orthogonal over the matrix of all gates at once, biases 0, forget gates 1. torch's second
    recurrent bias stays at 0 and is not trained, so that it counts as no parameter.

    >>> rnn = nn.LSTM(32, 100)
    >>> init_like_keras(rnn)
    >>> sum(one.numel() for one in rnn.parameters() if one.requires_grad)
    53200
    """
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase):
            _init_recurrent(layer)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _init_recurrent(rnn: nn.RNNBase) -> None:
    for name, parameter in rnn.named_parameters():
        if "weight_ih" in name:
            nn.init.xavier_uniform_(parameter)
        elif "weight_hh" in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            parameter.requires_grad_("bias_ih" in name)
            if isinstance(rnn, nn.LSTM) and "bias_ih" in name:
                nn.init.ones_(parameter.detach().split(rnn.hidden_size)[1])
