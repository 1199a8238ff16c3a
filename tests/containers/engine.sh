#!/bin/sh
# Bring up a container engine for the tests, as root on Debian, and print the settings to use:
#
#     eval "$(tests/containers/engine.sh)"
#
# An engine that answers already is used as it is. One that this script starts keeps running;
# TEST_ENGINE_PID names it. Official images are used where a registry answers; elsewhere the
# images are built here from Debian packages.
set -eu

# Servers live in directories that even root's PATH may lack.
PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
start_seconds=60
pull_seconds=300
# What the settings are read from is the real output; everything else is for people.
exec 3>&1 >&2

say() {
    echo "engine: $*"
}

answers() {
    docker version >/dev/null 2>&1
}

install_missing() {
    missing=""
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
    done
    # The unquoted list is several packages.
    # shellcheck disable=SC2086
    [ -z "$missing" ] || "$here/../../.ci/apt-install" $missing
}

start_engine() {
    install_missing dockerd:docker.io iptables:iptables
    # Newer Debian releases package the client separately.
    install_missing docker:docker-cli
    log=$(mktemp)
    say "starting dockerd, which logs to $log"
    # Its own session: it outlives this script, and Ctrl-C in the terminal.
    setsid dockerd >"$log" 2>&1 </dev/null 3>&- &
    pid=$!
    deadline=$(($(date +%s) + start_seconds))
    until answers; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$(date +%s)" -ge "$deadline" ]; then
            say "dockerd does not come up here; the end of its log:"
            tail -n 20 "$log"
            kill "$pid" 2>/dev/null || true
            exit 1
        fi
        sleep 0.2
    done
    echo "export TEST_ENGINE_PID=$pid" >&3
}

has_image() {
    docker image inspect "$1" >/dev/null 2>&1
}

build() {
    image=payments-test-$1
    if has_image "$image"; then
        return
    fi
    if ! has_image payments-test-base; then
        install_missing debootstrap:debootstrap
        say "building payments-test-base"
        sh "$here/base/build.sh" payments-test-base
    fi
    say "building $image"
    # The host's network, because a proxy or mirror may be reachable from nowhere else.
    docker build --network=host --tag "$image" \
        --build-arg http_proxy --build-arg https_proxy "$here/$1"
}

# Use the image that is asked for, the official one where it can be had, or one made here.
provide() {
    variable=$1 official=$2 recipe=$3
    eval "image=\${$variable:-}"
    if [ -z "$image" ]; then
        if has_image "$official" || timeout "$pull_seconds" docker pull --quiet "$official"; then
            image=$official
        else
            say "no registry serves $official"
            build "$recipe"
        fi
    fi
    echo "export $variable=$image" >&3
}

answers || start_engine
provide TEST_POSTGRES_IMAGE postgres:17 postgresql
provide TEST_RABBITMQ_IMAGE rabbitmq:4 rabbitmq
provide TEST_PYTHON_IMAGE python:3.13-slim python
