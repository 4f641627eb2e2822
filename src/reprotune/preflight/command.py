"""The command `check`."""

import sys

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def check() -> None:
    """Check params.yaml and everything that it names.

    All faults are found at once, before anything costly runs: in any section, the dataset's first rows and columns, the
    base model, the template, the judge's service. Nothing is downloaded. The exit code is 1 where something is wrong.
    """
    from reprotune.preflight.check import check as find
    from reprotune.untrusted import visible

    findings = find()
    for finding in findings:
        print(f"{finding.subject:12} {visible(finding.seen)}")
    faults = dict.fromkeys(finding.fault for finding in findings if finding.fault is not None)  # one may stop two looks
    for fault in faults:
        print(f"error: {visible(fault)}", file=sys.stderr)
    raise typer.Exit(1 if faults else 0)
