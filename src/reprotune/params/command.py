"""The commands `params` and `preset list|show|apply`."""

from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)

PresetName = Annotated[str, typer.Argument(metavar="NAME", help="A name from `reprotune preset list`.")]


@app.command()
def params(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Explain every key of params.yaml."""
    from reprotune.params.reference import markdown_table, print_reference

    if markdown:
        print(markdown_table(), end="")
    else:
        print_reference()


@app.command("list")
def list_all() -> None:
    """List the presets, one per line."""
    from reprotune.params.presets import list_presets

    presets = list_presets()
    width = max(len(preset.name) for preset in presets)
    for preset in presets:
        print(f"{preset.name:{width}}  {preset.description}")


@app.command()
def show(name: PresetName) -> None:
    """Print the keys that `apply` sets.

    Run in a folder with a params.yaml, it leaves out what `apply` would keep there: a dataset or a judge of your own.
    """
    from reprotune.params.presets import preset_text
    from reprotune.untrusted import visible

    print(visible(preset_text(name)), end="")


@app.command()
def apply(
    name: PresetName,
    reset: Annotated[bool, typer.Option("--reset", help="Set every other key to its default as well.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Set a preset's keys in params.yaml.

    Your other settings, comments and layout stay. So does a dataset or a judge of your own, also where the preset
    brings another: `fetch.dataset` where its source, and `judge` where its backend, model or rubric is none that a
    preset names. Every change is shown before it is made.
    """
    from reprotune.params.presets import apply_preset
    from reprotune.params.values import PARAMS_FILE
    from reprotune.untrusted import visible

    application = apply_preset(name, reset=reset)
    for change in application.changes:
        print(visible(str(change)))
    if application.kept:
        keys = ", ".join(one.key for one in application.kept)
        print(f"kept, where {name} with --reset has other values: {visible(keys)}")
    if dry_run:
        print(f"{PARAMS_FILE}: not changed (--dry-run)")
        return
    application.write()
    if not application.changes:
        print(f"{PARAMS_FILE}: already as preset {name} sets it")
    elif application.other_files:
        print(
            f"{PARAMS_FILE}: preset {name} applied; next: reprotune deps --fix, because a stage reads other files than "
            "before, then dvc repro"
        )
    else:
        print(f"{PARAMS_FILE}: preset {name} applied; next: dvc repro")
