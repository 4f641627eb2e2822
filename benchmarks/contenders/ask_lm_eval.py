"""lm-eval's own model of transformers on the same prompts, in float32; its tasks and their data are left out."""

import time
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main
from transformers import PreTrainedTokenizerFast

from reprotune.compute.device import pick_device
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT_NAME
from reprotune.multiple_choice.prompts import Wording


def measure(task: dict[str, Any]) -> dict[str, Any]:
    device = pick_device()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(task["model"], "tokenizer.json")), eos_token=END_OF_TEXT_NAME
    )
    model = HFLM(task["model"], tokenizer=tokenizer, device=str(device), dtype="float32", batch_size=task["batch_size"])
    wording = Wording(task["formulation"], beginnings=False)
    asked = [wording.asked(item, task["shots"][item["subject"]]) for item in task["items"]]
    pairs = [(prompt, text) for prompt, texts in asked for text in texts]
    requests = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
    model.loglikelihood(requests[:4], disable_tqdm=True)
    synchronize(device)
    started = time.perf_counter()
    scores = iter([score for score, _ in model.loglikelihood(requests, disable_tqdm=True)])
    synchronize(device)
    return {
        "name": f"lm-eval (`hf`, float32, batches of {task['batch_size']})",
        "seconds": time.perf_counter() - started,
        "logprobs": [[next(scores) for _ in texts] for _, texts in asked],
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    contender_main(measure)
