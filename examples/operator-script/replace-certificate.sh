#!/usr/bin/env bash
# A device's key was lost or copied: ends its certificates for good, waits until every broker has acted, and issues a new one.
# Usage: replace-certificate.sh DEVICE_ID FOLDER    (where the service is: --data through ROLLCALL_DATA, or ROLLCALL_API and so on)
# Exit codes: 0 replaced, 1 failed or a broker did not acknowledge (then the old certificate may still be connected there).
set -euo pipefail
device=$1 folder=$2
service=(${ROLLCALL_DATA:+--data "$ROLLCALL_DATA"})

# The first certificate of the device that could still admit it. Revoking a key may end several certificates at once.
next_certificate() {
  rollcall certificate list --device "$device" -o jsonl "${service[@]}" | node -e '
    const rows = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean).map(JSON.parse)
    const ended = ["revoked", "retired", "rejected", "lapsed"]
    console.log(rows.find(({ status }) => !ended.includes(status))?.fingerprint ?? "")'
}

while fingerprint=$(next_certificate) && [ -n "$fingerprint" ]; do
  receipt=$(rollcall certificate revoke "$fingerprint" --reason keyCompromise -o json "${service[@]}")
  node -e 'const { unreachable } = JSON.parse(process.argv[1])
    if (unreachable.length > 0) throw new Error(`no acknowledgement from ${unreachable}`)' "$receipt"
done

rollcall device enroll "$device" --out "$folder" "${service[@]}"
rollcall explain "$device" "${service[@]}"
