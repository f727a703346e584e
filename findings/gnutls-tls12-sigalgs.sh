#!/usr/bin/env bash
# GnuTLS 3.7 (Debian 12), TLS 1.2: a client whose key is of no type that the server's signature algorithms name ends the handshake.
#
# A good engineer expects: a client that has no suitable certificate sends none (RFC 5246 §7.4.6), as OpenSSL and Node do, and the server
# decides whether that will do. So a server that asks for a certificate without requiring one can bound its key type by sigalgs alone.
# What happens: GnuTLS sends its ECDSA certificate although the CertificateRequest names RSA schemes and rsa_sign only, finds no scheme to
# sign CertificateVerify with, and aborts with handshake_failure; gnutls-cli says "An algorithm that is not enabled was negotiated". In
# TLS 1.3 it sends no certificate, as the others do. To such a client a server that wants to tell it why it is refused must offer every
# scheme in TLS 1.2, and look at the key type after the handshake.
#
# Output seen (November 2026, libgnutls30 3.7.9-2+deb12u7, openssl 3.0.22-1~deb12u2):
#   GnuTLS 3.7.9 in TLS 1.2: An algorithm that is not enabled was negotiated.
#   the server was told: sslv3 alert handshake failure
#   GnuTLS 3.7.9 in TLS 1.3: No certificate was sent to peer
#   OpenSSL 3.0.22 in TLS 1.2: CONNECTION ESTABLISHED
#   OpenSSL 3.0.22 in TLS 1.3: CONNECTION ESTABLISHED
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: openssl, gnutls-bin.
openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.crt -days 30 -subj /CN=client 2>/dev/null

# Asks for a certificate, takes none as well, and names RSA schemes alone.
start() {
  port=$((20000 + RANDOM % 20000))
  openssl s_server -accept "127.0.0.1:$port" -cert server.crt -key server.key -verify 1 -client_sigalgs RSA-PSS+SHA256:RSA+SHA256 \
    "-tls1_$1" -quiet >"server-$1.log" 2>&1 </dev/null &
  server=$!
  for _ in $(seq 50); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
  done
}
stop() {
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
}
gnutls() {
  gnutls-cli --priority "NORMAL:-VERS-ALL:+VERS-TLS1.$1" --x509cafile server.crt --x509certfile client.crt --x509keyfile client.key \
    -p "$port" localhost 2>&1 </dev/null || true
}
openssl_client() {
  openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile server.crt -cert client.crt -key client.key -brief 2>&1 </dev/null || true
}
seen() { grep -o "$1" || echo "something else"; }

library="GnuTLS $(gnutls-cli --version | sed -n '1s/gnutls-cli //p')"
other=$(openssl version | cut -d' ' -f1,2)
start 2
aborted=$(gnutls 2 | seen "An algorithm that is not enabled was negotiated.")
classic=$(openssl_client | seen "CONNECTION ESTABLISHED")
stop
told=$(seen "sslv3 alert handshake failure" <server-2.log)
start 3
without=$(gnutls 3 | seen "No certificate was sent to peer")
modern=$(openssl_client | seen "CONNECTION ESTABLISHED")
stop
printf '%s\n' "$library in TLS 1.2: $aborted" "the server was told: $told" "$library in TLS 1.3: $without" \
  "$other in TLS 1.2: $classic" "$other in TLS 1.3: $modern"
[ "$aborted" = "An algorithm that is not enabled was negotiated." ] && [ "$told" = "sslv3 alert handshake failure" ] &&
  [ "$without" = "No certificate was sent to peer" ] && [ "$classic" = "CONNECTION ESTABLISHED" ] && [ "$modern" = "$classic" ]
