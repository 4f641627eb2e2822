"""What a person calls a revision: what Git knows comes first, then experiments by their name."""

import subprocess
from pathlib import Path

import pytest

from reprotune.compare.names import commit_of
from reprotune.errors import UserError
from tests.compare.test_stale import git


def commit(root: Path, message: str) -> str:
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git_says(root, "rev-parse", "HEAD")


def git_says(root: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commits on `main`, and experiments as DVC stores them, with DVC's own refs beside them."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    first, second = commit(tmp_path, "first"), commit(tmp_path, "second")
    for base, name, target in (
        (first, "bold-try", first),
        (first, "twice", first),
        (second, "twice", second),
        (second, "main", first),
        (second, "wörtlich.1", first),
    ):
        git(tmp_path, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", target)
    git(tmp_path, "update-ref", "refs/exps/exec/EXEC_HEAD", second)
    git(tmp_path, "update-ref", "refs/exps/stash", second)
    git(tmp_path, "tag", "v1")
    return tmp_path


@pytest.mark.parametrize("name", ["bold-try", "wörtlich.1"])
def test_an_experiment_is_known_by_its_name(repository: Path, name: str) -> None:
    assert commit_of(name, repository) == git_says(repository, "rev-parse", "main~1")


@pytest.mark.parametrize("name", ["main", "v1", "HEAD"])
def test_what_git_knows_comes_first(repository: Path, name: str) -> None:
    assert commit_of(name, repository) == git_says(repository, "rev-parse", "main")


def test_a_name_that_several_have_is_not_guessed(repository: Path) -> None:
    bases = sorted(git_says(repository, "rev-parse", name)[:8] for name in ("main", "main~1"))
    with pytest.raises(UserError, match=f"2 experiments are called 'twice', started from {bases[0]} and {bases[1]}"):
        commit_of("twice", repository)


@pytest.mark.parametrize(
    ("name", "similar"), [("bold-tri", "bold-try"), ("mian", "main"), ("nothing-like-it", None), ("EXEC_HEAD", None)]
)
def test_an_unknown_name_is_one_sentence(repository: Path, name: str, similar: str | None) -> None:
    with pytest.raises(UserError, match=f"Git knows no revision '{name}'") as caught:
        commit_of(name, repository)
    assert ("did you mean" in str(caught.value)) == (similar is not None)
    assert similar is None or f"did you mean {similar!r}?" in str(caught.value)


@pytest.mark.parametrize("name", ["--all", "-n", "", "refs/exps/*", "*", "bold*", "../x"])
def test_a_name_is_no_option_and_no_pattern(repository: Path, name: str) -> None:
    with pytest.raises(UserError):
        commit_of(name, repository)
