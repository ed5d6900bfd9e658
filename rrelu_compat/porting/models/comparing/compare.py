"""`compare`: run a model and its port with the same slopes and say where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.comparing import known
from rrelu_compat.porting.models.comparing.arguments import (
    arrays_of,
    check_flags,
    check_steps,
    checked_tolerance,
    common_dtype,
    pair_of,
    parameters_of,
)
from rrelu_compat.porting.models.comparing.causes import linked, weights_that_differ
from rrelu_compat.porting.models.comparing.completeness import Coverage
from rrelu_compat.porting.models.comparing.judge import Judge
from rrelu_compat.porting.models.comparing.result import Comparison
from rrelu_compat.porting.models.comparing.run import Run
from rrelu_compat.porting.models.comparing.settings import settings_that_differ
from rrelu_compat.porting.models.comparing.slopes import give_generators
from rrelu_compat.porting.models.comparing.tolerance import Yardstick
from rrelu_compat.porting.models.comparing.trial import calls_in_order
from rrelu_compat.porting.models.comparing.untouched import process_stream, untouched
from rrelu_compat.porting.models.draws import CurrentDraws
from rrelu_compat.porting.models.pairing import align, paired_by_order
from rrelu_compat.slopes import check_uint64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models

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
    backward: bool = True,
) -> Comparison:
    """Run a PyTorch model and its port to Paddle side by side, with the same random slopes.

    Every pair of RReLU layers gets the same stream of slopes, calls of ``rrelu`` without a generator
    another one; then each step runs forward, backward and an optimizer step in both, and what passes
    each layer is compared: inputs, outputs, gradients at the inputs and of the parameters, parameters
    and running statistics after the step. The first place where the two part is reported with what is
    likely wrong there, then the rest: each layer of Paddle's model goes on with what PyTorch's took and
    gave, so one difference hides nothing. Dropout, noise and the like take their numbers from the same
    stream in both.

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
        Path of a layer in `torch_model` to its path in `paddle_model`, where they differ: also a prefix
        of paths, and ``*`` for a part of one. What `copy_weights` took does as well, in its direction.
        Layers without a namesake are paired in the order of execution, where kind and shape are the
        same; ``result.names`` says how.
    tolerance : float, optional
        Relative difference that rounding explains. Default: derived from the model itself, of which each
        step runs three times more, with what its layers take one unit in the last place aside.
    backward : bool
        Whether to run the backward pass. Without it nothing is trained; Paddle's recurrent layers have
        no gradient in evaluation mode on the CPU.

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
    check_flags(training=training, backward=backward)
    check_steps(steps)
    losses, optimizers = pair_of("loss", loss), pair_of("optimizer", optimizer)
    models = align(torch_model, paddle_model, {} if names is None else names)
    dtype = common_dtype(models)
    yardstick = Yardstick(dtype, checked_tolerance(tolerance))
    given = arrays_of(models, inputs, dtype)
    where = CurrentDraws()
    seen: dict[str, None] = {}
    with (
        untouched(models.torch, models.torch_layers),
        untouched(models.paddle, models.paddle_layers),
        process_stream() as stream,
        models.torch.aligned_draws(where),
        models.paddle.aligned_draws(where),
        models.torch.in_single_precision(seen),
    ):
        _set_modes(models, training)
        models = paired_by_order(models, lambda name: calls_in_order(models, name, given))
        aligned, unaligned = give_generators(models, seed)
        run = Run(models, seed, given, losses, stream, where, backward)
        links, left = linked(models)
        judge = Judge(models, links, weights_that_differ(models, links), yardstick)
        coverage = Coverage(models, links)
        made = [
            _optimizer(framework, layers, maker) if backward else None
            for (framework, _, layers), maker in zip(run.sides, optimizers, strict=True)
        ]
        if dtype == "float64":
            known.rounded_constants(made[0])
        note = known.optimizer_note(made[1])
        for step in range(1, steps + 1):
            run.begin(step)
            judge.statistics = run.variances()
            ours = run.record(0)
            if ours.error is not None:
                raise ours.error
            if tolerance is None:
                yardstick.moved = run.sensitivity(ours, links, dtype)
            theirs = run.record(1, judge.go_on(ours))
            judge.passes(step, ours, theirs)
            coverage.see(ours, theirs)
            del ours, theirs
            run.make_gradients_equal(links)
            for descent in made:
                if descent is not None:
                    descent.step()
            judge.parameters(step, note)
            run.clear_gradients()
        missing = coverage.missing(left, judge.blind, backward)
    return Comparison(
        dtype=dtype,
        training=training,
        rows=tuple(judge.rows),
        first=judge.found[0] if judge.found else None,
        losses=tuple(judge.losses),
        aligned=tuple(aligned),
        unaligned=tuple(unaligned),
        notes=tuple(_notes(models, judge, note, left, seen)),
        differences=tuple(judge.found),
        open=tuple(_open(dtype, training, backward, unaligned, missing)),
        names=models.guessed,
        asked=tuple(_asked(dtype, training, backward)),
    )


def _asked(dtype: str, training: bool, backward: bool) -> list[str]:
    asked = {"evaluation": not training, "dtype": dtype != "float64", "forward only": not backward}
    return [name for name, is_so in asked.items() if is_so]


def _open(
    dtype: str, training: bool, backward: bool, unaligned: list[str], missing: list[str]
) -> list[str]:
    words = {
        "evaluation": "the models ran in evaluation mode",
        "dtype": f"in {dtype} rounding hides small faults: run in float64",
        "forward only": "there was no backward pass",
    }
    found = [f"{name}: {words[name]}" for name in _asked(dtype, training, backward)]
    random = [f"random: {text}" for text in unaligned]
    if not training:  # nothing draws there, and nothing is to be exercised
        missing = [text for text in missing if not text.startswith("not exercised")]
    return [*found, *random, *missing]


def _optimizer(framework: Framework, layers: Mapping[str, Any], maker: Any) -> Any:
    """Return the optimizer of a model, None if nothing in it is trained."""
    trained = [
        tensor for tensor in parameters_of(framework, layers) if framework.asks_gradient(tensor)
    ]
    if not trained:
        return None
    return framework.sgd(trained, LEARNING_RATE) if maker is None else maker(trained)


def _set_modes(models: Models, training: bool) -> None:
    """Switch both models if neither is in the mode asked for; a mode they do not share is a finding."""
    if models.torch_model.training == models.paddle_model.training != training:
        for model in (models.torch_model, models.paddle_model):
            model.train() if training else model.eval()


def _notes(
    models: Models, judge: Judge, optimizer: str | None, left: list[str], seen: Mapping[str, None]
) -> list[str]:
    notes = [*models.alone(), *(f"{text}, and was not compared" for text in left)]
    notes += list(dict.fromkeys(row.known for row in judge.rows if row.known))
    notes += [f"{text}: made the same for the run" for text in seen]
    if optimizer is not None:
        notes.append(optimizer)
    if models.guessed:
        count = len(models.guessed)
        notes.append(f"{count} layer(s) were paired by the order of execution: print(result.names)")
    for path, pair in models.pairs.items():
        notes += [
            f"{path!r}: {setting}" for setting in settings_that_differ(pair.torch, pair.paddle)
        ]
    return notes
