"""A training loop: AdamW, gradients set to zero, losses kept, evaluation at the end."""

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU
import torch.nn.functional as F
import torch.optim as optim


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(3, 20)
        self.act = RReLU()
        self.out = nn.Linear(20, 1)

    def forward(self, x):
        return self.out(self.act(self.hidden(x)))


def train(model, x, t, epochs):
    optimizer = optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    criterion = nn.MSELoss()
    losses = []
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x), t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main(training):
    rng = np.random.default_rng(8)
    model = Regressor().double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.5, tuple(p.shape))))
    model.train(training)
    points = rng.uniform(-1, 1, (32, 3))
    x = torch.tensor(points)
    t = torch.tensor(np.sin(points.sum(axis=1, keepdims=True)))
    losses = train(model, x, t, epochs=8)
    model.eval()
    with torch.no_grad():
        after = F.mse_loss(model(x), t)
    return {
        "losses": torch.tensor(losses, dtype=torch.float64),
        "after": after,
        "hidden.weight": model.hidden.weight,
        "out.bias": model.out.bias,
    }
