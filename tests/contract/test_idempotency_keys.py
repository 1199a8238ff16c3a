"""Whatever the order in which requests begin, end, fail and are taken over, an answer that was
given stays the answer: nobody who was taken for dead overwrites it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.postgres.engine import create_engine
from adapters.postgres.idempotency import PostgresIdempotencyKeys
from adapters.postgres.tables import idempotency_keys
from ports.idempotency import Answer, Begun, KeyedRequest, Mismatch, UnderWay

START = datetime(2027, 1, 1, tzinfo=UTC)
REPLAYED_FOR = timedelta(minutes=10)
# Long enough for each rule to strike: taken for dead, no longer replayed, forgotten.
PAUSES = [timedelta(), timedelta(seconds=61), timedelta(minutes=11), timedelta(hours=25)]


@pytest.fixture
async def keys(migrated_url: str) -> AsyncIterator[PostgresIdempotencyKeys]:
    engine = create_engine(migrated_url, name="keys", pool_size=4)
    yield PostgresIdempotencyKeys(engine)
    await engine.dispose()


@dataclass
class Model:
    """What there is to be known of one key."""

    owner: Begun | None = None
    digest: bytes = b""
    answer: Answer | None = None

    def begin(self, digest: bytes, now: datetime) -> object:
        if self.owner is not None and now - self.owner.since <= timedelta(hours=24):
            if digest != self.digest:
                return Mismatch()
            age = now - self.owner.since
            if self.answer is None and age <= timedelta(minutes=1):
                return UnderWay()
            if self.answer is not None and age <= REPLAYED_FOR:
                return self.answer
        self.owner, self.digest, self.answer = Begun(now), digest, None
        return self.owner


steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from([b"one", b"two"])),
        st.tuples(st.just("wait"), st.sampled_from(PAUSES)),
        # Which of those that ever began goes on now.
        st.tuples(st.sampled_from(["finish", "forget"]), st.integers(0, 5)),
    ),
    max_size=12,
)


@pytest.mark.usefixtures("migrated_url")
def test_any_interleaving_leaves_the_answer_of_the_owner(migrated_database: str) -> None:
    engine = create_engine(migrated_database, name="keys", pool_size=1)

    @settings(max_examples=300, deadline=None)
    @given(steps)
    def run(steps: list[tuple[str, object]]) -> None:
        runner.run(play(PostgresIdempotencyKeys(engine), steps))

    with asyncio.Runner() as runner:
        run()
        runner.run(engine.dispose())


async def play(keys: PostgresIdempotencyKeys, steps: list[tuple[str, object]]) -> None:
    model, now, user = Model(), START, uuid4()
    began: list[tuple[KeyedRequest, Begun]] = []
    for number, (step, what) in enumerate(steps):
        now += timedelta(microseconds=1)  # no two moments are the same
        if step == "wait":
            assert isinstance(what, timedelta)
            now += what
        elif step == "begin":
            assert isinstance(what, bytes)
            request = KeyedRequest(user, "key", what)
            found = await keys.begin(request, now, replayed_for=REPLAYED_FOR)
            assert found == model.begin(what, now)
            if isinstance(found, Begun):
                began.append((request, found))
        elif began:
            assert isinstance(what, int)
            request, begun = began[what % len(began)]
            is_owner = model.owner == begun
            if step == "finish":
                answer = Answer(200, "text/plain", b"%d" % number)
                assert await keys.finish(request, begun, answer) is is_owner
                model.answer = answer if is_owner else model.answer
            else:
                await keys.forget(request, begun)
                model = Model() if is_owner else model


async def test_of_many_at_once_one_takes_over_what_was_left(
    keys: PostgresIdempotencyKeys,
) -> None:
    for _ in range(50):
        request, later = KeyedRequest(uuid4(), "key", b"one"), START + timedelta(minutes=2)
        left = await keys.begin(request, START, replayed_for=REPLAYED_FOR)
        assert left == Begun(START)

        found = await asyncio.gather(
            *(keys.begin(request, later, replayed_for=REPLAYED_FOR) for _ in range(4)),
            keys.finish(request, Begun(START), Answer(200, "text/plain", b"late")),
        )

        begun = [one for one in found[:-1] if isinstance(one, Begun)]
        # Either the late one came first, and its answer is given; or one has taken over.
        if found[-1]:
            assert begun == []
        else:
            assert begun == [Begun(later)]
            assert found.count(UnderWay()) == 3


async def test_old_keys_go_a_few_at_a_time_with_the_new_ones(
    keys: PostgresIdempotencyKeys, migrated_url: str
) -> None:
    user, later = uuid4(), START + timedelta(hours=25)
    for number in range(250):
        request = KeyedRequest(user, f"old {number}", b"one")
        await keys.begin(request, START, replayed_for=REPLAYED_FOR)

    left = []
    for number in range(3):
        request = KeyedRequest(user, f"new {number}", b"one")
        await keys.begin(request, later, replayed_for=REPLAYED_FOR)
        left.append(await count(migrated_url))

    assert left == [151, 52, 3]


async def count(url: str) -> int:
    engine = create_engine(url, name="count", pool_size=1)
    try:
        async with engine.connect() as connection:
            counted = await connection.scalar(
                sa.select(sa.func.count()).select_from(idempotency_keys)
            )
            return counted or 0
    finally:
        await engine.dispose()
