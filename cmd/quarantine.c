/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl quarantine`: set aside, look at, put back. */

#include "change.h"
#include "key.h"
#include "shown.h"

#include "chromem/chromem.h"

struct quarantine_opts {
	struct change_opts change;
	const char *reason;
	const char *copy;
	const char *key_file;
};

/* ---- add ---- */

static const struct opt add_options[] = {
	CHANGE_OPTIONS(struct quarantine_opts),
	OPT_TEXT("reason", 0, struct quarantine_opts, reason, "TEXT",
		 "why, for the sidecar and the audit log"),
	OPT_END,
};

/* A collection given by its name stands for the directory of that hash. */
static void directory_of(const struct change *c, const char *operand, char *out, size_t size)
{
	struct file_info info;
	struct vs_err err = { 0 };
	char hash[CHROMEM_ID_LEN + 1];

	snprintf(out, size, "%s", operand);
	if (strchr(operand, '/') ||
	    file_stat_at(c->store->dirfd, operand, FILE_NO_FOLLOW, &info, &err) == 0)
		return;
	chromem_hash_format(chromem_hash(slice_str(operand)), hash);
	if (file_stat_at(c->store->dirfd, hash, FILE_NO_FOLLOW, &info, &err) == 0)
		snprintf(out, size, "%s", hash);
}

/* What is set aside must be there; the planner says the rest. */
static int look_there(const struct change *c, const char *directory, const char *file,
		      struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	struct vs_err absent = { 0 };
	struct file_info info;
	int r;

	buf_append_str(&path, directory);
	if (file)
		buf_printf(&path, "/%s", file);
	r = file_stat_at(c->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, &info, &absent);
	if (r == VS_ENOENT || absent.sysno == ENAMETOOLONG)
		return vs_fail(err, VS_EUSAGE, "%.200s: the store has no such %s", buf_cstr(&path),
			       file ? "file" : "collection");
	if (file && (strcmp(file, "..") == 0 || strcmp(file, ".") == 0))
		return vs_fail(err, VS_EUSAGE, "%.200s: not a file", buf_cstr(&path));
	return 0;
}

/* Rows and index of one collection: the database is made anew, once for each command. */
static int run_add_chroma(struct app *app, struct change *c, const char *reason,
			  char *const *collections)
{
	const struct chroma_aside_request req = { .collection = collections[0],
						  .reason = reason,
						  .time_ns = clock_now_ns(app->clock),
						  .scratch = change_scratch(c) };
	cleanup_(chroma_aside_freep) struct chroma_aside *aside = NULL;
	struct vs_err err = { 0 };

	if (!collections[0] || collections[1])
		return app_usage(app, "one collection of a Chroma store at a time");
	if (strchr(collections[0], '/'))
		return app_usage(
			app, "of a Chroma store a whole collection is set aside, by name or id");
	if (plan_chroma_aside(&c->plan, c->store, &req, &aside, &err) < 0 ||
	    plan_stamp(&c->plan, c->store->dirfd, &err) < 0)
		return app_error(app, &err);
	return change_run(c, NULL, NULL);
}

static int run_add(struct app *app, const void *opts_, char *const *operands)
{
	const struct quarantine_opts *opts = opts_;
	cleanup_(change_fini) struct change c = { .takes_chroma = true };
	struct quarantine_request req = { .reason = opts->reason ? opts->reason : "asked for" };
	struct vs_err err = { 0 };
	int status;

	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	if (c.store->kind == STORE_CHROMA)
		return run_add_chroma(app, &c, req.reason, operands + 1);
	req.time_ns = clock_now_ns(app->clock);
	for (size_t i = 1; operands[i]; i++) {
		struct quarantine_file file = { .reason = req.reason, .is_document = true };
		char directory[512];
		char *slash;

		directory_of(&c, operands[i], directory, sizeof(directory));
		slash = strchr(directory, '/');
		if (slash) {
			*slash = '\0';
			file.name = slash + 1;
			req.files = &file;
			req.file_count = 1;
			if (strchr(file.name, '/') || file.name[0] == '\0')
				return app_usage(
					app,
					"give COLLECTION or COLLECTION/FILE, not a deeper path");
		}
		if (look_there(&c, directory, file.name, &err) < 0)
			return app_error(app, &err);
		req.collection = directory;
		if (plan_quarantine(&c.plan, c.store, &req, &err) < 0)
			return app_error(app, &err);
		req.files = NULL;
		req.file_count = 0;
	}
	if (plan_stamp(&c.plan, c.store->dirfd, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, NULL, NULL);
}

static const struct example add_examples[] = {
	{ "vsctl quarantine add /var/lib/app/store e9f85bf6", "set a whole collection aside" },
	{ "vsctl quarantine add /var/lib/app/store e9f85bf6/12ab34cd.gob",
	  "set one document aside" },
	{ "vsctl quarantine add /var/lib/chroma docs",
	  "set a collection of a Chroma store aside, rows and index" },
	{ NULL, NULL },
};

static const struct command cmd_quarantine_add = {
	.name = "add",
	.operands = "STORE COLLECTION...",
	.summary = "set a collection, or one file of it, aside",
	.examples = add_examples,
	.options = add_options,
	.opts_size = sizeof(struct quarantine_opts),
	.run = run_add,
};

/* ---- list and show ---- */

static const struct emit_field list_fields[] = {
	{ .key = "item", .heading = "item" },
	{ .key = "collection", .heading = "collection" },
	{ .key = "name", .heading = "name" },
	{ .key = "documents", .heading = "documents", .is_number = true },
	{ .key = "time", .heading = "since" },
	{ .key = "reason", .heading = "reason" },
	{ 0 },
};

static int list_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	struct emit *e = ctx;

	(void)err;
	emit_text(e, item->name);
	emit_text(e, item->collection);
	emit_text(e, item->collection_name);
	emit_uint(e, item->documents);
	emit_text(e, item->time);
	emit_text(e, item->reason);
	return 0;
}

static int count_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	(void)item;
	(void)err;
	++*(uint64_t *)ctx;
	return 0;
}

static int open_to_read(struct app *app, const char *path, struct store **store)
{
	struct vs_err err = { 0 };

	app->path = path;
	return store_open(store, path, false, &err) < 0 ? app_error(app, &err) : -1;
}

static int run_list(struct app *app, const void *opts, char *const *operands)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	uint64_t count = 0;
	int status;

	(void)opts;
	status = open_to_read(app, operands[0], &store);
	if (status >= 0)
		return status;
	if (quarantine_list(store, count_item, &count, &err) < 0)
		return app_error(app, &err);
	emit_document(e, app->command_words);
	emit_store(e, store);
	emit_line(e, count == 0 ? "nothing is in quarantine" : "%" PRIu64 " in quarantine", count);
	emit_table(e, "items", list_fields);
	if (quarantine_list(store, list_item, e, &err) < 0)
		return app_error(app, &err);
	emit_table_end(e);
	text_command(&next, "vsctl quarantine show STORE ITEM", operands[0], NULL);
	if (count > 0)
		emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
	return EXIT_CLEAN;
}

static const struct example list_examples[] = {
	{ "vsctl quarantine list /var/lib/app/store", "what was set aside, since when and why" },
	{ NULL, NULL },
};

static const struct command cmd_quarantine_list = {
	.name = "list",
	.operands = "STORE",
	.summary = "list what is in quarantine",
	.examples = list_examples,
	.run = run_list,
};

static const struct emit_field item_fields[] = {
	{ .key = "item", .heading = "item" },
	{ .key = "collection", .heading = "collection" },
	{ .key = "name", .heading = "name" },
	{ .key = "time", .heading = "since" },
	{ .key = "reason", .heading = "reason" },
	{ .key = "message", .heading = "message" },
	{ .key = "documents", .heading = "documents" },
	{ 0 },
};

static const struct emit_field file_fields[] = {
	{ .key = "file", .heading = "file" },
	{ .key = "state", .heading = "decodes" },
	{ .key = "document", .heading = "id" },
	{ .key = "size", .heading = "bytes", .is_number = true },
	{ .key = "message", .heading = "message" },
	{ 0 },
};

struct showing {
	struct emit *e;
	const char *item;
};

static void show_file(struct emit *e, const struct jr *file)
{
	const struct jr *salvage = jr_get(file, "salvage");
	const char *name = NULL;
	const char *state = NULL;
	const char *id = NULL;
	const char *message = NULL;
	uint64_t size = 0;

	(void)!jr_get_str(file, "name", &name);
	(void)!jr_get_str(file, "message", &message);
	(void)!jr_get_uint(file, "size", &size);
	(void)!jr_get_str(salvage, "state", &state);
	(void)!jr_get_str(salvage, "id", &id);
	emit_text(e, name);
	emit_text(e, state);
	emit_text(e, id);
	emit_uint(e, size);
	emit_text(e, message);
}

static int show_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	struct showing *s = ctx;
	const struct jr *files = jr_get(item->sidecar, "files");

	(void)err;
	if (strcmp(item->name, s->item) != 0)
		return 0;
	emit_form(s->e, item_fields);
	emit_text(s->e, item->name);
	emit_text(s->e, item->collection);
	emit_text(s->e, item->collection_name);
	emit_text(s->e, item->time);
	emit_text(s->e, item->reason);
	emit_text(s->e, item->message);
	emit_uint(s->e, item->documents);
	emit_form_end(s->e);
	emit_table(s->e, "files", file_fields);
	for (size_t i = 0; i < jr_count(files); i++)
		show_file(s->e, jr_at(files, i));
	emit_table_end(s->e);
	return 1;
}

static int run_show(struct app *app, const void *opts, char *const *operands)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(quarantine_item_fini) struct quarantine_item item = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf next = { 0 };
	struct showing showing = { .e = &app->emit };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	int status;

	(void)opts;
	status = open_to_read(app, operands[0], &store);
	if (status >= 0)
		return status;
	if (quarantine_find(store, operands[1], &item, &err) < 0)
		return app_error(app, &err);
	showing.item = item.name;
	emit_document(e, app->command_words);
	emit_store(e, store);
	if (quarantine_list(store, show_item, &showing, &err) < 0)
		return app_error(app, &err);
	buf_append_str(&text, "vsctl quarantine release STORE ");
	text_shell_word(&text, item.name);
	text_command(&next, buf_cstr(&text), operands[0], NULL);
	emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
	return EXIT_CLEAN;
}

static const struct example show_examples[] = {
	{ "vsctl quarantine show /var/lib/app/store e9f85bf6",
	  "its files, and which documents in them still decode" },
	{ NULL, NULL },
};

static const struct command cmd_quarantine_show = {
	.name = "show",
	.operands = "STORE ITEM",
	.summary = "show one item: its files, and what could be salvaged of them",
	.examples = show_examples,
	.run = run_show,
};

/* ---- release and purge ---- */

static const struct opt release_options[] = {
	CHANGE_OPTIONS(struct quarantine_opts),
	OPT_END,
};

static int release(struct change *c, const struct quarantine_item *item,
		   struct chroma_aside **aside, struct vs_err *err)
{
	if (c->store->kind == STORE_CHROMA && item->is_chroma)
		return plan_chroma_release(&c->plan, c->store, item, change_scratch(c), aside, err);
	if (item->is_rows)
		return vs_fail(
			err, VS_ENOTSUP,
			"%s: rows that a repair has taken out of a database; vsctl undo takes the "
			"repair back, and with it they are there again",
			item->name);
	return plan_release(&c->plan, c->store, item, err);
}

static int run_release(struct app *app, const void *opts_, char *const *operands)
{
	const struct quarantine_opts *opts = opts_;
	cleanup_(chroma_aside_freep) struct chroma_aside *aside = NULL;
	cleanup_(change_fini) struct change c = { .takes_chroma = true };
	cleanup_(quarantine_item_fini) struct quarantine_item item = { 0 };
	struct vs_err err = { 0 };
	int status;

	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	/* What comes back may be what was wrong: the person who asks for it decides. */
	c.accepts_errors = true;
	c.minds_leftovers = true;
	if (quarantine_find(c.store, operands[1], &item, &err) < 0 ||
	    release(&c, &item, &aside, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, NULL, NULL);
}

static const struct example release_examples[] = {
	{ "vsctl quarantine release /var/lib/app/store e9f85bf6", "put the collection back" },
	{ NULL, NULL },
};

static const struct command cmd_quarantine_release = {
	.name = "release",
	.operands = "STORE ITEM",
	.summary = "put an item back; what conflicts with the store stays and is listed",
	.examples = release_examples,
	.options = release_options,
	.opts_size = sizeof(struct quarantine_opts),
	.run = run_release,
};

static const struct opt purge_options[] = {
	CHANGE_OPTIONS(struct quarantine_opts),
	OPT_DIR("copy", 0, struct quarantine_opts, copy, "DIR",
		"a directory elsewhere that holds the same item, byte for byte (cp -a); default: "
		"a snapshot"),
	OPT_FILE("key-file", 0, struct quarantine_opts, key_file, "FILE",
		 "the 32 bytes of the key of encrypted snapshots"),
	OPT_END,
};

static int run_purge(struct app *app, const void *opts_, char *const *operands)
{
	const struct quarantine_opts *opts = opts_;
	cleanup_(change_fini) struct change c = { .takes_chroma = true };
	cleanup_(quarantine_item_fini) struct quarantine_item item = { 0 };
	struct purge_request req = { .item = &item, .copy = opts->copy };
	unsigned char key[CHROMEM_KEY_LEN];
	struct vs_err err = { 0 };
	int status;

	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	if (opts->key_file) {
		if (key_load(opts->key_file, key, &err) < 0)
			return app_error(app, &err);
		req.key = key;
	}
	req.state_dirfd = session_state_dirfd(c.session);
	req.jobs = app_jobs(app);
	if (quarantine_find(c.store, operands[1], &item, &err) < 0 ||
	    plan_purge(&c.plan, c.store, &req, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, NULL, NULL);
}

static const struct example purge_examples[] = {
	{ "vsctl quarantine purge /var/lib/app/store e9f85bf6 --copy /backup/e9f85bf6",
	  "remove what the copy holds as well" },
	{ "vsctl quarantine purge /var/lib/app/store e9f85bf6",
	  "remove what a snapshot is proven to hold" },
	{ NULL, NULL },
};

static const struct command cmd_quarantine_purge = {
	.name = "purge",
	.operands = "STORE ITEM",
	.summary = "remove an item of which another copy is proven",
	.details =
		"Without --copy the snapshots of the store are asked, the newest first: one must have every file of "
		"the item in its list, and the bytes in its archives are read and compared before anything goes.",
	.examples = purge_examples,
	.options = purge_options,
	.opts_size = sizeof(struct quarantine_opts),
	.run = run_purge,
};

static const struct command *const verbs[] = {
	&cmd_quarantine_add,     &cmd_quarantine_list,  &cmd_quarantine_show,
	&cmd_quarantine_release, &cmd_quarantine_purge, NULL,
};

static const struct example group_examples[] = {
	{ "vsctl quarantine add /var/lib/app/store e9f85bf6",
	  "set a collection aside, so that the others load" },
	{ "vsctl quarantine list /var/lib/app/store", "what is there" },
	{ "vsctl quarantine release /var/lib/app/store e9f85bf6", "put it back" },
	{ NULL, NULL },
};

const struct command cmd_quarantine = {
	.name = "quarantine",
	.summary = "set damaged collections and documents aside, and put them back",
	.examples = group_examples,
	.details =
		"What is set aside stays in the store's directory, under .quarantine, where no loader sees it, with a "
		"file beside it that says why and holds what could be salvaged. Nothing is deleted.",
	.verbs = verbs,
};
