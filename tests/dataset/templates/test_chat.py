"""Chat templates: transformers' text, the turns that are learned, and templates that cannot be used."""

from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from reprotune.dataset.templates.chat import ChatTemplate, load_chat_template
from reprotune.dataset.templates.formatter import ChatFormatter, InstructionFormatter, load_formatter
from reprotune.dataset.tokenizers.document import TokenizerFiles, read_tokenizer_files
from reprotune.dataset.tokenizers.escapes import NO_ESCAPES
from reprotune.errors import UserError
from tests.builders.tokenizers import CHATML_TEMPLATE, LLAMA_TEMPLATE, SPM_TEMPLATE

NAMED = {"bos_token": "<s>", "eos_token": "</s>"}
CHAT = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Hi <b>&amp;</b>"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "See you\n"},
]
LOOP = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
ODD_BUT_FINE = {
    "loop controls": "{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}{{ m.content }};{% endfor %}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}"
    "{{ m.content }}\n{% endfor %}",
    "json": "{% for m in messages %}{{ m | tojson }}{{ m | tojson(indent=2) }}{% endfor %}",
    "undefined": "{% if tools %}x{% endif %}{{ nothing }}" + LOOP,
    "blocks on lines of their own": "{% for m in messages %}\n  {% if true %}\n{{ m.content }}\n  {% endif %}\n"
    "{% endfor %}\n",
    "generation": "{% for m in messages %}{% generation %}{% set x = 1 %}{{ m.content }}{% endgeneration %}{{ x }}\n"
    "{% endfor %}",
    "macro": "{% macro say(m) %}<{{ m.content | trim }}>{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
    "names": "{{ bos_token }}" + LOOP + "{{ eos_token }}",
}
TEMPLATES = {"llama": LLAMA_TEMPLATE, "chatml": CHATML_TEMPLATE, "zephyr": SPM_TEMPLATE, **ODD_BUT_FINE}


def loaded(source: str) -> ChatTemplate:
    return load_chat_template("mine.jinja", source, NAMED, NO_ESCAPES)


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
def test_the_text_is_that_of_transformers(source: str) -> None:
    for count in range(1, len(CHAT) + 1):
        for invites in (False, True):
            expected = render_jinja_template(
                [CHAT[:count]], chat_template=source, add_generation_prompt=invites, **NAMED
            )[0][0]
            assert loaded(source).render(CHAT[:count], invites) == expected


def test_every_answer_or_the_last_one_is_learned() -> None:
    template = loaded(CHATML_TEMPLATE)
    (texts,) = template.turns([("r", CHAT)], "all")
    assert texts[1::2] == ["Hello<|im_end|>\n", "See you\n<|im_end|>\n"]
    assert texts[0].endswith("<|im_start|>assistant\n") and texts[2].endswith("<|im_start|>assistant\n")
    assert "".join(texts) == template.render(CHAT)
    (last,) = template.turns([("r", CHAT)], "last")
    assert last == ["".join(texts[:3]), texts[3]]


def test_a_template_without_an_invitation_has_the_model_write_it() -> None:
    (texts,) = loaded(LOOP).turns([("r", CHAT[1:3])], "all")
    assert texts == ["[user]Hi <b>&amp;</b>", "[assistant]Hello"]


FORGETFUL = (
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'user' or loop.last %}{{ m.content }}{% else %}-{% endif %}"
    "{% endfor %}"
)


def test_a_template_whose_beginnings_are_no_beginnings_names_row_and_turn() -> None:
    template = ChatTemplate("mine.jinja", loaded(LOOP).template.environment.from_string(FORGETFUL), NAMED, NO_ESCAPES)
    with pytest.raises(
        UserError, match=r"mine.jinja: record r7: .* up to message 3 .* set format.train_on to last"
    ) as no:
        template.turns([("r7", CHAT)], "all")
    assert "\n" not in str(no.value)
    assert template.turns([("r7", CHAT)], "last")[0][1] == "[assistant]See you\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{% for m in messages %}{{ m.content }}", "mine.jinja: line 1: Unexpected end of template"),
        ("\n{% for m in messages %}{{ m.content | shout }}{% endfor %}", "line 2: No filter named 'shout'"),
        ("{{ message }}", "goes through `messages`, and this one does not"),
        ("{{ messages[0].content }}", "leaves out message 2 of a conversation of 2"),
        (LOOP.replace("{{ m.content }}", ""), "leaves out message 1"),
        (
            "{{ messages[0].content }}{{ messages[1].content }}",
            "leaves out message 3 of a conversation of 4: .* in a loop",
        ),
        ("{{ raise_exception('no chats') }}" + LOOP, "mine.jinja: no chats: correct the template"),
        ("{{ strftime_now('%d %b %Y') }}" + LOOP, "asks for the date of today"),
        ("{{ lipsum() }}" + LOOP, "'lipsum' is undefined"),
        ("{{ messages.__class__.__mro__ }}" + LOOP, "unsafe"),
        ("{% set ns = namespace() %}{% set ns.__init__ = 1 %}" + LOOP, "takes no name such as '__init__'"),
        ("{{ 'x' * 9999999999 }}" + LOOP, "memory"),
        ("{% for m in messages %}{{ m.content[1:] }}{% endfor %}", None),
    ],
)
def test_a_template_that_cannot_be_used_is_one_sentence(source: str, sentence: str | None) -> None:
    if sentence is None:
        loaded(source)
        return
    with pytest.raises(UserError, match=sentence) as refusal:
        loaded(source)
    assert "\n" not in str(refusal.value)


def test_a_template_that_refuses_a_row_names_it() -> None:
    source = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    template = loaded(source + "{{ m.content }}{% endfor %}")
    with pytest.raises(UserError, match="fails on record r2: no system: correct the template or the record"):
        template.turns([("r1", CHAT[1:3]), ("r2", CHAT)], "all")


def test_a_template_that_cuts_the_escape_off_a_rows_text_is_refused(qwen_folder: Path) -> None:
    files = read_tokenizer_files(qwen_folder)
    source = "{% for m in messages %}<|im_start|>{{ m.content[1:] }}{% endfor %}"
    template = load_chat_template("mine.jinja", source, files.named, files.escapes)
    said = [{"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": "ok"}]
    with pytest.raises(UserError, match=r"record r: it changes a text that spells a special token"):
        template.turns([("r", said)], "all")


def files_with(folder: Path, chat_template: Any) -> TokenizerFiles:
    files = read_tokenizer_files(folder)
    return TokenizerFiles(folder, files.document, files.settings | {"chat_template": chat_template})


def test_the_bases_own_template_by_name(qwen_folder: Path) -> None:
    several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": LOOP}]
    formatter = load_formatter("chat", files_with(qwen_folder, several), "in_prompt", "all")
    assert isinstance(formatter, ChatFormatter)
    with pytest.raises(UserError, match=r"tokenizer_config.json has no chat_template: choose a base model"):
        load_formatter("chat", files_with(qwen_folder, None), "in_prompt", "all")
    with pytest.raises(UserError, match="is in_response, but a chat template says itself"):
        load_formatter("chat", files_with(qwen_folder, LOOP), "in_response", "all")


def test_a_file_may_be_a_template_of_either_kind(tmp_path: Path, qwen_folder: Path) -> None:
    files = read_tokenizer_files(qwen_folder)
    chat, instruction = tmp_path / "chat.jinja", tmp_path / "instruction.jinja"
    chat.write_text(LOOP)
    instruction.write_text("messages: {{ instruction }}{{ response }}")
    assert isinstance(load_formatter(str(chat), files, "in_prompt", "all"), ChatFormatter)
    assert isinstance(load_formatter(str(instruction), files, "in_prompt", "all"), InstructionFormatter)


def test_a_conversation_needs_a_chat_template(qwen_folder: Path) -> None:
    formatter = load_formatter("alpaca", read_tokenizer_files(qwen_folder), "in_prompt", "all")
    with pytest.raises(UserError, match=r"record r is a conversation of 5 messages, .* set format.template to chat"):
        formatter.conversations([{"id": "r", "messages": CHAT}])
