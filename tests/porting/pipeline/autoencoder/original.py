"""An encoder and a decoder: transposed convolution, upsampling, a binary loss, Adam."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 4, stride=2, padding=1),
            nn.RReLU(0.1, 0.3, inplace=True),
            nn.AvgPool2d(2),
        )
        self.decoder = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        code = self.encoder(x)
        y = F.rrelu(self.decoder(code), training=self.training)
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        return torch.sigmoid(self.last(y)), code


def main(training):
    rng = np.random.default_rng(15)
    net = AutoEncoder()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.4, tuple(p.shape)), dtype=torch.float32))
    net.train(training)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.tensor(rng.uniform(size=(3, 1, 8, 8)), dtype=torch.float32)
    losses = []
    for _ in range(3):
        y, code = net(x)
        loss = F.binary_cross_entropy(y, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {"y": y, "code": code, "losses": torch.stack(losses), "last": net.last.weight}
