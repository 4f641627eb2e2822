"""lm-eval's `local-completions` on ten items, against the model's own log-probabilities."""

import json
from pathlib import Path

import pytest
import torch

from reprotune.chat.models import Model
from tests.builders.chat_project import CONTEXT

pytestmark = pytest.mark.slow

ITEMS = [(f"Question {number}: {number} + {number}?\nAnswer:", f" It is {2 * number}.") for number in range(10)]


@torch.inference_mode()
def own(model: Model, context: str, continuation: str) -> tuple[float, bool]:
    """Return the log-probability of a continuation, and whether greedy decoding would write it."""
    begin = model.tokenizer.encode_batch([context])[0]
    whole = model.tokenizer.encode_batch([context + continuation])[0]
    logprobs = model.network.logits(model.network(torch.tensor([whole])))[0].log_softmax(dim=1)
    places = range(len(begin) - 1, len(whole) - 1)
    greedy = all(logprobs[place].argmax().item() == whole[place + 1] for place in places)
    return sum(logprobs[place, whole[place + 1]].item() for place in places), greedy


def test_ten_items(address: str, model: Model, project: Path, tmp_path: Path) -> None:
    for package in ("lm_eval", "tenacity"):
        pytest.importorskip(package, reason="needs lm-eval[api]")
    from lm_eval.api.instance import Instance  # noqa: PLC0415 - found only where lm-eval is
    from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: PLC0415

    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((project / "data/base" / file).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    client = LocalCompletionsAPI(
        base_url=f"{address}/v1/completions",
        model="finetuned",
        tokenizer=str(tmp_path),
        tokenizer_backend="huggingface",
        max_length=CONTEXT,
        num_concurrent=1,
    )
    asked = [Instance("loglikelihood", {}, item, number) for number, item in enumerate(ITEMS)]
    found = client.loglikelihood(asked)
    expected = [own(model, *item) for item in ITEMS]
    for (logprob, greedy), (wanted, wanted_greedy) in zip(found, expected, strict=True):
        assert logprob == pytest.approx(wanted, abs=1e-3)
        assert greedy == wanted_greedy
