/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * verify-formats: a report as other programs want to read it
 *
 * Each writes one whole document to the product stream. What comes from the store is escaped as the
 * format asks, and bytes that are no UTF-8 are written as U+FFFD, which all of them demand.
 */

#include "verify.h"

enum verify_format {
	VERIFY_TEXT,
	VERIFY_JSON,
	VERIFY_JSON_LINES,
	VERIFY_PROMETHEUS,
	VERIFY_JUNIT,
	VERIFY_NAGIOS,
	VERIFY_SARIF,
};
#define VERIFY_FORMATS "text|json|jsonl|prometheus|junit|nagios|sarif"

/* For any but the first two. */
void verify_write(struct emit *e, const struct verify_report *r, enum verify_format format,
		  const struct vs_clock *clock);

/* One line for a store that could not be checked, as a monitor expects it. */
void verify_nagios_failure(struct emit *e, const char *text);

/* Exit statuses of a Nagios plugin, which are not those of vsctl. */
enum nagios_status {
	NAGIOS_OK = 0,
	NAGIOS_WARNING = 1,
	NAGIOS_CRITICAL = 2,
	NAGIOS_UNKNOWN = 3,
};
enum nagios_status verify_nagios_status(const struct verify_report *r);

/* verify-monitor.c and verify-ci.c: the single formats. */
void verify_prometheus(struct emit *e, const struct verify_report *r, const struct vs_clock *clock);
void verify_nagios(struct emit *e, const struct verify_report *r);
void verify_junit(struct emit *e, const struct verify_report *r);
void verify_sarif(struct emit *e, const struct verify_report *r);
