"""What is set for DVC here, read without DVC, whose import alone takes a second."""

import configparser
import os
from pathlib import Path

import platformdirs

OWNER = ("dvc", "iterative")
"""The names under which DVC asks for a user's and a machine's folder of settings."""


def cache_folder(root: Path) -> Path:
    """Return the folder of DVC's cache, as the repository's own settings have it."""
    settings = _read([root / ".dvc/config", root / ".dvc/config.local"])
    return root / ".dvc" / settings.get("cache", "dir", fallback="cache")


def has_remote(root: Path) -> bool:
    """Tell whether there is a default remote; `dvc pull` and `dvc repro --pull` are errors without one."""
    return bool(_read(_all_files(root)).get("core", "remote", fallback=""))


def _all_files(root: Path) -> list[Path]:
    """Return every file of settings that DVC reads, those that win last."""
    machine = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or platformdirs.site_config_dir(*OWNER)
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or platformdirs.user_config_dir(*OWNER)
    return [Path(machine, "config"), Path(user, "config"), root / ".dvc/config", root / ".dvc/config.local"]


def _read(files: list[Path]) -> configparser.ConfigParser:
    """Return what the files say together; nothing where one is malformed, for DVC itself says what is wrong."""
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        settings.clear()
    return settings
