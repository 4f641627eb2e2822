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
    """Print what a preset sets, relative to the defaults."""
    from reprotune.params.presets import preset_text

    print(preset_text(name), end="")


@app.command()
def apply(name: PresetName) -> None:
    """Rewrite params.yaml under a preset.

    The file is reset to the defaults, then the preset's keys are set. Comments and layout are kept.
    """
    from reprotune.params.presets import apply_preset
    from reprotune.params.values import PARAMS_FILE

    changes = apply_preset(name)
    for change in changes:
        print(change)
    print(f"{PARAMS_FILE}: " + (f"preset {name} applied; next: dvc repro" if changes else f"already preset {name}"))
