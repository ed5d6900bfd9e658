"""Running the suite: every case of every subject, what follows of another failure told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.case_run import case_seed, run_case
from rrelu_compat.conformance.causes import causes
from rrelu_compat.conformance.expected import expectations, unknown_expectations
from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.finding import load_subject, reference_of
from rrelu_compat.conformance.profiles import Profile, profile_of
from rrelu_compat.conformance.selection import select
from rrelu_compat.conformance.subject import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rrelu_compat.conformance.registry import Case
    from rrelu_compat.conformance.results import Result


class Judge:
    """Runs cases and tells failures from what follows of them.

    Parameters
    ----------
    profile : Profile
        How much to do.
    expected : mapping of str to str
        Expected failures, as `expectations` gives them.
    chosen : sequence of Case
        What is run.
    """

    def __init__(
        self, profile: Profile, expected: Mapping[str, str], chosen: Sequence[Case]
    ) -> None:
        self.profile, self.expected = profile, expected
        self._results: dict[str, Result] = {}
        self._told = {case.id for case in chosen}

    def __call__(self, case: Case) -> list[Result]:
        """Run a case; its verdict is the same alone as in a whole run.

        Where it follows from a case that was not chosen, the result of that one comes too: a run
        without a failure that is counted would be green.
        """
        result = self._raw(case)
        if result.outcome != "failed" or result.examples == 0:
            return [result]
        for cause in causes(case):
            first = self._raw(cause)
            if first.outcome in ("failed", "xfailed"):
                message = f"follows from {first.id} | {result.message}"
                follows = replace(result, outcome="follows", message=message)
                if cause.id in self._told:
                    return [follows]
                self._told.add(cause.id)
                return [follows, first]
        return [result]

    def _raw(self, case: Case) -> Result:
        if case.id not in self._results:
            self._results[case.id] = run_case(case, self.profile, self.expected)
        return self._results[case.id]


def run(
    subjects: Sequence[Any],
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
    profile: Profile | None = None,
    progress: Callable[[int, int, Result], None] | None = None,
    isolate: bool = False,
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
    isolate : bool
        Run the cases in a process of their own for each subject, which may abort or hang; all
        subjects must be references then.

    Raises
    ------
    SubjectError
        If a subject can't be loaded, or lacks a device or dtype that was asked for.
    ValueError
        If there is no check that a pattern matches.
    MissingExtraError
        If SciPy or ml_dtypes is not installed.
    """
    profile = profile or profile_of()
    filters = {"devices": devices, "dtypes": dtypes, "checks": checks}
    runs: list[tuple[int, Iterator[Result]]] = []
    for subject in subjects:
        if isolate:
            from rrelu_compat.conformance.isolating import IsolatedRun

            if not isinstance(subject, str):
                raise ValueError(f"isolate=True takes names and module:object, got {subject!r}")
            apart = IsolatedRun(subject, profile=profile, filters=filters)
            apart.open()
            runs.append((apart.count, iter(apart)))
        else:
            loaded = load_subject(subject) if isinstance(subject, str) else subject
            runs.append(run_here(loaded, filters, profile))
    total = sum(count for count, _ in runs)
    results: list[Result] = []
    for _, stream in runs:
        for result in stream:
            results.append(result)
            if progress is not None:
                progress(len(results), total, result)
    return results


def run_here(
    subject: Any,
    filters: Mapping[str, Sequence[str]],
    profile: Profile,
    more: Mapping[str, str] | None = None,
) -> tuple[int, Iterator[Result]]:
    """Return how many cases the filters leave of a subject, and their results as they come."""
    for module in ("scipy.stats", "ml_dtypes"):
        require(module)
    validate(subject, reference_of(subject) or repr(subject))
    chosen = select(subject, **filters)

    def results() -> Iterator[Result]:
        judge = Judge(profile, expectations(subject, more), chosen)
        for case in chosen:
            yield from judge(case)
        yield from unknown_expectations(subject, more)

    return len(chosen), results()


def check_subject(
    subject: Any,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
    profile: str = "quick",
    max_examples: int | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    isolate: bool = False,
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
    time_limit : float, optional
        Seconds for a case, instead of the profile's.
    isolate : bool
        Run the cases in a process of their own, which may abort or hang; `subject` must be a name
        or ``module:object`` then.

    Returns
    -------
    list of Result
        One for each case; ``outcome`` is one of `rrelu_compat.conformance.results.OUTCOMES`.

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
        profile=profile_of(profile, max_examples, seed, time_limit),
        isolate=isolate,
    )


__all__ = [
    "Judge",
    "case_seed",
    "check_subject",
    "run",
    "run_case",
    "run_here",
    "select",
    "unknown_expectations",
]
