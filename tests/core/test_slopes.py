"""The definition against published and committed known answers, and an independent Philox."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrelu_compat import BoundsError, slopes
from rrelu_compat.slopes import philox4x32_10, words, words_at

VECTORS = json.loads(pathlib.Path(__file__).with_name("slopes.json").read_text())
UINT64 = st.integers(0, 2**64 - 1)


def plain_philox(counter, key):
    """Philox4x32-10 in Python integers, from the paper's figure."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (second >> 32) ^ c[1] ^ k[0],
            second & 0xFFFFFFFF,
            (first >> 32) ^ c[3] ^ k[1],
            first & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def plain_word(seed, call, i):
    block = i // 4
    low = 0xFFFFFFFF
    counter = (block & low, block >> 32, call & low, call >> 32)
    return plain_philox(counter, (seed & low, seed >> 32))[i % 4]


@pytest.mark.parametrize("case", VECTORS["philox4x32_10"], ids=lambda case: case["counter"][:8])
def test_philox_gives_the_published_answers(case):
    counter = tuple(np.array([int(w, 16)], dtype=np.uint64) for w in case["counter"].split())
    key = tuple(int(w, 16) for w in case["key"].split())
    expected = [int(w, 16) for w in case["out"].split()]
    assert [int(w[0]) for w in philox4x32_10(counter, key)] == expected
    assert plain_philox([int(c[0]) for c in counter], key) == expected


@pytest.mark.parametrize("case", VECTORS["slopes"], ids=lambda case: f"seed{case['seed']}")
def test_slopes_give_the_known_answers(case):
    seed, call = int(case["seed"]), int(case["call"])
    assert words(0, len(case["words"]), seed, call).tolist() == [int(w, 16) for w in case["words"]]
    for dtype in ("float32", "float64"):
        got = slopes(case["shape"], case["lower"], case["upper"], seed=seed, call=call, dtype=dtype)
        assert got.dtype == dtype
        assert got.shape == tuple(case["shape"])
        assert got.ravel().tolist() == [float.fromhex(h) for h in case[dtype]]


@pytest.mark.parametrize("case", VECTORS["far_indices"], ids=lambda case: case["start"])
def test_far_indices_give_the_known_answers(case):
    start, expected = int(case["start"]), [int(w, 16) for w in case["words"]]
    seed, call = int(case["seed"]), int(case["call"])
    assert words(start, len(expected), seed, call).tolist() == expected
    index = np.arange(start, start + len(expected), dtype=np.uint64)
    assert words_at(index, seed, call).tolist() == expected


@given(UINT64, UINT64, UINT64, st.integers(0, 9))
def test_any_word_is_that_of_the_independent_philox(seed, call, start, count):
    expected = [plain_word(seed, call, (start + k) % 2**64) for k in range(count)]
    assert words(start, count, seed, call).tolist() == expected


@given(
    UINT64, UINT64, st.floats(-1e3, 1e3), st.floats(0, 1e3), st.sampled_from(["float32", "float64"])
)
def test_slopes_lie_within_the_rounded_bounds(seed, call, lower, width, dtype):
    a = slopes(64, lower, lower + width, seed=seed, call=call, dtype=dtype)
    real = np.dtype(dtype).type
    assert (a >= real(lower)).all()
    assert (a <= real(lower + width)).all()


def test_slopes_are_capped_at_upper():
    # In float32 lower + width * u rounds above upper for the largest u of such bounds.
    lower, upper = np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0))
    a = slopes(4096, float(lower), float(upper), seed=1)
    assert set(np.unique(a)) == {lower, upper}


def test_an_int_and_an_empty_shape():
    assert slopes(3, seed=1).shape == (3,)
    assert slopes((), seed=1).shape == ()
    assert slopes((2, 0), seed=1).shape == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be .*got seed=-1"),
        ({"seed": 2**64}, ValueError, "seed must be .*got seed=18446744073709551616"),
        ({"seed": 1.0}, TypeError, "seed must be .*got float seed=1.0"),
        ({"seed": True}, TypeError, "seed must be .*got bool seed=True"),
        ({"seed": 1, "call": -1}, ValueError, "call=-1"),
        ({"seed": 1, "dtype": "float16"}, ValueError, "dtype='float16'"),
        ({"seed": 1, "lower": 1, "upper": 0}, BoundsError, "lower=1"),
        ({"seed": 1, "upper": 1e39}, BoundsError, "float32"),
        ({"seed": 1, "shape": (-1,)}, ValueError, "shape="),
        ({"seed": 1, "shape": (2.5,)}, ValueError, "shape="),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        slopes(**{"shape": 3, **arguments})
