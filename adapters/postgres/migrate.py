"""Runs the migrations of `migrations/`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema up to this revision. Safe to run from several places at once.

    Raises StorageUnavailable where the database cannot be reached.
    """
    command.upgrade(alembic_config(database_url), revision)


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for this database."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["database_url"] = database_url
    return config
