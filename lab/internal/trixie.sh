#!/bin/sh
# trixie.sh DIR PACKAGE... unpacks packages of Debian 13 into DIR, beside what the machine has and without installing
# anything. It does nothing if DIR exists.
set -eu
dir=$1
shift
[ ! -d "$dir" ] || exit 0
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
chown _apt "$apt" # apt downloads as this user
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$(dirname "$dir")"
echo 'deb http://deb.debian.org/debian trixie main' >"$apt/sources.list"
cat >"$apt/apt.conf" <<-CONF
	Dir::Etc::SourceList "$apt/sources.list";
	Dir::Etc::SourceParts "-";
	Dir::State::Lists "$apt/lists";
	Dir::Cache "$apt/cache";
CONF
export APT_CONFIG="$apt/apt.conf"
cd "$apt"
apt-get update -q >&2
apt-get download -q "$@" >&2
for package in *.deb; do dpkg -x "$package" "$apt/unpacked"; done
chmod 755 "$(dirname "$dir")" "$apt/unpacked"
mv "$apt/unpacked" "$dir"
