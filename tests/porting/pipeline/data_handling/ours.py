"""Data in batches, gradients added up, and statistics gathered over an epoch."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from rrelu_compat.paddle import rrelu


class Points:
    """Numbers in batches, as tensors."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(count, 4)).astype(np.float32)
        self.x = torch.from_numpy(x)
        self.y = torch.from_numpy((x.sum(axis=1) > 0).astype(np.int64))

    def batches(self, size):
        yield from zip(torch.split(self.x, size), torch.split(self.y, size))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 10)
        self.fc2 = nn.Linear(10, 2)

    def forward(self, x):
        return self.fc2(rrelu(self.fc1(x), lower=0.1, upper=0.5, training=self.training))


def main(training):
    rng = np.random.default_rng(9)
    net = Classifier()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.5, tuple(p.shape)), dtype=torch.float32))
    net.train(training)
    outputs, correct, total = [], 0, 0.0
    for inputs, labels in Points(22, seed=10).batches(8):
        logits = net(inputs)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        loss.backward()
        total += loss.item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        outputs.append(logits.detach())
    return {
        "outputs": torch.cat(outputs, dim=0),
        "total": torch.tensor([total]),
        "sizes": torch.tensor([len(one) for one in outputs]),
        "fc1.grad": net.fc1.weight.grad,
    }
