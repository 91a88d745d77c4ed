/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The older tool's log. Its reader drops a line that has a key more, or one less, or a word it does
 * not know, so a record is checked before it is written; it also drops a line that a crash cut
 * short, as long as the next one begins on a line of its own.
 */

#include "audit/audit-private.h"

#include <pwd.h>

#define ROLLBACK_LOG "rollback_audit.jsonl"

static bool is_one_of(const char *word, const char *const *words)
{
	for (; word && *words; words++) {
		if (strcmp(word, *words) == 0)
			return true;
	}
	return false;
}

static const char *shown(const char *word)
{
	return word ? word : "nothing";
}

static int check_words(const struct audit_rollback_record *rec, struct vs_err *err)
{
	static const char *const statuses[] = { "initiated", "verifying", "rolling_back",
						"completed", "failed",    NULL };
	static const char *const triggers[] = { "manual", "automatic", "time-based", NULL };
	static const char *const types[] = { "full", "partial", "point-in-time", NULL };

	if (!rec->action || !rec->snapshot_id)
		return vs_fail(err, VS_EUSAGE, "a rollback record needs an action and a snapshot");
	if (!is_one_of(rec->status, statuses))
		return vs_fail(err, VS_EUSAGE, "%s: not a status of a rollback",
			       shown(rec->status));
	if (!is_one_of(rec->trigger, triggers))
		return vs_fail(err, VS_EUSAGE, "%s: not what triggers a rollback",
			       shown(rec->trigger));
	if (!is_one_of(rec->rollback_type, types))
		return vs_fail(err, VS_EUSAGE, "%s: not a type of rollback",
			       shown(rec->rollback_type));
	return 0;
}

static void format_rollback(const struct audit_rollback_record *rec, int64_t now_ns,
			    struct buf *out)
{
	const struct passwd *user = getpwuid(geteuid());
	const char *const *name = rec->collections;
	char when[32];
	struct jw j;

	time_format(now_ns, false, when);
	jw_init(&j, out);
	jw_object(&j);
	jw_str_field(&j, "timestamp", when);
	jw_str_field(&j, "action", rec->action);
	jw_str_field(&j, "snapshot_id", rec->snapshot_id);
	jw_str_field(&j, "status", rec->status);
	jw_str_field(&j, "trigger", rec->trigger);
	jw_str_field(&j, "user", user ? user->pw_name : "unknown");
	jw_str_field(&j, "rollback_type", rec->rollback_type);
	jw_key(&j, "duration_seconds");
	jw_double(&j, rec->duration_s, 3);
	jw_key(&j, "collections_affected");
	jw_array(&j);
	for (; name && *name; name++)
		jw_str(&j, *name);
	jw_array_end(&j);
	jw_str_field(&j, "error_message", rec->error_message);
	jw_bool_field(&j, "rollback_success", rec->success);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

/* Close a line that a crash cut short. */
static int begin_line(int fd, struct buf *line, struct vs_err *err)
{
	struct file_info info;
	unsigned char last = '\n';
	int r;

	r = file_stat_fd(fd, &info, err);
	if (r < 0)
		return r;
	if (info.size > 0 && pread(fd, &last, 1, (off_t)info.size - 1) < 0)
		return vs_fail_errno(err, "cannot be read");
	if (last != '\n')
		buf_append_byte(line, '\n');
	return 0;
}

int audit_rollback(int state_dirfd, const struct vs_clock *clock,
		   const struct audit_rollback_record *rec, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	cleanup_(buf_fini) struct buf line = { 0 };
	int r;

	r = check_words(rec, err);
	if (r == 0)
		r = file_append_at(state_dirfd, ROLLBACK_LOG, 0600, &fd, err);
	if (r == 0)
		r = audit_lock(fd, false, err);
	if (r == 0)
		r = begin_line(fd, &line, err);
	if (r < 0)
		return vs_err_in(err, "%s", ROLLBACK_LOG);
	format_rollback(rec, clock_now_ns(clock), &line);
	r = file_write(fd, buf_slice(&line), err);
	if (r == 0)
		r = file_sync(fd, err);
	if (r == 0)
		r = file_sync_dir(state_dirfd, err);
	return r < 0 ? vs_err_in(err, "%s", ROLLBACK_LOG) : 0;
}
