#!/bin/sh
# Prints the fleet's users as definitions of RabbitMQ, each with the least that it needs. Import them with either of
#   rabbitmq/definitions.sh | rabbitmqctl import_definitions
#   rabbitmq/definitions.sh | curl -fsS -u ADMIN -H 'content-type: application/json' -d @- https://HOST:15671/api/definitions
# The passwords come from the environment; importing again with another one changes it. VHOST (/) and PREFIX (tidings) are
# the fleet's. Whoever may create users deletes `guest`.
set -eu
for role in OPERATOR PRODUCER WORKER INSPECTOR READER; do
  eval "password=\${${role}_PASSWORD:-}"
  case $password in
    '') echo "definitions.sh: ${role}_PASSWORD is not set" >&2; exit 2 ;;
    *[!A-Za-z0-9._~-]*) echo "definitions.sh: ${role}_PASSWORD becomes part of a URL: use A-Z a-z 0-9 . _ ~ -" >&2; exit 2 ;;
  esac
done
v=${VHOST:-/} t=${PREFIX:-tidings}

cat <<END
{
  "vhosts": [{"name": "$v"}],
  "users": [
    {"name": "$t-operator", "tags": [], "password": "$OPERATOR_PASSWORD"},
    {"name": "$t-producer", "tags": [], "password": "$PRODUCER_PASSWORD"},
    {"name": "$t-worker", "tags": [], "password": "$WORKER_PASSWORD"},
    {"name": "$t-inspector", "tags": [], "password": "$INSPECTOR_PASSWORD"},
    {"name": "$t-reader", "tags": [], "password": "$READER_PASSWORD"}
  ],
  "permissions": [
    {"user": "$t-operator", "vhost": "$v",
     "configure": "^$t([.].*)?\$",
     "write": "^$t([.].*)?\$",
     "read": "^$t([.].*)?\$"},
    {"user": "$t-producer", "vhost": "$v",
     "configure": "^\$",
     "write": "^$t([.]delay)?\$",
     "read": "^\$"},
    {"user": "$t-worker", "vhost": "$v",
     "configure": "^$t[.]own[.].*\$",
     "write": "^$t([.](delay|ledger|dead|events|fleet|beat|own[.].*))?\$",
     "read": "^$t[.](lane[.].*|ledger|fleet|unroutable|own[.].*)\$"},
    {"user": "$t-inspector", "vhost": "$v",
     "configure": "^$t[.]own[.].*\$",
     "write": "^$t([.](delay|dead|own[.].*))?\$",
     "read": "^$t[.](dead|ledger|fleet|own[.].*)\$"},
    {"user": "$t-reader", "vhost": "$v",
     "configure": "^$t[.]own[.].*\$",
     "write": "^$t[.]own[.].*\$",
     "read": "^$t[.](ledger|events|own[.].*)\$"}
  ]
}
END
