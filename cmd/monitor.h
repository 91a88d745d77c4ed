/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * monitor: stores looked at again and again, and what is told about them
 *
 * One thread scans and runs the commands of the operator; after each round it renders the three
 * documents that HTTP clients get, so a request costs a copy and never waits for a scan. What has
 * to survive a restart is in the record of each store, see monitor-record.h.
 */

#include "operate.h"
#include "verify.h"

#include "file/file.h"
#include "store/store.h"

/* ---- monitor-print.c: has anything changed? ---- */

/*
 * Names, sizes, times and inodes of everything in a store, as two sums that do not depend on the
 * order. Equal ones mean that nothing was written in between, as long as the newest change is older
 * than the clock of the file system can tell apart.
 */
struct tree_print {
	uint64_t a, b, entries;
	uint64_t device, inode; /* of the store's own directory */
	int64_t newest_ns;      /* change of an inode */
	bool is_watched;        /* every directory that was looked into */
};

/* With @watch, which may be NULL, each directory is watched from before it is listed. */
must_check_ int tree_print_take(int dirfd, struct file_watch *watch, struct tree_print *out,
				struct vs_err *err);
bool tree_print_eq(const struct tree_print *x, const struct tree_print *y);

/* ---- monitor-scan.c: one store ---- */

/* What something in the state directory looked like when it was read. */
struct monitor_stamp {
	bool is_set;
	uint64_t inode, size;
	int64_t changed_ns;
};

struct monitor_target {
	const char *path; /* as it was given; borrowed */
	char *state;
	int state_dirfd;
	struct monitor_record record;
	struct tree_print print; /* of the scan that `report` is from */
	bool has_print;
	struct file_watch *watch; /* set by the scan that `report` is from; NULL: none */
	bool is_watched;          /* and had nothing to tell since */
	unsigned reused;          /* scans since everything was read */
	struct verify_report report;
	bool has_report;
	int64_t newest_good_ns, drilled_ns; /* snapshots; 0: none */
	uint64_t snapshots;
	uint64_t quarantined, quarantine_failed; /* in the audit log */
	struct monitor_stamp manifests_stamp, audit_stamp;
};

struct monitor_scan {
	struct app *app;
	unsigned full_every;
};

/* Open the state directory, making it where there is none, and load the record. */
must_check_ int monitor_target_open(struct monitor_target *t, struct app *app, const char *state,
				    struct vs_err *err);
void monitor_target_fini(struct monitor_target *t);

/* Look at the store once; the outcome, a failure too, is in the record, which is not saved yet. */
void monitor_target_scan(struct monitor_target *t, const struct monitor_scan *scan);

/* ---- monitor-render.c: the documents ---- */

void monitor_render_health(const struct monitor_target *targets, size_t count, struct buf *out);
void monitor_render_details(const struct monitor_target *targets, size_t count, struct buf *out);
void monitor_render_metrics(const struct monitor_target *targets, size_t count, struct buf *out);

/* Every store was looked at, has no error, and its last scan did not fail. */
bool monitor_is_well(const struct monitor_target *targets, size_t count);

/* ---- monitor-http.c: who asks ---- */

struct monitor_http;

/*
 * Listen on @address ("127.0.0.1:9090", "[::1]:0"); not loopback is VS_EUSAGE unless @any. *@port is
 * the one that was bound. Until the first publishing every document answers 503. Owned.
 */
must_check_ int monitor_http_start(struct monitor_http **out, const char *address, bool any,
				   unsigned *port, struct vs_err *err);
void monitor_http_stopp(struct monitor_http **http);

/* New documents; their bytes are copied. */
void monitor_http_publish(struct monitor_http *http, bool is_well, struct slice health,
			  struct slice details, struct slice metrics);

/* ---- monitor-hook.c: what the operator wants done ---- */

struct monitor_event {
	const char *name; /* "degraded", "recovered", "error" */
	const char *store;
	const char *verdict;
	const char *message;
};

/*
 * Run @command by the shell with MONITOR_EVENT, MONITOR_STORE, MONITOR_VERDICT and MONITOR_MESSAGE,
 * its output on stderr. It and all it started are ended after @limit_s seconds. VS_EIO says what
 * became of it when that was no success.
 */
must_check_ int monitor_hook_run(const char *command, const struct monitor_event *event,
				 uint64_t limit_s, struct vs_err *err);

/* ---- sd-notify.c: the service manager ---- */

/* Send one message to the socket that $NOTIFY_SOCKET names; nothing where there is none. */
void sd_notify_send(const char *text);

/* How often the watchdog wants to hear of us, in nanoseconds; 0: not at all. */
int64_t sd_watchdog_ns(void);
