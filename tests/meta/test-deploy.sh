#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-deploy.sh VSCTL: what is shipped below scripts/deploy is right: units, timers, cron lines, rules, dashboard.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
vsctl=$(realpath "$1")
cd "$source/scripts/deploy" || exit 1

# With the program where it was built, as it need not be installed here.
units_verify() {
    command -v systemd-analyze >/dev/null || return 0
    mkdir "$scratch/units" && cp systemd/*.service systemd/*.timer "$scratch/units" &&
        sed -i "s|/usr/bin/vsctl|$vsctl|" "$scratch/units"/*.service || return
    systemd-analyze verify --man=no "$scratch/units"/*.service "$scratch/units"/*.timer 2>&1 | grep -F "$scratch/units" && return 1
    # It does complain where there is something to complain of.
    sed -i 's/^OnCalendar=.*/OnCalendar=never/' "$scratch/units/vsctl-drill.timer"
    ! systemd-analyze verify --man=no "$scratch/units/vsctl-drill.timer" 2>"$scratch/said"
}

every_timer_has_its_service() {
    local timer
    for timer in systemd/*.timer; do
        [ -f "${timer%.timer}.service" ] || { echo "$timer" && return 1; }
    done
}

services_are_hardened() {
    local unit line
    for unit in systemd/*.service; do
        for line in ProtectSystem=strict NoNewPrivileges=yes PrivateTmp=yes SystemCallFilter=@system-service; do
            grep -qx "$line" "$unit" || { echo "$unit: no $line" && return 1; }
        done
    done
}

# Every command line that is shipped is one that the program takes: it gets as far as its store.
command_lines() {
    local line
    {
        sed -n 's|^Exec[A-Za-z]*=/usr/bin/vsctl ||p' systemd/*.service systemd/*.conf
        sed -n 's/^[^#A-Z].* root //p' vsctl.cron | sed 's/ && /\n/g' | sed 's/^vsctl //'
    } >"$scratch/lines"
    [ "$(wc -l <"$scratch/lines")" -ge 11 ] || return
    while read -r line; do
        # shellcheck disable=SC2086
        VSCTL_CONFIG='' "$vsctl" $line --help >"$scratch/out" 2>&1 || { echo "$line" && cat "$scratch/out" && return 1; }
    done <"$scratch/lines"
}

# Fields of a line of cron.d: five of time, the user, the command.
cron_lines() {
    ! grep -vE '^(#.*|CRON_TZ=UTC|([0-9*/,-]+ ){5}root vsctl .+)$' vsctl.cron
}

# Where logrotate is not at hand, the file at least names the place that the units make.
logrotate_file() {
    grep -q '^/var/log/vsctl/\*\.log {$' vsctl.logrotate && [ "$(grep -l '^LogsDirectory=vsctl$' systemd/*.service | wc -l)" -eq 4 ] || return
    command -v logrotate >/dev/null || return 0
    sed "s|/var/log/vsctl|$scratch/log|" vsctl.logrotate >"$scratch/rotate.conf" && chmod 644 "$scratch/rotate.conf" &&
        { logrotate -d -s "$scratch/state" "$scratch/rotate.conf" 2>"$scratch/said" || ! cat "$scratch/said"; } || return
    ! grep -i '^error' "$scratch/said"
}

rules() {
    command -v promtool >/dev/null || return 0
    promtool check rules vsctl.rules.yml && cp vsctl.rules.yml "$source/tests/meta/vsctl.rules.test.yml" "$scratch" &&
        promtool test rules "$scratch/vsctl.rules.test.yml" || return
    # Each alert is tested, and the test sees one that does not fire.
    diff <(sed -n 's/^ *- alert: //p' vsctl.rules.yml | sort) \
        <(sed -n 's/.*alertname="\([A-Za-z]*\)".*/\1/p' "$scratch/vsctl.rules.test.yml" | sort) || return
    sed -i 's/healthy == 0/healthy == 1/' "$scratch/vsctl.rules.yml"
    ! promtool test rules "$scratch/vsctl.rules.test.yml" >"$scratch/said" 2>&1
}

exported() {
    local store=$source/tests/data/chromem/healthy-example/store
    VSCTL_CONFIG='' "$vsctl" monitor --once --quiet --state "$scratch/state" --textfile "$scratch/exported" "$store" &&
        sed -nE 's/^([a-z_]+)\{.*/\1/p' "$scratch/exported" | sort -u >"$scratch/names" && [ -s "$scratch/names" ]
}

# Words of an expression that look like metrics of ours.
metrics_of() {
    grep -oE '\b(contextd_vectorstore|vectorstore|vsctl)_[a-z_]+' | sort -u
}

only_exported_names() {
    exported || return
    jq -r '.panels[].targets[].expr' dashboard.json | metrics_of >"$scratch/asked"
    sed -n 's/^ *expr: //p' vsctl.rules.yml | metrics_of >>"$scratch/asked"
    [ "$(wc -l <"$scratch/asked")" -gt 15 ] && ! sort -u "$scratch/asked" | comm -23 - "$scratch/names" | grep .
}

check "units and timers verify" units_verify
check "every timer has its service" every_timer_has_its_service
check "services are hardened" services_are_hardened
check "command lines" command_lines
check "cron lines" cron_lines
check "logrotate takes its file" logrotate_file
check "rules fire where they should and nowhere else" rules
check "rules and dashboard ask for exported names only" only_exported_names
finish
