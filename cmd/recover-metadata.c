/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl recover-metadata`: write lost metadata files anew, under the names that the hashes prove.
 */

#include "change.h"
#include "key.h"

#include "chromem/chromem.h"
#include "lookup/lookup.h"

#include <fcntl.h>

struct recover_opts {
	struct change_opts change;
	const char *prove;
	bool all;
	bool force_name;
	bool in_quarantine;
	const char *name;
	const char *names;
	const char *mask;
	const char *from_snapshot;
	const char *key_file;
};

static const struct opt options[] = {
	CHANGE_OPTIONS(struct recover_opts),
	OPT_FLAG("all", 0, struct recover_opts, all,
		 "every collection that needs it; the default when none is named"),
	OPT_TEXT("name", 0, struct recover_opts, name, "NAME",
		 "the name of the one collection that is given"),
	OPT_FLAG("force-name", 0, struct recover_opts, force_name,
		 "use --name although its hash is not the directory"),
	OPT_FILE("names", 0, struct recover_opts, names, "FILE",
		 "try the names in FILE as well, one a line"),
	OPT_TEXT("mask", 0, struct recover_opts, mask, "MASK",
		 "try every name of a mask, such as ?l?l?l_memories"),
	OPT_TEXT("from-snapshot", 0, struct recover_opts, from_snapshot, "SNAPSHOT",
		 "take names and metadata from this snapshot of the store"),
	OPT_FILE("key-file", 0, struct recover_opts, key_file, "FILE",
		 "the 32 bytes of the key of an encrypted snapshot"),
	OPT_FLAG("in-quarantine", 0, struct recover_opts, in_quarantine,
		 "collections that are in quarantine"),
	OPT_TEXT("prove", 0, struct recover_opts, prove, "CMD",
		 "run CMD on a copy of the result, and take everything back when it fails"),
	OPT_END,
};

/* The collections whose names are wanted. */
struct targets {
	struct target {
		char *collection; /* directory, or ".quarantine/ITEM" */
		char *reason;     /* problem code; NULL when a person asked */
		uint32_t hash;
	} * items;
	size_t count, cap;
};

static void targets_fini(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->items[i].collection);
		free(t->items[i].reason);
	}
	free(t->items);
}

static void add_target(struct targets *t, const char *collection, const char *reason)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->items[i].collection, collection) == 0)
			return;
	}
	t->items = vs_grow(t->items, &t->cap, t->count + 1, sizeof(*t->items));
	t->items[t->count] = (struct target){
		.collection = vs_strdup(collection),
		.reason = reason ? vs_strdup(reason) : NULL,
	};
	(void)!names_hash_of(collection, &t->items[t->count].hash);
	t->count++;
}

static void add_finding(void *ctx, const struct finding *f)
{
	const struct problem_row *row = problem_row(f->code);

	if (row->remedy == REMEDY_RECOVER_METADATA && row->severity > SEV_INFO && f->collection)
		add_target(ctx, f->collection, row->code);
}

static int targets_from_findings(struct change *c, struct targets *t, struct vs_err *err)
{
	const struct check_sink sink = { .ctx = t, .finding = add_finding };
	struct check_request req = c->check;
	struct check_summary sum = { 0 };

	req.max_findings = 0;
	return check_store(c->store, &req, &sink, &sum, err);
}

static int add_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	char path[600];

	(void)err;
	if (!item->is_files) {
		snprintf(path, sizeof(path), ".quarantine/%s", item->name);
		add_target(ctx, path, NULL);
	}
	return 0;
}

/* A named collection: its directory, the directory of its name's hash, or an item of the
 * quarantine. */
static int add_named(struct change *c, const struct recover_opts *opts, struct targets *t,
		     const char *operand, struct vs_err *err)
{
	cleanup_(quarantine_item_fini) struct quarantine_item item = { 0 };
	char path[600];
	struct file_info info;
	char hash[CHROMEM_ID_LEN + 1];
	int r;

	if (opts->in_quarantine) {
		r = quarantine_find(c->store, operand, &item, err);
		if (r < 0)
			return r;
		snprintf(path, sizeof(path), ".quarantine/%s", item.name);
		add_target(t, path, NULL);
		return 0;
	}
	if (strchr(operand, '/'))
		return vs_fail(err, VS_EUSAGE, "%s: not a collection", operand);
	if (file_stat_at(c->store->dirfd, operand, FILE_NO_FOLLOW, &info, err) < 0) {
		chromem_hash_format(chromem_hash(slice_str(operand)), hash);
		if (file_stat_at(c->store->dirfd, hash, FILE_NO_FOLLOW, &info, err) < 0)
			return vs_fail(err, VS_EUSAGE, "%.200s: the store has no such collection",
				       operand);
		operand = hash;
	}
	if (info.type != FILE_DIRECTORY)
		return vs_fail(err, VS_EUSAGE, "%s: not a collection directory", operand);
	add_target(t, operand, NULL);
	return 0;
}

static int choose_targets(struct change *c, const struct recover_opts *opts, char *const *operands,
			  struct targets *t, struct vs_err *err)
{
	int r = 0;

	for (; *operands && r == 0; operands++)
		r = add_named(c, opts, t, *operands, err);
	if (r < 0 || t->count > 0)
		return r;
	return opts->in_quarantine ? quarantine_list(c->store, add_item, t, err)
				   : targets_from_findings(c, t, err);
}

/* ---- the search ---- */

static int search_words(struct lookup *l, const char *path, struct vs_err *err)
{
	cleanup_(file_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return vs_fail_errno(err, "%s", path);
	return lookup_try_words(l, fd, path, true, NULL, err) < 0 ? err->status : 0;
}

static int search_mask(struct lookup *l, const char *text, struct vs_err *err)
{
	cleanup_(mask_freep) struct mask *mask = NULL;

	if (mask_parse(&mask, text, NULL, err) < 0)
		return err->status;
	(void)!lookup_try_mask(l, mask);
	return 0;
}

static int search(struct change *c, const struct recover_opts *opts, const struct targets *t,
		  struct lookup *l, struct vs_err *err)
{
	cleanup_(vs_freep) struct name_target *wanted = vs_alloc_array(t->count, sizeof(*wanted));
	int r;

	for (size_t i = 0; i < t->count; i++)
		wanted[i] = (struct name_target){ t->items[i].collection, t->items[i].hash };
	if (opts->name)
		lookup_add_name(l, LOOKUP_GIVEN, slice_str(opts->name), "given with --name");
	r = names_gather(l, c->store, session_state_dirfd(c->session), wanted, t->count, err);
	if (r < 0)
		return r;
	lookup_try_seen(l);
	lookup_try_composed(l);
	if (opts->names && lookup_open_count(l) > 0)
		r = search_words(l, opts->names, err);
	if (r == 0 && opts->mask && lookup_open_count(l) > 0)
		r = search_mask(l, opts->mask, err);
	return r;
}

static int plan_target(struct change *c, const struct recover_opts *opts, const struct target *t,
		       struct slice name, const char *evidence, const struct chromem_meta *archived,
		       struct vs_err *err)
{
	struct recover_request req = {
		.collection = t->collection,
		.name = name,
		.evidence = evidence,
		.reason = t->reason,
		.state_dirfd = session_state_dirfd(c->session),
		.archived = archived,
		.force_name = opts->force_name,
		.time_ns = clock_now_ns(c->app->clock),
	};
	struct chromem_form form = { 0 };
	int r;

	r = chromem_detect_form(c->store->dirfd, &form, err);
	if (r < 0)
		return r;
	req.default_form = form.compression;
	return plan_recover(&c->plan, c->store, &req, err);
}

static void leave_target(struct change *c, const struct target *t,
			 const struct lookup_answer *answer)
{
	cleanup_(buf_fini) struct buf why = { 0 };
	cleanup_(buf_fini) struct buf fix = { 0 };

	if (answer->count == 0) {
		buf_printf(&why, "no name found (%" PRIu64 " tried)", answer->tried);
		buf_append_str(&fix, "vsctl recover-metadata --names FILE STORE ");
	} else {
		buf_append_str(&why, answer->verdict == LOOKUP_AMBIGUOUS
					     ? "more than one name fits:"
					     : "a name fits that is not certain:");
		for (size_t i = 0; i < answer->count && i < 8; i++) {
			buf_append_byte(&why, ' ');
			text_escape(&why, slice_of(answer->candidates[i].name,
						   answer->candidates[i].name_len));
		}
		buf_append_str(&fix, "vsctl recover-metadata --name NAME STORE ");
	}
	text_shell_word(&fix, t->collection);
	plan_leave(&c->plan, t->reason ? t->reason : "name-unknown", t->collection, buf_cstr(&why),
		   buf_cstr(&fix));
}

/* ---- from a snapshot ---- */

static int plan_archived(struct change *c, const struct recover_opts *opts,
			 const struct snap_access *access, const struct snap_manifest *m,
			 const struct target *t, struct vs_err *err)
{
	cleanup_(archived_meta_fini) struct archived_meta found = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };
	int r;

	r = archived_meta_load(access, m, t->collection, &found, err);
	if (r < 0)
		return r;
	if (r > 0) {
		cleanup_(buf_fini) struct buf fix = { 0 };

		buf_printf(&text, "snapshot %s has no metadata of it", m->id);
		buf_append_str(&fix, "vsctl recover-metadata STORE ");
		text_shell_word(&fix, t->collection);
		plan_leave(&c->plan, t->reason ? t->reason : "name-unknown", t->collection,
			   buf_cstr(&text), buf_cstr(&fix));
		return 0;
	}
	buf_printf(&text, "snapshot %s, ", m->id);
	text_escape(&text, slice_str(found.path));
	return plan_target(c, opts, t, found.meta.name, buf_cstr(&text), &found.meta, err);
}

/* The snapshot says what a name was: nothing is searched, and no other source is asked. */
static int plan_from_snapshot(struct change *c, const struct recover_opts *opts,
			      const struct targets *t, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	unsigned char key[CHROMEM_KEY_LEN];
	struct snap_access access = { .state_dirfd = session_state_dirfd(c->session),
				      .jobs = app_jobs(c->app) };
	int r = 0;

	if (access.state_dirfd < 0)
		return vs_fail(err, VS_ENOENT, "there is no snapshot %s: %s does not exist",
			       opts->from_snapshot, session_state_path(c->session));
	if (opts->key_file) {
		r = key_load(opts->key_file, key, err);
		access.key = key;
	}
	if (r == 0)
		r = snap_load(access.state_dirfd, opts->from_snapshot, &m, err);
	if (r == 0)
		r = archived_check_store(m, c->store, err);
	if (r == 0)
		r = snap_load_members(access.state_dirfd, m, err);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = plan_archived(c, opts, &access, m, &t->items[i], err);
	return r == 0 ? plan_stamp(&c->plan, c->store->dirfd, err) : r;
}

static int make_plan(struct change *c, const struct recover_opts *opts, const struct targets *t,
		     struct vs_err *err)
{
	cleanup_(vs_freep) uint32_t *hashes = vs_alloc_array(t->count, sizeof(*hashes));
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(c->app));
	struct lookup_request req = {
		.hashes = hashes, .count = t->count, .pool = pool, .engine = hash_engine_best()
	};
	cleanup_(lookup_freep) struct lookup *l = NULL;
	int r;

	for (size_t i = 0; i < t->count; i++)
		hashes[i] = t->items[i].hash;
	l = lookup_new(&req);
	r = search(c, opts, t, l, err);
	for (size_t i = 0; r == 0 && i < t->count; i++) {
		struct lookup_answer answer = { 0 };

		lookup_answer(l, hashes[i], &answer);
		if (opts->name)
			r = plan_target(c, opts, &t->items[i], slice_str(opts->name),
					"given with --name", NULL, err);
		else if (answer.verdict == LOOKUP_FOUND)
			r = plan_target(
				c, opts, &t->items[i],
				slice_of(answer.candidates[0].name, answer.candidates[0].name_len),
				answer.candidates[0].evidence[0], NULL, err);
		else
			leave_target(c, &t->items[i], &answer);
	}
	return r == 0 ? plan_stamp(&c->plan, c->store->dirfd, err) : r;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct recover_opts *opts = opts_;
	cleanup_(change_fini) struct change c = { .corrects = true, .prove = opts->prove };
	cleanup_(targets_fini) struct targets targets = { 0 };
	struct vs_err err = { 0 };
	int r, status;

	if (opts->all && operands[1])
		return app_usage(app, "--all and a named collection exclude each other");
	if (opts->name && (!operands[1] || operands[2]))
		return app_usage(app, "--name is for one collection: name it");
	if (opts->force_name && !opts->name && !opts->from_snapshot)
		return app_usage(app, "--force-name needs --name NAME or --from-snapshot SNAPSHOT");
	if (opts->from_snapshot && (opts->name || opts->names || opts->mask))
		return app_usage(app,
				 "--from-snapshot says the names: give no other source of them");
	if (opts->key_file && !opts->from_snapshot)
		return app_usage(app, "--key-file is for --from-snapshot SNAPSHOT");
	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	if (choose_targets(&c, opts, operands + 1, &targets, &err) < 0)
		return app_error(app, &err);
	c.accepts_errors = opts->force_name;
	/* Asked for by its name, the snapshot must be there although nothing needs it. */
	r = 0;
	if (opts->from_snapshot)
		r = plan_from_snapshot(&c, opts, &targets, &err);
	else if (targets.count > 0)
		r = make_plan(&c, opts, &targets, &err);
	if (r < 0)
		return app_error(app, &err);
	return change_run(&c, NULL, NULL);
}

static const struct example examples[] = {
	{ "vsctl recover-metadata /var/lib/app/store", "every collection that lost its metadata" },
	{ "vsctl recover-metadata --yes /var/lib/app/store e9f85bf6",
	  "one collection, without asking" },
	{ "vsctl recover-metadata /var/lib/app/store e9f85bf6 --name contextd_memories",
	  "with a name that is known" },
	{ "vsctl recover-metadata /var/lib/app/store --from-snapshot nightly",
	  "as a snapshot has them" },
	{ NULL, NULL },
};

const struct command cmd_recover_metadata = {
	.name = "recover-metadata",
	.operands = "STORE [COLLECTION...]",
	.summary = "write lost metadata files anew, with names that their hashes prove",
	.details =
		"A collection's directory is named after the hash of its name, so a candidate can be proven. Candidates come "
		"from metadata backups, names seen before, the other collections' names, what the documents say about "
		"themselves, naming rules, word lists and masks, in this order of trust. When more than one fits, or none "
		"is certain, they are listed and nothing is written.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct recover_opts),
	.run = run,
};
