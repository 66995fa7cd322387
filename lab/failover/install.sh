#!/bin/sh
# Installs what `make test-patroni` needs from Debian, and prints the directory of a Patroni and an etcd that are new
# enough. With those of Debian 12, two nodes take writes when a frozen primary goes on, and accepted orders are lost:
# Patroni 3.0.2 writes over the lock of the new leader (https://github.com/patroni/patroni/pull/2689), and etcd 3.4.23
# ends the lease of that lock (https://github.com/etcd-io/etcd/pull/16822). There, Debian 13's packages are unpacked
# beside them: Patroni needs nothing but Python, and etcd nothing but libc.
set -eu
command -v etcd >/dev/null && command -v patroni >/dev/null && [ -x /usr/lib/postgresql/15/bin/postgres ] || {
	apt-get update -q
	apt-get install -qy --no-install-recommends postgresql patroni etcd-server
} >&2
new() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -1)" = "$2" ]; }
if new "$(patroni --version | cut -d' ' -f2)" 4.0.7 && new "$(etcd --version | sed -n 's/etcd Version: //p')" 3.5.16; then
	echo /usr
	exit
fi
cache=/var/cache/millrace-patroni # Postgres's user must reach it
"$(dirname "$0")/../internal/trixie.sh" "$cache/root" patroni etcd-server
echo "$cache/root/usr"
