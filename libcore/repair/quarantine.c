/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Quarantine: set aside instead of deleted.
 *
 *	<store>/.quarantine/<collection>.<UTC time>[.n]/	what was moved
 *	<store>/.quarantine/<the same>.json		why, with a digest of every file
 *
 * It lies inside the store, because a move across file systems would not be one step. No loader
 * sees it: files are only ever put into the directories of items, so `.quarantine` itself never
 * holds a *.gob that would make it a collection. The second time the same collection is set aside,
 * both stay.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* How much of a directory's name the name of its item has: time, number and ".json" come behind it. */
#define ITEM_NAME_MAX 200

bool quarantine_takes(const char *collection, bool is_files)
{
	return collection[0] != '\0' && !strchr(collection, '/') && strcmp(collection, ".") != 0 &&
	       strcmp(collection, "..") != 0 &&
	       (is_files || strcmp(collection, QUARANTINE_DIR) != 0);
}

/* A name for the item that is free in the store and in the plan. */
int quarantine_choose_item(const struct plan *plan, const struct store *store,
			   const char *collection, int64_t time_ns, char *out, size_t size,
			   struct vs_err *err)
{
	char when[32];

	time_format_compact(time_ns, when);
	for (unsigned n = 0; n < 10000; n++) {
		struct digest ignored;
		char sidecar[320];
		int r;

		if (n == 0)
			snprintf(out, size, QUARANTINE_DIR "/%.*s.%s", ITEM_NAME_MAX, collection,
				 when);
		else
			snprintf(out, size, QUARANTINE_DIR "/%.*s.%s.%u", ITEM_NAME_MAX, collection,
				 when, n);
		snprintf(sidecar, sizeof(sidecar), "%s.json", out);
		if (plan_has(plan, STEP_WRITE, sidecar))
			continue;
		r = journal_look(store->dirfd, out, &ignored, err);
		if (r == 0)
			r = journal_look(store->dirfd, sidecar, &ignored, err);
		if (r <= 0)
			return r;
	}
	return vs_fail(err, VS_ELIMIT, "too many items of %s in quarantine", collection);
}

/* The directory `.quarantine` itself, once a plan. */
int quarantine_plan_home(struct plan *plan, const struct store *store, struct vs_err *err)
{
	struct file_info info;
	int r;

	if (plan_has(plan, STEP_MKDIR, QUARANTINE_DIR))
		return 0;
	r = file_stat_at(store->dirfd, QUARANTINE_DIR, FILE_NO_FOLLOW, &info, err);
	if (r == 0 && info.type != FILE_DIRECTORY)
		return vs_fail(err, VS_EUSAGE, QUARANTINE_DIR " in the store is not a directory");
	if (r != VS_ENOENT)
		return r;
	plan_add(plan, STEP_MKDIR, "make-directory", QUARANTINE_DIR, NULL)->mode = 0700;
	return 0;
}

/* ---- the sidecar ---- */

struct sidecar {
	struct jw json;
	struct buf text;
	struct chromem_reader *reader;
	uint64_t documents;
	uint64_t bytes;
};

static void sidecar_fini(struct sidecar *s)
{
	chromem_reader_freep(&s->reader);
	buf_fini(&s->text);
}

static void begin_sidecar(struct sidecar *s, const char *item, const struct quarantine_request *req,
			  const char *name)
{
	char when[32];

	time_format(req->time_ns, false, when);
	s->reader = chromem_reader_new();
	jw_init(&s->json, &s->text);
	jw_object(&s->json);
	jw_uint_field(&s->json, "schema", 1);
	jw_str_field(&s->json, "kind", "vsctl-quarantine");
	jw_str_field(&s->json, "item", item + strlen(QUARANTINE_DIR) + 1);
	jw_str_field(&s->json, "content", req->file_count > 0 ? "files" : "collection");
	jw_bytes_field(&s->json, "collection", slice_str(req->collection));
	jw_str_field(&s->json, "name", name);
	jw_str_field(&s->json, "time", when);
	jw_str_field(&s->json, "reason", req->reason);
	jw_str_field(&s->json, "message", req->message);
	jw_key(&s->json, "files");
	jw_array(&s->json);
}

static void end_sidecar(struct sidecar *s)
{
	jw_array_end(&s->json);
	jw_uint_field(&s->json, "documents", s->documents);
	jw_uint_field(&s->json, "bytes", s->bytes);
	jw_object_end(&s->json);
	buf_append_byte(&s->text, '\n');
}

/* What a document still says: whole when it decodes, else as far as it does. */
static int write_salvage(struct sidecar *s, struct slice bytes, struct vs_err *err)
{
	struct jw *j = &s->json;
	struct chromem_fault fault = { 0 };
	struct chromem_salvage how = { 0 };
	struct chromem_doc doc = { 0 };
	bool is_whole;
	int r;

	r = chromem_decode_doc(s->reader, bytes, &doc, &fault, err);
	is_whole = r == 0;
	if (r > 0)
		r = chromem_salvage_doc(s->reader, bytes, &doc, &how, err);
	if (r < 0)
		return r;
	jw_key(j, "salvage");
	jw_object(j);
	jw_str_field(j, "state",
		     is_whole                        ? "whole"
		     : doc.id.ptr || doc.content.ptr ? "partly"
						     : "lost");
	jw_str_field(j, "stopped_at", is_whole ? NULL : fault.detail);
	if (doc.id.ptr)
		jw_bytes_field(j, "id", doc.id);
	jw_key(j, "metadata");
	jw_array(j);
	for (size_t i = 0; i < doc.metadata_count; i++) {
		jw_object(j);
		jw_bytes_field(j, "key", doc.metadata[i].key);
		jw_bytes_field(j, "value", doc.metadata[i].value);
		jw_object_end(j);
	}
	jw_array_end(j);
	jw_uint_field(j, "dimension", doc.dimension);
	if (doc.content.ptr)
		jw_bytes_field(j, "content", doc.content);
	jw_bool_field(j, "content_was_searched", how.text_was_searched);
	jw_object_end(j);
	return 0;
}

static int write_file(struct sidecar *s, int dirfd, const struct quarantine_file *file,
		      struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest;
	int r;

	r = file_read_at(dirfd, file->name, FILE_NO_FOLLOW, CHROMEM_FILE_MAX, &bytes, NULL, err);
	jw_object(&s->json);
	jw_bytes_field(&s->json, "name", slice_str(file->name));
	jw_str_field(&s->json, "reason", file->reason);
	jw_str_field(&s->json, "message", file->message);
	if (r == 0) {
		digest_of(buf_slice(&bytes), &digest);
		digest_format(&digest, hex);
		jw_uint_field(&s->json, "size", bytes.len);
		jw_str_field(&s->json, "sha256", hex);
		s->bytes += bytes.len;
		if (file->is_document) {
			s->documents++;
			r = write_salvage(s, buf_slice(&bytes), err);
		}
	}
	jw_object_end(&s->json);
	/* A file that cannot be read, or is none, is moved all the same; the sidecar has no digest
	 * of it. */
	return r == VS_ENOMEM ? r : 0;
}

/* ---- whole collections ---- */

struct collect {
	char **names;
	size_t count, cap;
};

static void collect_fini(struct collect *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->names[i]);
	free(c->names);
}

static int list_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct collect *c = ctx;

	(void)err;
	if (type == FILE_DIRECTORY)
		return 0;
	c->names = vs_grow(c->names, &c->cap, c->count + 1, sizeof(*c->names));
	c->names[c->count++] = vs_strdup(name);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All files in the order of their names: the same store gives the same sidecar. */
static int write_all(struct sidecar *s, int dirfd, struct vs_err *err)
{
	cleanup_(collect_fini) struct collect c = { 0 };
	int r = file_list(dirfd, list_file, &c, err);

	if (c.count > 0)
		qsort(c.names, c.count, sizeof(*c.names), by_text);
	for (size_t i = 0; r == 0 && i < c.count; i++) {
		struct slice text = slice_str(c.names[i]);
		struct quarantine_file file = { .name = c.names[i] };

		file.is_document =
			strncmp(file.name, "00000000.", 9) != 0 &&
			(slice_ends_with(text, ".gob") || slice_ends_with(text, ".gob.gz"));
		r = write_file(s, dirfd, &file, err);
	}
	return r;
}

static int plan_whole(struct plan *plan, const struct store *store,
		      const struct quarantine_request *req, const char *item, struct sidecar *s,
		      struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1;
	struct action *a;
	struct buf detail = { 0 };
	int r;

	r = file_open_dir(store->dirfd, req->collection, FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = write_all(s, dirfd, err);
	if (r < 0)
		return r;
	a = plan_add(plan, STEP_MOVE, "quarantine-collection", req->collection, item);
	buf_append_str(&detail, "set the whole directory aside (");
	text_count(&detail, s->documents, "document");
	buf_append_byte(&detail, ')');
	a->detail = buf_take_str(&detail);
	a->loss = s->documents > 0 ? LOSS_DOCUMENTS : LOSS_NOTHING;
	a->reason = req->reason ? vs_strdup(req->reason) : NULL;
	a->collection = vs_strdup(req->collection);
	return 0;
}

/* ---- single files ---- */

static int plan_files(struct plan *plan, const struct store *store,
		      const struct quarantine_request *req, const char *item, struct sidecar *s,
		      struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1;
	int r;

	r = file_open_dir(store->dirfd, req->collection, FILE_NO_FOLLOW, &dirfd, err);
	if (r < 0)
		return r;
	plan_add(plan, STEP_MKDIR, "make-directory", item, NULL)->mode = 0700;
	for (size_t i = 0; i < req->file_count; i++) {
		const struct quarantine_file *file = &req->files[i];
		cleanup_(buf_fini) struct buf from = { 0 };
		cleanup_(buf_fini) struct buf to = { 0 };
		struct action *a;

		r = write_file(s, dirfd, file, err);
		if (r < 0)
			return r;
		buf_printf(&from, "%s/%s", req->collection, file->name);
		buf_printf(&to, "%s/%s", item, file->name);
		a = plan_add(plan, STEP_MOVE,
			     file->is_document ? "quarantine-document" : "quarantine-file",
			     buf_cstr(&from), buf_cstr(&to));
		a->detail = vs_strdup(
			file->is_document
				? "set the document aside, with what could be salvaged of it beside it"
				: "set the damaged file aside");
		a->loss = file->is_document && !file->has_copy ? LOSS_DOCUMENTS : LOSS_NOTHING;
		a->reason = file->reason ? vs_strdup(file->reason) : NULL;
		a->collection = vs_strdup(req->collection);
	}
	return 0;
}

int plan_quarantine(struct plan *plan, const struct store *store,
		    const struct quarantine_request *req, struct vs_err *err)
{
	cleanup_(sidecar_fini) struct sidecar s = { 0 };
	struct action *a;
	char item[300];
	char path[320];
	int r;

	if (!quarantine_takes(req->collection, req->file_count > 0))
		return vs_fail(err, VS_EUSAGE, "%s: not a collection of the store",
			       req->collection);
	r = quarantine_choose_item(plan, store, req->collection, req->time_ns, item, sizeof(item),
				   err);
	if (r == 0)
		r = quarantine_plan_home(plan, store, err);
	if (r < 0)
		return r;
	begin_sidecar(&s, item, req, req->name);
	r = req->file_count > 0 ? plan_files(plan, store, req, item, &s, err)
				: plan_whole(plan, store, req, item, &s, err);
	if (r < 0)
		return r;
	end_sidecar(&s);
	snprintf(path, sizeof(path), "%s.json", item);
	a = plan_add(plan, STEP_WRITE, "write-sidecar", path, NULL);
	a->mode = 0600;
	buf_append(&a->content, s.text.ptr, s.text.len);
	return 0;
}
