"""What the tests of eager tensors share: inputs."""

from __future__ import annotations

import numpy as np
import paddle


def numbers(define, dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    return define.array(rng.standard_normal(shape) * 3, dtype)


def input_of(define, array):
    x = define.to_paddle(array)
    x.stop_gradient = False
    return x


def backward(y, g):
    paddle.autograd.backward([y], [g])
