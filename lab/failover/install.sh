#!/bin/sh
# Installs what `make test-patroni` needs from Debian, and prints the directory of a Patroni that is new enough.
#
# Patroni before 3.0.3 writes over the lock of a new leader when a frozen one goes on. Both then take writes, and
# accepted orders are lost (https://github.com/patroni/patroni/pull/2689). Debian 12 has 3.0.2. So where the distribution's is
# too old, Debian 13's package is unpacked beside it, which needs nothing but Python.
set -eu
command -v etcd >/dev/null && command -v patroni >/dev/null && [ -x /usr/lib/postgresql/15/bin/postgres ] || {
	apt-get update -q
	apt-get install -qy --no-install-recommends postgresql patroni etcd-server
} >&2
new() { [ "$(printf '%s\n' 3.0.3 "$1" | sort -V | head -1)" = 3.0.3 ]; }
if new "$(patroni --version | cut -d' ' -f2)"; then
	echo /usr
	exit
fi
cache=/var/cache/millrace-patroni # Postgres's user must reach it
if [ ! -d "$cache/patroni" ]; then
	apt=$(mktemp -d)
	trap 'rm -rf "$apt"' EXIT
	chown _apt "$apt" # apt downloads as this user
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$cache"
	echo 'deb http://deb.debian.org/debian trixie main' >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-CONF
		Dir::Etc::SourceList "$apt/sources.list";
		Dir::Etc::SourceParts "-";
		Dir::State::Lists "$apt/lists";
		Dir::Cache "$apt/cache";
	CONF
	(
		export APT_CONFIG="$apt/apt.conf"
		cd "$apt"
		apt-get update -q
		apt-get download -q patroni
		dpkg -x patroni_*.deb "$apt/unpacked"
	) >&2
	chmod 755 "$cache"
	mv "$apt/unpacked" "$cache/patroni"
	chmod 755 "$cache/patroni"
fi
echo "$cache/patroni/usr"
