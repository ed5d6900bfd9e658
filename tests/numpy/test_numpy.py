"""The NumPy adapter: values, gradient, layouts, subclasses, refusals."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import BoundsError, DTypeError, Generator, RReLUSpec, manual_seed, slopes
from rrelu_compat.numpy import RReLU, rrelu, rrelu_, rrelu_vjp

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(name) for name in ("float16", "float32", "float64")]
DTYPES.insert(1, BFLOAT16)


def definition(x, lower, upper, training, seed, call=0):
    """RReLU from the formula: slopes by C-order index, product rounded, then the dtype."""
    compute = np.float64 if x.dtype == np.float64 else np.float32
    if training:
        a = slopes(x.shape, lower, upper, seed=seed, call=call, dtype=np.dtype(compute).name)
    else:
        a = compute((lower + upper) / 2)
    with np.errstate(all="ignore"):
        return np.where(x >= 0, x, (a * x.astype(compute)).astype(x.dtype))


def same(a, b):
    """Whether two arrays have one dtype, shape and bits; any NaN equals any NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    raw = f"u{a.dtype.itemsize}"
    nan = np.isnan(a) & np.isnan(b)
    a_raw, b_raw = np.ascontiguousarray(a).view(raw), np.ascontiguousarray(b).view(raw)
    return bool((nan | (a_raw.reshape(a.shape) == b_raw.reshape(b.shape))).all())


def sample(shape, dtype):
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, -6e-8, 65504, -3e38]
    flat = x.reshape(-1)
    with np.errstate(over="ignore"):
        flat[: min(len(special), flat.size)] = np.array(special[: flat.size]).astype(dtype)
    return x


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("lower", "upper"), [(1 / 8, 1 / 3), (-2.0, -0.5), (0.25, 0.25), (-1.0, 1.0)]
)
def test_forward_and_gradient_are_the_definitions(dtype, training, lower, upper):
    x = sample((5, 7, 3), dtype)
    g = sample((5, 7, 3), dtype)[::-1].copy()
    y, vjp = rrelu_vjp(x, lower, upper, training=training, generator=Generator(9, 4))
    assert same(y, definition(x, lower, upper, training, 9, 4))
    a = definition(np.full(x.shape, -1, np.float32), lower, upper, training, 9, 4)
    compute = np.float64 if dtype == np.float64 else np.float32
    if compute is np.float64:
        a = definition(np.full(x.shape, -1.0), lower, upper, training, 9, 4)
    with np.errstate(all="ignore"):
        expected = np.where(x >= 0, g, (-a * g.astype(compute)).astype(dtype))
    assert same(vjp(g), expected)
    assert same(vjp(g), expected)  # a second time: nothing was used up
    kept = x.copy()
    assert same(rrelu(x, lower, upper, training=training, generator=Generator(9, 4)), y)
    assert same(x, kept)


def test_the_gradient_survives_a_change_of_the_input():
    x = np.array([-1.0, 2.0])
    _, vjp = rrelu_vjp(x, 0.5, 0.5, training=True)
    x[:] = [2.0, -1.0]
    assert vjp(np.ones(2)).tolist() == [0.5, 1.0]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "channels last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
    "reversed": lambda x: x[::-1].copy()[::-1],
    "sliced": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "misaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_layout_gives_the_same_elements_and_keeps_its_order(layout, dtype):
    plain = sample((4, 6, 5), dtype)
    x = LAYOUTS[layout](plain)
    y, vjp = rrelu_vjp(x, training=True, generator=Generator(2))
    assert y.dtype == x.dtype
    assert y.strides == np.empty_like(x).strides
    expected = definition(plain, 1 / 8, 1 / 3, True, 2)
    assert same(y.astype(dtype), expected)
    g = np.asfortranarray(np.ones(x.shape, dtype))
    assert same(vjp(g), rrelu_vjp(plain, training=True, generator=Generator(2))[1](g.copy("C")))
    if layout != "read-only" and layout != "misaligned":
        assert rrelu_(x, training=True, generator=Generator(2)) is x
        assert same(x.astype(dtype), expected)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_empty_and_0d(shape, dtype):
    x = np.full(shape, -2, dtype)
    y, vjp = rrelu_vjp(x, training=True, generator=Generator(1))
    assert isinstance(y, np.ndarray)
    assert same(y, definition(x, 1 / 8, 1 / 3, True, 1))
    assert vjp(x).shape == shape
    assert rrelu_(x, training=False) is x


def test_an_expanded_input_is_taken_but_not_in_place():
    x = np.broadcast_to(np.float32(-1), (3, 4))
    y = rrelu(x, training=True, generator=Generator(1))
    assert same(y, -slopes((3, 4), seed=1))
    writeable = np.lib.stride_tricks.as_strided(np.ones(4), (3, 2), (8, 8))
    with pytest.raises(ValueError, match="overlap itself"):
        rrelu_(writeable, training=True)
    with pytest.raises(ValueError, match="read-only"):
        rrelu_(x, training=True)


def test_a_refused_call_takes_no_number_and_changes_nothing():
    generator, x = Generator(1), np.array([-1, 2])
    kept = x.copy()
    for call in (
        lambda: rrelu(x, training=True, generator=generator),
        lambda: rrelu(np.ones(2, np.float32), 0, 1e39, training=True, generator=generator),
        lambda: rrelu(np.ones(2), 1, 0, training=True, generator=generator),
        lambda: rrelu_(np.broadcast_to(1.0, 3), training=True, generator=generator),
        lambda: rrelu(np.ones(2), training=1, generator=generator),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
    assert generator.call == 0
    assert (x == kept).all()


def test_evaluation_takes_no_number():
    generator = Generator(1)
    manual_seed(3)
    state = np.random.get_state()[1].copy()
    try:
        rrelu(np.ones(3), training=False, generator=generator)
        rrelu(np.ones(3), training=False)
        assert generator.call == 0
        assert manual_seed(3).call == 0
    finally:
        manual_seed(None)
    rrelu(np.ones(3), training=False)
    assert (np.random.get_state()[1] == state).all()


def test_the_three_sources_of_slopes():
    x = np.full(6, -1.0)
    np.random.seed(4)
    first, second = rrelu(x, training=True), rrelu(x, training=True)
    assert (first != second).any()
    np.random.seed(4)
    assert (rrelu(x, training=True) == first).all()
    draws = [rrelu(x, training=True, generator=np.random.default_rng(5)) for _ in range(2)]
    assert (draws[0] == draws[1]).all()
    manual_seed(6)
    try:
        a = slopes(6, seed=6, call=0, dtype="float64")
        assert (rrelu(x, training=True) == -a).all()
        own = rrelu(x, training=True, generator=Generator(7))
        assert (own == -slopes(6, seed=7, dtype="float64")).all()
        after = rrelu(x, training=True)
        assert (after == -slopes(6, seed=6, call=1, dtype="float64")).all()
    finally:
        manual_seed(None)


@pytest.mark.parametrize(
    "dtype", ["int8", "int64", "bool", "complex64", "longdouble", "S3", "O", "M8[s]", "f4,f4", "V4"]
)
def test_other_dtypes_are_refused_by_name(dtype):
    x = np.zeros(2, dtype)
    for error in (TypeError, NotImplementedError, DTypeError):
        with pytest.raises(error, match="must be float16, bfloat16, float32 or float64"):
            rrelu(x, training=True)
    assert x.dtype.name in str(DTypeError(x.dtype)) or str(x.dtype) in str(DTypeError(x.dtype))


def test_other_ml_dtypes_are_refused():
    with pytest.raises(DTypeError, match="float8"):
        rrelu(np.zeros(2, ml_dtypes.float8_e4m3fn), training=True)


def test_subclasses(tmp_path):
    class Unit(np.ndarray):
        pass

    x = np.array([[-2.0, 1.0]])
    assert type(rrelu(x.view(Unit), training=False)) is Unit
    assert type(rrelu(x.view(np.matrix), 0.5, 0.5, training=True)) is np.matrix
    with pytest.raises(TypeError, match=r"masked array.*filled"):
        rrelu(np.ma.array(x, mask=[[True, False]]), training=True)
    field = np.zeros(3, "i1,f8")["f1"]
    field[:] = [-1, 0, 1]
    assert rrelu_(field, 0.5, 0.5, training=True).tolist() == [-0.5, 0, 1]


def test_memory_maps(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(5,))
    mapped[:] = [-1, -2, 0, 3, -4]
    y = rrelu(mapped, training=True, generator=Generator(1))
    assert type(y) is np.ndarray
    assert same(y, definition(np.asarray(mapped), 1 / 8, 1 / 3, True, 1))
    rrelu_(mapped, training=True, generator=Generator(1))
    mapped.flush()
    assert same(np.fromfile(tmp_path / "x", np.float32), y)


@pytest.mark.parametrize("mode", ["r", "c"])
def test_memory_maps_that_are_not_written_back(tmp_path, mode):
    x = np.float32([-1, -2, 0, 3, -4])
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
    expected = definition(x, 1 / 8, 1 / 3, True, 1)
    assert same(rrelu(mapped, training=True, generator=Generator(1)), expected)
    assert same(
        rrelu_vjp(mapped, training=True, generator=Generator(1))[1](mapped),
        expected,  # the gradient x itself: a * x again
    )
    if mode == "r":
        with pytest.raises(ValueError, match="read-only"):
            rrelu_(mapped, training=True)
    else:
        assert rrelu_(mapped, training=True, generator=Generator(1)) is mapped
        assert same(np.asarray(mapped), expected)
    assert same(np.load(tmp_path / "x.npy"), x)


def test_structured_arrays_are_taken_field_by_field():
    records = np.rec.array([(1.0, -2.0), (-3.0, 4.0)], dtype=[("a", "f8"), ("b", "f8")])
    for whole in (records, np.asarray(records), np.zeros(2, "f4,f4")):
        with pytest.raises(DTypeError, match="must be float16"):
            rrelu(whole, training=False)
    assert rrelu(records.a, 0.5, 0.5, training=False).tolist() == [1.0, -1.5]
    assert rrelu_(records["b"], 0.5, 0.5, training=True) is not records
    assert records.tolist() == [(1.0, -1.0), (-3.0, 4.0)]


def test_subclasses_keep_what_they_carry():
    class Labelled(np.ndarray):
        def __array_finalize__(self, parent):
            self.label = getattr(parent, "label", None)

    x = np.array([-2.0, 1.0]).view(Labelled)
    x.label = "metres"
    y = rrelu(x, 0.5, 0.5, training=True)
    assert (type(y), y.label, y.tolist()) == (Labelled, "metres", [-1.0, 1.0])


def test_objects_that_become_arrays():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return np.array([-1.0, 2.0])

    for x in (Like(), memoryview(np.array([-1.0, 2.0])), (-1, 2)):
        assert rrelu(x, 0.5, 0.5, training=True).tolist() == [-0.5, 2.0]
        with pytest.raises(TypeError, match="x must be a"):
            rrelu_compat.rrelu(x, 0.5, 0.5, training=True)
    for x in (None, True, [True], "a", [[1.0], "a"]):
        with pytest.raises((DTypeError, ValueError)):
            rrelu(x, training=True)


def test_array_likes():
    assert rrelu([-2, 0, 3], 0.5, 0.5, training=False).tolist() == [-1.0, 0.0, 3.0]
    assert rrelu(-2.0, 0.5, 0.5, training=False).tolist() == -1.0
    assert rrelu(np.float32(-2), 0.5, 0.5, training=False).dtype == np.float32
    with pytest.raises(DTypeError):
        rrelu(np.int64(3), training=False)
    with pytest.raises(TypeError, match="x must be an array for inplace=True, got list"):
        rrelu([1.0], training=True, inplace=True)
    with pytest.raises(DTypeError):
        rrelu(["a"], training=True)


@pytest.mark.parametrize("generator", [3, "x", np.random.RandomState(1), np.random.PCG64(1)])
def test_other_generators_are_refused(generator):
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator or None, got .*generator="):
        rrelu(np.ones(2), training=True, generator=generator)
    with pytest.raises(TypeError, match="generator="):
        RReLUSpec().layer("numpy", generator=generator)


def test_vjp_refuses_a_gradient_of_another_shape_or_dtype():
    _, vjp = rrelu_vjp(np.ones((2, 3)), training=True)
    for g in (np.ones(6), np.ones((2, 3), np.float32)):
        with pytest.raises(
            ValueError, match=r"shape and dtype of the output, \(2, 3\) and float64"
        ):
            vjp(g)


def test_layer_switches_between_training_and_evaluation():
    layer = RReLU(0.25, 0.75, generator=Generator(1))
    x = np.full(3, -1.0)
    assert (layer(x) == -slopes(3, 0.25, 0.75, seed=1, dtype="float64")).all()
    assert (layer.eval()(x) == -0.5).all()
    layer.inplace = True
    assert layer(x) is x


def test_bounds_are_checked_before_anything():
    with pytest.raises(BoundsError):
        RReLU(0.5, 0.25)


def test_numpy_without_ml_dtypes():
    """A dtype named bfloat16 is all we need: ml_dtypes is never imported by the adapter."""
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import numpy as np, rrelu_compat\n"
        "rrelu_compat.rrelu(np.ones(2), training=True)\n"
        "print(rrelu_compat.dispatch.get_backend('numpy').info()['dtypes'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['float16', 'float32', 'float64']"
