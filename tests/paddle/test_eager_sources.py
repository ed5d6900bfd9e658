"""Where the slopes of eager Paddle tensors come from, and how many numbers are drawn; threads."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle_numbers import input_of, numbers

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu


@pytest.mark.parametrize("training", [True, False])
def test_every_training_call_draws_one_number(training):
    def drawn(call):
        paddle.seed(77)
        call()
        return paddle.base.core.default_cpu_generator().random()

    paddle.seed(77)
    numbers = [paddle.base.core.default_cpu_generator().random() for _ in range(2)]
    x = paddle.randn([5])
    own, framework = Generator(1), paddle.base.core.Generator()
    calls = [
        lambda: rrelu(x, training=training),
        lambda: rrelu(x, training=training, generator=own),
        lambda: rrelu(x, training=training, generator=framework),
        lambda: rrelu(x, training=training, generator=paddle.base.core.default_cpu_generator()),
        lambda: rrelu(x.clone(), training=training, inplace=True),
        lambda: rrelu(x[:0], training=training),
        lambda: rrelu(paddle.to_tensor([-1.0], stop_gradient=False), training=training),
    ]
    for call in calls:
        assert drawn(call) == numbers[training]
        rrelu_compat.manual_seed(3)
        assert drawn(call) == numbers[training]
        rrelu_compat.manual_seed(None)


def test_order_of_the_seed_sources(define):
    array = np.full((50,), -1.0)
    x = define.to_paddle(array)

    def expected(seed, call):
        return -define.slopes((50,), "float64", 1 / 8, 1 / 3, seed, call)

    paddle.seed(5)
    seed = paddle.base.core.default_cpu_generator().random()
    paddle.seed(5)
    define.assert_same(rrelu(x), expected(seed, 0))  # 3: the default generator
    paddle.seed(5)
    define.assert_same(
        rrelu(x, generator=getattr(paddle, "Generator", paddle.base.core.default_cpu_generator)()),
        expected(seed, 0),
    )
    rrelu_compat.manual_seed(8)
    define.assert_same(rrelu(x), expected(8, 0))  # 2: the process-wide stream
    define.assert_same(rrelu(x), expected(8, 1))
    define.assert_same(rrelu(x, generator=Generator(2, 7)), expected(2, 7))  # 1: an own one
    framework = paddle.base.core.Generator()
    framework.manual_seed(31)
    seed = framework.random()
    framework.manual_seed(31)
    define.assert_same(rrelu(x, generator=framework), expected(seed, 0))
    define.assert_same(rrelu(x), expected(8, 2))


def test_evaluation_takes_no_call():
    generator = Generator(4)
    rrelu(paddle.randn([3]), training=False, generator=generator)
    assert generator.call == 0


def test_threads_of_one_process_get_different_slopes():
    import threading

    generator, results = Generator(6), []
    x = paddle.full([64], -1.0)

    def work():
        results.extend(tuple(rrelu(x, generator=generator).tolist()) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert generator.call == 200
    assert len(set(results)) == 200


def test_thread_count_follows_the_flag_then_the_environment(monkeypatch):
    from rrelu_compat.backends.paddle.tensors import thread_count

    large = 1 << 22
    monkeypatch.setenv("FLAGS_paddle_num_threads", "3")
    assert thread_count(large) == 3
    assert thread_count(100) == 1
    before = paddle.get_flags("FLAGS_paddle_num_threads")
    try:
        paddle.set_flags({"FLAGS_paddle_num_threads": 7})
        assert thread_count(large) == 7
    finally:
        paddle.set_flags(before)
    monkeypatch.delenv("FLAGS_paddle_num_threads")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert thread_count(large) == 2


def test_large_tensors_on_several_threads_give_the_same_bits(define, monkeypatch):
    array = numbers(define, "float32", (1 << 17,))
    results = []
    for count in ("1", "3"):
        monkeypatch.setenv("FLAGS_paddle_num_threads", count)
        x = input_of(define, array)
        y = rrelu(x, generator=Generator(2))
        y.sum().backward()
        results.append((y.numpy(), x.grad.numpy()))
    slope = define.slopes(array.shape, "float32", 1 / 8, 1 / 3, 2, 0)
    for y, g in results:
        define.assert_same(y, define.scaled(array, array, slope))
        define.assert_same(g, define.scaled(array, np.ones_like(array), slope))
