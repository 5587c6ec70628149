#!/usr/bin/env bash
# Sends messages of all five providers through a worker to the sandbox, before your eyes.
# usage: run.sh [amqp://user:password@host:5672/vhost]   (without a URL: the embedded broker, in a temporary folder)
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/demo
folder=$(mktemp -d -t tidings-demo.XXXXXX)
broker=${1:-sqlite:$folder/tidings.db}
run=$(date +%s)
export DEMO_SECRET=sandbox-token TIDINGS_BROKER=$broker TIDINGS_PREFIX=tidings-demo

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

started=()
finish() {
  local status=$?
  trap - EXIT INT TERM
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$status" -ne 0 ]; then
    printf '\nThe demo failed. What its programs said:\n' >&2
    tail -n 30 "$folder"/*.log >&2
  fi
  rm -rf "$folder"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_it SECONDS COMMAND…: waits until the command succeeds.
until_it() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || { echo "demo: gave up waiting for: $*" >&2; return 1; }
    sleep 0.2
  done
}

if [ -n "${TIDINGS_PROGRAMS:-}" ]; then # a folder that has them built already
  PATH=$TIDINGS_PROGRAMS:$PATH
else
  echo "Building (the first time takes a few minutes) …"
  cargo build --quiet -p tidings -p tidings-worker -p tidings-dlq -p tidings-sandbox
  PATH=$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd):$PATH
fi

tidings-sandbox --listen 127.0.0.1:0 --faults $here/faults.json >"$folder/sandbox.address" 2>"$folder/sandbox.log" &
started+=($!)
until_it 10 grep -q listening "$folder/sandbox.address"
sandbox=$(sed -n 's/^listening on //p' "$folder/sandbox.address")

sed "s|SANDBOX|$sandbox|; s|BROKER|${broker//&/\\&}|" $here/tidings.toml >"$folder/tidings.toml"
sed "s/RUN/$run/" $here/messages.jsonl >"$folder/messages.jsonl"

say "1. Declare what the broker needs:  tidings topology apply --config tidings.toml"
tidings topology apply --config "$folder/tidings.toml"

say "2. Queue $(wc -l <"$folder/messages.jsonl") messages for five providers:  tidings send --file messages.jsonl"
tidings send --file "$folder/messages.jsonl" >"$folder/queued.jsonl"
echo "each confirmed by the broker, for example: $(head -n 1 "$folder/queued.jsonl")"

say "3. Start a worker and watch:  tidings-worker --config tidings.toml"
# Attempt by attempt, without the time of day and the module's name.
TIDINGS_LOG=warn,tidings_worker::lane=debug tidings-worker --log text --config "$folder/tidings.toml" 2>"$folder/worker.log" &
started+=($!)
tail -n +1 -F "$folder/worker.log" 2>/dev/null | sed -u -n 's/^[^ ]* *\([A-Z]*\) tidings_worker::lane[a-z_:]*: /  \1 /p' &
started+=($!)

all=$(cut -d'"' -f8 "$folder/messages.jsonl" | sort -u | wc -l)
all_have_ended() {
  tidings outcomes --since 10m | grep -c "\"id\":\"$run-" >"$folder/ended" || true
  [ "$(cat "$folder/ended")" -ge "$all" ]
}
until_it 60 all_have_ended

say "4. What became of each message:  tidings outcomes --table"
tidings outcomes --since 10m --table | grep -e "$run-" -e "^outcome"

say "5. What died, and why:  tidings-dlq list"
tidings-dlq list

cat <<END

Where to look next:
  README.md                          how it works, what it promises, how to operate it
  $here/                       the configuration, the messages and the faults that you just saw
  tidings-dlq show $run-closed     one dead letter: its attempts, and what usually helps
  make test                          all of it proved, on real brokers, with processes that are really killed
END
