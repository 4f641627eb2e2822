"""Conversations of any spelling as canonical messages: an optional `system`, then `user` and `assistant` in turn.

Read are lists of `{"role", "content"}` (OpenAI's spelling, which most chat datasets have) and of `{"from", "value"}`
(ShareGPT's). What cannot be trained on as it stands is refused with its reason, never mended: a turn left out would
leave a conversation that nobody had.
"""

from itertools import pairwise
from typing import Any

from reprotune.dataset.sources.fields import UnusableError, kind
from reprotune.dataset.sources.readers import Unreadable
from reprotune.untrusted import clipped

Message = dict[str, str]

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
TOOL_ROLES = {"tool", "function", "function_call", "function_response", "observation", "ipython"}
TOOL_KEYS = ("tool_calls", "tool_call_id", "function_call")
SHOWN_ROLE = 40


def canonical_messages(turns: Any, column: str, system: str, max_chars: int) -> list[Message]:
    """Return the messages of a row, the last of which is the assistant's; raises `UnusableError` naming the fault.

    `system` is the system prompt of a column of its own, empty where there is none.
    """
    if not isinstance(turns, list):
        raise UnusableError(f"{column} is {'missing' if turns is None else f'not a list but {kind(turns)}'}")
    messages = [_message(turn, max_chars) for turn in turns]
    if system and messages and messages[0]["role"] == "system":
        raise UnusableError("there are two system prompts, one of them in a column of its own")
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    elif messages and messages[0]["role"] == "system" and not messages[0]["content"].strip():
        del messages[0]
    _check_order(messages)
    for message in messages:
        if not message["content"].strip():
            raise UnusableError(f"empty {message['role']} turn")
    return messages


def _message(turn: Any, max_chars: int) -> Message:
    if isinstance(turn, Unreadable):
        raise UnusableError(f"a message is unreadable: {turn.reason}")
    if not isinstance(turn, dict):
        raise UnusableError(f"a message is not an object but {kind(turn)}")
    said, content = ("from", "value") if "from" in turn else ("role", "content")
    role = turn.get(said)
    if not isinstance(role, str):
        raise UnusableError(f"a message has no {said}" if role is None else f"a role is not text but {kind(role)}")
    if role in TOOL_ROLES or any(turn.get(key) for key in TOOL_KEYS):
        raise UnusableError("it has tool calls, which are not supported")
    if role not in ROLES:
        raise UnusableError(f"unknown role {clipped(role, SHOWN_ROLE)!r}")
    if turn.get("weight", 1) not in (None, 1):
        raise UnusableError("a message has a weight of its own, which is not supported")
    text = _content(turn.get(content), ROLES[role])
    if len(text) > max_chars:
        raise UnusableError(f"a message is longer than max_chars ({max_chars})")
    return {"role": ROLES[role], "content": text}


def _content(value: Any, role: str) -> str:
    """Return the text of a message; a list of text parts is joined, since that is how it is shown to a model."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, list):
        raise UnusableError(f"the content of a message is not text but {kind(value)}")
    texts = []
    for part in value:
        what = part.get("type") if isinstance(part, dict) else kind(part)
        if what != "text" or not isinstance(part.get("text"), str):
            raise UnusableError(f"a message of the {role} holds {clipped(str(what), SHOWN_ROLE)!r}, which is not text")
        texts.append(part["text"])
    return "".join(texts)


def _check_order(messages: list[Message]) -> None:
    """Raise `UnusableError` unless user and assistant take turns, the user first and the assistant last."""
    roles = [message["role"] for message in messages]
    if roles[:1] == ["system"]:
        del roles[0]
    if not roles:
        raise UnusableError("there are no messages")
    if "system" in roles:
        raise UnusableError("wrong role order: system is not first")
    if roles[0] != "user":
        raise UnusableError("wrong role order: the assistant begins")
    for role, after in pairwise(roles):
        if role == after:
            raise UnusableError(f"wrong role order: {after} after {role}")
    if roles[-1] != "assistant":
        raise UnusableError("wrong role order: the user has the last word")
