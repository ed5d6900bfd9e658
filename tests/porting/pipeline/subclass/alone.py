import paddle

"""A layer of the program's own, derived from RReLU."""
import numpy as np


class ShiftedRReLU(paddle.nn.RReLU):
    """RReLU with a learned shift, and a record of how often it ran."""

    def __init__(self, width, lower=0.1, upper=0.3):
        super().__init__(lower, upper)
        self.shift = paddle.nn.Parameter(paddle.zeros(width))
        self.count = 0

    def forward(self, x):
        self.count += 1
        return super().forward(x - self.shift) + self.shift

    def extra_repr(self):
        return f"width={self.shift.shape[0]}, lower={self.lower}"


class Net(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv1d(2, 4, 3, padding=1)
        self.act = ShiftedRReLU(10)
        self.head = paddle.compat.nn.Linear(40, 2)

    def forward(self, x):
        x = self.act(self.conv(x))
        return self.head(x.reshape(x.shape[0], -1))


def main(training):
    rng = np.random.default_rng(6)
    net = Net().double()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(paddle.tensor(rng.normal(0, 0.4, tuple(p.shape))))
    net.train(training)
    x = paddle.tensor(rng.normal(size=(5, 2, 10)), requires_grad=True)
    y = net(x)
    paddle.logsumexp(y, dim=1).sum().backward()
    assert isinstance(net.act, paddle.nn.RReLU)
    return {
        "y": y,
        "x.grad": x.grad,
        "shift.grad": net.act.shift.grad,
        "count": paddle.tensor([net.act.count]),
    }
