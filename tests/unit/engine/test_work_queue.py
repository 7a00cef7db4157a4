"""The queue keeps the contract of client-go's: no key twice, no event lost."""

from __future__ import annotations

import asyncio

import pytest

from agentherd.engine.work_queue import WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue()


async def taken(queue: WorkQueue[str]) -> str:
    key, _ = await queue.get()
    return key


async def test_a_key_that_waits_already_is_not_added_again(queue: WorkQueue[str]) -> None:
    """A burst of events costs one reconciliation."""
    queue.add("a")
    queue.add("a")

    assert len(queue) == 1


async def test_keys_come_in_the_order_in_which_they_were_asked_for(queue: WorkQueue[str]) -> None:
    """Nobody is overtaken."""
    for key in "bac":
        queue.add(key)

    assert [await taken(queue) for _ in range(3)] == ["b", "a", "c"]


async def test_a_key_that_is_worked_on_is_not_handed_out_again(queue: WorkQueue[str]) -> None:
    """Two workers never reconcile the same object."""
    queue.add("a")
    await queue.get()
    queue.add("a")

    assert len(queue) == 0
    assert not queue.idle


async def test_what_is_asked_for_during_the_work_comes_back_after_it(
    queue: WorkQueue[str],
) -> None:
    """An event that crosses a reconciliation is not lost."""
    queue.add("a")
    await queue.get()
    queue.add("a")

    queue.done("a")

    assert await taken(queue) == "a"


async def test_work_that_nobody_asked_for_again_is_over(queue: WorkQueue[str]) -> None:
    """One event, one reconciliation."""
    queue.add("a")
    queue.done(await taken(queue))

    assert queue.idle


async def test_a_worker_waits_for_a_key(queue: WorkQueue[str]) -> None:
    """Without one it costs nothing."""
    worker = asyncio.create_task(taken(queue))
    await asyncio.sleep(1)

    queue.add("a")

    assert await worker == "a"


async def test_a_key_tells_since_when_it_was_asked_for(queue: WorkQueue[str]) -> None:
    """Latency is counted from the first event, not from the last."""
    start = asyncio.get_running_loop().time()
    queue.add("a")
    await asyncio.sleep(3)
    queue.add("a")

    assert await queue.get() == ("a", start)


async def test_a_key_comes_after_its_time(queue: WorkQueue[str]) -> None:
    """Not before."""
    start = asyncio.get_running_loop().time()
    queue.add_after("a", 5)

    _, asked_at = await queue.get()

    assert asked_at == pytest.approx(start + 5)


@pytest.mark.parametrize("times", [(5, 2), (2, 5)], ids=["earlier wins", "later is ignored"])
async def test_of_two_times_the_earlier_one_counts(
    queue: WorkQueue[str], times: tuple[int, int]
) -> None:
    """One timer for each key."""
    start = asyncio.get_running_loop().time()
    for seconds in times:
        queue.add_after("a", seconds)

    _, asked_at = await queue.get()
    await asyncio.sleep(10)

    assert asked_at == pytest.approx(start + 2)
    assert len(queue) == 0


async def test_a_key_that_is_asked_for_now_does_not_come_again_at_its_time(
    queue: WorkQueue[str],
) -> None:
    """Whoever looks now sets the clock anew if it has to."""
    queue.add_after("a", 5)
    queue.add("a")
    queue.done(await taken(queue))
    await asyncio.sleep(10)

    assert queue.idle


async def test_no_time_means_now(queue: WorkQueue[str]) -> None:
    """A time that has passed while deciding is not in the past."""
    queue.add_after("a", -1)

    assert len(queue) == 1


async def test_a_closed_queue_wakes_nobody(queue: WorkQueue[str]) -> None:
    """The end of a term leaves no timer behind."""
    queue.add_after("a", 5)

    queue.close()
    await asyncio.sleep(10)

    assert queue.idle


async def test_the_oldest_is_the_one_that_is_next(queue: WorkQueue[str]) -> None:
    """How long it has waited tells whether the workers keep up."""
    queue.add("a")
    asked = asyncio.get_running_loop().time()
    await asyncio.sleep(5)
    queue.add("b")
    oldest = queue.oldest
    await taken(queue)
    await taken(queue)

    assert oldest == asked
    assert queue.oldest is None
