import paddle

"""An encoder and a decoder: transposed convolution, upsampling, a binary loss, Adam."""
import numpy as np


class AutoEncoder(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = paddle.nn.Sequential(
            paddle.nn.Conv2d(1, 4, 4, stride=2, padding=1),
            paddle.nn.RReLU(lower=0.1, upper=0.3),
            paddle.compat.nn.AvgPool2d(2),
        )
        self.decoder = paddle.nn.Conv2DTranspose(
            in_channels=4, out_channels=4, kernel_size=2, stride=2
        )
        self.last = paddle.nn.Conv2d(4, 1, 1)

    def forward(self, x):
        code = self.encoder(x)
        y = paddle.nn.functional.rrelu(x=self.decoder(code), training=self.training)
        y = paddle.nn.functional.interpolate(y, scale_factor=2, mode="nearest")
        return paddle.sigmoid(self.last(y)), code


def main(training):
    rng = np.random.default_rng(15)
    net = AutoEncoder()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(
                paddle.tensor(rng.normal(0, 0.4, tuple(p.shape)), dtype=paddle.float32)
            )
    net.train(training)
    optimizer = paddle.optimizer.Adam(
        parameters=net.parameters(), learning_rate=0.01, weight_decay=0.0
    )
    x = paddle.tensor(rng.uniform(size=(3, 1, 8, 8)), dtype=paddle.float32)
    losses = []
    for _ in range(3):
        y, code = net(x)
        loss = paddle.nn.functional.binary_cross_entropy(input=y, label=x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {
        "y": y,
        "code": code,
        "losses": paddle.stack(losses),
        "last": net.last.weight,
    }
