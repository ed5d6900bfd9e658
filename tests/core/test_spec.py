"""RReLUSpec: what it takes, what it refuses, and its forms."""

import copy
import dataclasses
import fractions
import json
import math
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import BoundsError, RReLUSpec

LARGEST = float(np.finfo(np.float32).max)


def test_defaults_are_those_of_both_frameworks():
    spec = RReLUSpec()
    assert (spec.lower, spec.upper, spec.inplace, spec.name) == (1 / 8, 1 / 3, False, None)
    assert spec.eval_slope == (1 / 8 + 1 / 3) / 2


@pytest.mark.parametrize(
    "value",
    [0, 1, -3, 0.25, np.float32(0.5), np.float16(2), np.int8(-1), np.uint64(3), np.float64(0.1),
     ml_dtypes.bfloat16(0.5), fractions.Fraction(1, 3)],
)  # fmt: skip
def test_any_real_number_is_a_bound(value):
    spec = RReLUSpec(value, value)
    assert type(spec.lower) is float
    assert spec.lower == float(value) == spec.upper == spec.eval_slope


def test_negative_zero_becomes_zero():
    spec = RReLUSpec(-0.0, -0.0)
    assert math.copysign(1, spec.lower) == math.copysign(1, spec.upper) == 1
    assert math.copysign(1, spec.eval_slope) == 1


@pytest.mark.parametrize(
    "value",
    [True, np.True_, "0.1", None, 1j, np.array([0.1]), [0.1], np.complex64(1)],
)
@pytest.mark.parametrize("argument", ["lower", "upper"])
def test_a_bound_of_a_wrong_type_is_a_type_error_that_names_it(argument, value):
    with pytest.raises(
        TypeError, match=rf"{argument} must be a real number .*, got {type(value).__name__}"
    ):
        RReLUSpec(**{argument: value})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, np.float32("inf")])
@pytest.mark.parametrize("argument", ["lower", "upper"])
def test_a_bound_that_is_not_finite_is_a_bounds_error(argument, value):
    with pytest.raises(BoundsError, match=f"{argument} must be finite"):
        RReLUSpec(**{argument: value})


@pytest.mark.parametrize("catch", [ValueError, RuntimeError, BoundsError])
def test_except_clauses_of_either_framework_catch_unordered_bounds(catch):
    with pytest.raises(catch, match=r"lower must be <= upper, got lower=0\.3, upper=0\.1"):
        RReLUSpec(0.3, 0.1)


def test_sum_and_difference_must_be_finite_in_double():
    largest = sys.float_info.max
    with pytest.raises(BoundsError, match="upper - lower"):
        RReLUSpec(-largest, largest)
    with pytest.raises(BoundsError, match=r"lower \+ upper"):
        RReLUSpec(largest, largest)


@pytest.mark.parametrize(
    ("lower", "upper"), [(-1e39, 0), (0, 1e39), (-LARGEST, LARGEST), (LARGEST, LARGEST)]
)
def test_single_precision_is_checked_when_a_tensor_is_at_hand(lower, upper):
    spec = RReLUSpec(lower, upper)
    for training in (True, False):
        with pytest.raises(BoundsError, match="float32"):
            spec.slope_range(training, True)
        assert spec.slope_range(training, False)
        for dtype in ("float16", "float32"):
            with pytest.raises(BoundsError):
                spec.apply(np.ones(2, dtype), training=training)
        assert (spec.apply(np.ones(2), training=training) == 1).all()


def test_the_largest_bound_that_rounds_to_a_finite_float32_is_taken():
    overflow = float(np.finfo(np.float32).max) + 2.0**103  # halfway to 2**128: rounds to infinity
    assert math.isinf(np.float32(overflow))
    with pytest.raises(BoundsError):
        RReLUSpec(0, overflow).slope_range(True, True)
    assert RReLUSpec(0, np.nextafter(overflow, 0)).slope_range(True, True)


@pytest.mark.parametrize("bad", [1, 0, "yes", None, np.True_])
def test_inplace_is_a_bool(bad):
    with pytest.raises(TypeError, match="inplace="):
        RReLUSpec(inplace=bad)


def test_name_is_a_str():
    with pytest.raises(TypeError, match="name=3"):
        RReLUSpec(name=3)


def test_frozen_hashable_equal_by_value():
    spec = RReLUSpec(0.1, 0.3, True, "act")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.lower = 0.2
    assert {spec: 1}[RReLUSpec(0.1, 0.3, True, "act")] == 1
    assert spec != RReLUSpec(0.1, 0.3)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_are_equal(twin):
    spec = RReLUSpec(0.1, 0.3, True, "act")
    assert twin(spec) == spec
    assert twin(spec).eval_slope == spec.eval_slope


def test_dict_form_survives_json():
    spec = RReLUSpec(0.1, 0.3, True, "act")
    assert RReLUSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert RReLUSpec.from_dict({}) == RReLUSpec()
    with pytest.raises(ValueError, match="'slope'"):
        RReLUSpec.from_dict({"slope": 1})


def test_from_layer_reads_every_kind_of_layer():
    import paddle
    import torch

    class Sub(torch.nn.RReLU):
        pass

    ours = rrelu_compat.RReLU(0.1, 0.3, backend="numpy")
    assert RReLUSpec.from_layer(torch.nn.RReLU(0.1, 0.3, True)) == RReLUSpec(0.1, 0.3, True)
    assert RReLUSpec.from_layer(Sub(0.1, 0.3)) == RReLUSpec(0.1, 0.3)
    named = paddle.nn.RReLU(0.1, 0.3, name="act")
    assert RReLUSpec.from_layer(named) == RReLUSpec(0.1, 0.3, name="act")
    assert RReLUSpec.from_layer(ours) == RReLUSpec(0.1, 0.3)
    for backend in ("torch", "paddle"):
        layer = RReLUSpec(0.1, 0.3, True, "act").layer(backend)
        assert RReLUSpec.from_layer(layer) == RReLUSpec(0.1, 0.3, True, "act")
    with pytest.raises(TypeError, match=r"torch\.nn\.RReLU, a paddle\.nn\.RReLU"):
        RReLUSpec.from_layer(torch.nn.ReLU())
