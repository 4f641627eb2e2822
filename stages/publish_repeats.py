"""Publish the numbers of the repeats to `metrics/`, which Git tracks: the second stage of `repeats/dvc.yaml`."""

from pathlib import Path

from reprotune.artifacts import write_json
from reprotune.pipeline.stage import run_stage
from reprotune.runs.publish import published, read_repeats_metrics

REPEATS = Path("data/repeats/metrics.json")
METRICS = Path("metrics/repeats.json")


def main() -> None:
    write_json(METRICS, published(read_repeats_metrics(REPEATS)))


if __name__ == "__main__":
    run_stage("publish_repeats", main)
