"""What people preferred, for metrics/ and for the report's page."""

from pathlib import Path
from typing import Any

from reprotune.report.publish import numbers
from reprotune.results.documents import read_checked
from reprotune.results.preference import Preference
from reprotune.results.read import REMEDY
from reprotune.results.votes import (
    comparison_facts,
    comparison_title,
    outdated_sentence,
    rating_rows,
    rating_sentences,
    scorer_facts,
    trust_facts,
    verdict_sentence,
)


def read_preference(data: Path) -> dict[str, Any]:
    """Read what the stage found; raises `UserError` if it is missing or malformed."""
    return read_checked(data / "preference/metrics.json", Preference, REMEDY)


def preference_metrics(found: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/preference.json: all numbers but those of single voters; without votes, only their number."""
    if not found["votes"]:
        return {"votes": 0}
    return numbers({key: value for key, value in found.items() if key != "by_voter"})


def preference_section(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the page's section shows; null without votes."""
    if not found["votes"]:
        return None
    return {
        "votes": found["votes"],
        "voters": found["voters"],
        "comparisons": [
            (comparison_title(one), one["verdict"], verdict_sentence(one), comparison_facts(one))
            for one in found["comparisons"].values()
        ],
        "ratings": [] if found["ratings"] is None else rating_rows(found["ratings"]),
        "rating_sentences": [] if found["ratings"] is None else rating_sentences(found["ratings"]),
        "trust": trust_facts(found),
        "scorers": [(name, scorer_facts(one)) for name, one in found["scorers"].items()],
        "outdated": outdated_sentence(found) if found["outdated"] else "",
    }
