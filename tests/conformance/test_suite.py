"""The machinery of the suite: claims, expected failures, filters, seeds, shrinking, helpers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from rrelu_adapters.reference import EVERYTHING, Reference, instance
from rrelu_adapters.wrong_forward import EvaluationLower
from rrelu_adapters.wrong_slopes import UnseededStream

from rrelu_compat import generator as process
from rrelu_compat import manual_seed
from rrelu_compat.conformance import (
    Capabilities,
    SubjectError,
    as_strided_parts,
    check_subject,
    load_subject,
    run,
)
from rrelu_compat.conformance.arithmetic import bits, branch, dtype_of, product, same_bits
from rrelu_compat.conformance.draws import LAYOUTS, lay_out, table
from rrelu_compat.conformance.finding import reference_of
from rrelu_compat.conformance.profiles import PROFILES, profile_of
from rrelu_compat.conformance.registry import FAMILIES, all_checks, cases, check
from rrelu_compat.conformance.results import Result, idle_subjects, rows, succeeded
from rrelu_compat.conformance.strided import rebuild

ONE = {"dtypes": ["float32"], "checks": ["evaluation.slope"]}


def outcomes(subject, **filters) -> dict[str, str]:
    return {r.id: r.outcome for r in check_subject(subject, **filters)}


class TestChecks:
    def test_ids_are_unique_and_stable_in_form(self):
        ids = [one.id for one in all_checks()]
        assert len(set(ids)) == len(ids) > 100
        for name in ids:
            family, _, rest = name.partition(".")
            assert family in FAMILIES
            assert rest.replace("-", "").isalnum()
            assert rest.islower()

    def test_every_check_says_in_a_sentence_what_is_required(self):
        for one in all_checks():
            assert one.summary.endswith("."), one.id
            assert "\n" not in one.summary

    def test_checks_name_no_adapter(self):
        from pathlib import Path

        import rrelu_compat.conformance.checks as home

        for path in Path(home.__path__[0]).glob("*.py"):
            text = path.read_text(encoding="utf-8").lower()
            for name in ("torch", "paddle", "cupy", "jax", "numpy_subject"):
                assert name not in text, f"{path.name} names {name}"

    def test_case_ids_are_unique(self):
        ids = [case.id for case in cases(Reference())]
        assert len(set(ids)) == len(ids)

    def test_unknown_needs_are_refused(self):
        with pytest.raises(ValueError, match="unknown capabilities"):
            check(needs=("magic",))

    def test_a_check_without_a_sentence_is_refused(self):
        def body(t):
            pass

        with pytest.raises(ValueError, match="docstring"):
            check()(body)


class TestClaims:
    def test_what_is_not_claimed_is_not_offered(self):
        class Modest(Reference):
            capabilities = Capabilities()

        results = check_subject(Modest(), max_examples=2)
        assert {r.outcome for r in results} == {"passed", "not-offered"}
        passed = {r.check.partition(".")[0] for r in results if r.outcome == "passed"}
        assert {"forward", "evaluation", "random", "distribution", "errors"} <= passed
        assert not passed & {"gradient", "inplace", "seeding", "portable", "layer", "recompute"}
        for result in results:
            if result.outcome == "not-offered":
                assert result.examples == 0
                assert "is not offered" in result.message

    def test_the_simplest_subject_needs_five_things(self):
        class Simplest:
            name = "simplest"
            capabilities = Capabilities()

            def from_numpy(self, array, *, device):
                return array.copy()

            def to_numpy(self, tensor):
                return tensor

            def forward(self, x, lower, upper, *, training):
                return Reference().forward(x, lower, upper, training=training)

        results = check_subject(Simplest(), checks=["forward.*", "evaluation.*"])
        assert succeeded(results)

    def test_a_false_claim_fails(self):
        class Boaster(Reference):
            def strides(self, tensor):
                return tuple(1 for _ in tensor.shape)

        assert "failed" in outcomes(Boaster(), checks=["layout.strides-arrive"]).values()

    @pytest.mark.parametrize(
        "claim",
        [
            {"dtypes": ("float8",)},
            {"devices": ()},
            {"bounds": (0.5, 1.0)},
            {"portable_slopes": True},
            {"recompute": ("x",)},
        ],
    )
    def test_claims_that_make_no_sense_are_refused(self, claim):
        with pytest.raises(ValueError):
            Capabilities(**claim)

    def test_a_claim_without_its_method_is_refused(self):
        class Bare:
            name, capabilities = "bare", Capabilities(gradients=True)
            from_numpy = to_numpy = forward = print

        with pytest.raises(SubjectError, match=r"claims gradients but has no vjp\(\)"):
            check_subject(Bare())

    @pytest.mark.parametrize("attribute", ["name", "capabilities", "to_numpy", "forward"])
    def test_a_subject_that_lacks_something_is_refused(self, attribute):
        class Bare:
            name, capabilities = "bare", Capabilities()
            from_numpy = to_numpy = forward = print

        delattr(Bare, attribute)
        with pytest.raises(SubjectError, match=f"lacks {attribute}"):
            check_subject(Bare())

    def test_narrow_bounds_show_in_one_family(self):
        class Narrow(Reference):
            # Classes of a function can't be pickled.
            capabilities = dataclasses.replace(EVERYTHING, bounds=(0.0, 1.0), pickling=False)

            def check(self, x, lower, upper, training):
                spec = super().check(x, lower, upper, training)
                if spec.lower < 0 or spec.upper > 1:
                    raise ValueError("outside [0, 1]")
                return spec

        results = check_subject(instance(Narrow), dtypes=["float32"], max_examples=4)
        bad = {r.check for r in results if r.bad}
        assert bad == {
            f"bounds.{name}" for name in ("negative", "mixed-signs", "above-one", "large")
        }

    def test_partial_dtypes_run_one_family(self):
        class Partly(Reference):
            capabilities = Capabilities(dtypes=("float32",), partial_dtypes=("float16",))

        ran = {r.check for r in check_subject(Partly(), dtypes=["float16"]) if r.examples}
        assert ran == {"dtypes.forward"}


class TestExpectedFailures:
    def test_an_expected_failure_does_not_fail_the_run(self):
        subject = EvaluationLower()
        ids = ["evaluation.slope[cpu-float32-eval]", "evaluation.slope[cpu-float32-eval-inplace]"]
        subject.expected_failures = dict.fromkeys(ids, "it is known")
        results = check_subject(subject, **ONE)
        assert [r.outcome for r in results] == ["xfailed", "xfailed"]
        assert "it is known" in results[0].message
        assert succeeded(results)

    def test_one_id_covers_one_dtype_and_mode(self):
        subject = EvaluationLower()
        subject.expected_failures = {"evaluation.slope[cpu-float32-eval]": "it is known"}
        found = outcomes(subject, checks=["evaluation.slope"], dtypes=["float32", "float64"])
        assert sorted(found.values()) == ["failed", "failed", "failed", "xfailed"]

    def test_an_unexpected_pass_fails(self):
        subject = Reference()
        subject.expected_failures = {"evaluation.slope[cpu-float32-eval]": "it was so once"}
        results = check_subject(subject, **ONE)
        assert {r.outcome for r in results} == {"xpassed", "passed"}
        assert not succeeded(results)

    @pytest.mark.parametrize(
        "name",
        [
            "evaluation.slop[cpu-float32-eval]",
            "evaluation.slope",
            "evaluation.slope[cpu-float32-train]",
        ],
    )
    def test_an_unknown_id_fails(self, name):
        subject = Reference()
        subject.expected_failures = {name: "misspelt"}
        results = check_subject(subject, **ONE)
        assert [r.id for r in results if r.bad] == [name]

    def test_an_expectation_of_what_is_not_offered_fails(self):
        class Modest(Reference):
            capabilities = Capabilities()

        subject = Modest()
        subject.expected_failures = {"gradient.twice[cpu-float32-train]": "no gradients"}
        found = outcomes(subject, checks=["gradient.twice", "forward.dtype"])
        assert found["gradient.twice[cpu-float32-train]"] == "failed"

    def test_a_reason_is_needed(self):
        subject = Reference()
        subject.expected_failures = {"evaluation.slope[cpu-float32-eval]": " "}
        with pytest.raises(SubjectError, match="reasons"):
            check_subject(subject)


class TestRunner:
    def test_the_same_seed_draws_the_same(self):
        def messages(seed):
            results = check_subject(EvaluationLower(), **ONE, seed=seed)
            return [(r.examples, r.message, r.snippet) for r in results]

        assert messages(3) == messages(3)

    def test_examples_are_shrunk_to_the_simplest(self):
        (result, _) = check_subject(EvaluationLower(), **ONE)
        assert "np.array(-1.0, dtype=" in result.snippet
        assert result.message.startswith("y[] = ")

    def test_failures_that_do_not_repeat_are_failures(self):
        class Moody(Reference):
            times = 0

            def evaluation_slope(self, lower, upper):
                self.times += 1
                return lower - 1 if self.times == 7 else super().evaluation_slope(lower, upper)

        (result, _) = check_subject(Moody(), **ONE)
        assert result.outcome == "failed"
        assert "expected" in result.message

    def test_errors_of_the_subject_are_failures(self):
        class Broken(Reference):
            def evaluation_slope(self, lower, upper):
                raise ZeroDivisionError("oh")

        (result, *_) = check_subject(Broken(), **ONE)
        assert result.message.endswith("ZeroDivisionError: oh")

    def test_a_flaky_stream_is_still_reported(self):
        results = check_subject(UnseededStream(), checks=["seeding.global-reproducible"])
        assert {r.outcome for r in results} == {"failed"}

    def test_manual_seed_of_the_program_neither_helps_nor_suffers(self):
        stream = manual_seed(5)
        try:
            assert succeeded(check_subject(Reference(), dtypes=["float32"], checks=["random.*"]))
            assert process.process_generator() is stream
        finally:
            manual_seed(None)

    def test_a_subject_without_a_check_fails_the_run(self):
        good = check_subject(Reference(), **ONE)
        idle = [
            dataclasses.replace(r, subject="idle", outcome="not-offered", examples=0) for r in good
        ]
        assert succeeded(good)
        assert not succeeded([*good, *idle])
        assert idle_subjects([*good, *idle]) == ["idle"]
        assert not succeeded([])

    def test_rows_count_per_subject_device_dtype(self):
        results = run([Reference()], checks=["evaluation.slope"])
        table_rows = rows(results)
        assert [row.dtype for row in table_rows] == ["float16", "bfloat16", "float32", "float64"]
        assert all(row.counts["passed"] == 2 for row in table_rows)
        assert sum(row.examples for row in table_rows) == sum(r.examples for r in results)

    def test_profiles(self):
        assert [p.max_examples for p in PROFILES.values()] == [12, 60, 1000]
        assert profile_of("ci", 5, 9).seed == 9
        for wrong in (("no",), ("ci", 0), ("ci", 5, -1)):
            with pytest.raises(ValueError):
                profile_of(*wrong)

    def test_result_of_a_failure_is_bad(self):
        result = Result("a[b]", "a", "s", "cpu", "", "", False, "xpassed", 1, "")
        assert result.bad


class TestLoading:
    def test_a_class_is_called(self):
        assert load_subject("rrelu_adapters.reference:Reference").name == "reference"

    def test_a_callable_is_called(self):
        # functools.partial and factories are as good as classes.
        assert reference_of(load_subject("rrelu_adapters.reference:Reference")).endswith(
            ":Reference"
        )

    @pytest.mark.parametrize(
        "reference",
        ["", "nope", "rrelu_adapters.reference:Nothing", "rrelu_adapters.nothing:x", "json:dumps"],
    )
    def test_what_is_no_subject_is_an_error(self, reference):
        with pytest.raises(SubjectError, match="subject"):
            load_subject(reference)

    def test_importing_the_package_loads_neither_hypothesis_nor_a_framework(self):
        code = (
            "import sys, rrelu_compat.conformance, rrelu_compat.conformance.command;"
            "bad = {'hypothesis', 'scipy', 'rich', 'torch', 'paddle', 'pytest'} & set(sys.modules);"
            "sys.exit(str(bad) if bad else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def test_unknown_names_of_the_package(self):
        import rrelu_compat.conformance as package

        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            package.nothing  # noqa: B018
        for name in package.__all__:
            assert getattr(package, name) is not None


class TestNumbers:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3), (2, 3, 4), (1, 4)])
    def test_views_are_rebuilt(self, layout, shape):
        x = lay_out(np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape), layout)
        again = rebuild(*as_strided_parts(x))
        assert np.array_equal(again, x)
        if x.size:
            assert again.strides == x.strides
            assert not np.shares_memory(again, x)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    @pytest.mark.parametrize("kind", ["any", "finite", "moderate", "negative"])
    def test_tables_hold_what_they_say(self, dtype, kind):
        values = table(dtype, kind)
        with np.errstate(all="ignore"):
            wide = values.astype(np.float64)
        assert values.shape == (65536,)
        assert values.dtype == dtype_of(dtype)
        assert np.isnan(wide).any() == np.isinf(wide).any() == (kind == "any")
        assert (wide == 0).any() == (kind in ("any", "finite"))
        if kind == "negative":
            assert (wide < 0).all()
        if kind in ("any", "finite"):
            tiny = 2.0**-126 if dtype == "bfloat16" else float(np.finfo(values.dtype).tiny)
            assert ((wide != 0) & (np.abs(wide) < tiny)).any()
            assert np.signbit(values[wide == 0].astype(np.float64)).any()

    def test_bits_tell_zeros_apart_and_nan_alike(self):
        a = np.array([0.0, -0.0, np.nan, 1.0], np.float32)
        b = np.array([-0.0, -0.0, -np.nan, 1.0], np.float32)
        assert same_bits(a, b).tolist() == [False, True, True, True]
        assert bits(a).dtype == np.uint32

    def test_products_are_rounded_in_the_compute_dtype_then_in_the_dtype(self):
        x = np.array([-3.0], np.float16)
        assert product(1 / 3, x).dtype == np.float16
        assert product(0.1, np.array([-1.0], np.float32))[0] == -np.float32(0.1)
        assert branch(np.array([2.0, -2.0]), 0.25).tolist() == [2.0, -0.5]


class TestPages:
    def test_the_list_of_checks_is_that_of_the_suite(self):
        from pathlib import Path

        from conformance_checks import page

        file = Path(__file__).parents[2] / "docs" / "conformance-checks.md"
        command = "python docs/scripts/conformance_checks.py"
        assert file.read_text(encoding="utf-8") == page(), command

    def test_every_capability_and_profile_is_documented(self):
        from pathlib import Path

        from rrelu_compat.conformance.capabilities import METHODS

        text = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
        for field in dataclasses.fields(Capabilities):
            row = next((r for r in text.splitlines() if r.startswith(f"| `{field.name}` |")), "")
            assert row, field.name
            assert METHODS.get(field.name, "") in row
        for profile in PROFILES.values():
            assert f"| `{profile.name}` | {profile.max_examples} |" in text
