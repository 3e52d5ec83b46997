#!/bin/sh
# Runs once, when the database is made: the role that owns and migrates, and the one that works and owns nothing.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --set owner="$BURSAR_OWNER_PASSWORD" --set login="$BURSAR_LOGIN_PASSWORD" <<'SQL'
create role bursar_owner login createrole password :'owner';
create role bursar_login login password :'login';
create database bursar owner bursar_owner;
grant pg_monitor to bursar_login;
SQL
# Backups receive the log from another container; `all` above it does not mean replication.
echo 'host replication postgres all scram-sha-256' >> "$PGDATA/pg_hba.conf"
