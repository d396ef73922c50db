#!/bin/sh
# Installs the browser that the page tests drive, on a fresh Debian 12 as root. Idempotent.
# The tests look for it at /usr/bin/chromium, or where the environment variable CHROMIUM says.
set -eu
browser=${CHROMIUM:-/usr/bin/chromium}

if [ ! -x "$browser" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "install-chromium: no $browser; run this as root on Debian, or install Chromium by hand and set CHROMIUM" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	# Another installation may hold apt's lock at the same moment: wait for it instead of failing.
	apt-get -o DPkg::Lock::Timeout=300 update -q
	# A font, or every word on a screenshot is a row of boxes.
	apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends chromium fonts-dejavu-core
fi
"$browser" --version --no-sandbox
