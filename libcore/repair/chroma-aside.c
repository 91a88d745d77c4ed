/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collection of a Chroma store in quarantine, and its way back.
 *
 *	<store>/.quarantine/<collection id>.<UTC time>/chroma.sqlite3	its rows, in a database of its own
 *	<store>/.quarantine/<collection id>.<UTC time>/<segment id>/	its index directory, moved
 *	<store>/.quarantine/<collection id>.<UTC time>.json		when and why
 *
 * The item is a store of one collection, which verify and inspect read as any other. Rows and
 * directory leave in one run of the journal, the rows after a copy of them stands there. On the way
 * back rows are numbered anew where others have their numbers by now; they are the same rows else.
 */

#include "repair/chroma-private.h"

#include <fcntl.h>

#define TAKE_OUT "quarantine-collection"
#define PUT_BACK "release-collection"

struct chroma_aside {
	const char *scratch;      /* borrowed */
	char *id;                 /* of the collection; owned */
	struct chroma_edit *made; /* the rows in a database of their own; NULL on the way back */
	struct chroma_copy copy;  /* of the item's database, on the way back */
	char *path;               /* of either; owned */
	struct plan_source source;
};

void chroma_aside_freep(struct chroma_aside **aside_)
{
	struct chroma_aside *aside = *aside_;

	if (!aside)
		return;
	chroma_edit_freep(&aside->made);
	chroma_copy_remove(&aside->copy);
	free(aside->path);
	free(aside->id);
	free(aside);
	*aside_ = NULL;
}

static int open_file(void *ctx, const struct action *a, int *fd, struct vs_err *err)
{
	const struct chroma_aside *aside = ctx;

	(void)a;
	*fd = open(aside->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? vs_fail_errno(err, "%s", aside->path) : 0;
}

static int edit(void *ctx, const struct action *a, struct chroma_edit *e, struct vs_err *err)
{
	const struct chroma_aside *aside = ctx;

	if (strcmp(a->what, TAKE_OUT) == 0)
		return chroma_drop(e, aside->id, NULL, err);
	return chroma_carry(e, aside->path, aside->id, NULL, err);
}

static struct chroma_aside *aside_new(const char *id, const char *scratch)
{
	struct chroma_aside *aside = vs_alloc(sizeof(*aside));

	aside->id = vs_strdup(id);
	aside->scratch = scratch;
	aside->source = (struct plan_source){ .ctx = aside, .file = open_file, .edit = edit };
	return aside;
}

/* ---- which ---- */

static int load_catalog(const struct store *store, struct chroma_catalog *catalog,
			struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	int r = chroma_db_open(&db, store->dirfd, NULL, err);

	return r < 0 ? r : chroma_catalog_load(catalog, db, err);
}

static bool is_plain_name(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && !strchr(text, '/') && strlen(text) < 200;
}

/* ---- out ---- */

/* A copy of the database in which all others are dropped. */
static int make_rows(struct chroma_aside *aside, const struct store *store,
		     const struct chroma_catalog *catalog, struct vs_err *err)
{
	const char *path = NULL;
	int r = chroma_edit_begin(&aside->made, store->dirfd, aside->scratch, err);

	for (size_t i = 0; r == 0 && i < catalog->collection_count; i++) {
		if (strcmp(catalog->collections[i].id, aside->id) != 0)
			r = chroma_drop(aside->made, catalog->collections[i].id, NULL, err);
	}
	if (r == 0)
		r = chroma_edit_vacuum(aside->made, err);
	if (r == 0)
		r = chroma_edit_finish(aside->made, &path, err);
	if (r == 0)
		aside->path = vs_strdup(path);
	return r;
}

static int count_records(const struct chroma_aside *aside, uint64_t *records, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(file_closep) int fd = -1;
	cleanup_(vs_freep) char *dir = vs_strndup(
		slice_of(aside->path, (size_t)(strrchr(aside->path, '/') - aside->path)));
	int64_t count = 0;
	int r = file_open_dir(AT_FDCWD, dir, FILE_NO_FOLLOW, &fd, err);

	if (r == 0)
		r = chroma_db_open(&db, fd, aside->scratch, err);
	if (r == 0)
		r = chroma_query_int(db,
				     "SELECT count(*) FROM embeddings e JOIN segments s ON s.id = "
				     "e.segment_id WHERE s.collection = ?",
				     aside->id, &count, err);
	*records = (uint64_t)count;
	return r;
}

static void write_sidecar(struct buf *out, const char *item, const struct chroma_collection *c,
			  const char *segment, const struct chroma_aside_request *req,
			  uint64_t records)
{
	cleanup_(vs_freep) char *name = vs_strndup(c->name);
	char when[32];
	struct jw j;

	time_format(req->time_ns, false, when);
	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "kind", "vsctl-quarantine");
	jw_str_field(&j, "item", item + strlen(QUARANTINE_DIR) + 1);
	jw_str_field(&j, "content", "chroma-collection");
	jw_str_field(&j, "collection", c->id);
	jw_str_field(&j, "name", name);
	jw_str_field(&j, "time", when);
	jw_str_field(&j, "reason", req->reason);
	jw_str_field(&j, "message", NULL);
	jw_key(&j, "files");
	jw_array(&j);
	jw_object(&j);
	jw_str_field(&j, "name", CHROMA_DATABASE);
	jw_str_field(&j, "message", "the rows of the collection");
	jw_object_end(&j);
	if (segment) {
		jw_object(&j);
		jw_str_field(&j, "name", segment);
		jw_str_field(&j, "message", "its index directory");
		jw_object_end(&j);
	}
	jw_array_end(&j);
	jw_uint_field(&j, "documents", records);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

static bool has_directory(const struct store *store, const char *segment)
{
	struct vs_err absent = { 0 };
	struct file_info info;

	return segment && is_plain_name(segment) &&
	       file_stat_at(store->dirfd, segment, FILE_NO_FOLLOW, &info, &absent) == 0 &&
	       info.type == FILE_DIRECTORY;
}

static void add_steps(struct plan *plan, const char *item, const struct chroma_collection *c,
		      const char *segment, const char *reason, uint64_t records)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct action *a;

	plan_add(plan, STEP_MKDIR, "make-directory", item, NULL)->mode = 0700;
	buf_printf(&path, "%s/" CHROMA_DATABASE, item);
	a = plan_add(plan, STEP_WRITE, "keep-rows", buf_cstr(&path), NULL);
	a->mode = 0600;
	a->is_file = true;
	text_count(&detail, records, "record");
	buf_append_str(&detail, ", with their rows of the queue, in a database of their own");
	a->detail = buf_take_str(&detail);
	a->collection = vs_strdup(c->id);
	if (segment) {
		buf_clear(&path);
		buf_printf(&path, "%s/%s", item, segment);
		a = plan_add(plan, STEP_MOVE, "move-index", segment, buf_cstr(&path));
		a->detail = vs_strdup("set the index directory aside");
		a->collection = vs_strdup(c->id);
	}
	a = plan_add_sql(plan, TAKE_OUT, NULL);
	buf_append_str(&detail, "take the collection ");
	text_escape(&detail, c->name);
	buf_append_str(&detail, " out of the database");
	a->detail = buf_take_str(&detail);
	a->loss = records > 0 ? LOSS_DOCUMENTS : LOSS_NOTHING;
	a->reason = reason ? vs_strdup(reason) : NULL;
	a->collection = vs_strdup(c->id);
}

int plan_chroma_aside(struct plan *plan, const struct store *store,
		      const struct chroma_aside_request *req, struct chroma_aside **out,
		      struct vs_err *err)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(chroma_aside_freep) struct chroma_aside *aside = NULL;
	const struct chroma_collection *c = NULL;
	const char *segment = NULL;
	uint64_t records = 0;
	struct action *a;
	char item[300];
	char path[320];
	int r = load_catalog(store, &catalog, err);

	if (r == 0)
		r = chroma_catalog_find_named(&catalog, req->collection, &c, err);
	if (r < 0)
		return r;
	if (!c)
		return vs_fail(err, VS_EUSAGE, "%.200s: the store has no such collection",
			       req->collection);
	if (!is_plain_name(c->id))
		return vs_fail(err, VS_EUSAGE, "%.200s: its id is no name of a directory",
			       req->collection);
	aside = aside_new(c->id, req->scratch);
	if (c->vector != SIZE_MAX && has_directory(store, catalog.segments[c->vector].id))
		segment = catalog.segments[c->vector].id;
	r = make_rows(aside, store, &catalog, err);
	if (r == 0)
		r = count_records(aside, &records, err);
	if (r == 0)
		r = quarantine_choose_item(plan, store, c->id, req->time_ns, item, sizeof(item),
					   err);
	if (r == 0)
		r = quarantine_plan_home(plan, store, err);
	if (r < 0)
		return r;
	add_steps(plan, item, c, segment, req->reason, records);
	snprintf(path, sizeof(path), "%s.json", item);
	a = plan_add(plan, STEP_WRITE, "write-sidecar", path, NULL);
	a->mode = 0600;
	write_sidecar(&a->content, item, c, segment, req, records);
	plan->source = &aside->source;
	*out = VS_TAKE(aside);
	return 0;
}

/* ---- back ---- */

static int find_segment(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct buf *out = ctx;

	(void)err;
	if (type == FILE_DIRECTORY && out->len == 0)
		buf_append_str(out, name);
	return 0;
}

/* What stands in the way; false: nothing. */
static bool has_conflict(struct plan *plan, const struct store *store,
			 const struct quarantine_item *item, const struct chroma_catalog *here,
			 const struct chroma_catalog *there, const char *segment)
{
	const struct chroma_collection *c = chroma_catalog_find(there, slice_str(item->collection));
	cleanup_(buf_fini) struct buf path = { 0 };
	const char *why = NULL;

	buf_printf(&path, QUARANTINE_DIR "/%s", item->name);
	if (!c)
		why = "the item does not have the collection that its name says";
	else if (chroma_catalog_find(here, slice_str(item->collection)))
		why = "the store has a collection of that id";
	for (size_t i = 0; c && !why && i < here->collection_count; i++) {
		const struct chroma_collection *other = &here->collections[i];

		if (slice_eq(other->name, c->name) && other->database && c->database &&
		    strcmp(other->database, c->database) == 0)
			why = "its database has another collection of that name";
	}
	if (!why && segment[0] != '\0' && has_directory(store, segment))
		why = "the store has a directory of the name of its index";
	if (why)
		plan_leave(plan, "quarantine-conflict", buf_cstr(&path), why, NULL);
	return why != NULL;
}

static void add_way_back(struct plan *plan, const struct quarantine_item *item, const char *segment)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	struct action *a;

	if (segment[0] != '\0') {
		buf_printf(&path, QUARANTINE_DIR "/%s/%s", item->name, segment);
		a = plan_add(plan, STEP_MOVE, "move-index", buf_cstr(&path), segment);
		a->detail = vs_strdup("put the index directory back");
		a->collection = vs_strdup(item->collection);
	}
	a = plan_add_sql(plan, PUT_BACK, NULL);
	a->detail = vs_strdup("put the collection's rows back into the database");
	a->collection = vs_strdup(item->collection);
	buf_clear(&path);
	buf_printf(&path, QUARANTINE_DIR "/%s/" CHROMA_DATABASE, item->name);
	plan_add(plan, STEP_REMOVE, "remove-rows", buf_cstr(&path), NULL);
	buf_clear(&path);
	buf_printf(&path, QUARANTINE_DIR "/%s", item->name);
	plan_add(plan, STEP_RMDIR, "remove-empty-directory", buf_cstr(&path), NULL);
	plan_sidecar_removal(plan, item);
}

int plan_chroma_release(struct plan *plan, const struct store *store,
			const struct quarantine_item *item, const char *scratch,
			struct chroma_aside **out, struct vs_err *err)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog here = { 0 };
	cleanup_(chroma_catalog_fini) struct chroma_catalog there = { 0 };
	cleanup_(chroma_aside_freep) struct chroma_aside *aside =
		aside_new(item->collection, scratch);
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf segment = { 0 };
	struct store inside = { .path = store->path, .kind = store->kind };
	int r;

	buf_printf(&path, QUARANTINE_DIR "/%s", item->name);
	r = file_open_dir(store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = file_list(dirfd, find_segment, &segment, err);
	if (r == 0)
		r = chroma_copy_make(&aside->copy, dirfd, scratch, err);
	inside.dirfd = dirfd;
	if (r == 0)
		r = load_catalog(&inside, &there, err);
	if (r == 0)
		r = load_catalog(store, &here, err);
	if (r < 0)
		return r;
	aside->path = vs_strdup(aside->copy.path);
	if (has_conflict(plan, store, item, &here, &there, buf_cstr(&segment)))
		return plan_stamp(plan, store->dirfd, err);
	add_way_back(plan, item, buf_cstr(&segment));
	plan->source = &aside->source;
	r = plan_home_removal(plan, store, item, err);
	if (r == 0)
		r = plan_stamp(plan, store->dirfd, err);
	if (r == 0)
		*out = VS_TAKE(aside);
	return r;
}
