"""Write the model card: what the fine-tuned model is made of, what it scored and how to prompt it."""

from pathlib import Path

from reprotune.artifacts import write_text
from reprotune.dataset.templates.messages import read_form
from reprotune.export.card import Sources, model_card
from reprotune.model.checkpoint import WEIGHTS
from reprotune.multiple_choice.figures.measured import read_measured
from reprotune.params.document import Document
from reprotune.pipeline.stage import run_stage
from reprotune.report.origin import dvc_hash
from reprotune.results.documents import SUMMARIES, Judged, Training, read_checked
from reprotune.results.parity import read_parity
from reprotune.results.preference import Preference
from reprotune.results.read import REMEDY
from reprotune.scratch import file_sha256

DATA = Path("data")
JUDGED = DATA / "judgements/metrics.json"
OUTPUT = DATA / "export/README.md"


def main() -> None:
    """Gather what the stages found and write it down."""
    sources = Sources(
        params=Document.read(),
        form=read_form(DATA / "formatted"),
        judged=read_checked(JUDGED, Judged, REMEDY),
        measured=read_measured(DATA),
        preference=read_checked(DATA / "preference/metrics.json", Preference, REMEDY),
        training=read_checked(DATA / "model/metrics.json", Training, REMEDY),
        raw=read_checked(DATA / "raw/summary.json", SUMMARIES["raw"], REMEDY),
        split=read_checked(DATA / "split/summary.json", SUMMARIES["split"], REMEDY),
        parity=read_parity(DATA, REMEDY),
        weights_sha256=file_sha256(DATA / "model" / WEIGHTS),
        results_md5=dvc_hash(JUDGED),
    )
    write_text(OUTPUT, model_card(sources))


if __name__ == "__main__":
    run_stage("card", main)
