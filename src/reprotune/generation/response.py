"""From decoded text to the answer that is judged."""


def answer_text(decoded: str, header: str) -> str:
    """Return the answer in `decoded`, stripped.

    `header` is what the template put before the answer in the training text and the model therefore writes too
    (empty where the prompt ends with it). Every occurrence is removed, as the book chapter does.
    """
    marker = header.strip()
    return (decoded.replace(marker, "") if marker else decoded).strip()
