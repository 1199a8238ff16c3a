"""Everything that is kept, in the `payments` schema of PostgreSQL.

tables       the schema; migrations/ creates it
engine       connections, and which failures are worth a retry
unit_of_work and the repositories that bear the names of their ports
group_commit many webhooks, one commit
listening    LISTEN/NOTIFY; wakeups and settlements stand on it
retention    what is old goes; schedule says when
idempotency  what keyed requests were answered with
"""
