#!/bin/sh
# Runs the examples with each other: run.sh DIRECTORY-OF-THE-PROGRAMS
set -eu
bin=$1
dir=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Starts a server and waits for its first line, which says that clients can connect.
start() {
    mkfifo "$dir/ready"
    "$@" >"$dir/ready" &
    server=$!
    read -r line <"$dir/ready" || fail "$1 did not start"
    test "$line" = serving || fail "$1 says $line"
    rm "$dir/ready"
}

# Ends it, and sees that it ends well and leaves nothing behind.
stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server failed"
    server=
    test -z "$(ls "$dir")" || fail "left behind: $(ls "$dir")"
}

"$bin/client" "$dir" 1 2>/dev/null && fail "there was an answer without a provider"

start "$bin/provider" "$dir"
"$bin/client" "$dir" 1 | grep -q '^[0-9a-f]* kernel /sys/kernel/cgroup.procs$' || fail "no kernel"
"$bin/cached" "$dir" kernel devices | grep -q '^devices is at /sys/devices/' || fail "no devices"
"$bin/cached" "$dir" nonsense >/dev/null && fail "nonsense was found"
stop

start "$bin/loop" "$dir" serve
test "$("$bin/loop" "$dir" ask hello)" = hello || fail "no echo"
long=$(head -c 50000 /dev/zero | tr '\0' x)
test "$("$bin/loop" "$dir" ask "$long")" = "$long" || fail "no echo of a long text"
stop
echo "4 examples passed"
