"""The cache: reading token by token gives the hidden states of reading all at once."""

import pytest
import torch

from reprotune.compute.device import Compute
from reprotune.dataset.packing import packed_positions
from reprotune.generation.cache import KeyValueCache
from reprotune.model.network import Network

CPU = Compute(torch.device("cpu"), torch.float32)


def test_steps_equal_the_whole_sequence(model: Network) -> None:
    """Rows of different lengths, prefilled into two slots, then stepped with each at its own position."""
    input_ids = torch.randint(0, 61, (2, 20), generator=torch.Generator().manual_seed(0))
    lengths = [9, 4]
    with torch.inference_mode():
        whole = model(input_ids)
        cache = KeyValueCache(model.config, slots=3, capacity=20, compute=CPU)
        packed_ids = torch.cat([input_ids[row, :length] for row, length in enumerate(lengths)])[None]
        positions = packed_positions(lengths)[None]
        hidden = model(packed_ids, positions, cache.prefill(0, lengths, 0))
        for row, part in enumerate(hidden[0].split(lengths)):
            torch.testing.assert_close(part, whole[row, : lengths[row]])
        for offset in range(11):
            latest = [length + offset for length in lengths]
            at = torch.tensor(latest)
            hidden = model(input_ids.gather(1, at[:, None]), at[:, None], cache.step(at, max(latest) + 1))
            for row, position in enumerate(latest):
                torch.testing.assert_close(hidden[row, 0], whole[row, position])


@pytest.mark.parametrize(("known", "prefix"), [(1, 1), (5, 5), (3, 6)])
def test_a_known_opening_need_not_be_read(model: Network, known: int, prefix: int) -> None:
    """Two rows, of whose common beginning an opening holds all or a part; what the slots hold is complete."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, 61, (length,), generator=generator) for length in (12, 9)]
    rows[1][:prefix] = rows[0][:prefix]
    lengths = [len(row) - prefix for row in rows]
    packed = torch.cat([rows[0][:prefix], *(row[prefix:] for row in rows)])[None]
    positions = torch.cat([torch.arange(prefix), packed_positions(lengths, prefix)])[None]
    with torch.inference_mode():
        whole, rest = (KeyValueCache(model.config, 4, 20, CPU) for _ in range(2))
        expected = model(packed, positions, whole.prefill(1, lengths, prefix))
        opening = whole.opening(1, rows[0][:7].tolist())
        found = model(packed[:, known:], positions[:, known:], rest.prefill(1, lengths, prefix, opening, known))
        torch.testing.assert_close(found, expected[:, known:])
        torch.testing.assert_close(rest.keys, whole.keys)
        torch.testing.assert_close(rest.values, whole.values)


def test_stale_contents_are_never_read(model: Network) -> None:
    """A slot that held a longer row gives what a fresh slot gives."""
    prompt = torch.tensor([[5, 6, 7]])
    at = torch.tensor([3])
    with torch.inference_mode():
        fresh = KeyValueCache(model.config, 1, 20, CPU)
        model(prompt, attend=fresh.prefill(0, [3], 0))
        expected = model(torch.tensor([[8]]), at[:, None], fresh.step(at, 4))
        used = KeyValueCache(model.config, 1, 20, CPU)
        model(torch.full((1, 18), 9), attend=used.prefill(0, [18], 0))
        model(prompt, attend=used.prefill(0, [3], 0))
        torch.testing.assert_close(model(torch.tensor([[8]]), at[:, None], used.step(at, 4)), expected)


def test_a_moved_row_goes_on_as_before(model: Network) -> None:
    prompts = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    positions = packed_positions([4, 4])[None]
    with torch.inference_mode():
        cache = KeyValueCache(model.config, 2, 20, CPU)
        model(prompts, positions, cache.prefill(0, [4, 4], 0))
        both = model(torch.tensor([[9], [9]]), torch.tensor([[4], [4]]), cache.step(torch.tensor([4, 4]), 5))
        cache.move(1, 0, length=4)
        moved = model(torch.tensor([[9]]), torch.tensor([[4]]), cache.step(torch.tensor([4]), 5))
    torch.testing.assert_close(moved[0], both[1])
    assert not torch.allclose(moved[0], both[0])
