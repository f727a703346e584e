#!/usr/bin/env bash
# mosquitto 2.0.11 (Debian 12): two expired messages at the head of a queue hold back everything behind them.
#
# A good engineer expects: what has expired is deleted [MQTT-3.3.2-5], and what came later is delivered when the client is back.
# What happens: with one expired message in the queue of a session that was away, the message behind it is delivered. With two, nothing is,
# however long the client waits, and no error is given. So mosquitto is no judge of message expiry, and fleets that queue short-lived
# messages there must not rely on what comes after them.
#
# Output seen (November 2026):
#   mosquitto 2.0.11: behind 1 expired message: lasting
#   mosquitto 2.0.11: behind 2 expired messages: nothing
set -euo pipefail
PATH="$PATH:/usr/sbin"
folder=$(mktemp -d)
# Debian's own packages: mosquitto, mosquitto-clients.
version=$( (mosquitto -h || true) | sed -n "s/^mosquitto version //p")
port=$((20000 + RANDOM % 20000))
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$folder/mosquitto.conf"
mosquitto -c "$folder/mosquitto.conf" >"$folder/log" 2>&1 &
broker=$!
trap 'kill "$broker"; rm -rf "$folder"' EXIT
for _ in $(seq 50); do
  mosquitto_pub -h 127.0.0.1 -p "$port" -t ready -m 1 2>/dev/null && break
  sleep 0.1
done

to=(-h 127.0.0.1 -p "$port" -V mqttv5 -q 1)
behind() {
  local session=(-i "away-$1" -c -x 600 -t "t/$1")
  mosquitto_sub "${to[@]}" "${session[@]}" -E
  for _ in $(seq "$1"); do
    mosquitto_pub "${to[@]}" -t "t/$1" -m brief -D publish message-expiry-interval 1
  done
  sleep 3
  mosquitto_pub "${to[@]}" -t "t/$1" -m lasting
  timeout 5 mosquitto_sub "${to[@]}" "${session[@]}" -C 1 -F '%p' || echo nothing
}

one=$(behind 1)
two=$(behind 2)
echo "mosquitto $version: behind 1 expired message: $one"
echo "mosquitto $version: behind 2 expired messages: $two"
[ "$one" = lasting ] && [ "$two" = nothing ]
