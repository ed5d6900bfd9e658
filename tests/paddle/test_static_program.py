"""A plain ``paddle.static.Program``: bits of the dynamic graph, test form, refusals."""

from __future__ import annotations

import gc

import numpy as np
import paddle
import pytest
from paddle_programs import (
    act,
    neutral,
    parallel,
    static_mode,
    straight,
)

import rrelu_compat
from rrelu_compat import BoundsError, DTypeError, Generator
from rrelu_compat.paddle import RReLU, rrelu


def test_errors_come_when_the_program_is_built():
    with static_mode(), paddle.static.program_guard(paddle.static.Program()):
        x = paddle.static.data("x", [None, 3], "int32")
        with pytest.raises(DTypeError, match="int32"):
            rrelu(x)
        x = paddle.static.data("y", [None, 3], "float32")
        with pytest.raises(BoundsError, match="lower"):
            rrelu(x, 0.5, 0.1)
        with pytest.raises(BoundsError, match="float32"):
            rrelu(x, 0.0, 1e200)
        with pytest.raises(TypeError, match="generator="):
            rrelu(x, generator=np.random.default_rng(0))


class TestProgram:
    """A plain ``paddle.static.Program``."""

    array = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")

    def build(self, function, shape=(None, 4), gradient=True):
        main, startup = paddle.static.Program(), paddle.static.Program()
        with paddle.static.program_guard(main, startup):
            x = paddle.static.data("x", list(shape), "float32")
            x.stop_gradient = False
            y = function(x)
            fetch = [y]
            if gradient:
                fetch += paddle.static.gradients([y], [x])
        return main, startup, fetch

    def dynamic(self, function, seed):
        rrelu_compat.manual_seed(seed)
        x = paddle.to_tensor(self.array, stop_gradient=False)
        y = function(x)
        y.sum().backward()
        return y.numpy(), x.grad.numpy()

    @pytest.mark.parametrize("function", [straight, neutral, parallel])
    def test_same_bits(self, function):
        expected = [self.dynamic(function, seed) for seed in range(4)]
        with static_mode():
            main, startup, fetch = self.build(function)
            executor = paddle.static.Executor()
            executor.run(startup)
            for seed in range(4):
                rrelu_compat.manual_seed(seed)
                y, g = executor.run(main, feed={"x": self.array}, fetch_list=fetch)
                assert np.array_equal(y, expected[seed][0])
                assert np.array_equal(g, expected[seed][1])

    def test_parallel_branches_in_forty_runs(self):
        expected = self.dynamic(parallel, 1)[0]
        with static_mode():
            main, _, fetch = self.build(parallel, gradient=False)
            executor = paddle.static.Executor()
            for _ in range(40):
                rrelu_compat.manual_seed(1)
                (y,) = executor.run(main, feed={"x": self.array}, fetch_list=fetch)
                assert np.array_equal(y, expected)

    @pytest.mark.parametrize("condition", [True, False])
    def test_conditions_and_loops(self, condition):
        def program(x):
            y = act(x)
            y = paddle.static.nn.cond(
                paddle.mean(y) > (-100 if condition else 100),
                lambda: act(y - 1),
                lambda: act(act(y * 2)),
            )
            _, y = paddle.static.nn.while_loop(
                lambda k, y: k < 3,
                lambda k, y: [k + 1, act(y - 0.5)],
                [paddle.full([1], 0, "int64"), y],
            )
            return act(y - 1) + act(x)

        def same_by_hand(x):
            y = act(x)
            y = act(y - 1) if condition else act(act(y * 2))
            for _ in range(3):
                y = act(y - 0.5)
            return act(y - 1) + act(x)

        rrelu_compat.manual_seed(2)
        expected = same_by_hand(paddle.to_tensor(self.array)).numpy()
        with static_mode():
            main, _, fetch = self.build(program, gradient=False)
            executor = paddle.static.Executor()
            for _ in range(10):
                rrelu_compat.manual_seed(2)
                (y,) = executor.run(main, feed={"x": self.array}, fetch_list=fetch)
                assert np.array_equal(y, expected)

    @pytest.mark.parametrize("kind", ["cond", "while"])
    def test_blocks_wait_for_the_draws_before_them(self, kind):
        """The first input takes long to make, and what is in the block does not depend on it."""

        def program(x):
            slow = paddle.full([400, 400], 2.0**-9)
            for _ in range(30):
                slow = paddle.matmul(slow, slow) + 2.0**-9
            first = act(x - slow.mean() * 2.0**-9)
            if kind == "cond":
                inner = paddle.static.nn.cond(paddle.mean(x) > -100, lambda: act(x - 1), lambda: x)
            else:
                _, inner = paddle.static.nn.while_loop(
                    lambda k, y: k < 1,
                    lambda k, y: [k + 1, act(y - 1)],
                    [paddle.full([1], 0, "int64"), x * 1.0],
                )
            return [inner, first]

        x = np.where(self.array >= 0, self.array, self.array - 1)
        expected = rrelu_compat.slopes(x.shape, 0.1, 0.9, seed=3, call=1)  # the second call
        with static_mode():
            main, startup = paddle.static.Program(), paddle.static.Program()
            with paddle.static.program_guard(main, startup):
                data = paddle.static.data("x", [None, 4], "float32")
                fetch = program(data)
            executor = paddle.static.Executor()
            for _ in range(3):
                rrelu_compat.manual_seed(3)
                inner, _ = executor.run(main, feed={"x": x}, fetch_list=fetch)
                h = x - 1
                assert np.array_equal(inner, np.where(h >= 0, h, expected * h))

    def test_form_for_testing(self):
        layer = RReLU(0.1, 0.9)
        generator = Generator(1)
        function = lambda x: layer(rrelu(x, 0.25, 0.75, generator=generator) - 1)  # noqa: E731
        with static_mode():
            main, _, fetch = self.build(function, gradient=False)
            test = main.clone()
            test.set_is_test_attr()
            executor = paddle.static.Executor()
            feed = {"x": self.array}
            # Values of the clone, at the places of the originals.
            place = [op.name() for op in main.global_block().ops].index("pd_op.multiply")
            assert test.global_block().ops[place].name() == "pd_op.multiply"
            last = [op for op in test.global_block().ops if op.name() == "pd_op.multiply"][-1]
            paddle.seed(8)
            following = paddle.base.core.default_cpu_generator().random()
            paddle.seed(8)
            results = [
                executor.run(test, feed=feed, fetch_list=[last.result(0)])[0] for _ in range(3)
            ]
            assert paddle.base.core.default_cpu_generator().random() == following
            assert generator.call == 0
            trained = [executor.run(main, feed=feed, fetch_list=fetch)[0] for _ in range(2)]
        h = np.where(self.array >= 0, self.array, np.float32(0.5) * self.array) - 1
        expected = np.where(h >= 0, h, np.float32(0.5) * h)
        for y in results:
            assert np.array_equal(y, expected)
        assert not np.array_equal(*trained)
        assert generator.call == 2

    @pytest.mark.parametrize("kind", ["cond", "while", "cond in while"])
    def test_form_for_testing_reaches_into_blocks(self, kind):
        """Paddle's switch does not: its own RReLU and dropout stay random there."""
        layer = RReLU(0.1, 0.9)

        def program(x):
            cond = paddle.static.nn.cond
            if kind == "cond":
                return cond(paddle.mean(x) > -100, lambda: layer(layer(x) - 1), lambda: x)
            _, y = paddle.static.nn.while_loop(
                lambda k, y: k < 2,
                lambda k, y: [
                    k + 1,
                    layer(y - 1)
                    if kind == "while"
                    else cond(paddle.mean(y) > -100, lambda: layer(y - 1), lambda: y),
                ],
                [paddle.full([1], 0, "int64"), x * 1.0],
            )
            return y

        def expected(x):
            def half(h):
                return np.where(h >= 0, h, np.float32(0.5) * h)

            return half(half(x) - 1) if kind == "cond" else half(half(x - 1) - 1)

        with static_mode():
            main, _, (y,) = self.build(program, gradient=False)
            test = main.clone()
            test.set_is_test_attr()
            executor = paddle.static.Executor()
            block = [
                op for op in test.global_block().ops if op.name() in ("pd_op.if", "pd_op.while")
            ]
            result = block[-1].result(block[-1].num_results() - 1)
            feed = {"x": self.array}
            rrelu_compat.manual_seed(1)
            (tested,) = executor.run(test, feed=feed, fetch_list=[result])
            assert rrelu_compat.generator.process_generator().call == 0
            trained = [executor.run(main, feed=feed, fetch_list=[y])[0] for _ in range(2)]
            assert rrelu_compat.generator.process_generator().call == 4
        assert np.array_equal(tested, expected(self.array))
        assert not np.array_equal(*trained)

    def test_second_gradient(self):
        slopes = []

        def program(x):
            y = rrelu(x, 0.1, 0.9, generator=Generator(6))
            (g,) = paddle.static.gradients([(y * y * y).sum()], [x])
            return g

        with static_mode():
            main, _, fetch = self.build(program)
            executor = paddle.static.Executor()
            first, second = executor.run(main, feed={"x": self.array}, fetch_list=fetch)
        slopes = rrelu_compat.slopes(self.array.shape, 0.1, 0.9, seed=6)
        m = np.where(self.array >= 0, 1, slopes)
        np.testing.assert_allclose(first, 3 * m**3 * self.array**2, rtol=1e-5)
        np.testing.assert_allclose(second, 6 * m**3 * self.array, rtol=1e-5)

    def test_optimizer(self):
        with static_mode():
            main, startup = paddle.static.Program(), paddle.static.Program()
            with paddle.static.program_guard(main, startup):
                x = paddle.static.data("x", [None, 4], "float32")
                hidden = act(paddle.nn.Linear(4, 8)(x))
                loss = (paddle.nn.Linear(8, 1)(hidden) - x.sum(1, keepdim=True)).square().mean()
                paddle.optimizer.Adam(0.05).minimize(loss)
            executor = paddle.static.Executor()
            executor.run(startup)
            losses = [
                executor.run(main, feed={"x": self.array}, fetch_list=[loss])[0].item()
                for _ in range(60)
            ]
        assert losses[-1] < losses[0] / 4

    def test_generator_outlives_its_layer(self):
        with static_mode():
            layer = RReLU(generator=Generator(5))
            main, _, fetch = self.build(layer, gradient=False)
            del layer
            gc.collect()
            executor = paddle.static.Executor()
            first, second = (
                executor.run(main, feed={"x": self.array}, fetch_list=fetch)[0] for _ in range(2)
            )
        for call, y in enumerate((first, second)):
            slopes = rrelu_compat.slopes(self.array.shape, seed=5, call=call)
            assert np.array_equal(y, np.where(self.array >= 0, self.array, slopes * self.array))

    def test_backend_knows_values(self):
        from rrelu_compat.backends.paddle.backend import backend

        with static_mode(), paddle.static.program_guard(paddle.static.Program()):
            assert backend.is_tensor(paddle.static.data("x", [2], "float32"))


def test_old_static_graph_is_refused(run_python):
    out = run_python(
        """
import paddle
paddle.enable_static()
from rrelu_compat.paddle import rrelu
import rrelu_compat
with paddle.static.program_guard(paddle.static.Program()):
    x = paddle.static.data("x", [3], "float32")
    for call in (lambda: rrelu(x), lambda: rrelu_compat.rrelu(x, training=True)):
        try:
            call()
        except TypeError as error:
            print(error)
""",
        FLAGS_enable_pir_api="0",
    )
    assert out.count("FLAGS_enable_pir_api=0") == 2
