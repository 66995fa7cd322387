#!/bin/sh
# pgbouncer.sh VERSION prints a directory with a PgBouncer of Debian: 1.18 is Debian 12's, which is installed if it is
# missing, and 1.24 is Debian 13's. That one is unpacked beside the machine's programs, and runs with its own libraries.
set -eu
case $1 in
1.18)
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] ||
		{ apt-get update -q && apt-get install -qy --no-install-recommends pgbouncer; } >&2
	dirname "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)"
	;;
1.24)
	cache=/var/cache/millrace-pgbouncer # PgBouncer's user must reach it
	"$(dirname "$0")/../../lab/internal/trixie.sh" "$cache/root" pgbouncer libc6 libcares2 libevent-2.1-7t64 libssl3t64 \
		libsystemd0 libpam0g libaudit1 libcap-ng0 libcap2 libldap2 libsasl2-2 zlib1g libzstd1
	mkdir -p "$cache/bin"
	libraries=$(echo "$cache"/root/usr/lib/*-linux-gnu)
	cat >"$cache/bin/pgbouncer" <<-RUN
		#!/bin/sh
		exec $libraries/ld-linux-*.so.* --library-path $libraries $cache/root/usr/sbin/pgbouncer "\$@"
	RUN
	chmod 755 "$cache/bin" "$cache/bin/pgbouncer"
	echo "$cache/bin"
	;;
*)
	echo "no PgBouncer $1: 1.18 or 1.24" >&2
	exit 1
	;;
esac
