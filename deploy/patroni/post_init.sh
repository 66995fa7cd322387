#!/bin/sh
# Makes Millrace's role and database. Patroni runs it once, on the first primary, with the superuser's URL as $1.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$MILLRACE_DATABASE_PASSWORD" "$1" <<'SQL'
CREATE ROLE millrace LOGIN PASSWORD :'password';
GRANT pg_read_all_stats TO millrace;
CREATE DATABASE millrace OWNER millrace;
SQL
