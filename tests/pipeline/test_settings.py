"""What is set for DVC, read as DVC reads it."""

from pathlib import Path

import pytest
from dvc.config import Config

from reprotune.pipeline.settings import cache_folder, has_remote

REMOTE = "[core]\n    remote = store\n['remote \"store\"']\n    url = /mnt/store\n"
ALONE = "['remote \"store\"']\n    url = /mnt/store\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without settings, for a user and on a machine without any."""
    for name in ("machine", "user", ".dvc"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "machine"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    return tmp_path


@pytest.mark.parametrize("place", ["machine/config", "user/config", ".dvc/config", ".dvc/config.local"])
@pytest.mark.parametrize("text", ["", REMOTE, ALONE, "[core]\n    analytics = false\n"])
def test_a_remote_is_the_default_one_wherever_it_is_set(root: Path, place: str, text: str) -> None:
    (root / place).write_text(text)
    known = Config(dvc_dir=str(root / ".dvc"))["core"].get("remote")
    assert has_remote(root) == (known is not None) == (text == REMOTE)


@pytest.mark.parametrize("text", ["[core\n", "remote = store\n", "[core]\nremote = a\nremote = b\n", "[core]\n\xff"])
def test_malformed_settings_are_none(root: Path, text: str) -> None:
    (root / ".dvc/config").write_bytes(text.encode("latin-1"))
    assert not has_remote(root)
    assert cache_folder(root) == root / ".dvc/cache"


def test_the_cache_may_lie_elsewhere(root: Path) -> None:
    (root / ".dvc/config.local").write_text("[cache]\n    dir = /mnt/cache\n")
    assert cache_folder(root) == Path("/mnt/cache")
