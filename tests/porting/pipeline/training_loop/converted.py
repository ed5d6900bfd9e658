import paddle

"""A training loop: AdamW, gradients set to zero, losses kept, evaluation at the end."""
import numpy as np
from rrelu_compat.paddle import RReLU


class Regressor(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = paddle.compat.nn.Linear(3, 20)
        self.act = RReLU()
        self.out = paddle.compat.nn.Linear(20, 1)

    def forward(self, x):
        return self.out(self.act(self.hidden(x)))


def train(model, x, t, epochs):
    optimizer = paddle.optimizer.AdamW(
        parameters=model.parameters(), learning_rate=0.05, weight_decay=0.1
    )
    criterion = paddle.nn.MSELoss()
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
    with paddle.no_grad():
        for p in model.parameters():
            p.copy_(paddle.tensor(rng.normal(0, 0.5, tuple(p.shape))))
    model.train(training)
    points = rng.uniform(-1, 1, (32, 3))
    x = paddle.tensor(points)
    t = paddle.tensor(np.sin(points.sum(axis=1, keepdims=True)))
    losses = train(model, x, t, epochs=8)
    model.eval()
    with paddle.no_grad():
        after = paddle.nn.functional.mse_loss(input=model(x), label=t)
    return {
        "losses": paddle.tensor(losses, dtype=paddle.float64),
        "after": after,
        "hidden.weight": model.hidden.weight,
        "out.bias": model.out.bias,
    }
