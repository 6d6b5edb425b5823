"""The documentation site without building it: navigation, configuration, links and anchors, public names, citation.

`make site` builds it, strictly. What is tested here is what that does not know: that links lead somewhere on a code
host, too, that files outside docs/ exist, and that nothing is loaded from elsewhere.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

from .pages import PAGES, ROOT

DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())  # fails on Python objects, which other builders do not read
LINK = re.compile(r"\]\(([^)\s]+)\)")
SITE = [page for page in PAGES if page.is_relative_to(DOCS)]
API = sorted((DOCS / "api").glob("*.md"))


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def listed(entries: list) -> Iterator[str]:
    """The pages of a navigation, in order."""
    for entry in entries:
        for value in [entry] if isinstance(entry, str) else entry.values():
            yield from [value] if isinstance(value, str) else listed(value)


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(listed(CONFIG["nav"])) == sorted(page.relative_to(DOCS).as_posix() for page in SITE)


def test_any_builder_reads_the_configuration() -> None:
    """MkDocs' successor runs no hooks and no macros, and few plugins."""
    plugins = {next(iter(each)) if isinstance(each, dict) else each for each in CONFIG["plugins"]}
    assert plugins == {"search", "mkdocstrings"} and CONFIG["strict"]
    assert not {"hooks", "theme.custom_dir", "repo_url"} & {*CONFIG, *(f"theme.{key}" for key in CONFIG["theme"])}


def test_dead_links_fail_the_build() -> None:
    checks = [kind for part in CONFIG["validation"].values() for kind in part.values()]
    assert len(checks) == 7 and set(checks) == {"warn"}


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert CONFIG["theme"]["font"] is False and not {"extra_javascript", "analytics"} & {*CONFIG}
    for file in [*SITE, *DOCS.glob("*.svg"), *DOCS.glob("*.css")]:
        text = file.read_text(encoding="utf-8")
        loaded = re.findall(
            r"!\[[^]]*\]\((https?:[^)]*)|(?:src|xlink:href|@import|url\()\s*=?\s*[\"']?(https?:\S+)", text
        )
        assert not loaded, f"{name(file)} loads {loaded}"


@pytest.mark.parametrize("page", SITE, ids=name)
def test_pages_begin_with_what_their_reader_gets(page: Path) -> None:
    title, first = [line for line in page.read_text(encoding="utf-8").splitlines() if line][:2]
    assert title.startswith("# ") and re.match(r"[*`\w]", first), (
        f"{name(page)} begins with {first!r}, and not in words"
    )
    assert len(re.findall(r"^# ", prose(page), re.M)) == 1


def anchors(page: Path) -> tuple[set[str], set[str]]:
    """The anchors of a page's headings, as MkDocs and as code hosts write them."""
    site, host = set(), set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        text = re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", heading)
        site.add(slugify(text, "-"))
        host.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return site, host


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere_on_the_site_and_on_a_code_host(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        inside = target.is_relative_to(DOCS) or not page.is_relative_to(DOCS)
        assert inside, f"{name(page)} links to {link}, which the site does not have: name it by its path in code font"
        if anchor:
            assert all(anchor in found for found in anchors(target)), f"{name(page)} links to {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    code = re.findall(r"`((?:worldmodel|planning|envs|experiments|configs|tests|docs)/[\w./]+)", prose(page))
    missing = [file for file in code if "NAME" not in file and not (ROOT / file).exists()]
    assert not missing, f"{name(page)} names {', '.join(missing)}"


def public(package: str) -> set[str]:
    """The public names of a package: its `__all__`, or what it imports under the same name."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return set(module.__all__)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imports = [each for node in tree.body if isinstance(node, ast.ImportFrom) for each in node.names]
    return {each.name for each in imports if each.asname == each.name}


@pytest.mark.parametrize("page", API, ids=name)
def test_the_reference_lists_every_public_name_once(page: Path) -> None:
    found = [entry.rpartition(".") for entry in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M)]
    (package,) = {package for package, _, _ in found}
    assert sorted(entry for _, _, entry in found) == sorted(public(package))


def test_every_package_has_a_reference() -> None:
    packages = {re.search(r"^# (\S+)", page.read_text()).group(1) for page in API}  # type: ignore[union-attr]
    assert packages == {"planning", "planning.control", "worldmodel", "envs", "experiments.build"}


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["type"] == "software"
    assert cited["authors"] == [{"name": "The jepa-mpc authors"}]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert f"version = {{{project['version']}}}" in (DOCS / "citation.md").read_text()


def test_the_site_is_in_no_distribution() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert all(not {"docs", "mkdocs.yml"} & {*target["only-include"]} for target in targets.values())
