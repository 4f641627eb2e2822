"""Templates and rubrics that take all time, all memory or the interpreter's stack are refused in one sentence."""

import resource
import signal
import time
from pathlib import Path

import pytest

from reprotune import sandbox
from reprotune.dataset.templates.instructions import load_template
from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, question

START, END = "{{ instruction }}{{ response }}", "{{ response }}"
HOSTILE = {
    "nested loops": "{% for a in instruction %}" * 12 + "x" + "{% endfor %}" * 12,
    "more loops than Python compiles": "{% for a in instruction %}" * 25 + "x" + "{% endfor %}" * 25,
    "deep conditions": "{% if input %}" * 300 + "{% endif %}" * 300,
    "deep parentheses": "{{ " + "(" * 500 + "instruction" + ")" * 500 + " }}",
    "repetition": "{{ 'x' * 9999999999 }}",
    "power": "{{ 10 ** 10 ** 9 }}",
    "doubling": "{% set x = instruction %}" + "{% set x = x ~ x %}" * 34 + "{{ x }}",
    "width of a filter": "{{ 'x'|center(9999999999) }}",
    "width of a method": "{{ 'x'.ljust(9999999999) }}",
    "width of a format": "{{ '%9999999999d'|format(1) }}",
    "indentation": "{{ 'a\\nb'|indent(9999999999) }}",
    "slices": "{{ instruction|slice(9999999999)|list|length }}",
    "long text": "{{ 'x' * 5000000 }}",
    "surrogate": "{{ '\\ud83d' }}",
    "long number": "{{ " + "9" * 5000 + " }}",
    "other file": "{% include 'x' %}",
}


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MOST_SECONDS", 1)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_ends_in_one_sentence(tmp_path: Path, body: str) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(f"{{{{ instruction }}}}{body}{END}")
    began = time.process_time()
    with pytest.raises(UserError) as refusal:
        load_template(str(path))
    assert str(refusal.value).startswith(f"{path}: ") and "\n" not in str(refusal.value)
    assert time.process_time() - began < 10  # of the processor: the clock would measure the machine's load


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_rubric_ends_in_one_sentence(tmp_path: Path, body: str) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(f"{body}{END}")
    with pytest.raises(UserError) as refusal:
        question(str(path), Item("some words here", "", "reference", "answer"))
    assert str(refusal.value).startswith(f"{path} ") and "\n" not in str(refusal.value)


def test_a_template_that_takes_long_on_one_record_names_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    loop = "{% for a in instruction %}{% for b in instruction %}{% for c in instruction %}.{% endfor %}{% endfor %}"
    path.write_text(f"{{% if instruction|length > 50 %}}{loop}{{% endfor %}}{{% endif %}}{START}")
    template = load_template(str(path))
    rows = [{"id": name, "instruction": text, "input": "", "output": "", "category": None} for name, text in
            (("short", "x"), ("long", "x" * 5000))]  # fmt: skip
    with pytest.raises(UserError, match="fails on record long: it takes more than 1 s"):
        template.format_all(rows, "in_prompt")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_alarm_that_a_destructor_swallows_comes_again() -> None:
    class Deaf:
        def __del__(self) -> None:
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                pass

    began = time.process_time()
    with pytest.raises(Exception, match="more than 1 s"), sandbox.bounded():
        Deaf()
        while time.process_time() - began < 30:
            pass
    assert time.process_time() - began < 10


def test_limits_hold_only_within_the_block() -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)
    with pytest.raises(ZeroDivisionError), sandbox.bounded():
        raise ZeroDivisionError
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_line_breaks_of_any_system_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert sandbox.read_template(tmp_path / "it", "") == "a\nb\nc\n"
