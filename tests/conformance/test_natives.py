"""The suite finds what is known of the frameworks' own layers, by itself, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from differences import DIFFERS, outcomes

from rrelu_compat.conformance.finding import load_subject
from rrelu_compat.conformance.profiles import profile_of
from rrelu_compat.conformance.registry import all_checks
from rrelu_compat.conformance.runner import unknown_expectations

TORCH, PADDLE = "torch-native", "paddle-native"

# What is known of the native layers, by reading their sources and running them; the checks that must
# see it, and of which subject.
KNOWN = {
    "a bound may be an int": [(PADDLE, "bounds.integer")],
    "a bound may be a NumPy scalar": [(PADDLE, "bounds.numpy-scalar")],
    "bounds may be negative": [(PADDLE, "bounds.negative"), (PADDLE, "bounds.mixed-signs")],
    "bounds may be above 1": [(PADDLE, "bounds.above-one")],
    "bounds are checked at the call": [
        (TORCH, "errors.layer-refuses-early"),
        (PADDLE, "errors.layer-refuses-early"),
    ],
    "RuntimeError in PyTorch, ValueError in Paddle": [
        (TORCH, "errors.bounds-error-kind"),
        (PADDLE, "errors.bounds-error-kind"),
    ],
    "rrelu_ misses the check for finite bounds": [(TORCH, "errors.infinite-bounds")],
    "a bool is a bound": [(TORCH, "errors.bool-bounds")],
    "x <= 0 is sloped in PyTorch, and draws a number": [
        (TORCH, "seeding.zeros-count-like-positives")
    ],
    "x < 0 is sloped in Paddle, and draws a number": [
        (PADDLE, "seeding.zeros-count-like-negatives")
    ],
    "numbers are drawn for negative elements only": [
        (TORCH, "seeding.positives-count"),
        (PADDLE, "seeding.positives-count"),
    ],
    "the gradient at 0 is the slope": [(TORCH, "gradient.at-zero")],
    "no float16 training on the CPU": [(TORCH, "dtypes.forward"), (TORCH, "dtypes.gradient")],
    "no float16 backward on the CPU": [(PADDLE, "dtypes.gradient")],
    "no bfloat16 on the CPU": [(PADDLE, "dtypes.forward")],
    "other dtypes: NotImplementedError": [(TORCH, "errors.dtype-error-kind")],
    "in place, evaluation with a negative mean: backward raises": [
        (TORCH, "inplace.gradient-negative-bounds")
    ],
    "no double backward": [(PADDLE, "transforms.double-gradient")],
    "vmap fails": [(TORCH, "transforms.batching")],
    "channels-last is lost": [(TORCH, "layout.memory-format")],
    "the stored noise is rounded to bfloat16": [(TORCH, "gradient.rounded-like-forward")],
    "bounds are float32 also for float64 input": [
        (PADDLE, "bounds.double-precision"),
        (PADDLE, "evaluation.default-bounds"),
    ],
}

# Known to be right, each with a check that would see it if it were not.
RIGHT = {
    "the gradient at 0 is 1": [(PADDLE, "gradient.at-zero")],
    "zeros draw like negative elements": [(TORCH, "seeding.zeros-count-like-negatives")],
    "zeros draw like positive elements": [(PADDLE, "seeding.zeros-count-like-positives")],
    "numbers are drawn in logical order": [
        (TORCH, "seeding.layout-does-not-matter"),
        (PADDLE, "seeding.layout-does-not-matter"),
    ],
    "double backward": [(TORCH, "transforms.double-gradient")],
    "forward AD": [(TORCH, "transforms.forward-mode")],
    "in place, training: any sign": [(TORCH, "inplace.gradient")],
    "bounds of any sign and size": [(TORCH, "bounds.negative"), (TORCH, "bounds.above-one")],
    "the positive side has its gradient": [
        (TORCH, "gradient.positive-side"),
        (PADDLE, "gradient.positive-side"),
    ],
    "backward of an empty tensor": [(PADDLE, "shapes.empty-gradient")],
    "of tensors, only one without axes is a bound": [(TORCH, "errors.tensor-bounds")],
}

# Offered by neither, or by one: reported as that, never as passed.
ABSENT = {
    "no in-place form": [(PADDLE, "inplace.same-object")],
    "no generator": [(PADDLE, "seeding.reproducible")],
    "results are contiguous": [(PADDLE, "layout.memory-format")],
    "no forward AD": [(PADDLE, "transforms.forward-mode")],
}


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        # The C library overwrites what is freed: uninitialised memory then never happens to be right.
        patch.setenv("MALLOC_PERTURB_", "85")
        patch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
        return outcomes((TORCH, PADDLE), profile_of(max_examples=6))


def _outcomes(found, subject: str, check: str) -> set[str]:
    return {result.outcome for result in found[check][subject]}


@pytest.mark.parametrize("line", KNOWN)
def test_known_differences_are_found(found, line: str):
    for subject, check in KNOWN[line]:
        assert _outcomes(found, subject, check) & set(DIFFERS), (subject, check)


@pytest.mark.parametrize("line", RIGHT)
def test_known_agreements_are_found(found, line: str):
    for subject, check in RIGHT[line]:
        assert _outcomes(found, subject, check) <= {"passed", "not-offered"}, (subject, check)
        assert "passed" in _outcomes(found, subject, check), (subject, check)


@pytest.mark.parametrize("line", ABSENT)
def test_what_is_absent_is_not_passed(found, line: str):
    for subject, check in ABSENT[line]:
        assert _outcomes(found, subject, check) == {"not-offered"}, (subject, check)


@pytest.mark.parametrize("subject", [TORCH, PADDLE])
def test_every_failure_is_expected_and_every_expected_failure_fails(found, subject: str):
    bad = [
        f"{r.outcome} {r.id}: {r.message}"
        for by_subject in found.values()
        for r in by_subject[subject]
        if r.bad
    ]
    assert bad == []
    assert list(unknown_expectations(load_subject(subject))) == []
    executed = sum(r.examples > 0 for by_subject in found.values() for r in by_subject[subject])
    assert executed > 250


def test_the_page_of_differences_is_that_of_this_run(found):
    page = Path(__file__).parents[2] / "docs" / "differences.md"
    text = page.read_text(encoding="utf-8")
    written = re.findall(r"^## (\S+)$", text, re.MULTILINE)
    differing = [
        check.id
        for check in all_checks()
        if any(r.outcome in DIFFERS for rs in found[check.id].values() for r in rs)
    ]
    assert written == differing, "python docs/scripts/differences.py"
    for subject in (TORCH, PADDLE):
        for reason in load_subject(subject).expected_failures.values():
            assert reason in text


def test_the_programs_on_the_page_show_what_it_says(capsys):
    """Each runs, or raises the error that is quoted above it."""
    text = (Path(__file__).parents[2] / "docs" / "differences.md").read_text(encoding="utf-8")
    programs = re.findall(r"^> ([^\n]*)\n\n```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(programs) > 40
    for message, program in programs:
        raised = ""
        try:
            exec(compile(program, "program", "exec"), {})
        except Exception as error:
            raised = type(error).__name__
        promised = message.partition(":")[0]
        if promised.endswith("Error") and " " not in promised:
            assert raised == promised, program
        elif " raised " in message:
            assert f" raised {raised}," in message, program
        elif "the message " not in message and "is expected" not in message:
            assert raised == "", program
