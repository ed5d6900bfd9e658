"""The suite as pytest tests: ``pytest --pyargs rrelu_compat.conformance --rrelu-subject NAME``.

pytest finds these hooks through the ``conftest.py`` beside this module; in another project's tests,
``-p rrelu_compat.conformance.pytest_plugin`` gives the options, and a test module with
``from rrelu_compat.conformance.test_conformance import test_conformance`` the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rrelu_compat.conformance.profiles import Profile


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    group = parser.getgroup("rrelu-compat conformance")
    add = group.addoption
    add("--rrelu-subject", action="append", default=[], metavar="NAME", help="what to check")
    add("--rrelu-device", action="append", default=[], metavar="DEVICE", help="only this device")
    add("--rrelu-dtype", action="append", default=[], help="only this dtype")
    add("--rrelu-check", action="append", default=[], metavar="GLOB", help="only these checks")
    add("--rrelu-profile", default="quick", help="how much to do")
    add("--rrelu-max-examples", type=int, metavar="N", help="examples per case")
    add("--rrelu-time-limit", type=float, metavar="S", help="seconds for a case")
    add("--rrelu-isolate", action="store_true", help="run cases in a process of their own")
    add("--rrelu-seed", type=int, metavar="N", help="seed of examples and streams")


def profile_from(config: pytest.Config) -> Profile:
    """Return the profile of the command line."""
    from rrelu_compat.conformance.profiles import profile_of

    return profile_of(
        config.getoption("--rrelu-profile"),
        config.getoption("--rrelu-max-examples"),
        config.getoption("--rrelu-seed"),
        config.getoption("--rrelu-time-limit"),
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every case, and one of every subject's expected failures."""
    names = metafunc.config.getoption("--rrelu-subject")
    if "conformance_case" not in metafunc.fixturenames:
        if "conformance_subject" in metafunc.fixturenames:
            metafunc.parametrize("conformance_subject", names, ids=names)
        return
    from rrelu_compat.conformance.finding import load_subject
    from rrelu_compat.conformance.runner import select
    from rrelu_compat.conformance.subject import SubjectError

    if not names:
        raise pytest.UsageError("say what to check: --rrelu-subject NAME (or module:object)")
    option = metafunc.config.getoption
    try:
        chosen = [
            case
            for name in names
            for case in select(
                load_subject(name),
                devices=option("--rrelu-device"),
                dtypes=option("--rrelu-dtype"),
                checks=option("--rrelu-check"),
            )
        ]
    except (SubjectError, ValueError) as error:
        raise pytest.UsageError(str(error)) from error
    if all(case.missing() for case in chosen):
        raise pytest.UsageError("no check would run: none selected, or none offered")
    metafunc.parametrize(
        "conformance_case", chosen, ids=[f"{case.subject.name}-{case.id}" for case in chosen]
    )
