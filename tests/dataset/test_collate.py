"""The collate against the chapter's published vectors and batch shapes, and packing against padding."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.collate import IGNORED, TokenRows, pack_rows, pad_rows
from reprotune.dataset.tokenizers.gpt2 import encode_batch
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches, micro_batches

EOT = 50256
CHAPTER_ROWS = TokenRows.from_lists([([], [0, 1, 2, 3, 4, EOT]), ([], [5, 6, EOT]), ([], [7, 8, 9, EOT])])

row_pairs = st.lists(
    st.tuples(
        st.lists(st.integers(0, EOT), min_size=1, max_size=8),
        st.lists(st.integers(0, EOT), min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def test_padding_equals_the_published_vectors() -> None:
    batch = pad_rows(CHAPTER_ROWS, [0, 1, 2], mask_instruction=False)
    assert batch.input_ids.tolist() == [[0, 1, 2, 3, 4], [5, 6, EOT, EOT, EOT], [7, 8, 9, EOT, EOT]]
    assert batch.targets.tolist() == [
        [1, 2, 3, 4, EOT],
        [6, EOT, IGNORED, IGNORED, IGNORED],
        [8, 9, EOT, IGNORED, IGNORED],
    ]


def test_packing_lays_the_same_rows_end_to_end() -> None:
    batch = pack_rows(CHAPTER_ROWS, [1, 2], mask_instruction=False)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9]]
    assert batch.targets.tolist() == [[6, EOT, 8, 9, EOT]]
    assert batch.positions.tolist() == [[0, 1, 0, 1, 2]]
    assert batch.row_lengths == (2, 3)


def test_a_literal_end_of_text_id_inside_a_row_is_learned_like_any_token() -> None:
    rows = TokenRows.from_lists([([1, EOT], [2, EOT]), ([1], [2, 3, 4, 5, EOT])])
    assert pad_rows(rows, [0, 1], mask_instruction=False).targets.tolist()[0] == [EOT, 2, EOT, IGNORED, IGNORED]


def test_masking_keeps_the_response_and_its_end_only() -> None:
    rows = TokenRows.from_lists([([10, 11, 12], [20, EOT])])
    assert pad_rows(rows, [0], mask_instruction=True).targets.tolist() == [[IGNORED, IGNORED, 20, EOT]]
    assert rows.trained_counts(mask_instruction=True).tolist() == [2]
    assert rows.trained_counts(mask_instruction=False).tolist() == [4]


@given(row_pairs, st.booleans())
def test_layouts_hold_the_same_tokens_and_counts(pairs: list[tuple[list[int], list[int]]], mask: bool) -> None:
    rows = TokenRows.from_lists(pairs)
    chosen = list(range(len(pairs)))
    padded, packed = pad_rows(rows, chosen, mask), pack_rows(rows, chosen, mask)
    assert len(padded.trained) == len(packed.trained) == rows.trained_counts(mask).sum()
    inside = np.arange(padded.input_ids.shape[1]) < rows.input_lengths[:, None]
    assert padded.input_ids.numpy()[inside].tolist() == packed.input_ids[0].tolist()
    assert padded.targets.numpy()[inside].tolist() == packed.targets[0].tolist()
    for index, (prompt, response) in enumerate(pairs):
        assert rows.row(index).tolist() == prompt + response


@given(row_pairs, st.lists(st.integers(0, EOT), min_size=8, max_size=12), st.booleans(), st.integers(0, 16))
def test_a_shared_prefix_can_be_unfolded(
    pairs: list[tuple[list[int], list[int]]], opening: list[int], mask: bool, back: int
) -> None:
    """Each row is the prefix and its own part: tokens, positions and targets as padded, and as often counted.

    The responses begin `back` tokens earlier, so that the opening may reach into them.
    """
    texts = [(opening + prompt + response, max(len(opening) + len(prompt) - back, 0)) for prompt, response in pairs]
    pairs = [(text[:cut], text[cut:]) for text, cut in texts]
    rows = TokenRows.from_lists(pairs)
    chosen = list(range(len(pairs)))
    padded, shared = pad_rows(rows, chosen, mask), pack_rows(rows, chosen, mask, share_prefix=True)
    assert shared.row_lengths is not None
    assert (shared.prefix > 0) == (len(pairs) > 1)
    counted = np.zeros(shared.input_ids.numel())
    counted[shared.trained.numpy()] = shared.counted.numpy()
    learners = np.zeros(shared.prefix)
    start = shared.prefix
    for index, own in enumerate(shared.row_lengths):
        places = [*range(shared.prefix), *range(start, start + own)]
        length = len(places)
        assert shared.input_ids[0, places].tolist() == padded.input_ids[index, :length].tolist()
        assert shared.positions[0, places].tolist() == list(range(length))
        wanted = padded.targets[index].numpy()
        assert (wanted[length:] == IGNORED).all()
        found = shared.targets[0, places].numpy()
        learned = wanted[:length] != IGNORED
        assert (found[learned] == wanted[:length][learned]).all()
        assert (counted[places[shared.prefix :]] == learned[shared.prefix :]).all()
        learners += learned[: shared.prefix]
        start += own
    assert start == shared.input_ids.numel()
    assert (counted[: shared.prefix] == learners).all()


def test_a_short_opening_is_not_worth_sharing() -> None:
    rows = TokenRows.from_lists([([1, 2, 3, 4, 5, 6, 7], [8, EOT]), ([1, 2, 3, 4, 5, 6, 7], [9, EOT])])
    assert pack_rows(rows, [0, 1], mask_instruction=False, share_prefix=True).prefix == 0


def test_a_fixed_width_pads_every_batch_alike() -> None:
    assert pad_rows(CHAPTER_ROWS, [1], mask_instruction=False, width=7).input_ids.shape == (1, 7)


@pytest.fixture
def chapter_train_rows(shared_data: Path) -> TokenRows:
    """The chapter's 935 training rows as its code tokenizes them: header and answer follow the prompt."""
    records = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    preamble = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    )
    prompts, answers = [], []
    for record in records[:935]:
        material = f"\n\n### Input:\n{record['input']}" if record["input"] else ""
        prompts.append(f"{preamble}\n\n### Instruction:\n{record['instruction']}{material}")
        answers.append(f"\n\n### Response:\n{record['output']}")
    pairs = zip(encode_batch(prompts), encode_batch(answers), strict=True)
    return TokenRows.from_lists([(prompt, [*answer, EOT]) for prompt, answer in pairs])


def test_the_first_epoch_has_the_chapters_batch_shapes(chapter_train_rows: TokenRows) -> None:
    """Published: 116 shapes from [8, 61], [8, 76], [8, 73] to [8, 69]; 65,080 positions, 52,335 of them targets."""
    params = FinetuneParams.model_construct(
        seed=123, batch_size=8, drop_last=True, batching="dynamic", micro_batch_tokens=10**6, mask_instruction=False
    )
    batches = [
        batch
        for chosen in epoch_batches(chapter_train_rows, 0, params)
        for batch in micro_batches(chapter_train_rows, chosen, params)
    ]
    shapes = [tuple(batch.input_ids.shape) for batch in batches]
    assert len(shapes) == 116
    assert shapes[:3] == [(8, 61), (8, 76), (8, 73)]
    assert shapes[-1] == (8, 69)
    assert sum(rows * width for rows, width in shapes) == 65_080
    assert sum(len(batch.trained) for batch in batches) == 52_335


def test_real_rows_have_the_published_token_counts(chapter_train_rows: TokenRows) -> None:
    assert chapter_train_rows.trained_counts(mask_instruction=False).sum() == 52_760
    assert chapter_train_rows.trained_counts(mask_instruction=True).sum() == 17_876
