import paddle

"""Activations chosen by name, kept in a ModuleDict."""
import numpy as np
from rrelu_compat.paddle import RReLU

ACTIVATIONS = {
    "relu": paddle.nn.ReLU,
    "rrelu": RReLU,
    "tanh": paddle.nn.Tanh,
    "elu": paddle.nn.ELU,
}


class Branches(paddle.nn.Module):
    def __init__(self, width, names=("relu", "rrelu", "elu")):
        super().__init__()
        self.inside = paddle.nn.ModuleList(
            [paddle.compat.nn.Linear(width, width) for _ in names]
        )
        self.acts = paddle.nn.ModuleDict({name: ACTIVATIONS[name]() for name in names})
        self.mix = paddle.nn.Parameter(paddle.ones(len(names)))

    def forward(self, x):
        outs = [act(layer(x)) for layer, act in zip(self.inside, self.acts.values())]
        stacked = paddle.stack(outs, dim=0)
        weights = paddle.softmax(self.mix, dim=0).view(-1, 1, 1)
        return (weights * stacked).sum(dim=0)


def main(training):
    rng = np.random.default_rng(5)
    net = Branches(6).double()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(paddle.as_tensor(rng.normal(0, 0.6, tuple(p.shape))))
    net.train(mode=training)
    x = paddle.as_tensor(rng.normal(size=(9, 6)))
    y = net(x)
    y.abs().sum().backward()
    return {"y": y, "mix.grad": net.mix.grad, "weight.grad": net.inside[1].weight.grad}
