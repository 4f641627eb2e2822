"""How the report words the health of the judge and the comparison of pairs."""

from typing import Any

SHARES = {
    "canaries": "canaries scored as they should be",
    "canaries_reference": "the reference itself scores high",
    "canaries_foreign": "another row's reference scores low",
    "canaries_empty": "no text scores 0",
    "canaries_verbose": "saying it three times gains nothing",
    "canaries_injection": "an order to give 100 gains nothing",
    "weighted_share": "scores weighted by probabilities",
    "probability_mass": "probability of the legal scores",
}
NUMBERS = {
    "repeat_sd": "spread of repeated scores (points)",
    "length_correlation_base": "correlation of score and length, base",
    "length_correlation_finetuned": "correlation of score and length, fine-tuned",
}


def health_facts(judged: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what was measured about the judge, in words."""
    health = judged["health"]
    shares = [(words, f"{health[key]:.0%}") for key, words in SHARES.items() if health[key] is not None]
    return shares + [(words, f"{health[key]:.2f}") for key, words in NUMBERS.items() if health[key] is not None]


def pair_facts(judged: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what came of the pairs, in words; empty where none were compared."""
    pairs = judged["pairwise"]
    if pairs is None or pairs["win_rate"] is None:
        return []
    facts = [
        ("fine-tuned wins (ties count half)", f"{pairs['win_rate']:.1%}"),
        ("95 % interval", f"{pairs['ci95_low']:.1%} to {pairs['ci95_high']:.1%}"),
        ("at equal length", f"{pairs['length_controlled_win_rate']:.1%}"),
        ("won, lost, tied", f"{pairs['wins']}, {pairs['losses']}, {pairs['ties']}"),
        ("identical answers among the ties", f"{pairs['identical']}"),
        ("pairs without a verdict", f"{pairs['unscored']}"),
    ]
    if pairs["position_bias"] is not None:
        facts.append(("verdicts that follow the place", f"{pairs['position_bias']:.1%}"))
    return facts
