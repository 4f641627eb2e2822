"""A tiny model with GPT-2's tokenizer, and lm-eval, the oracle, as far as it works without a network."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the libraries are imported

import lm_eval
import tokenizers
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from tokenizers import models, pre_tokenizers, trainers

from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT_NAME
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from tests.builders.items import mmlu_items
from tests.builders.tokenizers import TEXTS

TASKS = Path(lm_eval.__file__).parent / "tasks/mmlu"
FORMULATIONS = {
    "letters": (TASKS / "default", "_default_template_yaml", "mmlu_{}.yaml"),
    "cloze": (TASKS / "continuation", "_continuation_template_yaml", "mmlu_{}.yaml"),
}
SUBJECTS = ("abstract_algebra", "high_school_european_history", "world_religions")

Evaluate = Callable[..., dict[str, SimpleNamespace]]


def make_network(config: ModelConfig, seed: int = 0) -> Network:
    """Return a random network whose predictions differ from token to token."""
    network = Network(config)
    generator = torch.Generator().manual_seed(seed)
    network.initialize(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * (0.3 if parameter.dim() == 2 else 0.1))
    return network.eval()


@pytest.fixture(scope="session")
def network() -> Network:
    """A network with GPT-2's vocabulary and context."""
    return make_network(ModelConfig(n_layer=2, n_head=2, n_embd=16))


@pytest.fixture(scope="session")
def mmlu(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The items and examples of each subject at hand."""
    return {subject: mmlu_items(shared_data / "mmlu", subject) for subject in SUBJECTS}


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small byte-pair tokenizer, which writes a blank and a letter as one token."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END_OF_TEXT_NAME],
        show_progress=False,
    )
    texts = ["Question: Which of the following?\nAnswer: A\nAnswer: B\nAnswer: C\nAnswer: D\n"] * 5
    tokenizer.train_from_iterator([*texts, *TEXTS], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": END_OF_TEXT_NAME, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Run lm-eval's own tasks of MMLU on given items.

    Returns for each subject its `samples` in the order of the items, and its `results`.
    """
    data = tmp_path_factory.mktemp("lm_eval")

    def run(
        model: LM, items: dict[str, list[dict[str, Any]]], formulation: str, shots: int, limit: int | None = None
    ) -> dict[str, SimpleNamespace]:
        folder, template, name = FORMULATIONS[formulation]
        own_tasks = tmp_path_factory.mktemp("tasks")
        tasks = {}
        for subject, rows in items.items():
            files = {}
            for split, role in (("dev", "shot"), ("test", "item")):
                fields = ("question", "choices", "answer")
                lines = [json.dumps({key: row[key] for key in fields}) for row in rows if row["role"] == role]
                path = data / f"{subject}_{split}_{len(lines)}.jsonl"
                if not path.is_file():  # a file that changes would be read anew
                    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                files[split] = str(path)
            yaml = YAML(typ="safe", pure=True)
            task = yaml.load((folder / template).read_text(encoding="utf-8"))
            task |= yaml.load((folder / name.format(subject)).read_text(encoding="utf-8"))
            for key in ("include", "tag", "dataset_name"):
                task.pop(key, None)
            tasks[subject] = f"own_{task['task']}"
            own = {"data_files": files, "cache_dir": str(data / "cache")}
            task |= {"task": tasks[subject], "dataset_path": "json", "dataset_kwargs": own}
            (own_tasks / f"{subject}.yaml").write_text(json.dumps(task), encoding="utf-8")
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=list(tasks.values()),
            num_fewshot=shots,
            task_manager=TaskManager(include_path=str(own_tasks), include_defaults=False),
            log_samples=True,
            bootstrap_iters=0,
            limit=limit,
            verbosity="ERROR",
        )
        return {
            subject: SimpleNamespace(
                samples=sorted(found["samples"][task], key=lambda sample: sample["doc_id"]),
                results=found["results"][task],
            )
            for subject, task in tasks.items()
        }

    return run
