"""All facts of the textbook."""

from textbook.facts import Fact
from textbook.invented import invented_facts
from textbook.known import known_facts
from textbook.rules import rule_facts


def all_facts(seed: int) -> list[Fact]:
    """Return every fact, in a fixed order; the invented ones are drawn with `seed`."""
    return [*invented_facts(seed), *known_facts(), *rule_facts(seed)]
