"""Runs that stop and continue, and copies of models, go on with the slopes they would have had."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rrelu_compat import Generator
from rrelu_compat.torch import RReLU, rrelu


def test_a_resumed_run_continues_with_the_same_bits(tmp_path):
    def build():
        torch.manual_seed(0)
        generator = Generator(4)
        model = nn.Sequential(nn.Linear(6, 6), RReLU(generator=generator), nn.Linear(6, 1))
        return model, generator, torch.optim.SGD(model.parameters(), 0.1)

    def train(model, optimizer, steps):
        for k in steps:
            x = torch.randn(8, 6, generator=torch.Generator().manual_seed(k))
            loss = checkpoint(model, x, use_reentrant=False).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    model, generator, optimizer = build()
    straight = train(model, optimizer, range(8))
    model, generator, optimizer = build()
    train(model, optimizer, range(5))
    torch.save(
        {"model": model.state_dict(), "slopes": generator.state_dict()}, tmp_path / "checkpoint.pt"
    )
    model, generator, optimizer = build()
    saved = torch.load(tmp_path / "checkpoint.pt")
    model.load_state_dict(saved["model"])
    generator.load_state_dict(saved["slopes"])
    assert train(model, optimizer, range(5, 8)) == straight


def test_copies_of_a_model_draw_from_one_stream_and_unpickled_ones_from_their_own(tmp_path):
    layer = RReLU(generator=Generator(4))
    twin = copy.deepcopy(nn.Sequential(layer))
    x = -torch.ones(32)
    rest = Generator(4)
    torch.save(layer, tmp_path / "layer.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=False)
    a, b = layer(x), twin(x)
    assert torch.equal(a, rrelu(x, training=True, generator=rest))
    assert torch.equal(b, rrelu(x, training=True, generator=rest))
    assert torch.equal(loaded(x), a)
    assert twin[0].generator is layer.generator
