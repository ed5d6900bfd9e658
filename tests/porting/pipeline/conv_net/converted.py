import paddle

"""Convolutions, pooling, RReLU in place and a classifier's loss."""
import numpy as np
from rrelu_compat.paddle import RReLU


class Net(paddle.nn.Module):
    def __init__(self, classes=5):
        super(Net, self).__init__()
        self.conv1 = paddle.nn.Conv2d(3, 8, kernel_size=3, padding=1)
        self.act1 = RReLU(0.1, 0.3, inplace=True)
        self.conv2 = paddle.nn.Conv2d(8, 8, kernel_size=3, stride=2, bias=False)
        self.act2 = RReLU(inplace=True)
        self.fc = paddle.compat.nn.Linear(8 * 3 * 3, classes)

    def forward(self, x):
        x = paddle.nn.functional.max_pool2d(self.act1(self.conv1(x)), 2)
        x = self.act2(self.conv2(x))
        x = paddle.flatten(x, 1)
        return self.fc(x)


def main(training):
    rng = np.random.default_rng(2)
    net = Net()
    state = {
        name: paddle.tensor(rng.normal(0, 0.2, tuple(value.shape)).astype("float32"))
        for name, value in net.state_dict().items()
    }
    net.load_state_dict(state)
    if training:
        net.train()
    else:
        net.eval()
    images = paddle.tensor(rng.normal(size=(4, 3, 14, 14)).astype("float32"))
    labels = paddle.tensor([0, 3, 1, 4])
    logits = net(images)
    loss = paddle.nn.functional.cross_entropy(input=logits, label=labels)
    net.zero_grad()
    loss.backward()
    result = {"logits": logits, "loss": loss, "predicted": logits.argmax(dim=1)}
    for name, parameter in net.named_parameters():
        result[name + ".grad"] = parameter.grad
    return result
