"""Every family's tokenizer: transformers' ids, and no special token from the text of a row, whatever it spells."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from reprotune.dataset.templates.formatter import ChatFormatter, Formatter, load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.escapes import ESCAPE
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.hugging_face import HuggingFaceTokenizer
from reprotune.dataset.tokenizers.load import load_tokenizer

FAMILIES = ("gpt2", "llama", "qwen", "spm", "smollm")
CHATS = ("llama", "qwen", "spm", "smollm")
SEVERAL = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs", "Co"]), max_size=30)


class Family:
    """A tokenizer and all that belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        self.files = read_tokenizer_files(folder)
        self.oracle: Any = AutoTokenizer.from_pretrained(folder)

    def formatter(self, template: str = "chat") -> Formatter:
        return load_formatter(template, self.files, "in_prompt", "all")

    def hostile(self) -> st.SearchStrategy[str]:
        """Texts that spell special tokens, parts of them, and what escapes them."""
        spellings = list(self.files.control)
        pieces = [*spellings, *(spelling[:-1] for spelling in spellings), *(spelling[1:] for spelling in spellings)]
        piece = st.one_of(st.sampled_from([*pieces, ESCAPE, " ", "\n", "<", ">"]), TEXT)
        return st.lists(piece, min_size=1, max_size=5).map("".join).filter(lambda text: not text.isspace())

    @property
    def control(self) -> set[int]:
        return set(self.files.control.values())


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    return {}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, families: dict[str, Family]) -> Family:
    return _family(request, families)


@pytest.fixture(params=CHATS)
def chat(request: pytest.FixtureRequest, families: dict[str, Family]) -> Family:
    return _family(request, families)


def _family(request: pytest.FixtureRequest, families: dict[str, Family]) -> Family:
    name = request.param
    if name not in families:
        families[name] = Family(request.getfixturevalue(f"{name}_folder"))
    return families[name]


def test_gpt2_runs_on_tiktoken_and_others_do_not(gpt2_folder: Path, llama_folder: Path) -> None:
    assert isinstance(load_tokenizer(gpt2_folder), GPT2Tokenizer)
    assert isinstance(load_tokenizer(llama_folder), HuggingFaceTokenizer)


@SEVERAL
@given(text=TEXT)
def test_ids_of_ordinary_text_are_those_of_transformers(family: Family, text: str) -> None:
    ids = family.tokenizer.encode_batch([text])[0]
    assert ids == family.oracle(text, add_special_tokens=False)["input_ids"]
    assert family.tokenizer.encode_formatted([text])[0] == ids


@SEVERAL
@given(data=st.data())
def test_a_rows_text_never_becomes_a_special_token(family: Family, data: st.DataObject) -> None:
    text = data.draw(family.hostile())
    assert not family.control & set(family.tokenizer.encode_batch([text])[0])
    escaped = family.files.escapes.escaped(text)
    assert family.tokenizer.encode_formatted([escaped]) == family.tokenizer.encode_batch([text])


def test_every_special_token_is_one_id_where_a_template_writes_it(family: Family) -> None:
    for spelling, place in family.files.control.items():
        assert family.tokenizer.encode_formatted([spelling]) == [[place]]
        assert len(family.tokenizer.encode_batch([spelling])[0]) > 1, spelling
        assert family.tokenizer.decode([place]) == spelling


def test_private_use_characters_of_a_row_are_its_own(family: Family) -> None:
    spelling = next(iter(family.files.control))
    text = f"{ESCAPE}{spelling}{ESCAPE} {ESCAPE}"
    ids = family.tokenizer.encode_batch([text])[0]
    assert not family.control & set(ids)
    assert family.tokenizer.decode(ids).strip() == text


def messages(texts: list[str]) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


@SEVERAL
@given(data=st.data())
def test_a_chats_special_tokens_do_not_depend_on_what_is_said(chat: Family, data: st.DataObject) -> None:
    """The same conversation about nothing has the same special tokens, in training and in generation."""
    texts = data.draw(st.lists(chat.hostile(), min_size=2, max_size=4).filter(lambda texts: len(texts) % 2 == 0))
    formatter = chat.formatter()
    rows = [{"id": "r", "messages": messages(said)} for said in (texts, ["a"] * len(texts))]
    structures = []
    for row in formatter.conversations(rows):
        encoded = chat.tokenizer.encode_rows([[turn["text"] for turn in row["turns"]]])[0]
        ids = encoded.prompt_ids + encoded.response_ids
        structures.append([token for token in ids if token in chat.control])
        assert [encoded.prompt_ids] == chat.tokenizer.encode_formatted([row["prompt"]])
    assert structures[0] == structures[1]


@SEVERAL
@given(texts=st.lists(TEXT.map(str.strip).filter(bool), min_size=2, max_size=4).filter(lambda t: len(t) % 2 == 0))
def test_a_chats_ids_are_those_of_transformers(chat: Family, texts: list[str]) -> None:
    said = messages(texts)
    (row,) = chat.formatter().conversations([{"id": "r", "messages": said}])
    expected = chat.oracle.apply_chat_template(said, tokenize=False)
    assert chat.files.escapes.plain(row["prompt"] + row["response"]) == expected
    encoded = chat.tokenizer.encode_rows([[turn["text"] for turn in row["turns"]]])[0]
    prompt = chat.oracle.apply_chat_template(said[:-1], add_generation_prompt=True, return_dict=False)
    assert encoded.prompt_ids == prompt
    if encoded.seam_agrees:
        assert encoded.prompt_ids + encoded.response_ids == chat.oracle.apply_chat_template(said, return_dict=False)


@SEVERAL
@given(data=st.data())
def test_trainings_prompt_ids_are_generations(family: Family, data: st.DataObject) -> None:
    text = st.one_of(family.hostile(), TEXT.filter(bool))
    record = {"id": "r", "instruction": data.draw(text), "input": "", "output": data.draw(text), "category": None}
    for template in ("alpaca", "phi3", *(["chat"] if family.files.chat_template else [])):
        (row,) = family.formatter(template).records([record])
        encoded = family.tokenizer.encode_rows([(row["prompt"], row["response"])])[0]
        assert [encoded.prompt_ids] == family.tokenizer.encode_formatted([row["prompt"]])
        begins = family.tokenizer.beginning_of_text
        if template != "chat":
            assert (encoded.prompt_ids[0] == begins) == (begins is not None)
            assert len(family.control & set(encoded.prompt_ids)) == (begins is not None)
            assert not family.control & set(encoded.response_ids)
        assert begins is None or encoded.prompt_ids.count(begins) <= 1


def test_the_beginning_of_text_is_not_doubled(llama_folder: Path, qwen_folder: Path, spm_folder: Path) -> None:
    record = {"id": "r", "instruction": "Hi", "input": "", "output": "Hello", "category": None}
    for folder, begins in ((llama_folder, "<|begin_of_text|>"), (spm_folder, "<s>"), (qwen_folder, "")):
        family = Family(folder)
        prompt = family.formatter("alpaca").records([record])[0]["prompt"]
        assert prompt.startswith(f"{begins}Below is an instruction")
        chat = family.formatter().records([record])[0]["prompt"]
        assert chat.count("<|begin_of_text|>") == (folder == llama_folder), "only where the template writes it"


def test_a_plain_text_begins_with_the_beginning_or_the_end_of_text(llama_folder: Path, qwen_folder: Path) -> None:
    for folder, start in ((llama_folder, "<|begin_of_text|>"), (qwen_folder, "<|im_end|>")):
        family = Family(folder)
        for formatter in (family.formatter("alpaca"), family.formatter()):
            row = {"id": "r", "messages": [{"role": "assistant", "content": f"Once {start}"}]}
            (written,) = formatter.conversations([row])
            encoded = family.tokenizer.encode_rows([[turn["text"] for turn in written["turns"]]])[0]
            assert encoded.prompt_ids == [family.files.control[start]]
            assert not family.control & set(encoded.response_ids)
            assert family.tokenizer.decode(encoded.response_ids) == f"Once {start}"


def test_several_tokens_end_a_text(llama_folder: Path) -> None:
    family = Family(llama_folder)
    assert family.tokenizer.decode(family.tokenizer.end_of_text[:1]) == "<|eot_id|>"
    assert {family.tokenizer.decode([end]) for end in family.tokenizer.end_of_text} == {"<|eot_id|>", "<|end_of_text|>"}


def test_an_instruction_is_a_conversation_of_two_messages(qwen_folder: Path) -> None:
    formatter = Family(qwen_folder).formatter()
    assert isinstance(formatter, ChatFormatter)
    record = {"id": "r", "instruction": "Add.", "input": "2 + 2", "output": "4", "category": None}
    assert formatter.records([record]) == [
        {
            "id": "r",
            "prompt": "<|im_start|>user\nAdd.\n\n2 + 2<|im_end|>\n<|im_start|>assistant\n",
            "response": "4<|im_end|>\n",
            "header": "",
        }
    ]
