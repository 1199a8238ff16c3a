"""The release before this schema runs on it, beside this one: what a rolling update needs."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from adapters.postgres.migrate import alembic_config
from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import running
from tests.end_to_end.service import assert_whole, deliver, is_over, life
from tests.programs import unavailable
from tests.stripe_stand_in import StripeStandIn

ROOT = Path(__file__).parents[2]
# These came out together: before them there was no release.
FIRST_RELEASE = ("0001", "0002")
PRODUCT = ("domain", "ports", "service", "adapters", "migrations")


def git(*arguments: str) -> bytes:
    """What git says. A checkout without the history is a reason to skip, not a success."""
    program = shutil.which("git")
    if program is None:
        unavailable("git is not installed, so that the previous release cannot be had")
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the previous release is not in this checkout: {done.stderr.decode().strip()}")
    return done.stdout


@pytest.fixture(scope="module")
def previous_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the source of the last release that did not have the newest migration."""
    scripts = ScriptDirectory.from_config(alembic_config("postgresql://nobody@127.0.0.1:1/nowhere"))
    newest = scripts.get_revision("head")
    assert newest is not None
    if newest.revision in FIRST_RELEASE:
        pytest.skip("this schema is the first release's: there is none before it")
    migration = Path(newest.path).relative_to(ROOT)
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("this checkout is shallow: fetch the history to test the previous release")
    added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(migration)).decode()
    # Where it is not committed yet, the release before it is what is.
    before = f"{added.strip()}^" if added else "HEAD"
    directory = tmp_path_factory.mktemp("previous")
    archive = git("archive", "--format=tar", before, *PRODUCT)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    assert not (directory / migration).exists()
    return directory


async def test_the_previous_release_and_this_one_work_side_by_side_on_the_new_schema(
    environment: dict[str, str],
    stripe: StripeStandIn,
    inbox: Inbox,
    previous_release: Path,
    tmp_path: Path,
) -> None:
    """Each takes half of the webhooks and works on its share, as in the middle of a rollout."""
    users = {str(uuid4()): f"sub_{n}" for n in range(24)}
    lives = [life(ref, UUID(user), stripe) for user, ref in users.items()]
    events = [payload for step in zip(*lives, strict=True) for payload in step]
    async with (
        running("serve", environment, tmp_path, source=previous_release) as old,
        running("serve", environment, tmp_path) as new,
    ):
        await _share(environment["DATABASE_URL"])
        half = len(events) // 2
        await deliver(old.address, events[:half:2])
        await deliver(new.address, events[1:half:2])
        await deliver(new.address, events[half::2])
        await deliver(old.address, events[half + 1 :: 2])
        await inbox.until(lambda: is_over(inbox, set(users), len(users)))
        both = [process.log.count('"webhook_processed"') for process in (old, new)]
    for told in inbox.events(set(users)).values():
        assert_whole(told)
    assert all(both), "both have worked on a share"


async def _share(database_url: str) -> None:
    """Return once both hold partitions. The tables are theirs: there is no event to wait on."""
    database = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(60):
            while await database.fetchval(
                "SELECT count(DISTINCT worker_id) < 2 FROM payments.worker_partitions"
            ):
                await asyncio.sleep(0.05)
    finally:
        await database.close()
