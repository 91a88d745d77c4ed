/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a session writes down: records in the audit log, which are proof, and lines in the log of
 * the run, which are for people. A change has a record before it begins and one when it ends;
 * whatever else ends a session has one.
 */

#include "repair/session-private.h"

/* ---- the log of this run ---- */

void session_note(struct session *s, const char *text)
{
	oplog_add(s->log, OPLOG_WARNING, "%s", text);
	if (s->opts.note)
		s->opts.note(s->opts.note_ctx, text);
}

void session_log_start(struct session *s)
{
	cleanup_(buf_fini) struct buf words = { 0 };

	for (const char *const *word = s->opts.argv; word && *word; word++) {
		buf_append_str(&words, words.len > 0 ? " " : "");
		text_quote(&words, slice_str(*word));
	}
	oplog_add(s->log, OPLOG_INFO, "command line: %s", buf_cstr(&words));
	oplog_add(s->log, OPLOG_INFO, "store: %s", s->store_path);
}

void session_log_plan(struct session *s, const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct action *a = &plan->actions[i];

		oplog_add(s->log, OPLOG_INFO, "plan: %s %s%s%s%s%s", a->what, a->path,
			  a->to ? " to " : "", a->to ? a->to : "", a->detail ? ": " : "",
			  a->detail ? a->detail : "");
	}
	for (size_t i = 0; i < plan->leftover_count; i++) {
		const struct plan_leftover *left = &plan->leftovers[i];

		oplog_add(s->log, OPLOG_INFO, "left alone: %s %s: %s", left->code, left->path,
			  left->why);
	}
}

void session_log_result(struct session *s, const struct apply_result *result, int r)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	if (result->run[0] != '\0')
		oplog_add(s->log, OPLOG_INFO, "journal: run %s", result->run);
	if (result->is_taken_back)
		oplog_add(s->log, OPLOG_WARNING,
			  "the result did not verify: everything was taken back");
	if (r < 0)
		return;
	buf_append_str(&text, "verified: ");
	text_count(&text, result->after.documents, "document");
	buf_append_str(&text, ", ");
	text_count(&text, result->before.errors, "error");
	buf_append_str(&text, " before, ");
	text_count(&text, result->after.errors, "error");
	oplog_add(s->log, OPLOG_INFO, "%s now", buf_cstr(&text));
}

void session_log_end(struct session *s)
{
	struct vs_err err = { 0 };

	if (oplog_end(s->log, &err) < 0 && s->opts.note)
		s->opts.note(s->opts.note_ctx, err.text);
}

/* ---- records ---- */

void session_change_fini(struct session_change *change)
{
	free(change->collections);
}

static bool has_collection(const struct session_change *change, const char *name)
{
	for (size_t i = 0; i < change->count; i++) {
		if (strcmp(change->collections[i], name) == 0)
			return true;
	}
	return false;
}

/* More names than a record can hold are not looked for among each other either. */
#define COLLECTIONS_MAX 1000

void session_change_collections(struct session_change *change, const struct plan *plan)
{
	for (size_t i = 0; i < plan->count && change->count < COLLECTIONS_MAX; i++) {
		const char *name = plan->actions[i].collection;

		if (!name || has_collection(change, name))
			continue;
		change->collections = vs_grow(change->collections, &change->cap, change->count + 2,
					      sizeof(*change->collections));
		change->collections[change->count++] = name;
		change->collections[change->count] = NULL;
	}
}

void session_digest(struct session *s, unsigned jobs, char out[DIGEST_HEX_LEN + 1])
{
	struct digest digest;
	struct vs_err err = { 0 };
	char text[sizeof(err.text) + 64];

	out[0] = '\0';
	if (audit_tree_digest(s->tree, s->store->dirfd, jobs > 0 ? jobs : cpu_count(), &digest,
			      &err) == 0) {
		digest_format(&digest, out);
		return;
	}
	snprintf(text, sizeof(text), "no digest of the store goes into the audit log: %s",
		 err.text);
	session_note(s, text);
}

static enum oplog_level level_of(enum audit_phase phase)
{
	switch (phase) {
	case AUDIT_FAILED:
	case AUDIT_REFUSED:
		return OPLOG_ERROR;
	case AUDIT_CANCELLED:
	case AUDIT_RECOVERED:
	case AUDIT_ALERT:
		return OPLOG_WARNING;
	case AUDIT_STARTED:
	case AUDIT_FINISHED:
	case AUDIT_DRY_RUN:
		break;
	}
	return OPLOG_INFO;
}

static void log_phase(struct session *s, enum audit_phase phase, int exit_status,
		      const char *message)
{
	const char *colon = message ? ": " : "";
	const char *text = message ? message : "";

	if (phase == AUDIT_FINISHED || phase == AUDIT_FAILED || phase == AUDIT_REFUSED)
		oplog_add(s->log, level_of(phase), "%s, status %d%s%s", audit_phase_name(phase),
			  exit_status, colon, text);
	else
		oplog_add(s->log, level_of(phase), "%s%s%s", audit_phase_name(phase), colon, text);
}

static const char *text_or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

int session_append(struct session *s, enum audit_phase phase, int exit_status, const char *message,
		   const struct session_change *change, struct vs_err *err)
{
	struct audit_record rec = {
		.phase = phase,
		.action = s->opts.command,
		.store = s->store_path,
		.argv = s->opts.argv,
		.exit_status = exit_status,
		.message = message,
	};
	int r;

	if (change) {
		rec.run = change->run;
		rec.collections = change->collections;
		rec.digest_before = text_or_null(change->before);
		rec.digest_after = text_or_null(change->after);
	}
	oplog_begin(s->log, s->state_dirfd);
	log_phase(s, phase, exit_status, message);
	r = audit_append(s->state_dirfd, s->opts.clock, &rec, err);
	if (r < 0)
		oplog_add(s->log, OPLOG_ERROR, "not in the audit log: %s", err->text);
	s->has_outcome = s->has_outcome || (phase != AUDIT_STARTED && phase != AUDIT_RECOVERED);
	return r;
}

int session_record(struct session *s, enum audit_phase phase, int exit_status, const char *message,
		   struct vs_err *err)
{
	return session_append(s, phase, exit_status, message, NULL, err);
}

void session_refused(struct session *s, int exit_status, const char *why)
{
	struct vs_err err = { 0 };

	if (s->has_outcome)
		return;
	if (session_append(s, AUDIT_REFUSED, exit_status, why, NULL, &err) < 0)
		session_note(s, err.text);
}

/* As fsck(8) has it, and as the commands do: a request that makes no sense, or anything else. */
int session_status_of(int r)
{
	return r == VS_EUSAGE ? 16 : 8;
}
