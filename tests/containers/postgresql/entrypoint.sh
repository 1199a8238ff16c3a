#!/bin/sh
# Create the cluster on the first start, then run the command. Understands the same variables
# as the official image: POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB.
set -eu

PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    initdb --username="$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8
    rm "$password"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        # Single-user mode: nobody can connect before the database is there.
        echo "CREATE DATABASE \"$database\"" | postgres --single postgres
    fi
fi

exec "$@"
