/* SPDX-License-Identifier: Apache-2.0 */

/* Audit logs in memory. */

#include "kit/auditlog.h"

#include "kit/scratch.h"

#define FIRST_TIME_NS INT64_C(1769090589123456789)
#define STEP_NS INT64_C(1000000007)

void kit_log_init(struct kit_log *log, const unsigned char *first_key)
{
	*log = (struct kit_log){ .is_sealed = first_key != NULL, .key.seq = 1 };
	if (first_key)
		memcpy(log->key.bytes, first_key, AUDIT_KEY_LEN);
	log->starts = vs_grow(log->starts, &log->cap, 1, sizeof(*log->starts));
	log->starts[0] = 0;
}

void kit_log_fini(struct kit_log *log)
{
	buf_fini(&log->text);
	free(log->starts);
}

void kit_log_add(struct kit_log *log, const struct audit_record *rec)
{
	struct audit_place place = { .seq = log->head.seq + 1,
				     .prev = log->head.digest,
				     .time_ns = FIRST_TIME_NS + (int64_t)log->count * STEP_NS };
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	cleanup_(buf_fini) struct buf line = { 0 };
	size_t seal_at = audit_line_format(rec, &place, &line);

	if (log->is_sealed)
		seal_line(&log->key, ctx, seal_at, &line);
	seal_key_step(&log->key);
	log->head.seq = place.seq;
	digest_of(buf_slice(&line), &log->head.digest);
	buf_append(&log->text, line.ptr, line.len);
	buf_append_byte(&log->text, '\n');
	log->count++;
	log->starts = vs_grow(log->starts, &log->cap, log->count + 1, sizeof(*log->starts));
	log->starts[log->count] = log->text.len;
}

void kit_log_fill(struct kit_log *log, size_t count)
{
	static const char *const argv[] = { "vsctl", "repair", "-y", "/srv/store", NULL };
	static const char *const collections[] = { "ab5aa970", NULL };
	struct audit_record rec = { .action = "repair", .store = "/srv/store", .argv = argv };

	for (size_t i = 0; i < count; i++) {
		bool is_end = log->count % 2 == 1;

		rec.phase = is_end ? AUDIT_FINISHED : AUDIT_STARTED;
		rec.run = is_end ? "20260122T140309Z-repair" : NULL;
		rec.exit_status = is_end;
		rec.message = is_end ? "2 problems corrected: \"names\"" : NULL;
		rec.collections = is_end ? collections : NULL;
		kit_log_add(log, &rec);
	}
}

struct slice kit_log_line(const struct kit_log *log, size_t number)
{
	assert(number >= 1 && number <= log->count);
	return slice_of(log->text.ptr + log->starts[number - 1],
			log->starts[number] - log->starts[number - 1]);
}

void kit_log_save(const struct kit_log *log, int state_dirfd)
{
	struct vs_err err = { 0 };
	int r = 0;

	scratch_write(state_dirfd, AUDIT_LOG, log->text.ptr, log->text.len);
	if (log->head.seq > 0)
		r = audit_head_store(state_dirfd, &log->head, &err);
	if (r == 0 && log->is_sealed)
		r = seal_key_store(state_dirfd, &log->key, &err);
	assert(r == 0);
}

void kit_findings_add(void *kit_findings, const struct audit_finding *f)
{
	struct kit_findings *found = kit_findings;

	if (found->count < VS_COUNT(found->items)) {
		found->items[found->count].fault = f->fault;
		found->items[found->count].line = f->line;
		found->items[found->count].seq = f->seq;
	}
	found->count++;
}
