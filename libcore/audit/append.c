/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Appending. The order is what makes it safe: line, sync, key, head. Whatever a crash leaves
 * between two of them is ended by the next append (tail.c looks, audit_log_open() acts), and only
 * what the head does not vouch for is ever taken out of the log, into a file beside it.
 */

#include "audit/audit-private.h"

#include <fcntl.h>

#define LOCK_WAIT_NS (INT64_C(30) * 1000000000)
#define LOCK_POLL_NS 2000000L

/* A key that is further behind than this was not left by a crash. */
#define KEY_STEPS_MAX ((uint64_t)1 << 20)

int audit_lock(int fd, bool is_shared, struct vs_err *err)
{
	struct flock want = { .l_type = is_shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	int64_t give_up = clock_elapsed_ns() + LOCK_WAIT_NS;

	while (fcntl(fd, F_OFD_SETLK, &want) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return vs_fail_errno(err, "cannot lock %s", AUDIT_LOG);
		if (clock_elapsed_ns() >= give_up)
			return vs_fail(err, VS_EBUSY, "%s: another process keeps it locked",
				       AUDIT_LOG);
		nanosleep(&(struct timespec){ .tv_nsec = LOCK_POLL_NS }, NULL);
	}
	return 0;
}

void audit_log_fini(struct audit_log *log)
{
	file_closep(&log->fd);
	seal_key_fini(&log->key);
	buf_fini(&log->notice);
	digest_ctx_freep(&log->ctx);
}

static void add_notice(struct audit_log *log, const char *fmt, ...) printf_(2, 3);

static void add_notice(struct audit_log *log, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buf_append_str(&log->notice, log->notice.len > 0 ? "; " : "");
	buf_append_str(&log->notice, text);
}

/* ---- where the chain goes on ---- */

static bool same_digest(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

/* Is the last line the one that a crash kept from becoming the head? */
static bool follows_head(const struct audit_tail *tail, const struct audit_head *head)
{
	return tail->seq == head->seq + 1 && same_digest(&tail->prev, &head->digest);
}

/*
 * Take the last line for the head where it is newer. Where it is not the head's, whatever the
 * reason, the head stays: the next record then shows that something is missing before it.
 */
static int settle_head(struct audit_log *log, const struct audit_tail *tail, struct vs_err *err)
{
	struct audit_head *head = &log->head;

	if (tail->seq == head->seq && same_digest(&tail->digest, &head->digest))
		return 0;
	if (tail->seq <= head->seq) {
		add_notice(log,
			   "the log does not end with record %" PRIu64
			   ", which was its last: it has been changed",
			   head->seq);
		return 0;
	}
	/* An unreadable head has its notice already. */
	if (!follows_head(tail, head) && log->notice.len == 0)
		add_notice(log, "%s was at record %" PRIu64 " while the log went on to %" PRIu64,
			   AUDIT_HEAD, head->seq, tail->seq);
	*head = (struct audit_head){ tail->seq, tail->digest };
	return audit_head_store(log->state_dirfd, head, err);
}

/*
 * Bring the key to the record that comes next. Without a key that can be used appending goes on
 * unsealed: keeping a record matters more, and audit_verify() sees a seal that is missing.
 */
static int settle_key(struct audit_log *log, const struct audit_tail *tail, struct vs_err *err)
{
	int r = seal_key_load(log->state_dirfd, &log->key, err);

	if (r < 0 && r != VS_EFORMAT)
		return r;
	if (r > 0 && log->key.seq > log->next) {
		add_notice(log,
			   "%s has moved on to record %" PRIu64 " while the log ends at %" PRIu64,
			   AUDIT_KEY, log->key.seq, log->next - 1);
		log->next = log->key.seq;
	}
	log->has_key = r > 0 && log->next - log->key.seq <= KEY_STEPS_MAX;
	if (!log->has_key && tail->is_sealed)
		add_notice(log, "there is no %s that fits, so nothing is sealed from here on",
			   AUDIT_KEY);
	if (!log->has_key || log->key.seq == log->next)
		return 0;
	while (log->key.seq < log->next)
		seal_key_step(&log->key);
	/* At once: a second crash would leave it two records behind, as nothing honest does. */
	return seal_key_store(log->state_dirfd, &log->key, err);
}

/* ---- what a crash left behind the last whole line ---- */

static void torn_name(uint64_t seq, char out[48])
{
	snprintf(out, 48, AUDIT_TORN_PREFIX "%" PRIu64, seq);
}

/*
 * Copy the incomplete line into its own file and take it out of the log. Killed in between, the
 * bytes are in both places, and are copied again: the file may hold them twice, never not.
 */
static int set_aside(struct audit_log *log, const struct audit_tail *tail, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[48];
	int r;

	torn_name(log->next, name);
	r = file_append_at(log->state_dirfd, name, 0600, &fd, err);
	if (r == 0)
		r = file_write(fd, buf_slice(&tail->torn), err);
	if (r == 0)
		r = file_write(fd, slice_str("\n"), err);
	if (r == 0)
		r = file_sync(fd, err);
	if (r == 0)
		r = file_sync_dir(log->state_dirfd, err);
	if (r == 0)
		r = file_truncate(log->fd, tail->end, err);
	if (r == 0)
		r = file_sync(log->fd, err);
	if (r < 0)
		return vs_err_in(err, "%s", name);
	log->size = tail->end;
	return 0;
}

/* Longer than any line of ours: it stays where it is, as a line that nobody can read. */
static int close_line(struct audit_log *log, struct vs_err *err)
{
	int r = file_write(log->fd, slice_str("\n"), err);

	if (r < 0)
		return r;
	log->size++;
	add_notice(log, "the log ended with too many bytes without a newline");
	return 0;
}

/*
 * A file for the record that comes next says that something was set aside and nobody was told yet,
 * whether just now or by a process that was killed over it.
 */
static int notice_torn(struct audit_log *log, struct vs_err *err)
{
	struct vs_err absent = { 0 };
	struct file_info info;
	char name[48];
	int r;

	torn_name(log->next, name);
	r = file_stat_at(log->state_dirfd, name, FILE_NO_FOLLOW, &info, &absent);
	if (r == 0)
		add_notice(log, "an incomplete record was set aside as %s", name);
	if (r < 0 && r != VS_ENOENT) {
		*err = absent;
		return r;
	}
	return 0;
}

static int settle(struct audit_log *log, struct vs_err *err)
{
	cleanup_(audit_tail_fini) struct audit_tail tail = { 0 };
	int r;

	r = audit_head_load(log->state_dirfd, &log->head, err);
	if (r == VS_EFORMAT)
		add_notice(log, "%s could not be read", AUDIT_HEAD);
	else if (r < 0)
		return r;
	r = audit_tail_load(&tail, log->fd, log->size, &log->head, err);
	if (r == 0)
		r = settle_head(log, &tail, err);
	if (r < 0)
		return r;
	log->was_sealed = tail.is_sealed;
	log->next = log->head.seq + 1;
	r = settle_key(log, &tail, err);
	if (r == 0 && tail.is_endless)
		r = close_line(log, err);
	else if (r == 0 && tail.torn.len > 0)
		r = set_aside(log, &tail, err);
	return r < 0 ? r : notice_torn(log, err);
}

int audit_log_open(struct audit_log *log, int state_dirfd, struct vs_err *err)
{
	struct file_info info = { 0 };
	int r;

	*log = (struct audit_log){ .state_dirfd = state_dirfd, .fd = -1 };
	log->ctx = digest_ctx_new();
	r = file_append_at(state_dirfd, AUDIT_LOG, 0600, &log->fd, err);
	if (r == 0)
		r = audit_lock(log->fd, false, err);
	if (r == 0)
		r = file_stat_fd(log->fd, &info, err);
	if (r < 0)
		return r;
	if (info.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "%s: not a regular file", AUDIT_LOG);
	log->size = info.size;
	r = settle(log, err);
	return r < 0 ? vs_err_in(err, "audit log") : 0;
}

/* ---- one record ---- */

static void format_line(struct audit_log *log, const struct vs_clock *clock,
			const struct audit_record *rec, struct buf *line)
{
	struct audit_place place = { .seq = log->next,
				     .prev = log->head.digest,
				     .time_ns = clock_now_ns(clock) };
	size_t seal_at = audit_line_format(rec, &place, line);

	if (log->has_key)
		seal_line(&log->key, log->ctx, seal_at, line);
	assert(line->len < AUDIT_LINE_MAX);
}

static int write_line(struct audit_log *log, struct buf *line, struct vs_err *err)
{
	struct vs_err ignored = { 0 };
	int r;

	buf_append_byte(line, '\n');
	r = file_write(log->fd, buf_slice(line), err);
	if (r == 0)
		r = file_sync(log->fd, err);
	if (r == 0) {
		log->size += line->len;
		return 0;
	}
	/* What this leaves if it fails as well, the next append sets aside. */
	(void)!file_truncate(log->fd, log->size, &ignored);
	return r;
}

static int append_one(struct audit_log *log, const struct vs_clock *clock,
		      const struct audit_record *rec, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf line = { 0 };
	struct audit_head head = { .seq = log->next };
	int r;

	if (log->next >= AUDIT_SEQ_MAX)
		return vs_fail(err, VS_ELIMIT, "%s: no sequence numbers are left", AUDIT_LOG);
	format_line(log, clock, rec, &line);
	digest_of(buf_slice(&line), &head.digest);
	r = write_line(log, &line, err);
	if (r < 0)
		return r;
	log->head = head;
	log->next++;
	if (log->has_key) {
		seal_key_step(&log->key);
		r = seal_key_store(log->state_dirfd, &log->key, err);
	}
	return r < 0 ? r : audit_head_store(log->state_dirfd, &head, err);
}

int audit_log_append(struct audit_log *log, const struct vs_clock *clock,
		     const struct audit_record *rec, struct vs_err *err)
{
	struct audit_record notice = { .phase = AUDIT_RECOVERED,
				       .action = "audit-log",
				       .store = rec->store };
	int r = 0;

	if (log->notice.len > 0) {
		notice.message = buf_cstr(&log->notice);
		r = append_one(log, clock, &notice, err);
	}
	if (r == 0)
		r = append_one(log, clock, rec, err);
	if (r < 0)
		return vs_err_in(err, "audit log");
	buf_clear(&log->notice);
	return 0;
}

int audit_append(int state_dirfd, const struct vs_clock *clock, const struct audit_record *rec,
		 struct vs_err *err)
{
	cleanup_(audit_log_fini) struct audit_log log = { .fd = -1 };
	int r;

	r = audit_log_open(&log, state_dirfd, err);
	return r < 0 ? r : audit_log_append(&log, clock, rec, err);
}
