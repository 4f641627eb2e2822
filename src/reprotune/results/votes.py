"""The words for what people preferred; the objects are those of data/preference/metrics.json."""

from collections.abc import Mapping
from typing import Any

from reprotune.results.words import counted
from reprotune.statistics.sequential import wins_needed

Facts = list[tuple[str, str]]


def vote_lines(found: Mapping[str, Any]) -> list[str]:
    """Return how the votes stand, in lines for a terminal."""
    if not found["votes"]:
        return ["nobody has voted yet: `reprotune ballot NAME base finetuned` makes a page to vote on"]
    ballots = counted(found["ballots"], "file")
    lines = [f"{counted(found['votes'], 'vote')} of {counted(found['voters'], 'voter')}, from {ballots}"]
    for comparison in found["comparisons"].values():
        lines += ["", comparison_title(comparison), verdict_sentence(comparison)]
        lines += _aligned(comparison_facts(comparison))
    if found["ratings"] is not None:
        lines += ["", "Ratings", *_aligned(rating_rows(found["ratings"]))]
        lines += [f"  {sentence}" for sentence in rating_sentences(found["ratings"])]
    lines += ["", "Voters", *_aligned(trust_facts(found))]
    for scorer, beside in found["scorers"].items():
        lines += ["", f"Beside {scorer}", *_aligned(scorer_facts(beside))]
    return [*lines, *(["", outdated_sentence(found)] if found["outdated"] else [])]


def comparison_title(comparison: Mapping[str, Any]) -> str:
    """Return which two models are compared."""
    return f"{comparison['candidate']} against {comparison['baseline']}"


def verdict_sentence(comparison: Mapping[str, Any]) -> str:
    """Return who is preferred, if that can be said, or what is needed for it."""
    candidate, baseline = comparison["candidate"], comparison["baseline"]
    if comparison["verdict"] != "open":
        better, other = (candidate, baseline) if comparison["verdict"] == "better" else (baseline, candidate)
        return f"Decided: {better} is preferred to {other}."
    decisive = comparison["wins"] + comparison["losses"]
    needed = wins_needed(decisive)
    if needed is None:
        return f"Not decided: {counted(decisive, 'pair')} with a winner: too few for any majority."
    most = max(comparison["wins"], comparison["losses"])
    return f"Not decided: of {decisive} pairs with a winner, one model would need {needed}; the most is {most}."


def comparison_facts(comparison: Mapping[str, Any]) -> Facts:
    """Return the numbers of a comparison, as (what, value)."""
    ties = f"{comparison['ties']}, of which {comparison['both_bad']} both bad"
    facts = [("won, lost", f"{comparison['wins']}, {comparison['losses']}")]
    if comparison.get("share") is not None:
        interval = f"{comparison['ci95_low']:.1%} to {comparison['ci95_high']:.1%}"
        facts += [
            (f"{comparison['candidate']} preferred, of pairs with a winner", f"{comparison['share']:.1%}"),
            ("95 % interval, whenever one stops", interval),
        ]
    facts += [
        ("ties", ties),
        ("equal answers, not shown", f"{comparison['identical']}"),
        ("win rate, ties and equal answers as half", f"{comparison['win_rate']:.1%}"),
    ]
    if comparison.get("without_a_voter_low") is not None:
        low, high = comparison["without_a_voter_low"], comparison["without_a_voter_high"]
        facts.append(("preferred, with any one voter left out", f"{low:.1%} to {high:.1%}"))
    return facts


def rating_rows(ratings: Mapping[str, Any]) -> Facts:
    """Return (model, rating with its interval), the best first."""
    ranked = sorted(ratings["models"].items(), key=lambda item: (-item[1]["rating"], item[0]))
    rows = []
    for name, one in ranked:
        low, high = one.get("ci95_low"), one.get("ci95_high")
        interval = "no interval" if low is None else f"{low:.0f} to {high:.0f}"
        rows.append((name, f"{one['rating']:.0f} ({interval})"))
    return rows


def rating_sentences(ratings: Mapping[str, Any]) -> list[str]:
    """Return what the ratings do not say."""
    sentences = []
    if ratings["separated"]:
        groups = "; ".join(", ".join(group) for group in ratings["separated"])
        sentences.append(
            f"Between these groups all votes go one way, or there are none, so that no rating fits: {groups}. The "
            "distances shown have no meaning but their sign."
        )
    if ratings["tied_ranks"]:
        pairs = "; ".join(" and ".join(pair) for pair in ratings["tied_ranks"])
        sentences.append(f"Ranks cannot be told apart: {pairs}.")
    return sentences


def trust_facts(found: Mapping[str, Any]) -> Facts:
    """Return what controls, places, times and other voters say of the votes."""
    facts = []
    if found["controls_empty"]:
        passed = found["controls_empty"] - found["failed_empty"]
        facts.append(("an answer beats none", f"{passed} of {found['controls_empty']}"))
    if found["controls_identical"]:
        passed = found["controls_identical"] - found["failed_identical"]
        facts.append(("equal answers are a tie", f"{passed} of {found['controls_identical']}"))
    if found["repeated"]:
        facts.append(("the same vote with sides swapped", f"{found['consistent_share']:.0%} of {found['repeated']}"))
    if found["decisive"]:
        facts.append(("votes for the answer shown first", f"{found['left_share']:.0%} of {found['decisive']}"))
    if found["pairs_of_several"]:
        alpha = "not defined" if found["alpha"] is None else f"{found['alpha']:.2f}"
        shared = counted(found["pairs_of_several"], "pair")
        facts.append((f"Krippendorff's alpha on {shared} of several voters", alpha))
        facts.append(("the same vote by two voters, by chance too", f"{found['raw_agreement']:.0%}"))
    for key, name in (
        ("fast", "votes given too fast"),
        ("double", "double votes, of which the last counts"),
        ("over_cap", "votes over the limit for a voter, not counted"),
    ):
        if found[key]:
            facts.append((name, f"{found[key]}"))
    return facts


def scorer_facts(beside: Mapping[str, Any]) -> Facts:
    """Return how far a scorer agrees with the votes, and what both say together."""
    facts = [("pairs with votes and a verdict", f"{beside['n']}")]
    if beside.get("agreement") is not None:
        alpha = "not defined" if beside.get("alpha") is None else f"{beside['alpha']:.2f}"
        facts += [("same outcome, by chance too", f"{beside['agreement']:.0%}"), ("Krippendorff's alpha", alpha)]
    if (joined := beside.get("joined")) is not None:
        facts += [
            ("win rate, votes and scorer joined", f"{joined['win_rate']:.1%}"),
            ("95 % interval", f"{joined['ci95_low']:.1%} to {joined['ci95_high']:.1%}"),
            ("the same from the votes alone", f"{joined['votes_low']:.1%} to {joined['votes_high']:.1%}"),
            ("weight of the scorer", f"{joined['weight']:.2f}"),
        ]
    return facts


def outdated_sentence(found: Mapping[str, Any]) -> str:
    """Return that votes are about answers of an earlier run."""
    return (
        f"{counted(found['outdated'], 'pair')} voted on had other answers than base and fine-tuned model give now: "
        "make a new ballot for those."
    )


def _aligned(facts: Facts) -> list[str]:
    width = max((len(name) for name, _ in facts), default=0)
    return [f"  {name:{width}}  {value}" for name, value in facts]
