#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-package.sh: the Debian package is built, passes lintian where that is at hand, and works in a root of its own.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
unset DESTDIR
export VSCTL_CONFIG=

for program in dpkg dpkg-deb dpkg-shlibdeps; do
    command -v "$program" >/dev/null || { echo "1..0 # SKIP $program is not installed" && exit 0; }
done
package=$("$source/scripts/package" "$scratch" | tail -n 1)
[ -f "$package" ] || { echo "Bail out! no package" && exit 1; }
root=$scratch/root

# dpkg's own state in an otherwise empty tree; the libraries are those of this machine.
installs() {
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" && touch "$root/var/lib/dpkg/status" || return
    dpkg --root="$root" --force-not-root --force-depends --force-bad-path --log="$scratch/dpkg.log" --install "$package" >"$scratch/said" 2>&1 ||
        { cat "$scratch/said" && return 1; }
    dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Status}\n' vsctl | grep -qx installed
}

runs() {
    "$root/usr/bin/vsctl" --version | grep -q '^vsctl [0-9]' && "$root/usr/bin/vsctl" verify "$source/tests/data/chromem/healthy-plain/store" | grep -q '^healthy: '
}

pages() {
    local name bad=0
    for name in "$source"/man/*.[1-9]; do
        name=${name##*/}
        gzip -t "$root/usr/share/man/man${name##*.}/$name.gz" || { echo "$name" && bad=1; }
    done
    zcat "$root/usr/share/man/man1/vsctl-verify.1.gz" | mandoc | grep -q VSCTL-VERIFY || bad=1
    return $bad
}

what_belongs_to_it() {
    local path bad=0
    for path in usr/share/bash-completion/completions/vsctl usr/share/zsh/site-functions/_vsctl usr/share/fish/vendor_completions.d/vsctl.fish \
        lib/systemd/system/vsctl-monitor.service lib/systemd/system/vsctl-snapshot.timer etc/logrotate.d/vsctl \
        usr/share/vsctl/schema/verify.schema.json usr/share/doc/vsctl/copyright usr/share/doc/vsctl/examples/vsctl.rules.yml; do
        [ -f "$root/$path" ] || { echo "no $path" && bad=1; }
    done
    return $bad
}

# The libraries that the program needs are of packages that it depends on.
dependencies() {
    dpkg-deb -f "$package" Depends >"$scratch/depends" && grep -q 'libsqlite3-0' "$scratch/depends" && grep -q 'libc6' "$scratch/depends" &&
        grep -q 'libarchive13' "$scratch/depends"
}

configuration() {
    echo '# kept' >>"$root/etc/logrotate.d/vsctl" && dpkg --root="$root" --force-not-root --force-depends --force-bad-path --force-confold --log="$scratch/dpkg.log" \
        --install "$package" >"$scratch/said" 2>&1 && grep -qx '# kept' "$root/etc/logrotate.d/vsctl"
}

removed() {
    dpkg --root="$root" --force-not-root --force-bad-path --log="$scratch/dpkg.log" --purge vsctl >"$scratch/said" 2>&1 || { cat "$scratch/said" && return 1; }
    ! find "$root" -path "$root/var" -prune -o -type f -print | grep .
}

same_bytes() {
    local again
    mkdir "$scratch/again" && again=$("$source/scripts/package" "$scratch/again" | tail -n 1) && cmp "$package" "$again"
}

no_complaints() {
    command -v lintian >/dev/null || return 0
    lintian --allow-root --no-cfg --fail-on error,warning "$package" >"$scratch/said" 2>&1 || { cat "$scratch/said" && return 1; }
}

check "it installs" installs
check "the program runs" runs
check "manual pages" pages
check "what belongs to it" what_belongs_to_it
check "dependencies" dependencies
check "changed configuration is kept" configuration
check "it can be removed" removed
check "the same sources give the same bytes" same_bytes
check "lintian has no complaints" no_complaints
finish
