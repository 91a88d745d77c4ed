/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * monitor-record: what the scans of `vsctl monitor` found, kept in monitor.json of the state
 * directory
 *
 * Replaced as a whole after each scan, so a restart goes on counting and tells no transition twice.
 * `status` and `health` read it, too. One that cannot be read is told and counted as none.
 */

#include "check/check.h"
#include "util/util.h"

#define MONITOR_BUCKETS 12
extern const double monitor_bucket_s[MONITOR_BUCKETS]; /* upper bounds, in seconds */

struct monitor_record {
	bool is_there;     /* there was a scan that ended */
	int64_t time_ns;   /* of the last that ended */
	int64_t tried_ns;  /* of the last, whatever became of it */
	bool is_failed;    /* the last scan could not be made */
	char failure[512]; /* why; "" */
	unsigned verdict;  /* enum verdict of the last that ended */
	unsigned loadable; /* enum loadable */
	uint64_t collections, healthy, corrupt, empty, documents, bytes, errors, warnings;
	uint64_t duration_ns;
	/* Counted over the life of the file. */
	uint64_t successes, failures, detected;
	uint64_t scans_read;              /* successes for which everything was read */
	uint64_t documents_read;          /* by all of them */
	uint64_t bucket[MONITOR_BUCKETS]; /* scans that took at most so long, not summed up */
	uint64_t bucket_over;
	double seconds_sum;
	bool is_told_degraded; /* the last transition that was told */
	bool is_told_failed;
};

/* 0; 1 when there is none; VS_EFORMAT when it is no such record. */
must_check_ int monitor_record_load(int state_dirfd, struct monitor_record *out,
				    struct vs_err *err);
must_check_ int monitor_record_save(int state_dirfd, const struct monitor_record *rec,
				    struct vs_err *err);

/* No error in it, as the last scan that ended found it. */
static inline bool monitor_record_is_sound(const struct monitor_record *rec)
{
	return rec->is_there && rec->errors == 0 && rec->verdict != VERDICT_CORRUPT;
}
