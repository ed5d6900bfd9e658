"""Contiguous calls: every path and dtype against the definition, bit by bit."""

import itertools
import json
import pathlib

import numpy as np
import pytest

VECTORS = json.loads(
    (pathlib.Path(__file__).parents[1] / "core" / "slopes.json").read_text()
)["slopes"]  # fmt: skip

BOUNDS = [
    (1 / 8, 1 / 3),
    (-0.75, -0.25),
    (-0.5, 0.5),
    (0.0, 1.0),
    (2.0, 1000.0),
    (0.0, 0.0),
    (0.25, 0.25),
    (-0.1, -0.1),
    (-0.0, 0.0),
    (1.0, 1.0 + 2.0**-40),  # one float32, two float64
    (1.0, 1.0 + 2.0**-23),
    # rounded one by one to float32: lower + width lies beyond upper
    (1.0 + 0.6 * 2.0**-23, 1.0 + 2.4 * 2.0**-23),
    (0.0, 1e-45),
    (1e-40, 3e-40),
    (-3e38, 3e37),
    (1e-310, 4e-310),
]


def check(model, kernel, dtype, x, start, lower=1 / 8, upper=1 / 3, seed=11, call=22, **options):
    """One forward and one backward against the definition."""
    slopes = model.slopes_at(
        model.consecutive(start, x.shape), dtype, seed, call, lower, upper
    )  # fmt: skip
    keep = model.passes(x, dtype)
    bounds = {"lower": lower, "upper": upper, "seed": seed, "call": call}
    y, bits = model.run_forward(kernel, dtype, x, start, **bounds, **options)
    model.assert_same(y, model.scale(x, keep, slopes, dtype), dtype)
    assert (bits == model.pack(keep)).all()
    g = x[::-1].copy()
    result = model.run_backward(kernel, dtype, g, bits, start, **bounds, **options)
    model.assert_same(result, model.scale(g, keep, slopes, dtype), dtype)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4 * 1001 + 2])
def test_every_size(model, kernel, dtype, start):
    """0 to 450 elements, and around the sizes of blocks that pass through memory."""
    longest = 2100
    x = model.values(dtype, longest)
    slopes = model.slopes_at(model.consecutive(start, x.shape), dtype, 11, 22, 1 / 8, 1 / 3)
    keep = model.passes(x, dtype)
    expected = model.scale(x, keep, slopes, dtype)
    for n in [*range(451), *range(1020, 1031), *range(2045, 2055), longest]:
        y, bits = model.run_forward(kernel, dtype, x[:n], start)
        model.assert_same(y, expected[:n], dtype)
        packed = model.pack(keep[:n])
        assert bits.tobytes() == packed.tobytes(), n
        g = model.run_backward(kernel, dtype, x[:n], packed, start)
        model.assert_same(g, expected[:n], dtype)


@pytest.mark.parametrize("start", [0, 3])
def test_every_alignment(model, kernel, dtype, start):
    x = model.values(dtype, 331)
    for offset in range(64):
        check(model, kernel, dtype, x, start, offset=offset, out_offset=offset * 7 % 64)


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_bounds(model, kernel, dtype, bounds):
    for start in (0, 1):
        check(model, kernel, dtype, model.values(dtype, 1501, seed=start), start, *bounds)


def test_special_values(model, kernel, dtype):
    """Every special value in every place of a vector."""
    special = model.specials(dtype)
    for shift in range(70):
        check(model, kernel, dtype, np.tile(np.roll(special, shift), 8), 0)


@pytest.mark.parametrize(
    "bounds", [(1 / 8, 1 / 3), (0.3, 0.3), (-2.0, 70.0), (1e-6, 1e-5)], ids=str
)
@pytest.mark.parametrize("code", [0, 1], ids=["float16", "bfloat16"])
def test_all_halves(model, kernel, code, bounds):
    """All 65536 bit patterns; the bounds make products overflow and underflow."""
    x = np.arange(65536).astype(np.uint16).view(model.STORED[code])
    check(model, kernel, code, x, 0, *bounds)


@pytest.mark.parametrize("code", [0, 1], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("low", [0x0, 0x1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0xFFF, 0x1000, 0x1001])
def test_rounding_ties(model, kernel, code, low):
    """Slopes chosen so that products with powers of two fall on, just below and just above a tie."""
    odd = np.uint32(0x3F810000 | low), np.uint32(0x3F800000 | low), np.uint32(0x3F803000 ^ low)
    powers = [-(2.0**k) for k in (range(-24, 16) if code == 0 else range(-133, 128))]
    x = model.narrow(np.array(powers, np.float32), code)
    for bits in odd:
        slope = float(bits.view(np.float32))
        check(model, kernel, code, x, 0, slope, slope)


@pytest.mark.parametrize("edge", [2**34, 2**35, 2**63, 2**64], ids=hex)
def test_far_indices(model, kernel, dtype, edge):
    """Indices around the edges of the counter's words, and the wrap at 2**64."""
    x = model.values(dtype, 420)
    for before in [*range(140), *range(180, 430, 7), 1000, 1023, 1024, 1100, 1400]:
        n = 40 + before * 13 % 381
        check(model, kernel, dtype, x[:n], (edge - before) % 2**64)
    longer = model.values(dtype, 3000)
    for before in (1024, 1025, 1026, 2000, 2049):
        check(model, kernel, dtype, longer, edge - before)


def test_seed_and_call(model, kernel, dtype):
    words = (0, 1, 2**32 - 1, 2**32, 2**64 - 1, 0x123456789ABCDEF0)
    for seed, call in itertools.product(words, words):
        check(model, kernel, dtype, model.values(dtype, 200), 2**40, seed=seed, call=call)
        check(model, kernel, dtype, model.values(dtype, 20), 2**40 + 1, seed=seed, call=call)


@pytest.mark.parametrize("n", [1, 31, 32, 200, 1500])
@pytest.mark.parametrize("bounds", [(1 / 8, 1 / 3), (0.3, 0.3)], ids=str)
def test_in_place_and_without_bits(model, kernel, dtype, n, bounds):
    for start in (0, 2):
        x = model.values(dtype, n)
        check(model, kernel, dtype, x, start, *bounds, in_place=True)
        with_bits, _ = model.run_forward(kernel, dtype, x, start, *bounds)
        without, untouched = model.run_forward(kernel, dtype, x, start, *bounds, bits=False)
        model.assert_same(without, with_bits, dtype)
        assert (untouched == 0xA5).all()


def test_backward_reads_bits_alone(model, kernel, dtype):
    """Bits that no input could give: any pattern is obeyed, to the last element."""
    rng = np.random.default_rng(5)
    for n in (1, 7, 9, 33, 63, 65, 255, 700):
        g = model.values(dtype, n)
        packed = rng.integers(0, 256, (n + 7) // 8, dtype=np.uint8)
        keep = np.unpackbits(packed, count=n, bitorder="little").astype(bool)
        slopes = model.slopes_at(model.consecutive(8, (n,)), dtype, 11, 22, 1 / 8, 1 / 3)
        result = model.run_backward(kernel, dtype, g, packed, 8)
        model.assert_same(result, model.scale(g, keep, slopes, dtype), dtype)


@pytest.mark.parametrize("code", [2, 3], ids=["float32", "float64"])
@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['seed']}-{v['call']}-{v['lower']:g}")
def test_known_answers(model, kernel, code, vector):
    shape = tuple(vector["shape"])
    n = int(np.prod(shape))
    if code == 2:
        expected = np.array([float.fromhex(h) for h in vector["float32"]], np.float32)
    else:
        expected = np.array([float.fromhex(h) for h in vector["float64"]])
    key = {"seed": int(vector["seed"]), "call": int(vector["call"])}
    bounds = {"lower": vector["lower"], "upper": vector["upper"]}
    out = model.Memory(np.zeros(n, model.STORED[code]))
    kernel.fill_slopes(
        code, shape, out.address, None, key["seed"], key["call"], 0, *bounds.values(), 1
    )
    model.assert_same(out.read(), expected, code)
    minus = np.full(n, -1, model.STORED[code])
    y, _ = model.run_forward(kernel, code, minus, **key, **bounds)
    model.assert_same(-y, expected, code)


@pytest.mark.parametrize("n", [0, 1, 64, 1000, 1024, 5000])
@pytest.mark.parametrize("code", [2, 3], ids=["float32", "float64"])
def test_fill_slopes(model, kernel, code, n):
    for start, bounds in [(0, (1 / 8, 1 / 3)), (2**64 - 500, (-1.0, 1.0)), (3, (0.5, 0.5))]:
        out = model.Memory(np.zeros(n, model.STORED[code]))
        kernel.fill_slopes(code, (n,), out.address, None, 5, 6, start, *bounds, 1)
        expected = model.slopes_at(model.consecutive(start, (n,)), code, 5, 6, *bounds)
        model.assert_same(out.read(), expected, code)


def test_threads(model, kernel, dtype):
    """Large enough for every path to split; no split shows in the results."""
    n = 2**20 + 77
    x = model.values(dtype, n)
    for start in (2**34 - 2**19 + 5, 2**34 - 2**19):
        slopes = model.slopes_at(model.consecutive(start, (n,)), dtype, 11, 22, 1 / 8, 1 / 3)
        keep = model.passes(x, dtype)
        expected, packed = model.scale(x, keep, slopes, dtype), model.pack(keep)
        for threads in (1, 2, 3, 50) if kernel is not model.fallback else (1,):
            y, bits = model.run_forward(kernel, dtype, x, start, threads=threads)
            model.assert_same(y, expected, dtype)
            assert bits.tobytes() == packed.tobytes()
            g = model.run_backward(kernel, dtype, x, packed, start, threads=threads)
            model.assert_same(g, expected, dtype)
