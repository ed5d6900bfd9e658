"""Running cases: drawing, shrinking, expected failures, results."""

from __future__ import annotations

import fnmatch
import time
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat import generator as process
from rrelu_compat.conformance.case import Case, all_checks, cases
from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.profiles import Profile, profile_of
from rrelu_compat.conformance.results import Result
from rrelu_compat.conformance.snippets import render
from rrelu_compat.conformance.subject import SubjectError, load_subject, validate
from rrelu_compat.conformance.trial import CheckFailure, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def case_seed(case: Case, profile: Profile) -> int:
    """Return the seed of a case: the same in every run of the profile, another one for every case."""
    # Not longer than needed: it stands in the programs that failures print.
    return zlib.crc32(f"{profile.seed} {case.id}".encode()) % 2**20


class _Last:
    """The last example that failed, and how many ran."""

    def __init__(self) -> None:
        self.examples = 0
        self.trial: Trial | None = None
        self.error: Exception | None = None

    def attempt(self, trial: Trial) -> None:
        """Run the case's check on one example."""
        self.examples += 1
        try:
            if trial.mode != "eval":
                trial.reseed(trial.seed)
            with np.errstate(all="ignore"):
                trial.case.check.body(trial)
        except Exception as error:
            if type(error).__module__.startswith("hypothesis"):
                raise  # Hypothesis' own way of giving up an example
            self.trial, self.error = trial, error
            raise


def _explore(case: Case, profile: Profile, last: _Last) -> None:
    """Run a case on examples drawn by Hypothesis; a failing one is shrunk."""
    hypothesis = require("hypothesis")
    strategies = hypothesis.strategies
    seed = case_seed(case, profile)

    settings = hypothesis.settings(
        max_examples=profile.max_examples,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )

    def example(data: Any) -> None:
        stream = data.draw(strategies.integers(0, 2**20))
        last.attempt(Trial(case, stream, data.draw))

    hypothesis.seed(seed)(settings(hypothesis.given(strategies.data())(example)))()


def describe(error: Exception) -> str:
    """Return the message of a failure: of a check, or of an error that the subject raised."""
    if isinstance(error, CheckFailure):
        return str(error)
    text = str(error).strip()
    # Paddle prints a C++ stack before the message, PyTorch after it.
    text = text.rpartition("Error Message Summary:")[2].replace("-" * 22, "").strip() or text
    text = " ".join(line.strip() for line in text.splitlines()[:3]).partition("Exception raised")[0]
    short = text if len(text) <= 240 else f"{text[:237]}..."
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


def run_case(case: Case, profile: Profile) -> Result:
    """Run one case.

    Returns
    -------
    Result
        With outcome "passed", "failed", "xfailed" (failed, as the subject says), "xpassed" (held
        although the subject says it fails) or "not-offered".
    """
    expected = getattr(case.subject, "expected_failures", {}).get(case.id)
    common = {
        "id": case.id,
        "check": case.check.id,
        "subject": case.subject.name,
        "device": case.device,
        "dtype": case.dtype,
        "mode": case.mode,
        "inplace": case.inplace,
        "requirement": case.check.summary,
    }
    if missing := case.missing():
        message = f"{missing} is not offered"
        if expected is not None:
            return Result(
                **common,
                outcome="failed",
                examples=0,
                message=f"an expected failure names a case of which {message}",
            )
        return Result(**common, outcome="not-offered", examples=0, message=message)
    last = _Last()
    started = time.perf_counter()
    # Slopes must come from the subject's own streams, whatever the program did before.
    process_was_on = process.process_generator() is not None
    process.set_process_generator(False)
    try:
        if case.check.once:
            last.attempt(Trial(case, case_seed(case, profile)))
        else:
            _explore(case, profile, last)
        error: Exception | None = None
    except Exception as raised:
        # A failure that does not repeat makes Hypothesis raise an error of its own; ours says more.
        error = last.error or raised
    finally:
        process.set_process_generator(process_was_on)
    seconds = time.perf_counter() - started
    if error is None:
        if expected is None:
            outcome, message = "passed", ""
        else:
            outcome, message = "xpassed", f"expected to fail, but holds: {expected}"
        return Result(
            **common, outcome=outcome, examples=last.examples, message=message, seconds=seconds
        )
    message = describe(error)
    snippet = render(last.trial.steps, case.subject, case.device) if last.trial else ""
    return Result(
        **common,
        outcome="failed" if expected is None else "xfailed",
        examples=max(1, last.examples),
        message=message if expected is None else f"{expected} | {message}",
        snippet=snippet,
        seconds=seconds,
    )


def select(
    subject: Any,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
) -> list[Case]:
    """Return the cases of a subject that the filters leave.

    Parameters
    ----------
    devices, dtypes : sequence of str
        Only these; empty means all the subject offers, and the report says which it does not.
    checks : sequence of str
        Patterns (``gradient.*``) of check ids or case ids.

    Raises
    ------
    SubjectError
        If the subject does not offer a device or dtype that was asked for.
    """
    claims = subject.capabilities
    for device in devices:
        if device not in claims.devices:
            raise SubjectError(
                f"subject {subject.name}: has no device {device!r}; it offers "
                f"{', '.join(claims.devices)}"
            )
    for dtype in dtypes:
        if dtype not in (*claims.dtypes, *claims.partial_dtypes):
            raise SubjectError(
                f"subject {subject.name}: does not offer {dtype}; it offers "
                f"{', '.join((*claims.dtypes, *claims.partial_dtypes))}"
            )

    def wanted(case: Case) -> bool:
        if devices and case.device not in devices:
            return False
        if dtypes and case.dtype not in dtypes:
            return False
        return not checks or any(
            fnmatch.fnmatchcase(case.check.id, glob) or case.id == glob for glob in checks
        )

    return [case for case in cases(subject) if wanted(case)]


def unknown_expectations(subject: Any) -> Iterator[Result]:
    """Yield a failure for every expected failure that names no case: a misspelt or outdated one."""
    expected = getattr(subject, "expected_failures", {})
    known = {case.id for case in cases(subject)}
    for name in expected:
        # A device that this machine lacks has no cases here.
        device = name.partition("[")[2].rstrip("]").partition("-")[0]
        if name not in known and device in (*subject.capabilities.devices, ""):
            yield Result(
                name,
                name.partition("[")[0],
                subject.name,
                device,
                "",
                "",
                False,
                "failed",
                0,
                f"expected_failures has {name!r}, which is no case of this subject",
            )


def run(
    subjects: Sequence[Any],
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
    profile: Profile | None = None,
    progress: Callable[[int, int, Result], None] | None = None,
) -> list[Result]:
    """Run the suite.

    Parameters
    ----------
    subjects : sequence
        Subjects, or names and ``module:object`` references as `load_subject` takes them.
    devices, dtypes, checks
        As `select` takes them.
    profile : Profile, optional
        How much to do; quick if not given.
    progress : callable, optional
        Called with the number of cases done, the number of all, and the last result.

    Raises
    ------
    SubjectError
        If a subject can't be loaded, or lacks a device or dtype that was asked for.
    MissingExtraError
        If Hypothesis or SciPy is not installed.
    """
    for module in ("hypothesis", "scipy.stats", "ml_dtypes"):
        require(module)
    profile = profile or profile_of()
    loaded = [load_subject(s) if isinstance(s, str) else validate(s, repr(s)) for s in subjects]
    chosen = [
        (subject, select(subject, devices=devices, dtypes=dtypes, checks=checks))
        for subject in loaded
    ]
    total = sum(len(cases_of) for _, cases_of in chosen)
    results: list[Result] = []
    for subject, cases_of in chosen:
        for case in cases_of:
            results.append(run_case(case, profile))
            if progress is not None:
                progress(len(results), total, results[-1])
        results.extend(unknown_expectations(subject))
    return results


def check_subject(
    subject: Any,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
    profile: str = "quick",
    max_examples: int | None = None,
    seed: int | None = None,
) -> list[Result]:
    """Run the suite on one subject and return the results; pytest is not needed.

    Parameters
    ----------
    subject : Subject or str
        A subject, the name of one, or ``module:object``.
    devices, dtypes, checks : sequence of str
        Run only these devices, dtypes and patterns of check ids.
    profile : {"quick", "ci", "thorough"}
        How much to do.
    max_examples, seed : int, optional
        Replace the profile's.

    Returns
    -------
    list of Result
        One for each case; ``outcome`` is "passed", "failed", "xfailed", "xpassed" or "not-offered".

    Examples
    --------
    >>> results = check_subject("numpy", dtypes=["float32"], checks=["evaluation.*"])
    >>> {result.outcome for result in results}
    {'passed'}
    """
    return run(
        [subject],
        devices=devices,
        dtypes=dtypes,
        checks=checks,
        profile=profile_of(profile, max_examples, seed),
    )


__all__ = ["all_checks", "check_subject", "run", "run_case", "select", "unknown_expectations"]
