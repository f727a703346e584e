#!/usr/bin/env bash
# Builds a Debian package and a tarball of the same files, for the machine's architecture, with Node of package-lock.json inside.
# Usage: deploy/debian/build.sh [FOLDER]     FOLDER (release/ by default) gets both. Needs dpkg-deb, no network and no root. With
# BUILT=1 it takes dist/ as it is; COMPRESSION=gzip makes a larger package in less time.
# The same tree gives the same bytes: all times are SOURCE_DATE_EPOCH, by default that of the last commit.
set -euo pipefail
cd "$(dirname "$0")/../.."
case "$#${1:-}" in
[01] | 1[!-]*) ;;
*)
  echo 'usage: deploy/debian/build.sh [FOLDER]    (release/ by default)' >&2
  exit 2
  ;;
esac
folder=$(realpath -m "${1:-release}")
umask 022
export PATH="$PWD/node_modules/.bin:$PATH" LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

version=$(node -p 'require("./package.json").version')
# A tilde sorts before the release: 0.2.0~rc.1 is upgraded to 0.2.0.
debian_version=${version/-/\~}
architecture=$(dpkg --print-architecture)
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
root=$staging/root program=$staging/root/usr/lib/rollcall

[ -n "${BUILT:-}" ] || npm run --silent build
mkdir -p "$program/bin"
cp -rL dist package.json LICENSE README.md CHANGELOG.md SECURITY.md docs "$program"
install -m 755 node_modules/node/bin/node "$program/bin/node"
install -m 755 deploy/debian/launcher "$program/rollcall"
# What package-lock.json lists for production, as `npm ci` installed it.
node -p 'Object.entries(require("./package-lock.json").packages).filter(([path, { dev, optional }]) => path !== "" && !dev && !(optional && !fs.existsSync(path))).map(([path]) => path).join("\n")' |
  while read -r path; do
    mkdir -p "$program/$path"
    (cd "$path" && find . -name node_modules -prune -o \( -type f -print0 \)) |
      (cd "$path" && xargs -0r cp --parents -t "$program/$path")
  done
for platform in "$program"/node_modules/better-sqlite3/prebuilds/*.node; do
  [ "$(basename "$platform")" = "$(node -p '`${process.platform}-${process.arch}.node`')" ] || rm "$platform"
done
rm -r "$program"/node_modules/better-sqlite3/{deps,src}

mkdir -p "$root/usr/bin" "$root/usr/share/doc/rollcall" "$root/etc/rollcall" "$root/usr/lib/systemd/system" \
  "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
  "$root/usr/share/fish/vendor_completions.d" "$root/DEBIAN"
ln -s ../lib/rollcall/rollcall "$root/usr/bin/rollcall"
cp LICENSE "$root/usr/share/doc/rollcall/copyright"
cp deploy/debian/rollcall.env "$root/etc/rollcall/rollcall.env"
sed -e 's|^ExecStart=.*main.js|ExecStart=/usr/bin/rollcall|' -e 's|/opt/rollcall/lib/node_modules/rollcall/docs|/usr/lib/rollcall/docs|' \
  deploy/systemd/rollcall.service >"$root/usr/lib/systemd/system/rollcall.service"
command=$program/rollcall
"$command" man "$root/usr/share/man/man1" 2>/dev/null
gzip -9n "$root"/usr/share/man/man1/*
"$command" completion bash >"$root/usr/share/bash-completion/completions/rollcall"
"$command" completion zsh >"$root/usr/share/zsh/vendor-completions/_rollcall"
"$command" completion fish >"$root/usr/share/fish/vendor_completions.d/rollcall.fish"

sed -e "s/@VERSION@/$debian_version/" -e "s/@ARCHITECTURE@/$architecture/" \
  -e "s/@KIB@/$(du -sk --apparent-size "$root" | cut -f1)/" deploy/debian/control >"$root/DEBIAN/control"
install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$root/DEBIAN"
echo /etc/rollcall/rollcall.env >"$root/DEBIAN/conffiles"
chmod -R u=rwX,go=rX "$root"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$folder"
package=$folder/rollcall_${debian_version}_$architecture.deb
tarball=$folder/rollcall-$version-linux-$architecture.tar.gz
dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" -z1 --build "$root" "$package" >/dev/null
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --directory "$root/usr/lib" \
  --transform "s|^rollcall|rollcall-$version|S" rollcall | gzip -1n >"$tarball"
printf '%s\n%s\n' "$package" "$tarball"
