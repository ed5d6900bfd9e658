"""README as a package index shows it: it renders, and its links lead into the repository."""

import pathlib
import re
import subprocess
import sys
from email import message_from_string
from urllib.parse import unquote

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
SOURCE = re.search(r'^Source = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    """What an index gets."""
    folder = tmp_path_factory.mktemp("metadata")
    code = (
        "from setuptools import build_meta; import sys; print(build_meta.prepare_metadata_for_build_wheel"
        "(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return message_from_string(next(folder.glob("*/METADATA")).read_text("utf-8"))


def targets(html):
    return re.findall(r'(?:href|src)="([^"]+)"', html)


def dead(html):
    """Return the links of a rendered README that an index can't follow."""
    found = []
    for link in targets(html):
        address, _, anchor = link.partition("#")
        inside = re.fullmatch(re.escape(SOURCE) + r"/(?:blob|raw)/main/(.+)", address)
        if inside:
            path = ROOT / unquote(inside[1])
            if not path.exists() or (anchor and anchor not in anchors(path.read_text())):
                found.append(link)
        elif not address.startswith("https://") and not (
            link.startswith("#") and f'id="{anchor}"' in html
        ):
            found.append(link)
    return found


def anchors(page):
    """Return the anchors that GitHub gives to the headings of a page."""
    names = re.findall(r"^#+ (.+)$", page, re.M)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def test_readme_renders_as_an_index_would_and_every_link_leads_somewhere(metadata):
    pytest.importorskip("comrak")  # the Markdown of the index, `readme_renderer[md]`
    from readme_renderer import markdown

    html = markdown.render(metadata.get_payload())
    assert html is not None
    assert "<table>" in html
    assert len(targets(html)) > 20
    assert dead(html) == []


def test_a_relative_link_a_missing_file_and_a_missing_anchor_are_noticed():
    links = ["docs/faq.md", f"{SOURCE}/blob/main/docs/no.md", f"{SOURCE}/blob/main/docs/faq.md#no"]
    assert dead("".join(f'<a href="{link}">x</a>' for link in links)) == links


def test_the_index_shows_author_and_addresses(metadata):
    assert metadata["Author"] == "The rrelu-compat developers"
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Source"] == SOURCE
    assert all(url.startswith(SOURCE) for url in urls.values())


def test_the_site_has_the_same_address_and_version(metadata):
    settings = (ROOT / "mkdocs.yml").read_text().split("\ntheme:")[0]
    settings = yaml.safe_load(settings)
    assert settings["repo_url"] == SOURCE
    assert settings["repo_name"] == f"rrelu-compat {metadata['Version']}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_templates_and_workflows_are_yaml(path):
    assert yaml.safe_load(path.read_text())
