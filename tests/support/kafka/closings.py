"""Opens and closes readers in every state and order; run as a separate process.

Each thread has a reader at a time, all in one group: a member that joins or leaves makes the
others rebalance, so that readers are closed before, in the middle of and after joining,
with messages read ahead, positions moved, partitions paused, owners that raise, or are
never closed at all.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
from contextlib import suppress

from monitor.transport.kafka.group_reader import GroupReader
from monitor.transport.kafka.readers.reader import open_reader
from monitor.transport.kafka.settings import Callbacks, ReaderSettings

N_THREADS, N_ROUNDS = 3, 15
FAILED: list[BaseException] = []


class OnPurposeError(RuntimeError):
    """Error raised by an owner."""


def fail(*_):
    raise OnPurposeError


def step(rng: random.Random, reader: GroupReader) -> None:
    """Bring a reader into one of many states."""
    reader.poll(rng.choice([0, 0, 0.01, 0.3]))
    for partition in reader.partitions:
        act = rng.randrange(8)
        if act < 3:
            reader.read(partition, rng.choice([1, 100, 5_000]), rng.choice([0, 0.05]))
        elif act == 3:
            reader.read_records(partition, 50)
        elif partition not in reader.partitions:
            continue  # a read above served a rebalance
        elif act == 4:
            reader.seek(partition, rng.randrange(5_000))
        elif act == 5:
            reader.pause(partition)
        elif act == 6:
            reader.commit(partition, 5)


def live(rng: random.Random, settings: ReaderSettings, kind: str) -> None:
    """Run one reader from its opening to its end."""
    callbacks = Callbacks(
        on_assign=fail if rng.random() < 0.1 else lambda partition, committed: 0,
        on_revoke=fail if rng.random() < 0.1 else lambda partition: None,
    )
    reader = open_reader(settings, callbacks, kind=kind)
    with suppress(OnPurposeError):
        for _ in range(rng.choice([0, 1, 2, 5, 20])):
            step(rng, reader)
    if rng.random() < 0.15:
        del reader
        gc.collect()
        return
    with suppress(OnPurposeError):
        reader.close()
    reader.close()


def live_on(seed: int, settings: ReaderSettings, kind: str) -> None:
    rng = random.Random(seed)
    try:
        for _ in range(N_ROUNDS):
            live(rng, settings, kind)
    except BaseException as error:
        FAILED.append(error)
        raise


def main(bootstrap: str, topic: str, kind: str) -> None:
    client = {"bootstrap.servers": bootstrap}
    settings = ReaderSettings(topic, f"closings-{kind}", client, session_timeout_ms=6_000)
    threads = [
        threading.Thread(target=live_on, args=(seed, settings, kind)) for seed in range(N_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left_open = open_reader(settings, kind=kind)
    for _ in range(20):
        left_open.poll(0.05)
    if FAILED:
        raise SystemExit(1)
    print("closed them all", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
