#!/bin/sh
# Installs what the Podman runtime and its tests need, on a fresh Debian 12 as root.
# Idempotent: leaves an installed Podman and an existing containers.conf as they are.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

missing=
for tool in podman runc ip iptables busybox; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "install-podman:$missing missing; run this as root on Debian or Ubuntu, or install them by hand" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	# buildah and catatonit build images and the pause image; netavark and aardvark-dns are the bridge network;
	# busybox-static is the image the contract suite runs.
	apt-get install -q -y --no-install-recommends \
		podman runc netavark aardvark-dns catatonit iptables iproute2 buildah busybox-static
fi

# runc instead of crun (which refuses hybrid cgroups), and ulimits that a container host without
# CAP_SYS_RESOURCE may set. A host's own configuration is never replaced.
if [ ! -e /etc/containers/containers.conf ]; then
	install -D -m644 "$here/podman/containers.conf" /etc/containers/containers.conf
fi
podman --version
