"""Runs the migrations of `migrations/`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations


def upgrade(
    database_url: str, revision: str = "head", *, lock_timeout: float | None = None
) -> None:
    """Bring the schema up to this revision. Safe to run from several places at once.

    Raises StorageUnavailable where the database cannot be reached, or somebody holds a table for
    longer than is waited for; what was migrated until then stays so. `lock_timeout` is for how
    many seconds a statement waits for a table; None for what migrations/env.py says.
    """
    config = alembic_config(database_url)
    if lock_timeout is not None:
        config.attributes["lock_timeout"] = lock_timeout
    command.upgrade(config, revision)


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for this database."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["database_url"] = database_url
    return config
