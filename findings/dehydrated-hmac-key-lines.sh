#!/usr/bin/env bash
# dehydrated 0.7.0 (Debian 12): an HMAC key for external account binding works only if its octets fill whole lines of 16.
#
# A good engineer expects: the HMAC key of RFC 8555 §7.3.4 is any octets in base64url; a service may hand out 35 of them, so that a prefix that secret
# scanners find is part of it. certbot 2.1, lego 4.9, uacme 1.7 and acme-client 5.4 take that.
# What happens: dehydrated writes the key in hex by `hexdump -e '16/1 "%02x"'`, which fills the last line up with blanks, and the blanks go to
# `openssl dgst -mac HMAC -macopt hexkey:`, which refuses them. No account is made, and the reason shown is that of the answer before. So hand out 32 octets.
#
# Output seen (November 2026, dehydrated 0.7.0-3, bsdextrautils 2.38.1-5+deb12u3, openssl 3.0.22-1~deb12u2):
#   35 octets are 96 characters: openssl refuses them
#   32 octets are 64 characters: openssl takes them
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: dehydrated, bsdextrautils, openssl.
apt-get download dehydrated >/dev/null
dpkg -x dehydrated_*.deb .
# The function as the script has it.
sed -n '/^bin2hex() {/,/^}/p' usr/bin/dehydrated >bin2hex.sh
grep -q '[[:alnum:]]' bin2hex.sh
source ./bin2hex.sh
failed=0
for expected in '35 refuses' '32 takes'; do
  octets=${expected% *}
  key=$(head -c "$octets" /dev/urandom | bin2hex)
  verdict=refuses
  if printf x | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" >/dev/null 2>&1; then verdict=takes; fi
  echo "$octets octets are ${#key} characters: openssl $verdict them"
  [ "$octets $verdict" = "$expected" ] || failed=1
done
exit $failed
