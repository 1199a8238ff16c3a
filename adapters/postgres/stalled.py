"""Sessions of processes that have stalled in the midst of a statement."""

from __future__ import annotations

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

log = structlog.get_logger(__name__)

# As long as the server waits for what ends it, in milliseconds: it is asked to, not told.
_ENDS_WITHIN_MS = 1_000

# A statement that was prepared and not yet run, or of which a part has come, counts as active
# (PostgreSQL: pg_stat_activity), so `idle_in_transaction_session_timeout` spares its session, and
# `statement_timeout` does not interrupt the reading of a command. What the process is called ends
# with its first word; a migration may take its time.
_STALLED = sa.text(
    """
    SELECT pid, application_name, pg_terminate_backend(pid, :within) AS ended
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
      AND state = 'active' AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
      AND split_part(application_name, ' ', 1)
          = split_part(current_setting('application_name'), ' ', 1)
      AND application_name NOT LIKE '% migrate'
    """
)


async def end_stalled_sessions(connection: AsyncConnection, seconds: float) -> None:
    """End our sessions that have waited for so long to be told the rest of what they are to do.

    They hold their locks for as long as their process is frozen, and with them the share of a
    worker that is believed dead, or the rows of a customer.
    """
    stalled = await connection.execute(_STALLED, {"seconds": seconds, "within": _ENDS_WITHIN_MS})
    for session in stalled:
        log.warning(
            "stalled_session_ended" if session.ended else "stalled_session_not_ended",
            pid=session.pid,
            application=session.application_name,
        )
