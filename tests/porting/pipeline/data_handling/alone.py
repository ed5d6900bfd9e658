import paddle

"""Data in batches, gradients added up, and statistics gathered over an epoch."""
import numpy as np


class Points:
    """Numbers in batches, as tensors."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(count, 4)).astype(np.float32)
        self.x = paddle.from_numpy(x)
        self.y = paddle.from_numpy((x.sum(axis=1) > 0).astype(np.int64))

    def batches(self, size):
        yield from zip(
            paddle.compat.split(self.x, size), paddle.compat.split(self.y, size)
        )


class Classifier(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = paddle.compat.nn.Linear(4, 10)
        self.fc2 = paddle.compat.nn.Linear(10, 2)

    def forward(self, x):
        return self.fc2(
            paddle.nn.functional.rrelu(
                x=self.fc1(x), lower=0.1, upper=0.5, training=self.training
            )
        )


def main(training):
    rng = np.random.default_rng(9)
    net = Classifier()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(
                paddle.tensor(rng.normal(0, 0.5, tuple(p.shape)), dtype=paddle.float32)
            )
    net.train(training)
    outputs, correct, total = [], 0, 0.0
    for inputs, labels in Points(22, seed=10).batches(8):
        logits = net(inputs)
        loss = paddle.nn.functional.cross_entropy(
            input=logits, label=labels, reduction="sum"
        )
        loss.backward()
        total += loss.item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        outputs.append(logits.detach())
    return {
        "outputs": paddle.cat(outputs, dim=0),
        "total": paddle.tensor([total]),
        "sizes": paddle.tensor([len(one) for one in outputs]),
        "fc1.grad": net.fc1.weight.grad,
    }
