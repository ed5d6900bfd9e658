"""Running a subject's cases in a process of its own, which may hang, abort or exit."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.guarding import clean
from rrelu_compat.conformance.results import Result
from rrelu_compat.conformance.subject import SubjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rrelu_compat.conformance.profiles import Profile

#: Seconds that a process has to load its subject, and beyond the time limit to stop by itself.
LOADING, GRACE = 300.0, 5.0


# Python puts the working directory first, and a clone that lies there would be imported instead of the
# installed package: "" is taken out again.
_WORKER = """
import runpy, sys
sys.path[:] = filter(None, sys.path)
runpy.run_module("rrelu_compat.conformance.worker", run_name="__main__")
"""


class IsolatedRun:
    """The run of one subject in a process of its own, begun anew after each that ends.

    Parameters
    ----------
    reference : str
        As `load_subject` takes it.
    profile, filters, expected
        As of `run`.
    """

    def __init__(
        self,
        reference: str,
        *,
        profile: Profile,
        filters: Mapping[str, Sequence[str]],
        expected: Mapping[str, str] | None = None,
    ) -> None:
        self._task = {
            "reference": reference,
            "profile": asdict(profile),
            "filters": {key: list(value) for key, value in filters.items()},
            "expected": dict(expected or {}),
            "path": sys.path,
        }
        self._reference = reference
        self._patience = profile.time_limit + GRACE
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._cases: list[dict[str, Any]] = []
        self._reasons: dict[str, str] = {}

    @property
    def count(self) -> int:
        """How many cases there are."""
        return len(self._cases)

    def open(self) -> None:
        """Start the process and load the subject.

        Raises
        ------
        SubjectError
            If that fails; the message says why.
        """
        answer = self._start()
        if "error" in answer:
            raise SubjectError(answer["error"])
        self._cases, self._reasons = answer["cases"], answer["expected"]

    def _start(self) -> dict[str, Any]:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._answers = queue.Queue()
        threading.Thread(
            target=_listen, args=(self._process.stdout, self._answers), daemon=True
        ).start()
        answer = self._ask(self._task, LOADING)
        return (
            {"error": f"subject {self._reference}: can't be loaded: {answer}"}
            if isinstance(answer, str)
            else answer
        )

    def _ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any] | str:
        """Return the answer, or what became of the process in words."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            return f"no answer within {seconds - GRACE:g} s: the process was stopped"
        except OSError:
            line = None
        try:
            return dict(json.loads(line or ""))
        except ValueError:
            try:
                process.wait(GRACE)  # it ends by itself; killed, its own status would be lost
            except subprocess.TimeoutExpired:
                process.kill()
            self.close()
            return _ending(process.returncode)

    def __iter__(self) -> Iterator[Result]:
        """Yield the results as they come, and those of expected failures that name no case."""
        try:
            yield from self.results()
            if self._process is None:
                self._start()
            answer = self._ask({"unknown": True}, self._patience)
            if isinstance(answer, dict):
                yield from (Result(**each) for each in answer.get("results", []))
        finally:
            self.close()

    def results(self) -> Iterator[Result]:
        """Yield the results as they come."""
        try:
            for number, fields in enumerate(self._cases):
                if self._process is None:
                    self._start()
                answer = self._ask({"run": number}, self._patience)
                if isinstance(answer, dict) and "results" in answer:
                    yield from (Result(**each) for each in answer["results"])
                    continue
                message = answer if isinstance(answer, str) else answer["error"]
                reason = self._reasons.get(fields["id"])
                yield Result(
                    **fields,
                    outcome="failed" if reason is None else "xfailed",
                    examples=1,
                    message=message if reason is None else f"{clean(reason)} | {message}",
                )
        finally:
            self.close()

    def close(self) -> None:
        """Stop the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def _listen(stream: Any, answers: queue.Queue[str | None]) -> None:
    for line in stream:
        answers.put(line)
    answers.put(None)


def _ending(status: int) -> str:
    if status < 0 and status != -9:
        return f"the process was ended by {signal.Signals(-status).name}"
    return "the process ended" if status == -9 else f"the process ended with exit status {status}"
