"""Tables, budgets and the plot of what ``cpu.py`` measured."""

from __future__ import annotations

import pathlib

SIZES = [2**10, 2**14, 2**18, 2**20, 2**24]
OPERATIONS = ["forward", "forward+backward"]
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"


def line(cell):
    """Return one line of the table."""
    got = cell["candidates"]
    ours = got["ours"]["ns_per_element"]

    def ratio(name):
        return f"{got[name]['ns_per_element'] / ours:8.2f}" if name in got else f"{'-':>8}"

    low, high = got["ours"]["quartiles"]
    return (
        f"{cell['framework']:6} {cell['threads']:2} {cell['dtype']:8} {cell['mode']:5} "
        f"{cell['operation']:16} 2**{cell['size'].bit_length() - 1:<2} {got['ours']['us_per_call']:10.1f} "
        f"{ours:8.3f} {low:7.3f}-{high:<7.3f} {ratio('native')} {ratio('native, compiled')} "
        f"{ratio('leaky_relu')} {ratio('empty custom operation')} {ratio('copy')}"
    )


HEADER = (
    "                                                      ours:                               "
    "time of the others, ours is 1:\n"
    "frame-  thr dtype    mode  operation        size     us/call  ns/elem  quartiles        native "
    "compiled    leaky    empty     copy"
)


def report(result):
    """Return the text report."""
    machine = result["machine"]
    lines = [
        f"{machine['processor']}, {machine['processors']} processors, kernel path {machine['kernel']}, "
        + ", ".join(f"{k} {v}" for k, v in machine["versions"].items()),
        "",
        HEADER,
        *map(line, result["cells"]),
    ]
    if result["kept_bits"]:
        lines += ["", "kept for backward, bits per float32 element (measured):"]
        lines += [
            f"  {framework:6} " + ", ".join(f"{name} {bits:.1f}" for name, bits in row.items())
            for framework, row in result["kept_bits"].items()
        ]
    return "\n".join(lines) + "\n"


def power(size):
    """Return a size as a power of two."""
    return f"2<sup>{size.bit_length() - 1}</sup>"


KINDS = {"train": "Training", "eval": "Evaluation"}
OTHERS = {"native": "framework's own", "leaky_relu": "`leaky_relu`"}
TIMES = {
    "ours": "our time",
    "native": "the time of the framework's own RReLU",
    "leaky_relu": "the time of `leaky_relu`",
    "copy": "the time of a copy",
}
FRAMEWORKS = {"torch": "PyTorch", "paddle": "Paddle", "numpy": "NumPy"}
#: Question, mode and operation of its columns, dtype, threads, whose time is divided by whose.
QUESTIONS = [
    (
        "How many times as fast as the framework's own RReLU?",
        "train",
        "float32",
        1,
        "native",
        "ours",
    ),
    ("In bfloat16?", "train", "bfloat16", 1, "native", "ours"),
    (
        "How many times the time of `leaky_relu`, in training?",
        "train",
        "float32",
        1,
        "ours",
        "leaky_relu",
    ),
    ("And in evaluation?", "eval", "float32", 1, "ours", "leaky_relu"),
    ("How many times the time of a copy?", "train", "float32", 1, "ours", "copy"),
    ("How many microseconds does a call take?", "train", "float32", 1, "ours", None),
    ("With two threads?", "train", "float32", 2, "ours", None),
]


def questions(result):
    """Return one small table for each question: sizes down, frameworks and operations across."""
    cells = {
        (c["framework"], c["mode"], c["operation"], c["dtype"], c["threads"], c["size"]): c[
            "candidates"
        ]
        for c in result["cells"]
    }
    lines = []
    for question, mode, dtype, threads, above, below in QUESTIONS:
        columns = [
            (framework, operation)
            for framework in FRAMEWORKS
            for operation in OPERATIONS
            if any(
                key[:5] == (framework, mode, operation, dtype, threads)
                and {above, below or "ours"} <= set(got)
                for key, got in cells.items()
            )
        ]
        if not columns:
            continue
        unit = f"{TIMES[above]} divided by {TIMES[below]}." if below else "Microseconds."
        lines += [
            f"### {question}",
            "",
            f"{KINDS[mode]}, {dtype}, threads: {threads}. {unit[0].upper()}{unit[1:]}",
            "",
            "| elements | "
            + " | ".join(f"{FRAMEWORKS[f]}, {o.replace('+', ' + ')}" for f, o in columns)
            + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for size in SIZES:
            row = [cells.get((f, mode, o, dtype, threads, size), {}) for f, o in columns]
            if any(row):
                lines.append(
                    f"| {power(size)} | "
                    + " | ".join(quotient(got, above, below) for got in row)
                    + " |"
                )
        lines.append("")
    return "\n".join(lines)


def quotient(got, above, below):
    """Return one time over another, or the time of a call if there is no other."""
    if above not in got or (below is not None and below not in got):
        return "-"
    if below is None:
        return f"{got[above]['us_per_call']:,.1f}"
    return f"{got[above]['ns_per_element'] / got[below]['ns_per_element']:.2g}"


#: What is promised: our time divided by another's, float32, one thread, at most.
BUDGETS = [
    ("torch", "train", "forward", 2**20, "native", 1 / 10),
    ("paddle", "train", "forward", 2**20, "native", 1 / 4),
    ("torch", "train", "forward+backward", 2**20, "native", 1 / 6),
    ("torch", "train", "forward+backward", 2**20, "leaky_relu", 2.8),
    ("paddle", "train", "forward+backward", 2**20, "native", 1 / 2.3),
    ("paddle", "train", "forward+backward", 2**20, "leaky_relu", 1.8),
    ("torch", "train", "forward", 2**24, "leaky_relu", 1.3),
    ("paddle", "train", "forward", 2**24, "leaky_relu", 1.3),
    ("torch", "train", "forward", 2**10, "native", 1.5),
    ("paddle", "train", "forward", 2**10, "native", 1.5),
    ("torch", "train", "forward+backward", 2**10, "native", 2.0),
    ("paddle", "train", "forward+backward", 2**10, "native", 2.5),
    *(
        (framework, "eval", "forward", size, "leaky_relu", 1.1 if size >= 2**18 else 3.0)
        for framework in ("torch", "paddle")
        for size in SIZES
    ),
]


def budgets(result):
    """Return the table of budgets: what was promised, what was measured."""
    lines = [
        "| work, float32, one thread | against | our time divided by its: at most | measured | |",
        "|---|---|---|---|---|",
    ]
    for framework, mode, operation, size, other, limit in BUDGETS:
        for cell in result["cells"]:
            key = (cell["framework"], cell["mode"], cell["operation"], cell["size"])
            alike = (cell["dtype"], cell["threads"]) == ("float32", 1)
            if not alike or key != (framework, mode, operation, size):
                continue
            times = cell["candidates"]
            ratio = times["ours"]["ns_per_element"] / times[other]["ns_per_element"]
            work = f"{framework}, {mode}, {operation}, {power(size)}"
            verdict = "met" if ratio <= limit else "**missed**"
            lines.append(f"| {work} | {OTHERS[other]} | {limit:.3g} | {ratio:.3g} | {verdict} |")
    return "\n".join(lines) + "\n"


def page_with(result, text):
    """Return the text of docs/performance.md with the tables between their marks."""
    for mark, table in (
        ("cpu questions", questions(result)),
        ("cpu budgets", budgets(result)),
    ):
        before, rest = text.split(f"<!-- {mark} -->\n", 1)
        _, after = rest.split("<!-- end -->", 1)
        text = f"{before}<!-- {mark} -->\n{table}<!-- end -->{after}"
    return text


# The same colour in every panel: not every framework has every candidate.
COLORS = {
    "native": "tab:blue",
    "native, compiled": "tab:orange",
    "ours": "tab:green",
    "leaky_relu": "tab:red",
    "copy": "tab:purple",
}


def plot(result, path):
    """Draw ns per element over size, a panel for each framework and operation."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    measured = dict.fromkeys(cell["framework"] for cell in result["cells"])
    # NumPy has no layer of its own to compare with: drawn only if it is all there is.
    frameworks = [f for f in measured if f != "numpy"] or ["numpy"]
    figure, axes = plt.subplots(
        len(frameworks), 2, figsize=(10, 4 * len(frameworks)), squeeze=False, layout="constrained"
    )
    for row, framework in zip(axes, frameworks, strict=True):
        for axis, operation in zip(row, OPERATIONS, strict=True):
            cells = [
                c for c in result["cells"]
                if (c["framework"], c["operation"], c["mode"], c["dtype"], c["threads"])
                == (framework, operation, "train", "float32", 1)
            ]  # fmt: skip
            for name, color in COLORS.items():
                points = [
                    (c["size"], c["candidates"][name]) for c in cells if name in c["candidates"]
                ]
                if points:
                    axis.loglog(
                        [size for size, _ in points],
                        [point["ns_per_element"] for _, point in points],
                        marker="o", label=name, color=color,
                    )  # fmt: skip
            axis.set(
                title=f"{framework}, {operation}",
                xlabel="elements", ylabel="ns per element",
            )  # fmt: skip
            axis.grid(alpha=0.3)
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    figure.savefig(path, dpi=110)
