"""The process that `IsolatedRun` starts: loads a subject, runs the cases it is told, by number."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any


def main() -> None:
    """Answer each line of standard input by a line of what was standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the parent
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What the subject prints, and reads, is none of this conversation.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    task = json.loads(questions.readline())
    try:
        from rrelu_compat.conformance.case_run import result_fields
        from rrelu_compat.conformance.expected import expectations, unknown_expectations
        from rrelu_compat.conformance.extra import require
        from rrelu_compat.conformance.finding import load_subject
        from rrelu_compat.conformance.profiles import Profile
        from rrelu_compat.conformance.runner import Judge
        from rrelu_compat.conformance.selection import select

        for module in ("scipy.stats", "ml_dtypes"):
            require(module)
        subject = load_subject(task["reference"])
        chosen = select(subject, **task["filters"])
        expected = expectations(subject, task["expected"])
    except Exception as error:
        answer(error=str(error))
        return
    judge = Judge(Profile(**task["profile"]), expected, chosen)
    named = {name: reason for name, reason in expected.items() if isinstance(name, str)}
    answer(cases=[result_fields(case) for case in chosen], expected=named)
    for line in questions:
        question = json.loads(line)
        if "run" in question:
            answer(results=[asdict(each) for each in judge(chosen[question["run"]])])
        else:
            found = unknown_expectations(subject, task["expected"])
            answer(results=[asdict(result) for result in found])


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    # Threads that the subject left behind must not keep the process.
    os._exit(0)
