"""Two tiny models, loaded once, and a server with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reprotune.chat.models import Model, open_model
from reprotune.compute.device import Compute
from tests.builders.chat_project import running, write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("project"))
    (folder / "data/votes").mkdir()
    return folder


@pytest.fixture(scope="session")
def model(project: Path) -> Model:
    return open_model("finetuned", Compute(torch.device("cpu"), torch.float32), project)


@pytest.fixture(scope="session")
def address(project: Path) -> Iterator[str]:
    """Where a server listens, which has two slots and room for 40 who wait."""
    with running(project, "--slots", "2", "--queue", "40", "--no-browser", command="chat") as (url, _):
        yield url
