"""Running one case: examples, the simplest one that fails, whether it fails again, the result."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any

from rrelu_compat import generator as process
from rrelu_compat.conformance.draws import Choices, Source, shrink
from rrelu_compat.conformance.expected import expectations
from rrelu_compat.conformance.finding import reference_of
from rrelu_compat.conformance.guarding import Guard, TimeLimitError, clean, describe
from rrelu_compat.conformance.programs import render
from rrelu_compat.conformance.results import Result
from rrelu_compat.conformance.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rrelu_compat.conformance.profiles import Profile
    from rrelu_compat.conformance.registry import Case

#: How many simpler examples are tried for one that fails.
SHRINKS = 400


def case_seed(case: Case, profile: Profile) -> int:
    """Return the seed of a case: the same in every run of the profile, another one for every case."""
    # Not longer than needed: it stands in the programs that failures print.
    return zlib.crc32(f"{profile.seed} {case.id}".encode("utf-8", "replace")) % 2**20


class _Exploration:
    """The examples of one case, up to the first that fails, and the simplest like it."""

    def __init__(self, case: Case, profile: Profile) -> None:
        self.case, self.profile = case, profile
        self.examples = 0
        self.trial: Trial | None = None
        self.error: BaseException | None = None
        #: Whether the failing example failed a second time.
        self.again = True

    def run(self, guard: Guard) -> None:
        """Run the examples; the error stays in `error`."""
        try:
            if self.case.check.once:
                if self._attempt(self._once()) is not None:
                    self._repeat(self._once)
                return
            for number in range(self.profile.max_examples):
                # The first one is the simplest.
                seed = f"{self.profile.seed} {self.case.id} {number}" if number else None
                source = Source(seed)
                if self._attempt(self._drawn(source)) is not None:
                    self._simplify(source.choices)
                    return
        except BaseException as error:  # the time limit, or an interrupt
            if guard.interrupted:
                raise
            # A failure that was found before the time was out says more.
            self.error = self.error or error

    def _once(self) -> Trial:
        return Trial(self.case, case_seed(self.case, self.profile), None, self.profile.large)

    def _drawn(self, source: Source) -> Trial:
        return Trial(self.case, source.one(2**20), source, self.profile.large)

    def _attempt(self, trial: Trial, kind: type | None = None) -> BaseException | None:
        """Run the check on one example; keep and return its error, if it is one of `kind`."""
        self.examples += 1
        try:
            if trial.mode != "eval":
                trial.reseed(trial.seed)
            trial.case.check.body(trial)
        except TimeLimitError:
            raise  # of this case: no more examples
        except KeyboardInterrupt:
            raise  # of the user, or of the subject: the guard knows
        except BaseException as error:  # whatever the subject raises
            if kind is None or type(error) is kind:
                self.trial, self.error = trial, error
                return error
        return None

    def _simplify(self, choices: Choices) -> None:
        kind = type(self.error)

        def fails(attempt: Choices) -> Choices | None:
            source = Source(replay=attempt)
            failed = self._attempt(self._drawn(source), kind) is not None
            return source.choices if failed else None

        simplest = shrink(choices, fails, SHRINKS)
        self._repeat(lambda: self._drawn(Source(replay=simplest)))

    def _repeat(self, make: Callable[[], Trial]) -> None:
        self.again = self._attempt(make()) is not None


def result_fields(case: Case) -> dict[str, Any]:
    """Return what a result says of its case."""
    return {
        "id": clean(case.id),
        "check": case.check.id,
        "subject": clean(case.subject.name),
        "device": clean(case.device),
        "dtype": case.dtype,
        "mode": clean(case.mode),
        "inplace": case.inplace,
        "requirement": case.check.summary,
    }


def run_case(case: Case, profile: Profile, expected: Mapping[str, str] | None = None) -> Result:
    """Run one case, whatever the subject does.

    Parameters
    ----------
    case : Case
        What to run.
    profile : Profile
        How much to do.
    expected : mapping of str to str, optional
        Expected failures; the subject's if not given.

    Returns
    -------
    Result
        With outcome "passed", "failed", "xfailed" (failed, as expected), "xpassed" (held although it
        is expected to fail) or "not-offered".

    Raises
    ------
    KeyboardInterrupt
        If the user pressed Ctrl-C; one that the subject raises is a failure of the case.
    """
    reason = (expectations(case.subject) if expected is None else expected).get(case.id)
    common = result_fields(case)
    if missing := case.missing():
        message = f"{missing} is not offered"
        if reason is None:
            return Result(**common, outcome="not-offered", examples=0, message=message)
        message = f"an expected failure names a case of which {message}"
        return Result(**common, outcome="failed", examples=0, message=message)
    started = time.perf_counter()
    exploration = _Exploration(case, profile)
    snippet = ""
    # Slopes must come from the subject's own streams, whatever the program did before.
    process_was_on = process.process_generator() is not None
    process.set_process_generator(False)
    guard = Guard(profile.time_limit)
    try:
        with guard:
            exploration.run(guard)
            if exploration.error is not None and exploration.again and exploration.trial:
                snippet = _program(exploration.trial)
    except BaseException as error:  # what came late: a time limit between two steps
        if guard.interrupted:
            raise KeyboardInterrupt from None
        exploration.error = exploration.error or error
    finally:
        process.set_process_generator(process_was_on)
    common["examples"] = max(1, exploration.examples)
    common["seconds"] = time.perf_counter() - started
    failure = exploration.error
    if failure is None:
        if reason is None:
            return Result(**common, outcome="passed", message="")
        message = f"expected to fail, but holds: {clean(reason)}"
        return Result(**common, outcome="xpassed", message=message)
    message = describe(failure)
    if not exploration.again:
        message += " (it did not fail again with the same input: the subject is not reproducible)"
    outcome = "failed"
    if reason is not None:
        outcome, message = "xfailed", f"{clean(reason)} | {message}"
    return Result(**common, outcome=outcome, message=message, snippet=snippet)


def _program(trial: Trial) -> str:
    try:
        return clean(render(trial.steps, trial.subject, trial.device, reference_of(trial.subject)))
    except TimeLimitError:
        raise
    except BaseException as error:  # templates of the subject's own
        return f"# the program can't be printed: {describe(error)}"
