"""Generator and manual_seed: numbering, copies, checkpoints, threads, fork."""

import copy
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.generator import live_generators, process_generator


@pytest.fixture(autouse=True)
def _process_stream_off():
    rrelu_compat.manual_seed(None)
    yield
    rrelu_compat.manual_seed(None)


def test_calls_are_numbered():
    generator = Generator(5)
    assert [generator.take() for _ in range(3)] == [(5, 0), (5, 1), (5, 2)]
    assert repr(generator) == "Generator(seed=5, call=3)"


def test_the_whole_range_is_taken_and_wraps():
    top = 2**64 - 1
    generator = Generator(top, top)
    assert generator.take() == (top, top)
    assert generator.take() == (top, 0)
    assert Generator(np.uint64(3)).take() == (3, 0)


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_a_seed_out_of_range_is_a_value_error(bad):
    for make in (
        Generator,
        rrelu_compat.manual_seed,
        Generator(1).fold_in,
        lambda v: Generator(0, v),
    ):
        with pytest.raises(ValueError, match=r"must"):
            make(bad)


@pytest.mark.parametrize("bad", [1.0, "1", True, None])
def test_a_seed_of_a_wrong_type_is_a_type_error(bad):
    with pytest.raises(TypeError, match="seed="):
        Generator(bad)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_a_copy_continues_the_same_stream_as_a_separate_object(twin):
    generator = Generator(5, 7)
    other = twin(generator)
    assert other.take() == generator.take() == (5, 7)
    other.take()
    assert generator.take() == (5, 8)
    assert other.identity != generator.identity


def test_state_dict_resumes():
    generator = Generator(5)
    generator.take()
    state = generator.state_dict()
    assert state == {"seed": 5, "call": 1}
    other = Generator(0)
    other.load_state_dict(state)
    assert other.take() == generator.take()
    with pytest.raises(ValueError, match="must have the keys 'seed' and 'call'"):
        other.load_state_dict({"seed": 5})
    with pytest.raises(ValueError, match="call=-1"):
        other.load_state_dict({"seed": 5, "call": -1})
    assert other.state_dict() == {"seed": 5, "call": 2}


def test_the_buffer_is_one_for_life_and_live_both_ways():
    generator = Generator(5)
    state = generator.state
    generator.take()
    assert state.tolist() == [5, 1]
    state[1] = 40  # a compiled graph that advanced it
    assert generator.take() == (5, 40)
    generator.load_state_dict({"seed": 9, "call": 9})
    assert generator.state is state
    assert state.tolist() == [9, 9]


def test_repositioning_takes_a_new_identity():
    generator = Generator(5)
    before = generator.identity
    generator.load_state_dict(generator.state_dict())
    assert generator.identity != before


def test_fold_in_depends_on_seed_and_number_alone():
    generator = Generator(5)
    first = generator.fold_in(3)
    generator.take()
    assert generator.fold_in(3).state_dict() == first.state_dict()
    seeds = {Generator(s).fold_in(n).seed for s in range(20) for n in (*range(20), 2**32, 2**63)}
    assert len(seeds) == 20 * 22
    # Committed so that streams derived from a rank never change between versions.
    assert first.state_dict() == {"seed": FOLDED, "call": 0}


FOLDED = 8666905714805476825


def test_manual_seed_is_one_object_for_life_and_can_be_turned_off():
    assert process_generator() is None
    first = rrelu_compat.manual_seed(5)
    assert first is process_generator()
    first.take()
    identity = first.identity
    assert rrelu_compat.manual_seed(5) is first
    assert first.identity != identity
    assert first.take() == (5, 0)
    assert rrelu_compat.manual_seed(None) is None
    assert process_generator() is None


def test_live_generators_are_listed_and_forgotten():
    generator = Generator(123456789)
    assert any(g is generator for g in live_generators())
    del generator
    assert all(g.seed != 123456789 for g in live_generators())


def test_no_two_threads_get_the_same_number():
    generator, taken = Generator(1), []

    def work():
        mine = [generator.take()[1] for _ in range(2000)]
        taken.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(16000))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_continues_the_stream_on_its_own_even_if_the_lock_was_held():
    generator = Generator(5)
    generator.take()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with generator._lock:
        child = context.Process(target=lambda: queue.put(generator.take()))
        child.start()
    child.join(20)
    assert child.exitcode == 0
    assert queue.get() == (5, 1)
    assert generator.take() == (5, 1)
