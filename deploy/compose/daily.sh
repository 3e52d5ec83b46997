#!/bin/sh
# Runs a command of Bursar's now and every day. One that failed has said why, shows in /health, and is tried the next day.
while :; do
  /opt/bursar/.venv/bin/bursar "$@"
  sleep 86400
done
