#!/bin/sh
# Make the base image from the packages of the host's own Debian release, as root.
#
# For machines where no container registry answers: what the host's apt reaches is enough.
set -eu

image=$1
# shellcheck source=/dev/null
. /etc/os-release

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The host's own mirror, proxy and certificates work here; any others might not.
# apt-get itself fills in these names.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Identifier: Packages' |
    awk -v codename="$VERSION_CODENAME" '$2 == codename && $3 == "Debian" { print $1; exit }')
# Unquoted, because without a known mirror the argument has to go: debootstrap has a default.
# shellcheck disable=SC2086
debootstrap --variant=minbase --include=ca-certificates "$VERSION_CODENAME" "$root/fs" $mirror
apt-config dump | grep -E '^Acquire::(Check|http|https|Retries)' >"$root/fs/etc/apt/apt.conf.d/90host" || true
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$root/fs/etc/ssl/certs/ca-certificates.crt"
fi
# Installing a server must not start it: the entrypoint does.
printf '#!/bin/sh\nexit 101\n' >"$root/fs/usr/sbin/policy-rc.d"
chmod +x "$root/fs/usr/sbin/policy-rc.d"
rm -rf "$root"/fs/var/cache/apt/archives/*.deb

tar --create --directory "$root/fs" --numeric-owner . | docker import - "$image"
