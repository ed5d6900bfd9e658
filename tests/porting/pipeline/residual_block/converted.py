import paddle

"""A residual block with batch normalisation and one activation used twice."""
import numpy as np
from rrelu_compat.paddle import RReLU


def conv3x3(inside, outside, stride=1):
    return paddle.nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)


class BasicBlock(paddle.nn.Module):
    def __init__(self, inside, outside, stride=1, act_layer=RReLU):
        super().__init__()
        self.conv1 = conv3x3(inside, outside, stride)
        self.bn1 = paddle.nn.BatchNorm2D(num_features=outside)
        self.conv2 = conv3x3(outside, outside)
        self.bn2 = paddle.nn.BatchNorm2D(num_features=outside)
        self.act = act_layer(inplace=True)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = paddle.nn.Sequential(
                paddle.nn.Conv2d(inside, outside, 1, stride=stride, bias=False),
                paddle.nn.BatchNorm2D(num_features=outside),
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.act(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + identity
        return self.act(out)


def main(training):
    rng = np.random.default_rng(3)
    net = paddle.nn.Sequential(BasicBlock(4, 8, 2), BasicBlock(8, 8)).double()
    with paddle.no_grad():
        for m in net.modules():
            if isinstance(m, (paddle.nn.Conv2d, paddle.nn.BatchNorm2D)):
                m.weight.copy_(
                    paddle.tensor(rng.uniform(-0.5, 0.7, tuple(m.weight.shape)))
                )
            if isinstance(m, paddle.nn.BatchNorm2D):
                m.bias.copy_(paddle.tensor(rng.uniform(-0.3, 0.3, tuple(m.bias.shape))))
    net.train(training)
    x = paddle.tensor(rng.normal(size=(3, 4, 8, 8)), requires_grad=True)
    y = net(x)
    y.pow(2).mean().backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "conv1.grad": net[0].conv1.weight.grad,
        "bn2 weight.grad": net[1].bn2.weight.grad,
    }
