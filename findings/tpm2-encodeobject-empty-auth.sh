#!/usr/bin/env bash
# tpm2-tools 5.4: tpm2_encodeobject writes the flag emptyAuth of a TSS2 PRIVATE KEY the other way round.
#
# A good engineer expects: a key that was created without a password is encoded with emptyAuth TRUE, and OpenSSL's TPM provider asks for none;
# -p (--key-auth) is for a key that has a password.
# What happens: without -p emptyAuth is FALSE, and `openssl` asks for a password, so that a service which has no terminal cannot use the key; with -p it
# is TRUE, and the key without a password loads.
# Around it: give -p for a key without a password.
#
# Needs Debian's swtpm, tpm2-tools, tpm2-openssl and openssl.
# Output seen (November 2026, Debian 12):
#   tpm2_encodeobject 5.4
#   without -p: emptyAuth FALSE, loaded without a password: no
#   with -p: emptyAuth TRUE, loaded without a password: yes
set -euo pipefail
folder=$(mktemp -d)
swtpm socket --tpm2 --tpmstate "dir=$folder" --flags not-need-init,startup-clear \
  --ctrl "type=unixio,path=$folder/tpm.ctrl" --server "type=unixio,path=$folder/tpm" >/dev/null 2>&1 &
emulator=$!
trap 'kill $emulator; wait $emulator 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
until [ -S tpm ] && [ -S tpm.ctrl ]; do sleep 0.1; done
export TPM2TOOLS_TCTI="swtpm:path=$folder/tpm" TPM2OPENSSL_TCTI="swtpm:path=$folder/tpm"
tpm2_createprimary -Q -C o -g sha256 -G ecc -c parent.ctx
tpm2_evictcontrol -Q -C o -c parent.ctx 0x81000001
tpm2_flushcontext -t
tpm2_create -Q -C 0x81000001 -G ecc256 -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' -u key.pub -r key.priv
tpm2_flushcontext -t
version=$(tpm2_encodeobject --version | sed -n 's/.*version="\([0-9.]*\).*/\1/p')
echo "tpm2_encodeobject $version"

try() {
  tpm2_encodeobject -C 0x81000001 -u key.pub -r key.priv -o key.pem "${@:2}" >/dev/null
  sed '/-----/d' key.pem | base64 -d >key.der
  # The first element is the type of the key, the second emptyAuth under [0].
  empty=$(openssl asn1parse -inform DER -in key.der | sed -n 's/.*BOOLEAN *:\(.*\)/\1/p' | head -1)
  case $empty in 0) flag=FALSE ;; *) flag=TRUE ;; esac
  loaded=yes
  openssl pkey -provider tpm2 -provider default -in key.pem -pubout -out /dev/null </dev/null >/dev/null 2>&1 || loaded=no
  tpm2_flushcontext -t
  echo "$1: emptyAuth $flag, loaded without a password: $loaded"
}
seen=$(try 'without -p'; try 'with -p' -p)
echo "$seen"
[ "$seen" = 'without -p: emptyAuth FALSE, loaded without a password: no
with -p: emptyAuth TRUE, loaded without a password: yes' ]
