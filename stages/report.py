"""Publish the numbers to `metrics/`, which Git tracks, and write the report page with its table of all rows."""

from pathlib import Path

from reprotune.artifacts import replaced_directory, write_json, write_text
from reprotune.console import note
from reprotune.params.document import Document
from reprotune.pipeline.stage import run_stage
from reprotune.report import publish
from reprotune.report.origin import dvc_hash
from reprotune.report.page import render_report
from reprotune.report.preference import preference_metrics, preference_section, read_preference
from reprotune.report.rows import rows_csv
from reprotune.results.parity import read_parity
from reprotune.results.read import REMEDY, load_results, load_speed

DATA = Path("data")
METRICS = Path("metrics")
OUTPUT = DATA / "report"


def main() -> None:
    results, speed, preference = load_results(DATA), load_speed(DATA), read_preference(DATA)
    write_json(METRICS / "scores.json", publish.scores_metrics(results.judged))
    write_json(METRICS / "training.json", publish.numbers(results.training))
    write_json(METRICS / "data.json", publish.numbers(results.summaries))
    write_json(METRICS / "speed.json", publish.speed_metrics(speed))
    benchmark = publish.benchmark_metrics(results.measured.task, results.figures, results.retention)
    write_json(METRICS / "benchmark.json", benchmark)
    write_json(METRICS / "preference.json", preference_metrics(preference))
    write_json(METRICS / "export.json", publish.export_metrics(read_parity(DATA, REMEDY)))
    initial_loss = results.training["initial"]["validation_loss"]
    write_text(METRICS / "plots/loss.csv", publish.loss_csv(results.loss, initial_loss))
    write_text(METRICS / "plots/scores.csv", publish.scores_csv(results.scores("base"), results.scores("finetuned")))
    write_text(METRICS / "plots/length.csv", publish.length_csv(results.lengths("finetuned")))
    write_text(METRICS / "plots/categories.csv", publish.categories_csv(results.judged))
    write_text(METRICS / "plots/subjects.csv", publish.subjects_csv(results.measured))
    lock_hash = dvc_hash(DATA / "judgements/metrics.json")
    page = render_report(results, speed, Document.read(), lock_hash, preference_section(preference))
    with replaced_directory(OUTPUT) as folder:
        write_text(folder / "index.html", page)
        write_text(folder / "rows.csv", rows_csv(results.rows))
    note(f"the report is in {OUTPUT / 'index.html'}")


if __name__ == "__main__":
    run_stage("report", main)
