"""Values of YAML documents: flattened, compared, spelled."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.params.differences import param_changes
from reprotune.params.values import flattened, parsed_document, read_document, same_value, spelled


def test_nested_keys_are_joined_and_renamed() -> None:
    nested = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert flattened(nested) == {"a.b.c": 1, "a.d": 2, "e": 3}
    assert flattened(nested, ": ", str.upper) == {"A: B: C": 1, "A: D": 2, "E": 3}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, 1.0, True), (1, True, False), (0, False, False), (None, None, True), (None, 0, False), ("a", "a", True)],
)
def test_numbers_are_no_truth_values(one: object, other: object, same: bool) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same


def test_values_are_spelled_as_in_yaml() -> None:
    values = (None, True, False, 1e-05, 5e-4, 3, "text")
    assert [spelled(value) for value in values] == ["null", "true", "false", "1e-5", "0.0005", "3", "text"]


def test_changes_name_the_key_and_both_values() -> None:
    old = {"finetune": {"epochs": 2, "seed": 1, "gone": None}}
    new = {"finetune": {"epochs": 2.0, "seed": True, "added": 1e-5}}
    assert list(map(str, param_changes(old, new))) == [
        "finetune.seed: 1 -> true",
        "finetune.added: (absent) -> 1e-5",
        "finetune.gone: null -> (absent)",
    ]


WIDE = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
DEEP = "a0: &a0 {k: x}\n" + "".join(f"a{n}: &a{n} {{k: *a{n - 1}}}\n" for n in range(1, 300))
MERGED = "a0: &a0 {k: x}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))


@pytest.mark.parametrize("text", [WIDE, DEEP, MERGED, "a: &a [*a]\n", "[" * 1000, "- " * 5000], ids=range(6))
def test_documents_of_aliases_and_levels_are_bounded(text: str) -> None:
    with pytest.raises(UserError, match=r"^it has more than 100,000 values or 100 levels, aliases included"):
        parsed_document(text, "it")


def test_aliases_and_merges_of_honest_documents_are_read() -> None:
    assert parsed_document("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a\n", "it")["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    "text",
    [
        "a: 2001-99-99",
        "a: !!int x",
        f"a: {'9' * 5000}",
        "a: !!python/object:os.system x",
        "a: 0b_",
        "a: 1\n--- \nb: 2",
        "<<: 5",
        "a: [\n<<<<<<< HEAD",
        "\0",
        "%YAML 9.9\n---\na: 1",
    ],
)
def test_what_is_no_document_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^it .*is not valid YAML: ") as refusal:
        parsed_document(text, "it")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


def test_a_document_that_takes_minutes_to_read_is_refused() -> None:
    with pytest.raises(UserError, match="has more than 256 kB, which is the limit"):
        parsed_document("a: 1\n" * 60_000, "it")


@pytest.mark.parametrize("content", [b"a: 1\n" * 100_000, None], ids=["too large", "a folder"])
def test_advice_keeps_what_is_there(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"params\.yaml is missing: .* restore it with `git checkout"):
        read_document(path)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"correct it, or set it aside with `git stash push") as caught:
        read_document(path)
    assert "git checkout" not in str(caught.value), "that would throw edits away"
