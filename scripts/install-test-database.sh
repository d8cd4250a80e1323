#!/usr/bin/env bash
# Installs what the tests need from Debian packages: MariaDB for the integration tests and, with --browser, Chromium for
# the browser tests. No service is started: tests run a private server of their own in a temporary folder.
set -euo pipefail

packages=()
[ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null || packages+=(mariadb-server)
if [ "${1:-}" = --browser ] && ! command -v chromium >/dev/null; then packages+=(chromium); fi
if [ ${#packages[@]} -eq 0 ]; then
  echo 'nothing to install'
  exit 0
fi

run=()
if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi

# Debian asks this file whether a freshly installed service may start: 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${run[@]}" tee "$policy" >/dev/null
  "${run[@]}" chmod 755 "$policy"
  trap '"${run[@]}" rm -f "$policy"' EXIT
fi

"${run[@]}" apt-get update
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
