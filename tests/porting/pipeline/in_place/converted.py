import paddle

"""Every way of changing a tensor in place, the statements whose result nobody takes included."""
import numpy as np
from rrelu_compat.paddle import RReLU, rrelu, rrelu_


class Net(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = paddle.compat.nn.Linear(4, 4)
        self.act = RReLU(0.2, 0.4, inplace=True)

    def forward(self, x):
        x = self.fc(x) * 1.5
        rrelu(x, 0.1, 0.3, self.training, inplace=True)
        x = x - 0.3
        rrelu_(x, 0.25, 0.35, training=self.training)
        x = self.fc(x).clamp(min=-2.0)
        self.act(x)
        x = x.t() - 0.1
        rrelu_(x, training=False)
        return x


def main(training):
    rng = np.random.default_rng(12)
    net = Net().double()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(paddle.tensor(rng.normal(0, 0.7, tuple(p.shape))))
    net.train(training)
    x = paddle.tensor(rng.normal(size=(11, 4)), requires_grad=True)
    y = net(x)
    paddle.mean(y * y).backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "weight.grad": net.fc.weight.grad,
        "bias.grad": net.fc.bias.grad,
    }
