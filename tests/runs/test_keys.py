"""What a run is kept under."""

from pathlib import Path

import pytest
import torch

from reprotune.compute.device import Compute
from reprotune.runs import keys
from reprotune.runs.keys import code_hash, run_key

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Code in which `a` imports `b`, and nothing imports `c`."""
    package = tmp_path / "src/reprotune"
    package.mkdir(parents=True)
    for name, text in (("a", "import reprotune.b\n"), ("b", "x = 1\n"), ("c", "x = 1\n")):
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(keys, "CHECKOUT", tmp_path)
    return package


@pytest.mark.parametrize(("edited", "same"), [("a", False), ("b", False), ("c", True)])
def test_the_code_that_decides_is_what_is_imported(checkout: Path, edited: str, same: bool) -> None:
    before = code_hash.__wrapped__("reprotune.a")
    with (checkout / f"{edited}.py").open("a") as file:
        file.write("y = 2\n")
    assert (code_hash.__wrapped__("reprotune.a") == before) is same


def test_everything_that_decides_is_in_the_key(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    own = [
        ("reprotune.training.loss", {"a": 1}, CPU, [tmp_path / "one"]),
        ("reprotune.training.loop", {"a": 1}, CPU, [tmp_path / "one"]),
        ("reprotune.training.loss", {"a": 2}, CPU, [tmp_path / "one"]),
        ("reprotune.training.loss", {"a": 1}, Compute(CPU.device, torch.bfloat16), [tmp_path / "one"]),
        ("reprotune.training.loss", {"a": 1}, CPU, [tmp_path / "two"]),
    ]
    assert len({run_key(*parts) for parts in own}) == len(own)
    assert run_key(*own[0]) == run_key(*own[0])
