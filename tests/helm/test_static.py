"""The chart's files by themselves: versions, generated parts, the schema of its values, the package."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from docs import chart as generated
from gateway import __version__
from tests.helm.rendering import CASES, CHART, MINIMAL, RULES, case_id, merged, refusal, render, run

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
META = yaml.safe_load((CHART / "Chart.yaml").read_text())
# The official pattern of semver.org, without build metadata, which OCI tags cannot carry.
SEMVER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?"

EVERY_CASE = pytest.mark.parametrize("path", CASES, ids=case_id)


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Every value that is no mapping with keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def faults(values: object) -> list[str]:
    """What the schema has against values."""
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(values)]


def test_versions() -> None:
    """The chart's version is SemVer with an entry in its changelog; its appVersion is the package's."""
    changelog = (CHART / "CHANGELOG.md").read_text()

    assert re.fullmatch(SEMVER, META["version"])
    assert f"\n## {META['version']}\n" in changelog
    assert META["appVersion"] == __version__


def test_changes_are_announced() -> None:
    """Artifact Hub is told what changed, in the kinds that it knows."""
    changes = yaml.safe_load(META["annotations"]["artifacthub.io/changes"])

    assert changes
    assert {change["kind"] for change in changes} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_no_dependency() -> None:
    """No other project's chart comes with it."""
    assert "dependencies" not in META
    assert not (CHART / "charts").exists()


def test_generated_parts_are_fresh() -> None:
    """Schema and table say what values.yaml and the settings say; `make docs` makes it so."""
    readme = (CHART / "README.md").read_text()

    assert (CHART / "values.schema.json").read_text() == generated.schema_text()
    assert readme == generated.render(readme)


def test_every_value_is_documented() -> None:
    """Every value has a sentence, and so a row of README's table."""
    rows = {value.path for value in generated.documented()}

    missing = [path for path, _ in leaves(VALUES) if not any(path == row or path.startswith(f"{row}.") for row in rows)]

    assert missing == []


def test_schema_is_draft_7() -> None:
    """The schema is valid draft-07, which every Helm reads, and refers to nothing outside itself."""
    Draft7Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert set(re.findall(r'"\$ref": "([^"#]*)', json.dumps(SCHEMA))) == {""}
    assert "$defs" not in json.dumps(SCHEMA)


def test_defaults_are_valid() -> None:
    """The defaults are what the schema allows."""
    assert faults(VALUES) == []


@EVERY_CASE
def test_case_is_valid(path: Path) -> None:
    """The values of every case are what the schema allows, alone and over the defaults."""
    values = yaml.safe_load(path.read_text())

    # A null takes a key away before Helm looks at the schema.
    assert faults(without_nulls(merged(VALUES, values), VALUES)) == []


def without_nulls(values: dict[str, Any], defaults: object) -> dict[str, Any]:
    """Values as Helm has them: a null over a default that is none takes the key away."""
    known = defaults if isinstance(defaults, dict) else {}
    return {
        key: without_nulls(value, known.get(key)) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None or known.get(key, value) is None
    }


@pytest.mark.parametrize("path", [path for path, _ in leaves(VALUES)])
def test_every_default_is_in_the_schema(path: str) -> None:
    """No value of values.yaml is unknown to the schema."""
    node: Any = SCHEMA
    for key in path.split("."):
        if "properties" not in node:
            # Handed on as it is from here.
            assert node["type"] == "object"
            assert node.get("additionalProperties") is not False
            return
        node = node["properties"][key]


def mappings(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every mapping that the chart owns."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in generated.OPEN:
            yield from mappings(value, (*path, key))


@pytest.mark.parametrize("path", [*mappings(VALUES)], ids=lambda path: ".".join(path) or "root")
def test_a_typo_is_found_at_every_level(path: tuple[str, ...]) -> None:
    """An unknown key in any mapping of the chart's own is an error that names it."""
    values: dict[str, Any] = {"tyop": 1}
    for key in reversed(path):
        values = {key: values}

    (fault,) = faults(merged(VALUES, values))

    assert "'tyop' was unexpected" in fault


# In the chart's values, in the settings, in a list, in a mapping by name.
TYPOS: dict[str, dict[str, Any]] = {
    "replicaCuont": {"replicaCuont": 2},
    "prot": {"metrics": {"prot": 9091}},
    "base_ulr": {"config": {"vendors": {"pixii": {"base_ulr": "https://x.example"}}}},
    "totl": {"config": {"vendors": {"pixii": {"timeouts": {"totl": "3s"}}}}},
    "key_sha265": {"config": {"callers": {"billing": {"key_sha265": "0"}}}},
    "existingSecert": {"vendors": {"pixii": {"existingSecert": {"name": "a", "key": "b"}}}},
    "hsot": {"ingress": {"hosts": [{"hsot": "x", "paths": []}]}},
    "vaule": {"extraEnv": [{"name": "A", "vaule": "b"}]},
}


@pytest.mark.parametrize("typo", TYPOS)
def test_helm_lint_names_a_typo(typo: str) -> None:
    """`helm lint` and `helm template` fail on a typo and name the key."""
    values = merged(MINIMAL, TYPOS[typo])

    linted = run("lint", str(CHART), values=values)

    assert linted.returncode != 0
    assert f"'{typo}'" in linted.stdout + linted.stderr
    assert f"'{typo}'" in refusal(values)


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCount": "2"},
        {"service": {"type": "Clusterip"}},
        {"limitStore": {"url": "http://redis"}},
        {"config": {"vendors": {"pixii": {"timeouts": {"total": 30}}}}},
        {"config": {"vendors": {"UPPER": {"base_url": "https://x.example"}}}},
        {"metrics": {"prometheusRule": {"objectives": {"vendor": 99.9}}}},
        {"vendors": {"pixii": {"existingSecret": {"name": "vendor-keys"}}}},
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, Any]) -> None:
    """A value of the wrong type or range is refused by the schema."""
    assert faults(merged(VALUES, MINIMAL, values)) != []


def test_references_stand_in_for_numbers() -> None:
    """A number or flag of the settings may come from the environment or a file, as errgate itself allows."""
    config = {"server": {"max_in_flight": "${MOST}"}, "log": {"requests": "${file:/etc/gateway/secrets/log}"}}

    assert faults(merged(VALUES, MINIMAL, {"config": config})) == []


def test_as_a_subchart(tmp_path: Path) -> None:
    """A parent chart may give `global` values of its own and `enabled` (helm#10392)."""
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "errgate").symlink_to(CHART)
    (tmp_path / "Chart.yaml").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v2",
                "name": "parent",
                "version": "1.0.0",
                "dependencies": [{"name": "errgate", "version": META["version"], "condition": "errgate.enabled"}],
            }
        )
    )
    values = {"global": {"anything": {"of": "theirs"}}, "errgate": {**MINIMAL, "enabled": True}}

    done = run("template", "rel", str(tmp_path), values=values)
    off = run("template", "rel", str(tmp_path), values=merged(values, {"errgate": {"enabled": False}}))

    assert done.returncode == 0, done.stderr
    assert "kind: Deployment" in done.stdout
    assert off.stdout.strip() == ""


@EVERY_CASE
def test_lint(path: Path) -> None:
    """`helm lint --strict` is clean."""
    done = run("lint", "--strict", str(CHART), values=yaml.safe_load(path.read_text()))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout)


def test_package(tmp_path: Path) -> None:
    """The package is below 100 kB, since a release is a Secret of at most 1 MiB, and holds no tests or pages."""
    done = run("package", str(CHART), "--destination", str(tmp_path))

    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = {name.removeprefix("errgate/") for name in archive.getnames()}
    assert package.stat().st_size < 100_000
    assert {"Chart.yaml", "values.yaml", "values.schema.json", "templates/deployment.yaml"} <= names
    assert not [name for name in names if name.startswith("ci/") or name.endswith(".md")]


def test_readme_s_values_render() -> None:
    """Whoever copies the values of the chart's README gets a gateway."""
    examples = re.findall(r"^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(), re.DOTALL | re.MULTILINE)

    assert examples
    for example in examples:
        assert "kind: Deployment" in render(yaml.safe_load(example))


class Strict(yaml.SafeLoader):
    """A loader that takes no key twice, as a person would not write it."""


def once(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping whose keys are all different."""
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), (keys, str(node.start_mark))
    return loader.construct_mapping(node)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, once)

WRITTEN = [*CASES, CHART / "Chart.yaml", CHART / "values.yaml", RULES]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_yaml_is_clean(path: Path) -> None:
    """Every YAML file that a person writes has no key twice, no tab, no trailing blank, no endless line."""
    text = path.read_text()

    yaml.load(text, Loader=Strict)  # noqa: S506  (a SafeLoader)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not re.search(r"\t|[ ]+$|\r", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120


def test_template_is_the_same_twice() -> None:
    """Nothing in a rendering is random, so that GitOps sees no drift."""
    full = next(path for path in CASES if case_id(path) == "full")

    assert render(full) == render(full)
