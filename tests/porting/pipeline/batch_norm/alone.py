import paddle

"""Normalisation with frozen statistics under an RReLU in training mode."""
import numpy as np


class Head(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = paddle.nn.Sequential(
            paddle.nn.Conv2d(2, 6, 3),
            paddle.nn.BatchNorm2D(num_features=6, epsilon=0.001),
            paddle.nn.RReLU(lower=0.125, upper=0.375),
            paddle.nn.GroupNorm(2, 6),
            paddle.compat.nn.AvgPool2d(2),
            paddle.nn.Flatten(),
        )
        self.fc = paddle.compat.nn.Linear(24, 3)

    def forward(self, x):
        return self.fc(self.body(x))


def main(training):
    rng = np.random.default_rng(17)
    net = Head().double()
    for m in [net.body[0], net.body[1], net.body[3], net.fc]:
        with paddle.no_grad():
            m.weight.copy_(paddle.tensor(rng.uniform(-1.0, 1.0, tuple(m.weight.shape))))
            m.bias.copy_(paddle.tensor(rng.uniform(-1.0, 1.0, tuple(m.bias.shape))))
    net.eval()
    net.body[2].train(training)
    x = paddle.tensor(rng.normal(size=(4, 2, 7, 7)), requires_grad=True)
    y = net(x)
    (y * paddle.arange(12, dtype=paddle.float64).reshape(4, 3)).sum().backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "conv.grad": net.body[0].weight.grad,
        "norm.grad": net.body[1].weight.grad,
    }
