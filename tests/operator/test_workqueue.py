"""The queue keeps the promises of client-go's: once queued, one worker a key, nothing lost while it is worked on."""

import asyncio

import pytest

from distill_operator.kinds import RequeueAfter
from distill_operator.workqueue import WorkQueue, work


async def drain(queue, worker, concurrency=2):
    """Run workers until nothing is queued and nothing is worked on."""
    task = asyncio.create_task(work(queue, worker, concurrency))
    while not queue.idle:  # noqa: ASYNC110 - the queue has no event for it, and needs none
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_key_added_twice_is_given_once():
    queue = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_while_it_is_worked_on_comes_again_and_only_afterwards():
    queue = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


async def test_a_key_is_never_with_two_workers():
    queue, running, most = WorkQueue(), 0, 0

    async def worker(key):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if key == "a" and seen.append(key) is None and len(seen) < 4:
            queue.add("a")
        await asyncio.sleep(0)
        running -= 1

    seen: list[str] = []
    queue.add("a")
    await drain(queue, worker, concurrency=4)
    assert (len(seen), most) == (4, 1)


async def test_different_keys_run_side_by_side():
    queue, meeting = WorkQueue(), asyncio.Barrier(2)

    async def worker(key):
        await asyncio.wait_for(meeting.wait(), 5)

    queue.add("a")
    queue.add("b")
    await drain(queue, worker)


async def test_of_several_delays_the_earliest_counts():
    queue = WorkQueue()
    queue.add_after("a", 1000)
    queue.add_after("a", 0.001)
    queue.add_after("a", 2000)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    queue.done("a")
    assert queue.idle


async def test_back_off_doubles_up_to_the_cap_and_starts_anew_after_success():
    queue = WorkQueue(base=1.0, cap=8.0)
    delays = [queue.add_rate_limited("a") for _ in range(6)]
    for delay, full in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert full / 2 <= delay <= full
    queue.forget("a")
    assert queue.add_rate_limited("a") <= 1.0


async def test_a_failing_key_is_tried_again_and_the_others_are_not_held_up():
    queue, tries, enough = WorkQueue(base=0.001), [], asyncio.Event()

    async def worker(key):
        tries.append(key)
        if key == "bad":
            if tries.count("bad") == 3:
                enough.set()
            raise ValueError("no")

    queue.add("bad")
    queue.add("good")
    task = asyncio.create_task(work(queue, worker, 1))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    assert tries[:2] == ["bad", "good"]
    assert queue.failures("good") == 0


async def test_a_worker_may_ask_to_be_called_again():
    queue, calls, enough = WorkQueue(), [], asyncio.Event()

    async def worker(key):
        calls.append(key)
        if len(calls) == 3:
            enough.set()
        return RequeueAfter(0.001) if len(calls) < 3 else None

    queue.add("a")
    task = asyncio.create_task(work(queue, worker, 1))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    assert calls == ["a", "a", "a"]
