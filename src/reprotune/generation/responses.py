"""A model's answers to the rows of a formatted split, as a table: what stage `generate` and runs beside it share."""

from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import FORMATTED, FORMATTED_TURNS, RESPONSES, read_table, schema_of
from reprotune.compute.device import pick_compute
from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from reprotune.model.inference import prepare_for_inference
from reprotune.model.weights import load_model
from reprotune.params.sections.generate import GenerateParams
from reprotune.records import read_records


def model_responses(
    model_folder: Path, base: Path, prompts: Path, records: Path, params: GenerateParams, name: str
) -> pa.Table:
    """Return a table of `RESPONSES`: the answers of a model to the formatted `prompts`, beside the records' outputs.

    The tokenizer is that of the `base` model; `name` says in the progress bar whose answers they are.
    """
    tokenizer = load_tokenizer(base)
    rows = read_table(prompts, schema_of(prompts, FORMATTED, FORMATTED_TURNS)).to_pylist()
    references = {record["id"]: record["output"] for record in read_records(records)}
    encoded = tokenizer.encode_formatted([row["prompt"] for row in rows])
    settings = DecodingSettings(end_of_text=tokenizer.end_of_text, **params.model_dump(exclude={"precision"}))

    compute = pick_compute(params.precision)
    model = load_model(model_folder, compute.device)
    prepare_for_inference(model, compute)
    with progress_bar(f"answers of {name}", len(rows)) as bar:
        answers = generate(model, encoded, settings, [row["id"] for row in rows], bar.update)

    responses = [
        {
            "id": row["id"],
            "prompt": tokenizer.escapes.plain(row["prompt"]),
            "reference": references[row["id"]],
            "response": answer_text(tokenizer.decode(answer.token_ids), row["header"]),
            "prompt_tokens": len(prompt),
            "response_tokens": len(answer.token_ids),
            "finish_reason": answer.finish_reason,
        }
        for row, prompt, answer in zip(rows, encoded, answers, strict=True)
    ]
    return pa.Table.from_pylist(responses, schema=RESPONSES)
