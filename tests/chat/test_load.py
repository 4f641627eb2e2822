"""More clients than can be served, for a while: each is answered or turned away, and memory stays as it is."""

import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import requests

from tests.builders.chat_project import body, running

pytestmark = pytest.mark.slow

CLIENTS, SECONDS = 200, 10
MOST_GROWTH_MB = 60


def test_two_hundred_clients(project: Path) -> None:
    found: Counter[int] = Counter()
    with running(project, "--slots", "16", "--queue", "64") as (address, server):

        def ask(number: int, until: float) -> None:
            with requests.Session() as session:
                while time.monotonic() < until:
                    asked = body(("base", "finetuned")[number % 2], max_tokens=8, temperature=number % 2, seed=number)
                    try:
                        response = session.post(f"{address}/v1/chat/completions", json=asked, timeout=120)
                    except requests.RequestException:
                        found[0] += 1
                        return
                    found[response.status_code] += 1
                    if response.status_code == 429:
                        assert int(response.headers["retry-after"]) > 0
                        time.sleep(0.2)

        memory = []
        for _ in range(2):  # the first time, buffers grow to what they need
            until = time.monotonic() + SECONDS / 2
            threads = [threading.Thread(target=ask, args=(number, until)) for number in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            memory.append(psutil.Process(server.pid).memory_info().rss >> 20)
        load = requests.get(f"{address}/health", timeout=30).json()["models"]
    assert set(found) <= {200, 429}
    assert found[200] >= CLIENTS / 4
    assert memory[1] - memory[0] < MOST_GROWTH_MB
    assert all(counts == {"running": 0, "waiting": 0} for counts in load.values())
