#!/usr/bin/env bash
# Makes a release of what is on main: version and changelog, a commit, an annotated tag, the npm tarballs, the Debian package and
# its tarball with their SHA-256, and the list of what the first depends on (CycloneDX).
# Usage: deploy/release.sh VERSION [FOLDER]     FOLDER (release/ by default) gets the files. Pushes and publishes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "error: $1" >&2; exit 1; }

version=${1:-} folder=${2:-release}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "give a version such as 0.2.0 (https://semver.org)"
[ "$(git branch --show-current)" = main ] || fail "releases are made on main"
[ -z "$(git status --porcelain)" ] || fail "commit or stash what has changed first"
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then fail "v$version exists already"; fi
while read -r ends setting file; do
  [[ $ends =~ ^[0-9] ]] || continue
  [ "$(printf '%s\n' "$ends" "$version" | sort -V | head -1)" = "$ends" ] || continue
  if grep -q "$setting" "$file"; then fail "$setting ends with $ends, and $file still reads it: see docs/release.md"; fi
done <deploy/setting-ends
awk '/^## /{ inside = /Unreleased/ } inside && /^- /{ found = 1 } END { exit !found }' CHANGELOG.md || fail "CHANGELOG.md says nothing under Unreleased"

sed -i "s/^## \[Unreleased\]$/## [Unreleased]\n\n## [$version] - $(date -u +%F)/" CHANGELOG.md
npm version "$version" --no-git-tag-version --allow-same-version >/dev/null
git commit -q --all --message "Release $version"
git tag --annotate "v$version" --message "Rollcall $version"
mkdir -p "$folder"
npm pack --silent --pack-destination "$folder"
npm run --silent build:sim -- "$folder/rollcall-sim"
(cd "$folder" && npm pack --silent ./rollcall-sim)
BUILT=1 deploy/debian/build.sh "$folder" >/dev/null
npm sbom --package-lock-only --omit dev --sbom-format cyclonedx >"$folder/rollcall-$version.cdx.json"
(cd "$folder" && sha256sum "rollcall-$version.tgz" "rollcall-sim-$version.tgz" "rollcall-$version.cdx.json" ./*.deb ./*.tar.gz | tee SHA256SUMS)
echo "v$version is tagged. To publish: git push origin main v$version && npm publish $folder/rollcall-$version.tgz && npm publish $folder/rollcall-sim-$version.tgz"
