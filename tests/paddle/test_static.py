"""Static graphs: ``to_static``, ``paddle.static.Program``; bits of the dynamic graph."""

from __future__ import annotations

import contextlib
import gc

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute

import rrelu_compat
from rrelu_compat import BoundsError, DTypeError, Generator, RReLUSpec
from rrelu_compat.paddle import RReLU, rrelu, rrelu_

DTYPES = ("float16", "bfloat16", "float32", "float64")
both_ways = pytest.mark.parametrize("full_graph", [True, False])


@contextlib.contextmanager
def static_mode():
    paddle.enable_static()
    try:
        yield
    finally:
        paddle.disable_static()


def inputs(dtype="float32", shape=(3, 4), count=3):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield paddle.to_tensor(rng.standard_normal(shape)).astype(dtype)


def bits(tensor):
    return tensor.numpy().tobytes()


def compare(function, full_graph, dtype="float32", shape=(3, 4), gradient=True):
    """Outputs, gradients and calls taken of `function`, dynamic and static, over several calls."""
    static = paddle.jit.to_static(function, full_graph=full_graph)
    outputs = set()
    for number, x in enumerate(inputs(dtype, shape)):
        results = []
        for run in (function, static):
            process = rrelu_compat.manual_seed(number)
            leaf = x.detach()
            leaf.stop_gradient = not gradient
            y = run(leaf)
            if gradient:
                paddle.autograd.backward([y], [paddle.ones_like(y)])
            results.append((bits(y), gradient and bits(leaf.grad), process.call))
        assert results[0] == results[1]
        outputs.add(results[0][0])
    assert len(outputs) == 3
    return static


act = RReLU(0.1, 0.9)
outside = RReLUSpec(0.1, 0.9)


def straight(x):
    return act(rrelu(x, -0.5, 0.5) - 1)


def neutral(x):
    return rrelu_compat.rrelu(act(x), -1, 2, training=True)


def spec_apply(x):
    return outside.apply(x, training=True) - 1


def branches(x):
    y = act(x)
    y = act(y * 2 - 1) if paddle.mean(y) > 0 else rrelu(act(y - 2))
    return act(y - 1)


def loop(x):
    k = paddle.to_tensor(0)
    y = x * 2  # Paddle 3.3 loses a value that goes into a loop and is used again after it
    while k < 3:
        y = act(y - 0.5)
        k += 1
    z = act(x)  # does not depend on the loop
    return act(y - 0.5) + z


def parallel(x):
    parts = [x * (k - 3.5) for k in range(8)]
    return sum(act(part) for part in parts)


def nested_branches(x):
    y = x
    for _ in range(2):
        if paddle.max(y) > -100:
            if paddle.min(y) > -1000:
                y = act(y - 1)
            y = act(y)
        else:
            y = act(act(y))
        y = y - 0.25
    return act(y) + act(x)


@both_ways
@pytest.mark.parametrize("function", [straight, neutral, branches, loop, parallel, nested_branches])
def test_bits_of_the_dynamic_graph(function, full_graph):
    # Paddle 3.3 can't differentiate a whole-graph `while` over a tensor, whatever is in it.
    compare(function, full_graph, gradient=not (function is loop and full_graph))


def test_spec_apply():
    # With full_graph=False Paddle's tracer finds no methods on instances of dataclasses.
    compare(spec_apply, full_graph=True)


@both_ways
def test_static_graph_is_what_runs(full_graph, monkeypatch):
    from rrelu_compat.backends.paddle import eager

    static = paddle.jit.to_static(straight, full_graph=full_graph)
    (x,) = inputs(count=1)
    static(x)
    monkeypatch.setattr(eager, "apply", None)
    assert bits(static(x)) != bits(static(x))


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype, full_graph):
    def function(x):
        return act(rrelu(x, -2.0, 0.5))

    compare(function, full_graph, dtype)


@both_ways
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 1, 2)])
def test_shapes(shape, full_graph):
    function = straight
    static = paddle.jit.to_static(function, full_graph=full_graph)
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal(shape))
    rrelu_compat.manual_seed(1)
    expected = function(x)
    rrelu_compat.manual_seed(1)
    y = static(x)
    assert list(y.shape) == list(shape)
    assert bits(y) == bits(expected)


@both_ways
def test_own_generators(full_graph):
    first, second = Generator(3), Generator(4)

    def function(x):
        return rrelu(rrelu(x, generator=first), generator=second)

    static = paddle.jit.to_static(function, full_graph=full_graph)
    (x,) = inputs(count=1)
    y = static(x)
    assert (first.call, second.call) == (1, 1)
    expected = rrelu(rrelu(x, generator=Generator(3)), generator=Generator(4))
    assert bits(y) == bits(expected)
    # Repositioned generators are followed: nothing is baked in.
    first.load_state_dict({"seed": 3, "call": 0})
    second.load_state_dict({"seed": 4, "call": 0})
    assert bits(static(x)) == bits(y)
    assert bits(static(x)) != bits(y)


@both_ways
def test_framework_generator_and_default_generator(full_graph):
    framework = paddle.base.core.Generator()
    (x,) = inputs(count=1)

    def explicit(x):
        return rrelu(x, generator=framework)

    def default(x):
        return rrelu(x)

    for function, seed in ((explicit, framework.manual_seed), (default, paddle.seed)):
        static = paddle.jit.to_static(function, full_graph=full_graph)
        seed(5)
        expected = bits(function(x))
        seed(5)
        assert bits(static(x)) == expected
        assert bits(static(x)) != expected


@both_ways
def test_one_number_of_the_default_generator_per_call(full_graph):

    def function(x):
        return act(act(x))

    static = paddle.jit.to_static(function, full_graph=full_graph)
    (x,) = inputs(count=1)
    static(x)
    default = paddle.base.core.default_cpu_generator()
    paddle.seed(9)
    numbers = [default.random() for _ in range(3)]
    paddle.seed(9)
    static(x)
    assert default.random() == numbers[2]


@both_ways
def test_training_and_evaluation_alternate(full_graph):
    net = paddle.nn.Sequential(paddle.nn.Linear(4, 4), RReLU(0.1, 0.9))
    static = paddle.jit.to_static(net, full_graph=full_graph)
    (x,) = inputs(count=1)
    for _ in range(2):
        net.train()
        assert bits(static(x)) != bits(static(x))
        net.eval()
        y = static(x)
        assert bits(static(x)) == bits(y)
        h = net[0](x)
        np.testing.assert_allclose(
            y.numpy(), np.where(h.numpy() >= 0, h, 0.5 * h.numpy()), rtol=1e-6
        )


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.25, -2.0, 0.0, 1e-50])
@pytest.mark.parametrize("gradient", [True, False])
def test_evaluation(define, dtype, slope, gradient, full_graph):
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, -6e-8, -1.0, 2.0]
    array = define.array(special, dtype)
    g = define.array(np.arange(-4.5, 5.0), dtype)

    def function(x):
        return rrelu(x, slope, slope, False)

    static = paddle.jit.to_static(function, full_graph=full_graph)
    x = define.to_paddle(array)
    x.stop_gradient = not gradient
    mean = define.mean(dtype, slope, slope)
    y = static(x)
    define.assert_same(y, define.scaled(array, array, mean))
    if gradient:
        paddle.autograd.backward([y], [define.to_paddle(g)])
        define.assert_same(x.grad, define.scaled(array, g, mean))


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_gradients_to_the_bit(define, dtype):
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, -6e-8, -1.0, 2.0]
    array, g = define.array(special, dtype), define.array(np.arange(-4.5, 5.0), dtype)
    generator = Generator(7)

    def function(x):
        return rrelu(x, -0.7, 0.4, generator=generator)

    static = paddle.jit.to_static(function)
    x = define.to_paddle(array)
    x.stop_gradient = False
    y = static(x)
    slope = define.slopes(array.shape, dtype, -0.7, 0.4, 7, 0)
    define.assert_same(y, define.scaled(array, array, slope))
    paddle.autograd.backward([y], [define.to_paddle(g)])
    define.assert_same(x.grad, define.scaled(array, g, slope))


@both_ways
def test_training_steps(full_graph):
    def train(static):
        paddle.seed(3)
        rrelu_compat.manual_seed(4)
        net = paddle.nn.Sequential(
            paddle.nn.Linear(4, 8), RReLU(), paddle.nn.Linear(8, 8), RReLU(), paddle.nn.Linear(8, 1)
        )
        optimizer = paddle.optimizer.SGD(0.125, parameters=net.parameters())
        run = paddle.jit.to_static(net, full_graph=full_graph) if static else net
        losses = []
        for x in inputs("float32", (16, 4), count=5):
            loss = (run(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(loss.item())
        return losses

    np.testing.assert_allclose(train(True), train(False), rtol=1e-5)


def test_bounds_that_hash_alike_are_told_apart():
    assert hash(-1.0) == hash(-2.0)
    (x,) = inputs(count=1)

    def one(x):
        return rrelu(x, -1.0, -1.0)

    def two(x):
        return rrelu(x, -2.0, -2.0)

    for function in (one, two):
        static = paddle.jit.to_static(function, full_graph=True)
        assert bits(static(x)) == bits(function(x))


def test_in_place_warns_and_works_out_of_place():
    (x,) = inputs(count=1)
    before = bits(x)

    def function(x):
        return rrelu_(x, 0.5, 0.5)

    with pytest.warns(UserWarning, match="works out of place"):
        y = paddle.jit.to_static(function, full_graph=True)(x)
    assert bits(x) == before
    assert bits(y) == bits(rrelu(x, 0.5, 0.5))


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
        from rrelu_compat.backends.paddle import backend

        with static_mode(), paddle.static.program_guard(paddle.static.Program()):
            assert backend.is_tensor(paddle.static.data("x", [2], "float32"))


@pytest.mark.parametrize("kind", ["own", "process", "framework", "default"])
@pytest.mark.parametrize("reentrant", [True, False])
@both_ways
def test_static_function_inside_a_recomputed_segment(kind, reentrant, full_graph):
    """The numbers are drawn in threads of the executor, for the thread that recomputes."""

    def run(repeat):
        paddle.seed(3)
        rrelu_compat.manual_seed(4 if kind == "process" else None)
        generator = None
        if kind == "own":
            generator = Generator(7)
        elif kind == "framework":
            generator = paddle.base.core.Generator()
            generator.manual_seed(9)

        def function(h):
            return rrelu(h, 0.1, 0.9, generator=generator)

        static = paddle.jit.to_static(function, full_graph=full_graph)
        (x,) = inputs(count=1)
        x.stop_gradient = False

        def segment(h):
            return static(paddle.tanh(static(h * 2) - 1)) * 3

        y = x
        for _ in range(2):
            y = recompute(segment, y, use_reentrant=reentrant) if repeat else segment(y)
        y = static(y)
        paddle.autograd.backward([y], [paddle.ones_like(y)])
        return bits(y), bits(x.grad), bits(static(x))

    assert run(True) == run(False)


@pytest.mark.parametrize("reentrant", [True, False])
def test_static_function_inside_a_segment_without_kept_state_is_refused(reentrant, capfd):
    static = paddle.jit.to_static(straight, full_graph=True)
    (x,) = inputs(count=1)
    x.stop_gradient = False
    loss = recompute(
        lambda h: static(paddle.tanh(h)), x, use_reentrant=reentrant, preserve_rng_state=False
    ).sum()
    with pytest.raises(Exception, match="rrelu_compat_draw"):
        loss.backward()
    # Paddle prints the error of a Python operation, and raises another.
    assert "RecomputeError: recompute(..., preserve_rng_state=False)" in capfd.readouterr().err


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
