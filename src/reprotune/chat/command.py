"""The commands `ask`, `chat` and `serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)

NAMES = "base, finetuned or a Git revision, whose fine-tuned model is meant."
Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help=f"{NAMES} [default: base finetuned]"),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines, too.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 for any free one.", min=0, max=65535)]
Slots = Annotated[int, typer.Option(help="Answers of one model that are written at a time.", min=1, max=1024)]
Queue = Annotated[int, typer.Option(help="Requests that may wait for one model; others get 429.", min=0, max=100_000)]
Timeout = Annotated[float, typer.Option(help="Seconds that an answer may take, waiting included.", min=1)]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Host name by which a proxy or other machines call it; repeatable."),
]


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="The instruction.")] = None,
    material: Annotated[str, typer.Option("--input", help="The instruction's input.")] = "",
    model: Annotated[str, typer.Option(help=NAMES)] = "finetuned",
    file: Annotated[Path | None, typer.Option(help="Instead of one: JSON Lines with `instruction`, `input`.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the answers to --file go (Parquet).")] = None,
) -> None:
    """Ask a model a question.

    The prompt is the one that it was trained with, and the answer is decoded as section `generate` of params.yaml says.
    """
    from reprotune.chat.asking import ask_file, ask_one
    from reprotune.errors import UserError

    if (question is None) == (file is None):
        raise UserError('give either a question, as in `reprotune ask "Name a colour."`, or --file with several')
    if (file is None) != (out is None):
        raise UserError("--file and --out belong together: name the file of rows and the Parquet file of answers")
    if file is not None and out is not None:
        ask_file(model, file, out)
    elif question is not None:
        ask_one(model, question, material)


@app.command()
def serve(
    models: Models = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    slots: Slots = 32,
    queue: Queue = 128,
    timeout: Timeout = 300,
    allow_host: AllowHost = None,
) -> None:
    """Serve models to OpenAI's clients.

    Endpoints: /v1/models, /v1/chat/completions, /v1/completions. With the variable REPROTUNE_API_KEY, clients have to
    send that key. Answers to chats use the prompt that the model was trained with.
    """
    _run(models, host, port, slots, queue, timeout, allow_host, with_page=False, opens_browser=False)


@app.command()
def chat(
    models: Models = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    slots: Slots = 32,
    queue: Queue = 128,
    timeout: Timeout = 300,
    allow_host: AllowHost = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Talk to models side by side, in a browser.

    The page sends one message to each model and shows the answers as they are written. The endpoints of `serve` are
    there, too.
    """
    _run(models, host, port, slots, queue, timeout, allow_host, with_page=True, opens_browser=browser)


def _run(
    models: list[str] | None,
    host: str,
    port: int,
    slots: int,
    queue: int,
    timeout: float,
    allow_host: list[str] | None,
    *,
    with_page: bool,
    opens_browser: bool,
) -> None:
    """Serve until the end, with torch's threads waiting as in the stages.

    Spinning ones would take the cores from what answers clients.
    """
    if "OMP_WAIT_POLICY" not in os.environ:  # else the user has said how they wait
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    from reprotune.chat.server import Settings
    from reprotune.chat.server import serve as run

    names = models or ["base", "finetuned"]
    run(Settings(names, host, port, slots, queue, timeout, allow_host or [], with_page, opens_browser))
