#!/bin/sh
# Configure the broker as the official image does, then run the command. Understands
# RABBITMQ_DEFAULT_USER, RABBITMQ_DEFAULT_PASS and RABBITMQ_DEFAULT_VHOST.
set -eu

export RABBITMQ_CONFIG_FILE="$HOME/rabbitmq.conf"
cat >"$RABBITMQ_CONFIG_FILE" <<CONFIG
default_user = ${RABBITMQ_DEFAULT_USER:-guest}
default_pass = ${RABBITMQ_DEFAULT_PASS:-guest}
default_vhost = ${RABBITMQ_DEFAULT_VHOST:-/}
# Clients come through the published port, so never from the loopback interface.
loopback_users = none
log.console = true
log.file = false
CONFIG

exec "$@"
