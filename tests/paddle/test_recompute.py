"""Recomputation: outputs and gradients are those of the run without it, bit for bit."""

from __future__ import annotations

import contextlib
import gc
import threading

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.recompute import custom_state_manager, recompute_sequential
from paddle.distributed.fleet.utils import recompute

import rrelu_compat
from rrelu_compat import Generator, RecomputeError
from rrelu_compat.backends.paddle import recompute as ours
from rrelu_compat.paddle import RReLU, rrelu

SOURCES = ("own", "process", "framework", "default")
VARIANTS = (True, False)


class Source:
    """One of the places slopes come from, set to the same start every time."""

    def __init__(self, kind):
        self.kind = kind
        paddle.seed(11)
        rrelu_compat.manual_seed(5 if kind == "process" else None)
        self.generator = None
        if kind == "own":
            self.generator = Generator(7)
        elif kind == "framework":
            self.generator = paddle.base.core.Generator()
            self.generator.manual_seed(3)

    def layer(self, inplace=False):
        return RReLU(0.1, 0.9, inplace=inplace, generator=self.generator)

    def position(self):
        """What the next training call would draw."""
        return rrelu(paddle.full([3], -1.0), 0.1, 0.9, generator=self.generator).tolist()


def runner(use_recompute, reentrant):
    def run(function, *args):
        if use_recompute:
            return recompute(function, *args, use_reentrant=reentrant)
        return function(*args)

    return run


def weights(*shapes):
    rng = np.random.default_rng(1)
    return [
        paddle.to_tensor(rng.standard_normal(s).astype("float32"), stop_gradient=False)
        for s in shapes
    ]


def both(kind, reentrant, program):
    """Run `program(source, run)` without and with recomputation; the results must agree."""
    results = []
    for use_recompute in (False, True):
        source = Source(kind)
        values = program(source, runner(use_recompute, reentrant))
        values = [v.numpy() for v in values]
        results.append([*values, np.array(source.position())])
    plain, repeated = results
    assert len(plain) == len(repeated)
    for a, b in zip(plain, repeated, strict=True):
        assert np.array_equal(a, b)
    # A check that can fail: another start gives other results.
    assert np.abs(plain[0]).max() > 0
    return plain


everywhere = pytest.mark.parametrize("kind", SOURCES)
both_variants = pytest.mark.parametrize("reentrant", VARIANTS)


@everywhere
@both_variants
@pytest.mark.parametrize("inplace", [False, True])
def test_one_segment(kind, reentrant, inplace):
    def program(source, run):
        act, (x, w) = source.layer(inplace), weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
def test_one_layer_used_several_times(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))

        def segment(h):
            for _ in range(3):
                h = act(paddle.matmul(h, w))
            return h

        h = act(x)
        for _ in range(3):
            h = run(segment, h)
            h = act(h)
        (h * h).sum().backward()
        # Not w.grad: its many terms are added in another order, with Paddle's own layers, too.
        return [h, x.grad]

    both(kind, reentrant, program)


@everywhere
def test_nested(kind):
    # Nested use_reentrant=False fails in Paddle itself.
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))

        def inner(h):
            return act(paddle.matmul(act(h), w))

        def outer(h):
            return act(run(inner, act(run(inner, h))))

        y = act(run(outer, act(run(outer, x))))
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, True, program)


@everywhere
@both_variants
def test_segments_recomputed_in_another_order(kind, reentrant):
    def program(source, run):
        act, (a, b, w) = source.layer(), weights((4, 6), (4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(act(paddle.matmul(act(h), w)), w)

        first, second = run(segment, a), run(segment, b)
        first.sum().backward()  # Paddle's own order is last first
        second.sum().backward()
        return [first, second, a.grad, b.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
@pytest.mark.parametrize("reseed", [True, False])
def test_two_live_graphs(kind, reentrant, reseed):
    def program(source, run):
        act, (a, b, w) = source.layer(), weights((4, 6), (4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(act(paddle.matmul(h, w)), w)

        outputs = []
        for x in (a, b):
            if reseed:
                paddle.seed(99)  # both graphs start from one random state
            outputs.append(run(segment, x))
        for y in reversed(outputs):
            (y * y).sum().backward()
        return [*outputs, a.grad, b.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
def test_reseeding_every_step_does_not_freeze_the_slopes(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        outputs = []
        for _ in range(3):
            paddle.seed(1)
            y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            (y * y).sum().backward()
            outputs.append(y)
        return [*outputs, x.grad, w.grad]

    first, second, third = both(kind, reentrant, program)[:3]
    frozen = kind == "default"  # what the user asked for
    assert np.array_equal(first, second) == frozen
    assert np.array_equal(second, third) == frozen


@everywhere
@both_variants
def test_draws_and_seeding_between_forward_and_backward(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        act(x)
        if kind == "process":
            rrelu_compat.manual_seed(123)
            act(x)
        else:
            # Turned on only after the forward.
            rrelu_compat.manual_seed(123)
            rrelu_compat.manual_seed(None)
        if kind == "own":
            source.generator.load_state_dict({"seed": 1, "call": 9})
        if kind == "framework":
            source.generator.manual_seed(77)
        paddle.seed(4)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@both_variants
@pytest.mark.parametrize("first", [5, None])
def test_process_wide_stream_turned_on_or_off_in_between(reentrant, first):
    def program(source, run):
        rrelu_compat.manual_seed(first)
        x, w = weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(rrelu(paddle.matmul(h, w)), w), x)
        rrelu_compat.manual_seed(None if first else 6)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both("default", reentrant, program)


@everywhere
@both_variants
def test_several_sources_in_one_segment(kind, reentrant):
    def program(source, run):
        act, other = source.layer(), RReLU(0.2, 0.8, generator=Generator(50))
        x, w = weights((4, 6), (6, 6))

        def segment(h):
            h = paddle.nn.functional.dropout(act(paddle.matmul(other(h), w)), 0.5)
            return paddle.matmul(rrelu(act(other(h))), w)

        y = run(segment, run(segment, x))
        (y * y).sum().backward()
        return [y, x.grad, paddle.to_tensor(other(paddle.full([2], -1.0)))]

    both(kind, reentrant, program)


@everywhere
def test_sequential(kind):
    # recompute_sequential takes a Sequential's layers in segments; with one segment it takes a tensor.
    def program(source, run):
        paddle.seed(2)
        net = paddle.nn.Sequential(
            paddle.nn.Linear(6, 6), source.layer(), paddle.nn.Linear(6, 6), source.layer()
        )
        (x,) = weights((4, 6))
        plain = run.__closure__[1].cell_contents is False
        y = net(x) if plain else recompute_sequential({"segments": 1}, net, x)
        (y * y).sum().backward()
        return [y, x.grad, net[0].weight.grad]

    both(kind, True, program)


@both_variants
def test_default_generator_given_by_name(reentrant):
    def program(source, run):
        x, w = weights((4, 6), (6, 6))
        act = RReLU(generator=paddle.Generator())
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        (y * y).sum().backward()
        drawn = paddle.base.core.default_cpu_generator().random()
        return [y, x.grad, w.grad, paddle.to_tensor([drawn % 2**31])]

    (drawn,) = both("default", reentrant, program)[3]
    paddle.seed(11)
    numbers = [paddle.base.core.default_cpu_generator().random() for _ in range(2)]
    assert drawn == numbers[1] % 2**31


@everywhere
@both_variants
def test_generator_made_inside_the_segment(kind, reentrant):
    def program(source, run):
        x, w = weights((4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(rrelu(paddle.matmul(h, w), generator=Generator(8)), w)

        y = run(segment, x)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
def test_training_steps(kind):
    def program(source, run):
        paddle.seed(21)
        first, second = paddle.nn.Linear(6, 6), paddle.nn.Linear(6, 6)
        act = source.layer()
        optimizer = paddle.optimizer.Adam(
            0.01, parameters=[*first.parameters(), *second.parameters()]
        )
        (x,) = weights((8, 6))
        for step in range(5):
            y = run(lambda h: second(act(first(h))), run(lambda h: act(second(h)), x))
            (y * y).mean().backward()
            optimizer.step()
            optimizer.clear_grad()
            if step == 2:
                paddle.seed(21)
        return [first.weight, second.weight]

    both(kind, True, program)
    both(kind, False, program)


@everywhere
@both_variants
def test_forward_that_fails_while_recomputed_leaves_the_streams_alone(kind, reentrant):
    source = Source(kind)
    act, (x, w) = source.layer(), weights((4, 6), (6, 6))
    broken = []

    def segment(h):
        h = paddle.matmul(act(paddle.matmul(h, w)), w)
        if broken:
            raise RuntimeError("on purpose")
        return h

    loss = recompute(segment, x, use_reentrant=reentrant).sum()
    broken.append(True)
    with pytest.raises(Exception, match="on purpose"):
        loss.backward()
    assert len(ours._thread.levels) == 1
    reference = Source(kind)
    reference.layer()(x)
    del loss
    expected = reference.position()
    paddle.seed(11)
    if kind == "default":
        rrelu(x)
    source_position = rrelu(paddle.full([3], -1.0), 0.1, 0.9, generator=source.generator).tolist()
    if kind == "process":  # `reference` moved the one stream there is
        assert rrelu_compat.generator.process_generator().call == 3
    else:
        assert source_position == expected


@pytest.mark.parametrize("kind", SOURCES)
@both_variants
def test_without_kept_state_the_gradient_is_refused(kind, reentrant):
    source = Source(kind)
    act, (x, w) = source.layer(), weights((4, 6), (6, 6))

    def segment(h):
        return paddle.matmul(act(paddle.matmul(h, w)), w)

    loss = recompute(segment, x, use_reentrant=reentrant, preserve_rng_state=False).sum()
    with pytest.raises(Exception, match="preserve_rng_state=False") as caught:
        loss.backward()
    assert "RecomputeError" in str(caught.value) or isinstance(caught.value, RecomputeError)


def test_evaluation_may_be_recomputed_without_kept_state():
    x, w = weights((4, 6), (6, 6))
    act = RReLU().eval()
    loss = recompute(lambda h: act(paddle.matmul(h, w)), x, preserve_rng_state=False).sum()
    loss.backward()


@both_variants
def test_inner_segment_without_kept_state_is_refused_inside_one_with(reentrant):
    x, w = weights((4, 6), (6, 6))
    act = RReLU(generator=Generator(1))

    def inner(h):
        return paddle.matmul(act(paddle.matmul(h, w)), w)

    def outer(h):
        return recompute(inner, h, preserve_rng_state=False)

    loss = recompute(outer, x, use_reentrant=True).sum()
    with pytest.raises(Exception, match="preserve_rng_state=False"):
        loss.backward()


def test_more_calls_than_the_forward_made_are_refused():
    x, w = weights((4, 6), (6, 6))
    act, repeats = RReLU(generator=Generator(1)), [1]

    def segment(h):
        for _ in range(repeats[0]):
            h = act(paddle.matmul(h, w))
        return h

    loss = recompute(segment, x).sum()
    repeats[0] = 2
    with pytest.raises(Exception, match="more training calls"):
        loss.backward()


def test_another_generator_than_in_the_forward_is_refused():
    x, w = weights((4, 6), (6, 6))
    for other in (Generator(2), paddle.base.core.Generator()):
        act = RReLU(generator=Generator(1))
        loss = recompute(lambda h, act=act: act(paddle.matmul(h, w)), x).sum()
        act.generator = other
        with pytest.raises(Exception, match="did not in the original one"):
            loss.backward()


@pytest.mark.parametrize("move", ["manual_seed", "load_state_dict", "seed alone", "off"])
def test_stream_moved_inside_the_segment_is_refused(move):
    x, w = weights((4, 6), (6, 6))
    rrelu_compat.manual_seed(1)

    def segment(h):
        h = rrelu(paddle.matmul(h, w))
        if move == "manual_seed":
            rrelu_compat.manual_seed(2)
        elif move == "off":
            rrelu_compat.manual_seed(None)
        elif move == "seed alone":
            process = rrelu_compat.generator.process_generator()
            process.load_state_dict({"seed": 2, "call": process.call})
        else:
            process = rrelu_compat.generator.process_generator()
            process.load_state_dict({"seed": 1, "call": 40})
        return rrelu(paddle.matmul(h, w))

    loss = recompute(segment, x).sum()
    with pytest.raises(Exception, match="was moved or shared"):
        loss.backward()


@pytest.mark.parametrize("kind", ["own", "framework"])
def test_generator_shared_with_another_thread_during_the_forward_is_refused(kind):
    source = Source(kind)
    x, w = weights((4, 6), (6, 6))
    act = source.layer()

    def segment(h):
        h = act(paddle.matmul(h, w))
        if threading.current_thread() is threading.main_thread() and not done:
            done.append(True)
            thread = threading.Thread(target=lambda: act(paddle.ones([2])))
            thread.start()
            thread.join()
        return act(paddle.matmul(h, w))

    done = []
    loss = recompute(segment, x).sum()
    with pytest.raises(Exception, match="shared with another thread"):
        loss.backward()


def test_another_thread_draws_on_undisturbed_while_one_recomputes():
    generator = Generator(5)
    x, w = weights((4, 6), (6, 6))
    act = RReLU(generator=generator)
    recomputing, drawn, outside = threading.Event(), threading.Event(), []

    def other():
        assert recomputing.wait(60)
        outside.append(generator.call)
        act(paddle.ones([2]))
        outside.append(generator.call)
        drawn.set()

    passes = []

    def segment(h):
        passes.append(None)
        h = act(paddle.matmul(h, w))
        if len(passes) == 2:
            recomputing.set()
            assert drawn.wait(60)
        return act(paddle.matmul(h, w))

    thread = threading.Thread(target=other)
    thread.start()
    y = recompute(segment, x)
    y.sum().backward()
    thread.join()
    # Two calls of the forward, then the other thread's; the repeated ones took none.
    assert outside == [2, 3]
    assert generator.call == 3
    got = x.grad.numpy()
    x.clear_grad()
    generator.load_state_dict({"seed": 5, "call": 0})
    passes.append(None)
    segment(x).sum().backward()
    assert np.array_equal(got, x.grad.numpy())


def test_two_threads_recompute_at_once():
    def train(seed, results):
        generator = Generator(seed)
        act, (x, w) = RReLU(0.1, 0.9, generator=generator), weights((4, 6), (6, 6))
        for _ in range(20):
            y = recompute(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            y.sum().backward()
        results[seed] = (x.grad.numpy(), generator.call)

    alone, together = {}, {}
    for seed in (1, 2):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 2):
        assert np.array_equal(alone[seed][0], together[seed][0])
        assert alone[seed][1] == together[seed][1] == 20


@pytest.mark.parametrize("recomputing", [True, False])
def test_static_programs_of_several_threads_while_one_recomputes(monkeypatch, recomputing):
    """An operation of a static program can't tell then for which thread it draws."""
    monkeypatch.setattr(ours, "seen", True)
    monkeypatch.setattr(ours, "_frame_in_executor", lambda frame: True)
    done, errors = threading.Event(), []

    def operation():
        try:
            with ours.in_thread_of_the_executor():
                pass
        except RecomputeError as error:
            errors.append(str(error))
        done.set()

    monkeypatch.setattr(ours, "_all_levels", dict(ours._all_levels))
    ours._all_levels.clear()
    level = ours._Levels([ours._Level()])
    ours._all_levels[threading.get_ident()] = level
    snapshot = ours._Snapshot(None, None)
    if recomputing:
        level[0].open.add(snapshot)
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait, args=(60,))
    other.start()
    threading.Thread(target=operation).start()
    assert done.wait(60)
    waiting.set()
    other.join()
    assert len(errors) == recomputing
    if recomputing:
        assert "several threads run static programs" in errors[0]


@both_variants
def test_the_place_for_the_users_pair_stays_free(reentrant):
    log, state = [], [10]
    custom_state_manager.set_custom_get_state_func(lambda: state[0])
    custom_state_manager.set_custom_set_state_func(lambda value: log.append(value))
    try:
        with pytest.raises(AssertionError, match="duplicate"):
            custom_state_manager.set_custom_get_state_func(lambda: 0)

        def program(source, run):
            act, (x, w) = source.layer(), weights((4, 6), (6, 6))
            y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            state[0] += 1
            y.sum().backward()
            return [y, x.grad, w.grad]

        both("own", reentrant, program)
    finally:
        custom_state_manager.custom_get_state_func = None
        custom_state_manager.custom_set_state_func = None
    assert log == [11, 12]


def test_the_users_pair_may_come_before_us(run_python):
    out = run_python("""
import paddle
from paddle.distributed.fleet.recompute import custom_state_manager as manager
from paddle.distributed.fleet.utils import recompute
log = []
manager.set_custom_get_state_func(lambda: "state")
manager.set_custom_set_state_func(log.append)
from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu
x = paddle.to_tensor([-1.0, -2.0], stop_gradient=False)
generator = Generator(1)
y = recompute(lambda h: rrelu(h * 1.0, generator=generator), x)
y.sum().backward()
assert generator.call == 1
assert (x.grad * x).tolist() == y.tolist()
print(log)
""")
    assert out.strip().endswith("['state', 'state']")


def test_loaded_inside_a_segment_is_refused_where_it_would_be_wrong(run_python):
    code = """
import paddle, rrelu_compat, sys
from paddle.distributed.fleet.utils import recompute
if {process}:
    rrelu_compat.manual_seed(3)
x = paddle.to_tensor([-1.0, -2.0], stop_gradient=False)
assert "rrelu_compat.backends.paddle" not in sys.modules
y = recompute(lambda h: rrelu_compat.rrelu(h * 1.0, training=True), x)
try:
    y.sum().backward()
except Exception as error:
    print(error)
else:
    assert paddle.allclose(x.grad * x, y), "silently wrong"
    print("right")
"""
    assert "import rrelu_compat.paddle before" in run_python(code.format(process=True))
    assert run_python(code.format(process=False)).strip().endswith("right")


def test_paddles_own_limits_are_paddles():
    """Nested ``use_reentrant=False``, and a second backward, fail with Paddle's own layers, too."""
    x, w = weights((4, 6), (6, 6))

    def inner(h):
        return paddle.tanh(paddle.matmul(h, w))

    def outer(h):
        return recompute(inner, recompute(inner, h, use_reentrant=False), use_reentrant=False)

    with pytest.raises(Exception):  # noqa: B017
        recompute(outer, x, use_reentrant=False).sum().backward()


def test_nothing_is_kept_when_the_graphs_are_gone():
    generator = Generator(1)
    act, (x, w) = RReLU(generator=generator), weights((4, 6), (6, 6))
    gc.collect()
    before = len(ours._thread.levels[0].open)  # graphs of failed backwards, which Paddle keeps
    for _ in range(50):
        recompute(lambda h: act(paddle.matmul(h, w)), x).sum().backward()
    gc.collect()
    assert len(ours._thread.levels) == 1
    assert len(ours._thread.levels[0].open) == before


def test_hook_that_draws_during_the_backward_of_a_segment():
    generator = Generator(4)
    act, (x, w) = RReLU(generator=generator), weights((4, 6), (6, 6))
    extra = []

    def segment(h):
        h = paddle.matmul(h, w)
        if not h.stop_gradient:
            h.register_hook(lambda g: extra.append(act(paddle.ones([2]))))
        return act(h)

    recompute(segment, x).sum().backward()
    assert len(extra) == 1
    assert generator.call == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_soak(kind):
    """20,000 steps with reseeding: memory flat, no two steps with the same slopes."""
    import resource

    source = Source(kind)
    act, (w,) = source.layer(), weights((6, 6))
    x = paddle.full([4, 6], -1.0)
    x.stop_gradient = False
    seen, sizes = set(), []
    for step in range(20_000):
        if kind != "default":
            paddle.seed(1)
        outputs = []

        def segment(h, outputs=outputs):
            outputs.append(act(h))
            return paddle.matmul(outputs[-1], w)

        y = recompute(segment, x, use_reentrant=step % 2 == 0)
        y.sum().backward()
        x.clear_grad()
        seen.add(outputs[0].numpy().tobytes())
        with contextlib.suppress(IndexError):
            assert outputs[0].numpy().tobytes() == outputs[1].numpy().tobytes()
        if step % 5000 == 4999:
            gc.collect()
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert len(seen) == 20_000
    # `seen` itself grows by some 100 bytes a step.
    assert sizes[-1] - sizes[0] < 8 * 1024, sizes
