"""`compare`: run a model and its port with the same slopes and say where they part."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.porting.models.comparing import known
from rrelu_compat.porting.models.comparing.alignment import give_generators
from rrelu_compat.porting.models.comparing.causes import linked, weights_that_differ
from rrelu_compat.porting.models.comparing.judge import Judge
from rrelu_compat.porting.models.comparing.proof import Proof
from rrelu_compat.porting.models.comparing.recording import record
from rrelu_compat.porting.models.comparing.result import Comparison
from rrelu_compat.porting.models.comparing.sensitivity import Standing, make_equal, measure
from rrelu_compat.porting.models.comparing.settings import settings_that_differ
from rrelu_compat.porting.models.comparing.structures import tensors_in
from rrelu_compat.porting.models.comparing.tolerance import UNIT, Yardstick
from rrelu_compat.porting.models.comparing.trial import paired_by_trial
from rrelu_compat.porting.models.comparing.untouched import process_stream, untouched
from rrelu_compat.porting.models.correspondence import kind_of
from rrelu_compat.porting.models.draws import CurrentDraws, Draws
from rrelu_compat.porting.models.pairing import align
from rrelu_compat.slopes import check_uint64

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.comparing.recording import Key, Recording
    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models, Pair

#: Exact in binary, because Paddle keeps some constants as float32.
LEARNING_RATE = 2.0**-6


def compare(
    torch_model: Any,
    paddle_model: Any,
    inputs: Any,
    *,
    seed: int,
    training: bool = True,
    loss: Any = None,
    steps: int = 1,
    optimizer: Any = None,
    names: Mapping[str, str] | None = None,
    tolerance: float | None = None,
) -> Comparison:
    """Run a PyTorch model and its port to Paddle side by side, with the same random slopes.

    Every pair of RReLU layers gets the same stream of slopes, calls of ``rrelu`` without a generator
    another one; then each step runs forward, backward and an optimizer step in both, and what passes
    each layer is compared: inputs, outputs, gradients at the inputs and of the parameters, parameters
    and running statistics after the step. The first place where the two part is reported with what is
    likely wrong there. Each layer of Paddle's model goes on with what PyTorch's took and gave, so that
    one difference hides nothing and rounding does not add up; after each step parameters are made equal.
    Dropout and its like take their numbers from the slopes' counter stream in both models. The comparison
    ends with the step in which they part.

    The models are as before when it is done: parameters, statistics, gradients, modes, generators and
    random states.

    Parameters
    ----------
    torch_model : torch.nn.Module
    paddle_model : paddle.nn.Layer
        With the same weights (`copy_weights`). Layers correspond by path.
    inputs : array, tuple of arrays or dict of arrays
        What the models are called with: one argument, several, or keywords. Tensors of either
        framework and lists of numbers do as well. Floating ones are converted to the models' dtype.
    seed : int
        In ``[0, 2**64)``: of the slopes, and of the weights of the default loss.
    training : bool
        The mode to run in. Models that are both in the other mode are switched; where the two differ
        from each other nothing is switched, and that is what is found.
    loss : callable or pair of callables, optional
        From the output to a scalar tensor: one that does for both frameworks, or PyTorch's and
        Paddle's. Default: a fixed, randomly weighted sum of all outputs.
    steps : int
        How many steps, 1 at least, all with the same inputs.
    optimizer : pair of callables, optional
        Make PyTorch's and Paddle's optimizer from a list of parameters. Default: gradient descent with
        a learning rate of 1/64.
    names : mapping of str to str, optional
        Path of a layer in `torch_model` to its path in `paddle_model`, where they differ; a prefix of
        paths, or ``*`` for one part, does for many. Layers that have no namesake are paired in the order
        of execution, where kind and sizes are the same; a note says how.
    tolerance : float, optional
        Relative difference that rounding explains. Default: derived for each value from what one unit in
        the last place of a layer's inputs and weights does to it, measured in the run.

    Returns
    -------
    Comparison
        Prints as a table; `assert_close`, `plot`, and `first`, the place where they part.

    Raises
    ------
    TypeError, ValueError
        For arguments that are not allowed, or models of two dtypes.
    Exception
        Whatever `torch_model` raises. What `paddle_model` raises is a finding.

    Examples
    --------
    >>> import numpy as np, paddle, torch
    >>> import rrelu_compat.torch, rrelu_compat.paddle
    >>> from rrelu_compat.porting import copy_weights
    >>> ours = torch.nn.Sequential(torch.nn.Linear(4, 3), rrelu_compat.torch.RReLU()).double()
    >>> port = paddle.nn.Sequential(paddle.nn.Linear(4, 3), rrelu_compat.paddle.RReLU())
    >>> port = port.to(dtype="float64")
    >>> copy_weights(ours, port)
    >>> result = compare(ours, port, np.random.randn(8, 4), seed=7)
    >>> result.assert_close()
    >>> result.proven
    True

    Notes
    -----
    float64 is a proof. In float32 a port that is right differs by rounding, and two roundings of a value
    near zero may fall on either side of it, where the gradient jumps.

    Only what layers take and return is seen: of code between them, the effect on the next layer.
    """
    seed = check_uint64("seed", seed)
    _check_flag_and_count(training, steps)
    losses, optimizers = _pair("loss", loss), _pair("optimizer", optimizer)
    models = align(torch_model, paddle_model, names or {})
    dtype = _dtype(models)
    given = _arrays(models, inputs, dtype)
    models = paired_by_trial(models, lambda framework, layers: _tensors(framework, layers, given))
    sides = (
        (models.torch, models.torch_model, models.torch_layers),
        (models.paddle, models.paddle_model, models.paddle_layers),
    )
    reference = (models.torch, models.torch_model, models.torch_layers)
    numbers = (
        {path: number for number, path in enumerate(models.pairs)},
        {pair.paddle_path: number for number, pair in enumerate(models.pairs.values())},
    )
    rounded: dict[str, None] = {}
    single = models.torch.in_single_precision(rounded) if dtype == "float64" else nullcontext()
    where = CurrentDraws()
    with (
        untouched(models.torch, models.torch_layers),
        untouched(models.paddle, models.paddle_layers),
        process_stream() as stream,
        single,
        models.torch.aligned_draws(where),
        models.paddle.aligned_draws(where),
    ):
        _set_modes(models, training)
        aligned, unaligned = give_generators(models, seed)
        proof = Proof(models, dtype, training)
        for line in unaligned:
            proof.add("not aligned", line)
        yardstick = Yardstick(dtype, _checked(tolerance))
        links, alone = linked(models)
        for line in alone:
            proof.add("not compared", line)
        judge = Judge(models, links, weights_that_differ(models, links), yardstick)
        made = [
            _optimizer(framework, layers, maker)
            for (framework, _, layers), maker in zip(sides, optimizers, strict=True)
        ]
        note = known.optimizer_note(made[1])
        if dtype == "float64":
            known.rounded_constants(made[0])
        ends = {pair.path for pair in models.ends()}, {pair.paddle_path for pair in models.ends()}
        drawn = 0  # functional calls so far
        for step in range(1, steps + 1):

            def run(
                side: int, go_on_with: Any = None, step: int = step, drawn: int = drawn
            ) -> Recording:
                framework, model, layers = sides[side]
                stream.reposition(seed, drawn)
                where.draws = Draws(seed, step, numbers[side])
                arguments, keywords = _tensors(framework, layers, given)
                scalar = losses[side] or _weighted_sum(framework, seed)
                try:
                    with framework.keeps_random_state():  # what is not aligned is at least repeated
                        return record(
                            framework,
                            model,
                            layers,
                            ends[side],
                            arguments,
                            keywords,
                            scalar,
                            draws=where.draws,
                            go_on_with=go_on_with,
                        )
                finally:
                    where.draws = None

            before = Standing(*reference)
            ours = run(0)
            if ours.error is not None:
                raise ours.error
            drawn = stream.call
            gradients = before.results()
            proof.see_gradients(gradients)
            expected = _expected_variances(models, before, ours)
            if yardstick.given is None:
                yardstick.moved = measure(
                    models.torch,
                    models.torch_layers,
                    ours,
                    lambda change: run(0, change),
                    before.results,
                    before.put_back,
                    dtype,
                    seed,
                )
                before.put_after(gradients)
            theirs = None
            if step == 1:
                # Left alone once: what goes on with other values may not raise where the port does.
                standing = Standing(*sides[1])
                alone_run = run(1)
                if alone_run.error is not None:
                    theirs = alone_run
                standing.put_back()
                for tensor in _parameters(models.paddle, models.paddle_layers):
                    if theirs is None:
                        models.paddle.put_gradient(tensor, None)
            if theirs is None:
                theirs = run(1, _the_same(models, ours))
            judge.passes(step, ours, theirs)
            proof.see(ours, theirs)
            del ours, theirs
            if judge.first is not None:
                break
            make_equal(models, judge, gradients=True)
            for descent in made:
                if descent is not None:
                    descent.step()
            judge.parameters(step, type(made[1]).__name__, note, expected)
            if judge.first is not None:
                break
            make_equal(models, judge)
            for framework, _, layers in sides:
                for tensor in _parameters(framework, layers):
                    framework.put_gradient(tensor, None)
    return Comparison(
        dtype=dtype,
        training=training,
        rows=tuple(judge.rows),
        first=judge.first,
        losses=tuple(judge.losses),
        aligned=tuple(aligned),
        unaligned=tuple(unaligned),
        notes=tuple(_notes(models, judge, note, rounded)),
        open=proof.finish(),
        raised=judge.raised,
    )


def _the_same(
    models: Models, ours: Recording
) -> Callable[[Key, NDArray[Any]], NDArray[Any] | None]:
    """Let Paddle's layers go on with what PyTorch's took and gave, so that rounding does not add up."""
    pairs = {pair.paddle_path: pair for pair in models.pairs.values()}
    items: dict[tuple[str, int, str], list[Key]] = {}
    for key in ours.values:
        items.setdefault((key.path, key.call, key.what), []).append(key)

    def go_on_with(key: Key, values: NDArray[Any]) -> NDArray[Any] | None:
        pair = pairs.get(key.path)
        if pair is None or values.dtype.kind != "f" or not values.size:
            return None
        if key.what == "input" and _writes_into_its_input(pair):
            return None
        found = items.get((pair.path, key.call, key.what), [])
        same = [one for one in found if one.item == key.item]
        other = ours.values[same[0]] if same else ours.values[found[0]] if len(found) == 1 else None
        if other is None or other.shape != values.shape or not np.isfinite(values).all():
            return None
        return None if np.array_equal(other, values) else other

    return go_on_with


def _writes_into_its_input(pair: Pair) -> bool:
    return any(
        getattr(layer, name, False)
        for layer in (pair.torch, pair.paddle)
        for name in ("inplace", "_inplace")
    )


def _expected_variances(
    models: Models, before: Standing, ours: Recording
) -> dict[str, NDArray[Any]]:
    """Return, by path, the running variances that Paddle's BatchNorm layers must have after the pass."""
    found = {}
    for path, pair in models.pairs.items():
        kind, variance = kind_of(pair.torch), before.buffer(path, "running_var")
        if kind is None or kind.name != "BatchNorm" or variance is None or not pair.torch.training:
            continue
        inputs = [v for key, v in ours.values.items() if key.path == path and key.what == "input"]
        batches = before.buffer(path, "num_batches_tracked")
        momentum = pair.torch.momentum
        if momentum is not None:
            momentum = 1 - float(np.float32(1 - momentum))
        found[path] = known.biased_variance(
            variance, inputs, momentum, 0 if batches is None else int(batches)
        )
    return found


def _check_flag_and_count(training: bool, steps: int) -> None:
    if not isinstance(training, bool):
        raise TypeError(f"training={training!r} is not a bool: True or False is allowed")
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"steps={steps!r} is not an int: 1 or more is allowed")
    if steps < 1:
        raise ValueError(f"steps={steps!r}: 1 or more is allowed")


def _pair(argument: str, value: Any) -> tuple[Any, Any]:
    if value is None or (argument == "loss" and callable(value)):
        return value, value
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(callable, value)):
        return value[0], value[1]
    one = "a callable or " if argument == "loss" else ""
    raise TypeError(
        f"{argument}={value!r}: {one}a pair of callables (PyTorch's, Paddle's) is allowed"
    )


def _dtype(models: Models) -> str:
    found = []
    for framework, layers in (
        (models.torch, models.torch_layers),
        (models.paddle, models.paddle_layers),
    ):
        dtypes = {framework.dtype(tensor) for tensor in _parameters(framework, layers)}
        found.append(dtypes & set(UNIT) or {"float64"})
    if found[0] != found[1] or len(found[0]) != 1:
        raise ValueError(
            f"torch_model has parameters of {_words(found[0])} and paddle_model of {_words(found[1])}: "
            "one dtype, the same in both, is allowed"
        )
    return found[0].pop()


def _words(names: set[str]) -> str:
    return " and ".join(sorted(names))


def _parameters(framework: Framework, layers: Mapping[str, Any]) -> list[Any]:
    """Return every parameter once, in the order of the layers."""
    found = {
        id(tensor): tensor
        for layer in layers.values()
        for tensor in framework.parameters(layer).values()
    }
    return list(found.values())


def _arrays(models: Models, inputs: Any, dtype: str) -> dict[int | str, NDArray[Any]]:
    """Return the inputs by position or keyword; floating ones in the models' dtype, as NumPy has it."""
    if isinstance(inputs, dict):
        items = list(inputs.items())
    elif isinstance(inputs, tuple) or (
        isinstance(inputs, list) and any(hasattr(value, "shape") for value in inputs)
    ):
        items = list(enumerate(inputs))
    else:  # also a list of numbers, or of such lists
        items = [(0, inputs)]
    found = {}
    for key, value in items:
        framework = next((f for f in (models.torch, models.paddle) if f.is_tensor(value)), None)
        array = np.asarray(value) if framework is None else framework.to_numpy(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"inputs[{key!r}] has dtype {array.dtype}: numbers and booleans are allowed"
            )
        if array.dtype.kind == "f":
            array = array.astype("float64" if dtype == "float64" else "float32")
        found[key] = array
    return found


def _tensors(
    framework: Framework, layers: Mapping[str, Any], given: Mapping[int | str, NDArray[Any]]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the inputs as tensors, of which gradients are asked."""
    parameters = _parameters(framework, layers)
    like = parameters[0] if parameters else None
    arguments, keywords = [], {}
    for key, array in given.items():
        tensor = framework.from_numpy(array, like)
        if array.dtype.kind == "f":
            tensor = framework.ask_gradient(tensor)
        if isinstance(key, str):
            keywords[key] = tensor
        else:
            arguments.append(tensor)
    return arguments, keywords


def _weighted_sum(framework: Framework, seed: int) -> Callable[[Any], Any]:
    def loss(output: Any) -> Any:
        tensors = [t for t in tensors_in(output, framework).values() if framework.asks_gradient(t)]
        if not tensors:
            raise ValueError("the model returns no tensor with a gradient: give loss=")
        random = np.random.default_rng(seed)
        parts = []
        for tensor in map(framework.widened, tensors):
            shape = tuple(tensor.shape)
            weights = random.standard_normal(shape) / max(np.prod(shape, dtype=int), 1)
            parts.append((tensor * framework.from_numpy(weights, tensor)).sum())
        return sum(parts[1:], parts[0])

    return loss


def _optimizer(framework: Framework, layers: Mapping[str, Any], maker: Any) -> Any:
    """Return the optimizer of a model, None if nothing in it is trained."""
    trained = [
        tensor for tensor in _parameters(framework, layers) if framework.asks_gradient(tensor)
    ]
    if not trained:
        return None
    return framework.sgd(trained, LEARNING_RATE) if maker is None else maker(trained)


def _set_modes(models: Models, training: bool) -> None:
    """Switch both models if neither is in the mode asked for; a mode they do not share is a finding."""
    if models.torch_model.training == models.paddle_model.training != training:
        for model in (models.torch_model, models.paddle_model):
            model.train() if training else model.eval()


def _checked(tolerance: float | None) -> float | None:
    if tolerance is None:
        return None
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
        raise TypeError(f"tolerance={tolerance!r} is not a number")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance!r}: 0 <= tolerance < 1 is allowed")
    return tolerance


def _notes(
    models: Models, judge: Judge, optimizer: str | None, rounded: dict[str, None]
) -> list[str]:
    notes = [*models.alone()]
    if models.guessed:
        notes.append(f"paired in the order of execution: names={dict(models.guessed)}")
    notes += list(dict.fromkeys(row.known for row in judge.rows if row.known))
    notes += rounded
    if optimizer is not None:
        notes.append(optimizer)
    for path, pair in models.pairs.items():
        notes += [
            f"{path!r}: {setting}" for setting in settings_that_differ(pair.torch, pair.paddle)
        ]
    return notes
