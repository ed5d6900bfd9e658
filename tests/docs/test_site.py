"""The site builds without a warning, loads nothing from outside, and its scripts made what it shows."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in ("script", "img", "source", "iframe") and "src" in attributes:
            self.loads.append(attributes["src"])
        if tag == "link" and attributes.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(attributes["href"])


def problems(site):
    """Return dead internal links and what is loaded from outside."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the server's root
            continue
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads:
                    found.append(f"{path.name} loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                found.append(f"{path.name}: {link} is not there")
            # ``__`` names are the theme's own switches.
            elif (
                parts.fragment
                and target in pages
                and not parts.fragment.startswith("__")
                and unquote(parts.fragment) not in pages[target].anchors
            ):
                found.append(f"{path.name}: {link} has no such anchor")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        # Not --quiet, under which --strict counts no warnings.
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_builds_strictly_and_has_no_dead_link_and_loads_nothing(site):
    assert len(list(site.rglob("*.html"))) > 15
    assert problems(site) == []


def test_every_page_of_docs_is_in_the_site(site):
    # (mkdocs --strict says the same of the navigation)
    left_out = ("includes", "scripts", "data")
    for page in DOCS.rglob("*.md"):
        relative = page.relative_to(DOCS)
        if relative.parts[0] not in left_out:
            assert (site / relative).with_suffix(".html").exists(), relative


def test_dead_links_missing_anchors_and_outside_loads_are_noticed(tmp_path):
    (tmp_path / "index.html").write_text(
        '<a id="here" href="#here">1</a><a href="gone.html">2</a><a href="#nowhere">3</a>'
        '<script src="https://example.org/x.js"></script><a href="https://example.org">4</a>'
    )
    assert len(problems(tmp_path)) == 3


def test_pages_link_to_files_that_exist():
    # README and the other pages of the root are not part of the site.
    for page in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link:
                assert (ROOT / link).exists(), f"{page.name}: {link}"


def test_the_files_that_the_guide_names_are_there():
    rows = (DOCS / "contributing.md").read_text().split("### Where is it?")[1].split("###")[0]
    named = re.findall(r"`([\w/]+\.\w+)`", rows)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / "rrelu_compat" / name).exists()] == []


def test_the_figures_are_what_their_script_draws():
    figures = script("figures")
    for name, text in figures.figures().items():
        committed = (DOCS / "assets" / name).read_text()
        # Another version of Matplotlib (Python 3.10 has its last one) draws other paths.
        if f"Matplotlib v{figures.mpl.__version__}" in committed:
            assert committed == text, f"run docs/scripts/figures.py: {name}"
        else:
            assert text.count("<path") > committed.count("<path") / 2
    house = script("house")
    assert house.ASSET.read_text() == house.drawing(), "run docs/scripts/house.py"


def test_the_table_of_activations_is_that_of_its_data():
    activations = script("activations")
    assert activations.TABLE.read_text() == activations.table(activations.read())


def test_the_tables_of_performance_are_those_of_their_data():
    folder = ROOT / "benchmarks"
    spec = importlib.util.spec_from_file_location("cpu_report", folder / "cpu_report.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    measured = json.loads((DOCS / "assets" / "cpu.json").read_text())
    page = report.PAGE.read_text()
    assert report.page_with(measured, page) == page, "run benchmarks/cpu.py"
    assert report.report(measured) == (DOCS / "assets" / "cpu.txt").read_text()


def test_the_data_of_activations_can_be_made_again():
    activations = script("activations")
    expected = {(line["activation"], line["seed"]): line for line in activations.read()}
    name = "RReLU, slope ~ U(1/8, 1/3)"
    # Another processor rounds otherwise, so single images may fall on the other side.
    again = activations.run(name, 3)
    assert float(again["test_error"]) == pytest.approx(
        float(expected[name, "3"]["test_error"]), abs=0.005
    )


def test_the_losses_of_the_first_page_can_be_made_again():
    figures = script("figures")
    again, committed = figures.train(5), figures.read_losses()
    for column in ("torch_ours", "paddle_ours"):
        np.testing.assert_allclose(again[column], committed[column][:5], rtol=1e-10)
    assert np.abs(committed["torch_ours"] - committed["paddle_ours"]).max() < 1e-12
    assert np.abs(again["torch_native"] - again["paddle_native"]).max() > 1e-4
