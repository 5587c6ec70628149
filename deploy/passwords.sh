#!/bin/sh
# Prints passwords for compose, made up: deploy/passwords.sh >deploy/.env
set -eu
for role in OPERATOR PRODUCER WORKER INSPECTOR READER GRAFANA; do
  echo "${role}_PASSWORD=$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')"
done
