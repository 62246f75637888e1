"""The page of the wire rules says what the tests say, and no rule is left without a test or a reason."""

import pytest

from tests import mutate, wire_rules


def test_page_is_fresh() -> None:
    """docs/wire.md is what the tests say; `python -m tests.wire_rules --write` makes it so."""
    fresh = wire_rules.render() == wire_rules.PAGE.read_text(encoding="utf-8")

    assert fresh, "docs/wire.md is stale: run `python -m tests.wire_rules --write` and commit it"


def test_rules_are_whole() -> None:
    """There are 171 rules, each with a level and a text."""
    rules = wire_rules.rules()

    assert [rule.name for rule in rules] == [f"W-{number:03d}" for number in range(1, 172)]
    assert {rule.level for rule in rules} == {"MUST", "SHOULD", "SHOULD NOT", "MAY"}
    assert all(rule.text for rule in rules)


@pytest.mark.parametrize("name", [rule.name for rule in wire_rules.rules()])
def test_rule_is_kept_or_says_why_not(name: str) -> None:
    """A test names the rule, or a reason stands in its place."""
    assert wire_rules.verdict(name, wire_rules.by_name(), wire_rules.DOES_NOT_APPLY, wire_rules.STILL_TO_COME)


def test_names_exist() -> None:
    """What a test says that it keeps is a rule, and is not said not to apply."""
    known = {rule.name for rule in wire_rules.rules()}
    known |= {f"GO-{number}" for number in wire_rules.GO} | {f"RC-{number}" for number in wire_rules.OTHERS}

    assert set(wire_rules.by_name()) <= known - set(wire_rules.DOES_NOT_APPLY)


def test_no_test_keeps_many_rules() -> None:
    """A test names three rules at most."""
    many = [
        keeper.id
        for keeper in wire_rules.keepers()
        if sum(name.startswith("W-") for name in keeper.names) > wire_rules.MOST
    ]

    assert many == []


def test_mutants_can_be_made() -> None:
    """Each guarding line that `make mutants` breaks stands in its file once, and a test names its rule."""
    for name in mutate.drawn():
        mutant = mutate.MUTANTS[name]
        text = (wire_rules.ROOT / mutant.path).read_text(encoding="utf-8")

        assert mutate.broken(text, mutant) != text
        assert name in wire_rules.by_name()
    assert len(mutate.drawn()) == mutate.DRAWN
