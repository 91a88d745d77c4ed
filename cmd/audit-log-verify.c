/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl audit-log verify`: has anybody changed the record of what was done? */

#include "audit-log.h"

#include "journal/journal.h"
#include "snap/snap.h"

#include <limits.h>

struct verify_opts {
	const char *state;
	const char *anchor;
	const char *key_file;
	bool no_snapshots;
};

static const struct opt options[] = {
	AUDIT_STATE_OPTION(struct verify_opts),
	OPT_TEXT("anchor", 0, struct verify_opts, anchor, "NUMBER:DIGEST",
		 "a head that was kept elsewhere: the log must hold that record"),
	OPT_FLAG("no-snapshots", 0, struct verify_opts, no_snapshots,
		 "do not hold the log against the heads that manifests of snapshots have"),
	OPT_FILE("key-file", 0, struct verify_opts, key_file, "FILE",
		 "the key that sealing began with: check every seal"),
	OPT_END,
};

/* A log with more findings than this is in pieces; they are counted all the same. */
#define FINDINGS_SHOWN 1000

#define FAULTS (AUDIT_FOREIGN + 1)

struct verification {
	struct app *app;
	const struct audit_scene *scene;
	const struct verify_opts *opts;
	struct audit_anchor anchors[AUDIT_ANCHORS_MAX];
	size_t snapshots;                /* whose heads are among the anchors */
	char *wheres[AUDIT_ANCHORS_MAX]; /* owned; what the anchors borrow */
	unsigned char key[AUDIT_KEY_LEN];
	struct audit_expect expect;
	struct audit_summary sum;
	struct kept_finding {
		enum audit_fault fault;
		uint64_t line, seq;
		char *detail;
	} * items;
	size_t count, cap;
	uint64_t seen[FAULTS]; /* findings of each kind */
	uint64_t findings;     /* that are no notes */
};

static void verification_fini(struct verification *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i].detail);
	free(v->items);
	for (size_t i = 0; i < v->expect.anchor_count; i++)
		free(v->wheres[i]);
	explicit_bzero(v->key, sizeof(v->key));
}

static void keep(void *ctx, const struct audit_finding *f)
{
	struct verification *v = ctx;

	v->seen[f->fault]++;
	v->findings += !audit_fault_is_note(f->fault);
	if (v->count == FINDINGS_SHOWN)
		return;
	v->items = vs_grow(v->items, &v->cap, v->count + 1, sizeof(*v->items));
	v->items[v->count++] =
		(struct kept_finding){ f->fault, f->line, f->seq, vs_strdup(f->detail) };
}

/* ---- what each kind means, and what to do about it ---- */

static const char *const meanings[FAULTS] = {
	[AUDIT_EDITED] = "a record was changed after it was written; what it said stands only in "
			 "copies of the log",
	[AUDIT_REMOVED] = "records were taken out of the log; runs of the journal and files below "
			  "logs tell of the same time",
	[AUDIT_REORDERED] = "records were moved; their numbers still give the order in which they "
			    "were written",
	[AUDIT_DUPLICATED] = "a record was put in again; the first of its number is the true one",
	[AUDIT_TRUNCATED] = "the newest records are gone; what they recorded was done all the same",
	[AUDIT_TORN] = "a power cut or a kill while a record was being appended; the next command "
		       "that writes sets the piece aside and says so",
	[AUDIT_UNREADABLE] = "no vsctl wrote such a line: it was damaged by the disk or by hand",
	[AUDIT_BAD_SEAL] =
		"a record was written or changed by somebody who did not have the key of "
		"its time, or the key file is not that of this log",
	[AUDIT_UNANCHORED] =
		"without its head nothing shows whether records are missing at the end; "
		"give --anchor with a head that was kept elsewhere",
	[AUDIT_AHEAD] =
		"a kill between a record and its head; the next command that writes catches "
		"up",
	[AUDIT_FOREIGN] = "the store was moved or copied together with its state directory, or the "
			  "state directory belongs to another store",
};

static void explain(struct verification *v)
{
	for (size_t i = 0; i < FAULTS; i++) {
		char head[32];

		if (v->seen[i] == 0)
			continue;
		snprintf(head, sizeof(head), "%s: ", audit_fault_name((enum audit_fault)i));
		emit_paragraph(&v->app->emit, 2,
			       audit_fault_is_note((enum audit_fault)i) ? EMIT_PLAIN : EMIT_BAD,
			       head, meanings[i]);
	}
}

/* One command, for the worst of what was found. Owned. */
static char *next_command(const struct verification *v, const char *head)
{
	const struct audit_scene *scene = v->scene;
	struct buf next = { 0 };

	if (v->findings > 0) {
		buf_append_str(&next, "cp -a ");
		text_shell_word(&next, scene->state);
		buf_append_byte(&next, ' ');
		text_shell_word(&next, scene->state);
		buf_append_str(&next, ".evidence");
	} else if (head[0] != '\0') {
		audit_scene_command(&next, scene, "audit-log verify");
		buf_printf(&next, " --anchor %s", head);
	} else {
		audit_scene_command(&next, scene, "verify");
	}
	return buf_take_str(&next);
}

/* ---- the report ---- */

static const char *verdict_word(const struct verification *v)
{
	if (v->findings > 0)
		return "tampered";
	if (v->sum.records > 0)
		return "whole";
	return v->sum.has_log ? "empty" : "absent";
}

static void headline(struct verification *v)
{
	struct emit *e = &v->app->emit;
	cleanup_(buf_fini) struct buf text = { 0 };
	char head[32];

	snprintf(head, sizeof(head), "%s: ", verdict_word(v));
	if (v->findings > 0) {
		text_count(&text, v->findings, "finding");
		buf_append_str(&text, " in ");
		text_count(&text, v->sum.records, "record");
		buf_append_str(&text, "; what the log says is no proof");
	} else if (v->sum.records > 0) {
		text_count(&text, v->sum.records, "record");
		buf_printf(&text, ", %.19sZ to %.19sZ, each with the digest of the one before it",
			   v->sum.first_time, v->sum.last_time);
	} else {
		buf_append_str(&text, "no command that writes has been given for this store");
	}
	emit_paragraph(e, 2, v->findings > 0 ? EMIT_BAD : EMIT_GOOD, head, buf_cstr(&text));
}

static const struct emit_field finding_fields[] = {
	{ .key = "kind", .heading = "kind" },
	{ .key = "line", .heading = "line", .is_number = true },
	{ .key = "record", .heading = "record", .is_number = true },
	{ .key = "is_note", .heading = NULL },
	{ .key = "detail", .heading = "what" },
	{ .key = "meaning", .heading = NULL },
	{ 0 },
};

static void show_findings(struct verification *v)
{
	struct emit *e = &v->app->emit;

	if (v->count == 0 && !e->is_json)
		return;
	emit_table(e, "findings", finding_fields);
	for (size_t i = 0; i < v->count; i++) {
		const struct kept_finding *f = &v->items[i];
		bool is_note = audit_fault_is_note(f->fault);

		emit_styled(e, is_note ? EMIT_PLAIN : EMIT_BAD, audit_fault_name(f->fault));
		emit_uint(e, f->line);
		if (f->seq > 0)
			emit_uint(e, f->seq);
		else
			emit_null(e);
		emit_bool(e, is_note);
		emit_text(e, f->detail);
		emit_str(e, meanings[f->fault]);
	}
	emit_table_end(e);
}

static void show_snapshots(struct verification *v)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	emit_json_uint(&v->app->emit, "snapshots_checked", v->snapshots);
	if (v->snapshots == 0)
		return;
	text_count(&text, v->snapshots, "snapshot");
	emit_line(&v->app->emit, "held against the heads in the manifests of %s", buf_cstr(&text));
}

static void show_seals(struct verification *v)
{
	struct emit *e = &v->app->emit;
	bool is_checked = v->expect.first_key != NULL;

	emit_json_bool(e, "seals_checked", is_checked);
	if (v->sum.sealed_from == 0) {
		emit_json_null(e, "sealed_from");
		return;
	}
	emit_json_uint(e, "sealed_from", v->sum.sealed_from);
	emit_line(e, "sealed from record %" PRIu64 " on; the seals %s", v->sum.sealed_from,
		  !is_checked       ? "were not checked: give --key-file"
		  : v->findings > 0 ? "were checked"
				    : "fit the key");
}

static void report(struct verification *v)
{
	struct emit *e = &v->app->emit;
	char head[AUDIT_HEAD_TEXT_LEN + 1] = "";
	cleanup_(vs_freep) char *next = NULL;

	if (v->sum.end.seq > 0)
		audit_head_format(&v->sum.end, head);
	next = next_command(v, v->findings > 0 ? "" : head);
	emit_document(e, v->app->command_words);
	audit_scene_emit(e, v->scene);
	emit_json_str(e, "verdict", verdict_word(v));
	headline(v);
	emit_json_uint(e, "records", v->sum.records);
	emit_json_str(e, "first_time", v->sum.first_time[0] ? v->sum.first_time : NULL);
	emit_json_str(e, "last_time", v->sum.last_time[0] ? v->sum.last_time : NULL);
	emit_json_str(e, "head", head[0] ? head : NULL);
	emit_json_bool(e, "head_proven", v->sum.is_end_proven);
	emit_json_bool(e, "anchor_checked", v->opts->anchor != NULL);
	show_snapshots(v);
	show_seals(v);
	emit_json_uint(e, "finding_count", v->findings);
	show_findings(v);
	explain(v);
	if (v->findings > 0)
		emit_line(e, "keep what there is before another command writes to it");
	else if (head[0] != '\0')
		emit_line(e, "keep the head elsewhere: it shows later whether the log was cut or "
			     "written anew");
	emit_line(e, "next: %s", next);
	emit_json_str(e, "next", next);
	emit_document_end(e);
}

/* ---- the run ---- */

/* A journal with runs in it knows that there were records, whatever became of them. */
static bool has_history(int state_dirfd)
{
	struct journal_run_info *runs = NULL;
	struct vs_err ignored = { 0 };
	size_t count = 0;

	if (journal_list(state_dirfd, &runs, &count, &ignored) < 0)
		return false;
	journal_list_free(runs, count);
	return count > 0;
}

static void add_anchor(struct verification *v, const struct audit_head *head, const char *where)
{
	size_t at = v->expect.anchor_count++;

	assert(at < AUDIT_ANCHORS_MAX);
	v->wheres[at] = vs_strdup(where);
	v->anchors[at] = (struct audit_anchor){ *head, v->wheres[at] };
	v->expect.anchors = v->anchors;
}

/*
 * Each snapshot's manifest has the head of its time; the newest say most. A manifest that cannot be
 * read has nothing to say here.
 */
static void add_snapshots(struct verification *v)
{
	struct snap_list list = { 0 };
	struct vs_err err = { 0 };

	if (snap_list_load(&list, v->scene->state_dirfd, &err) < 0)
		app_note(v->app, "snapshots were not asked for heads: %s", err.text);
	for (size_t i = list.count; i > 0 && v->expect.anchor_count < AUDIT_ANCHORS_MAX; i--) {
		const struct snap_manifest *m = list.entries[i - 1].m;
		struct audit_head head = { 0 };
		char where[256];

		if (!m || m->audit_seq == 0)
			continue;
		head.seq = m->audit_seq;
		head.digest = m->audit_digest;
		snprintf(where, sizeof(where), "the manifest of %s", m->id);
		add_anchor(v, &head, where);
		v->snapshots++;
	}
	snap_list_fini(&list);
}

static int read_options(struct verification *v)
{
	struct audit_head anchor;
	struct vs_err err = { 0 };

	if (v->opts->anchor && !audit_head_parse(v->opts->anchor, &anchor))
		return app_usage(v->app, "--anchor takes a head as NUMBER:DIGEST, with 64 "
					 "hexadecimal digits, as vsctl audit-log verify prints it");
	if (v->opts->key_file && seal_file_load(v->opts->key_file, v->key, &err) < 0)
		return app_error(v->app, &err);
	if (v->opts->anchor)
		add_anchor(v, &anchor, "the anchor");
	v->expect.first_key = v->opts->key_file ? v->key : NULL;
	return -1;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	cleanup_(audit_scene_fini) struct audit_scene scene = { .state_dirfd = -1 };
	cleanup_(verification_fini) struct verification v = { .app = app,
							      .scene = &scene,
							      .opts = opts_ };
	struct vs_err err = { 0 };
	int status;

	status = read_options(&v);
	if (status < 0)
		status = audit_scene_open(&scene, app, operands[0], v.opts->state);
	if (status >= 0)
		return status;
	v.expect.store = scene.store;
	if (scene.state_dirfd >= 0 && !v.opts->no_snapshots)
		add_snapshots(&v);
	v.expect.has_history = scene.state_dirfd >= 0 && has_history(scene.state_dirfd);
	if (scene.state_dirfd >= 0 &&
	    audit_check(scene.state_dirfd, &v.expect, keep, &v, &v.sum, &err) < 0)
		return app_error(app, &err);
	if (scene.state_dirfd < 0 && v.opts->anchor)
		keep(&v, &(struct audit_finding){ AUDIT_TRUNCATED, 1, 1,
						  "there is no log, and the anchor knows of one" });
	report(&v);
	return v.findings > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl audit-log verify /var/lib/app/store", "every record, and how the log ends" },
	{ "vsctl audit-log verify --key-file /mnt/usb/seal.key /var/lib/app/store",
	  "every seal as well" },
	{ NULL, NULL },
};

const struct command cmd_audit_log_verify = {
	.name = "verify",
	.operands = "STORE",
	.summary = "say whether the log was edited, cut, reordered or written anew",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct verify_opts),
	.run = run,
};
