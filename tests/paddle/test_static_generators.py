"""Generators of static programs: each its own, from any thread; who keeps them."""

from __future__ import annotations

import gc
import threading

import numpy as np
import paddle

from rrelu_compat import Generator, slopes
from rrelu_compat.backends.paddle import static
from rrelu_compat.paddle import rrelu


def _function(generator):
    def function(x):
        return rrelu(x, generator=generator)

    return paddle.jit.to_static(function, full_graph=True)


def test_a_program_lives_longer_than_whoever_made_its_generator():
    function = _function(Generator(3))
    x = paddle.full([5], -1.0)
    gc.collect()
    for call in range(3):
        assert np.array_equal(function(x).numpy(), -slopes(5, seed=3, call=call))
    other = _function(Generator(4))
    assert np.array_equal(other(x).numpy(), -slopes(5, seed=4))
    assert np.array_equal(function(x).numpy(), -slopes(5, seed=3, call=3))


def test_sources_of_many_threads_are_of_their_own_generators():
    generators = [Generator(k) for k in range(400)]
    found = {}
    start = threading.Barrier(8)

    def work(part):
        start.wait()
        for generator in part:
            found[generator] = static._source(generator)

    threads = [threading.Thread(target=work, args=(generators[k::8],)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(source.generator is generator for generator, source in found.items())
    assert len(set(map(hash, found.values()))) == 400
    assert all(static._source(generator) is source for generator, source in found.items())


def test_generators_that_no_program_has_are_let_go():
    static._source(Generator(1))
    gc.collect()
    before = len(static._sources)
    for k in range(50):
        static._source(Generator(k))
    gc.collect()
    assert len(static._sources) == before
