/* SPDX-License-Identifier: Apache-2.0 */

/* The documents of an archive of the older tool; see older.h. All of it is untrusted text. */

#include "snap/older.h"
#include "snap/private.h"

#include <float.h>
#include <math.h>

#define METADATA_JSON_MAX ((uint64_t)1 << 20)
#define DIMENSION_MAX ((size_t)1 << 20)
/* Embeddings that are as long as that are left as they are: sums of float32 are not exact. */
#define UNIT_TOLERANCE 1e-3

struct snap_older {
	/* Where the text comes from at each visit: a member of an archive, or memory. */
	int dirfd;         /* borrowed */
	char *file;        /* NULL: @json */
	struct slice json; /* borrowed */
	bool allow_missing;
	uint64_t collections, documents, missing;
	/* Of the document that is being visited. */
	float *embedding;
	size_t embedding_cap;
	struct chromem_pair *pairs;
	size_t pair_count, pair_cap;
	struct buf values;
};

void snap_older_freep(struct snap_older **older)
{
	struct snap_older *o = *older;

	if (!o)
		return;
	free(o->file);
	free(o->embedding);
	for (size_t i = 0; i < o->pair_count; i++)
		vs_free_const(o->pairs[i].value.ptr);
	free(o->pairs);
	buf_fini(&o->values);
	free(o);
	*older = NULL;
}

uint64_t snap_older_collections(const struct snap_older *older)
{
	return older->collections;
}

uint64_t snap_older_documents(const struct snap_older *older)
{
	return older->documents;
}

uint64_t snap_older_missing(const struct snap_older *older)
{
	return older->missing;
}

/* ---- walking through it ---- */

struct walk {
	struct snap_older *older;
	const struct chromem_export_visitor *to; /* NULL: look only */
	struct buf collection;                   /* its name, escaped, for messages */
	struct vs_err *err;
};

static int fail_document(const struct walk *w, size_t index, const char *what)
{
	return vs_fail(w->err, VS_EFORMAT, "collections.json: %.200s: document %zu of a batch: %s",
		       (const char *)w->collection.ptr, index, what);
}

static void set_length(float *v, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)v[i] * v[i];
	if (!(sum > 0) || fabs(sqrt(sum) - 1) <= UNIT_TOLERANCE)
		return;
	for (size_t i = 0; i < count; i++)
		v[i] = (float)(v[i] / sqrt(sum));
}

static int read_embedding(const struct walk *w, size_t index, const struct jr *array,
			  struct chromem_doc *doc)
{
	struct snap_older *o = w->older;
	size_t count = jr_count(array);

	if (array && !jr_is_array(array) && !jr_is_null(array))
		return fail_document(w, index, "its embedding is no array");
	if (count > DIMENSION_MAX)
		return fail_document(w, index, "its embedding has too many elements");
	o->embedding = vs_grow(o->embedding, &o->embedding_cap, count, sizeof(*o->embedding));
	for (size_t i = 0; i < count; i++) {
		double value;

		if (!jr_as_double(jr_at(array, i), &value) || !(fabs(value) <= (double)FLT_MAX))
			return fail_document(w, index, "an element of its embedding is no float");
		o->embedding[i] = (float)value;
	}
	set_length(o->embedding, count);
	doc->embedding = o->embedding;
	doc->dimension = count;
	return 0;
}

struct pairs_walk {
	struct snap_older *older;
	const struct jr *object;
	bool is_bad;
};

/* A value as text, in memory of its own. Numbers as JSON has them. */
static int add_pair(void *ctx, const char *key, const struct jr *value)
{
	struct pairs_walk *p = ctx;
	struct snap_older *o = p->older;
	cleanup_(buf_fini) struct buf text = { 0 };
	const char *string;
	int64_t integer;
	double number;
	bool truth;

	if (jr_is_null(value))
		return 0;
	if (jr_as_str(value, &string))
		buf_append_str(&text, string);
	else if (jr_as_int(value, &integer))
		buf_printf(&text, "%" PRId64, integer);
	else if (jr_as_double(value, &number))
		buf_printf(&text, "%.17g", number);
	else if (jr_get_bool(p->object, key, &truth))
		buf_append_str(&text, truth ? "true" : "false");
	else
		p->is_bad = true;
	o->pairs = vs_grow(o->pairs, &o->pair_cap, o->pair_count + 1, sizeof(*o->pairs));
	o->pairs[o->pair_count++] =
		(struct chromem_pair){ slice_str(key),
				       slice_of(vs_strndup(buf_slice(&text)), text.len) };
	return p->is_bad;
}

static int read_metadata(const struct walk *w, size_t index, const struct jr *object,
			 struct chromem_doc *doc)
{
	struct snap_older *o = w->older;
	struct pairs_walk p = { .older = o, .object = object };

	for (size_t i = 0; i < o->pair_count; i++)
		vs_free_const(o->pairs[i].value.ptr);
	o->pair_count = 0;
	if (!object || jr_is_null(object))
		return 0;
	if (!jr_is_object(object) || jr_each(object, add_pair, &p) != 0)
		return fail_document(w, index, "its metadata are no plain values");
	doc->metadata = o->pairs;
	doc->metadata_count = o->pair_count;
	doc->has_metadata = o->pair_count > 0;
	return 0;
}

static int on_document(void *ctx, size_t index, const struct jr *json, struct vs_err *err)
{
	struct walk *w = ctx;
	struct chromem_doc doc = { 0 };
	const struct jr *text_value = jr_get(json, "text");
	const char *id = NULL, *text = "";
	int r;

	if (!jr_get_str(json, "id", &id) || id[0] == '\0')
		return fail_document(w, index, "it has no id");
	if (text_value && !jr_is_null(text_value) && !jr_as_str(text_value, &text))
		return fail_document(w, index, "its text is none");
	doc.id = slice_str(id);
	doc.content = slice_str(text);
	r = read_embedding(w, index, jr_get(json, "embedding"), &doc);
	if (r == 0)
		r = read_metadata(w, index, jr_get(json, "metadata"), &doc);
	if (r < 0)
		return r;
	if (w->to)
		return w->to->document(w->to->ctx, doc.id, &doc, err);
	w->older->documents++;
	w->older->missing += doc.dimension == 0;
	return 0;
}

static int on_batch(void *ctx, const char *key, struct vs_err *err)
{
	(void)ctx, (void)key, (void)err;
	return 0;
}

static int on_collection(void *ctx, const char *name, struct vs_err *err)
{
	struct walk *w = ctx;
	struct chromem_meta meta = { .name = slice_str(name) };

	buf_clear(&w->collection);
	text_escape(&w->collection, meta.name);
	(void)buf_cstr(&w->collection);
	if (w->to)
		return w->to->collection(w->to->ctx, meta.name, &meta, err);
	w->older->collections++;
	return 0;
}

static int walk_text(struct walk *w, const struct older_text *text, struct vs_err *err)
{
	struct older_events to = { w, on_collection, on_batch, on_document };

	w->err = err;
	return older_scan(text, &to, err);
}

/* ---- where the text comes from ---- */

static int more_of_memory(void *ctx, struct slice *out, struct vs_err *err)
{
	struct slice *rest = ctx;

	(void)err;
	*out = *rest;
	*rest = (struct slice){ 0 };
	return 0;
}

static int visit_memory(struct walk *w, struct slice json, struct vs_err *err)
{
	struct older_text text = { &json, more_of_memory };

	return walk_text(w, &text, err);
}

/* Are there documents without a vector, and may there be? */
static int check_missing(const struct snap_older *o, bool allow_missing, struct vs_err *err)
{
	if (o->missing == 0 || allow_missing)
		return 0;
	return vs_fail(err, VS_ENOTSUP,
		       "%" PRIu64 " of %" PRIu64 " documents have no embedding, so their "
		       "vectors would be lost; give --allow-missing-embeddings to go on "
		       "without them",
		       o->missing, o->documents);
}

int snap_older_parse(struct snap_older **out, struct slice json, bool allow_missing,
		     struct vs_err *err)
{
	cleanup_(snap_older_freep) struct snap_older *o = vs_alloc(sizeof(*o));
	struct walk w = { .older = o };
	int r;

	o->json = json;
	r = visit_memory(&w, json, err);
	buf_fini(&w.collection);
	if (r == 0)
		r = check_missing(o, allow_missing, err);
	if (r == 0)
		*out = VS_TAKE(o);
	return r;
}

/* ---- the archive ---- */

/* The members of an archive, one after the other. */
struct members {
	struct walk *walk;
	struct snap_reader *reader;
	struct buf metadata;
	bool has_collections, has_metadata;
	uint64_t left; /* of the limit of collections.json */
};

static void members_fini(struct members *m)
{
	snap_reader_freep(&m->reader);
	buf_fini(&m->metadata);
}

static int more_of_member(void *ctx, struct slice *out, struct vs_err *err)
{
	struct members *m = ctx;
	int r = snap_reader_data(m->reader, out, err);

	if (r == 0 && out->len > m->left)
		return vs_fail(err, VS_ELIMIT, "collections.json: more than %" PRIu64 " bytes",
			       SNAP_OLDER_MAX);
	m->left -= r == 0 ? out->len : 0;
	return r;
}

static int read_metadata_json(struct members *m, const struct snap_tar_entry *entry,
			      struct vs_err *err)
{
	struct slice bytes;
	int r;

	if (entry->size > METADATA_JSON_MAX)
		return vs_fail(err, VS_ELIMIT, "%s: %" PRIu64 " bytes, more than %" PRIu64,
			       entry->name, entry->size, METADATA_JSON_MAX);
	do {
		r = snap_reader_data(m->reader, &bytes, err);
		if (r == 0)
			buf_append(&m->metadata, bytes.ptr, bytes.len);
	} while (r == 0 && bytes.len > 0);
	return r;
}

static int read_member(struct members *m, const struct snap_tar_entry *entry, struct vs_err *err)
{
	struct older_text text = { m, more_of_member };
	bool is_collections = strcmp(entry->name, "collections.json") == 0;
	bool *has = is_collections ? &m->has_collections : &m->has_metadata;

	if (!is_collections && strcmp(entry->name, "metadata.json") != 0)
		return 0;
	if (*has)
		return vs_fail(err, VS_EFORMAT, "%s: is there twice", entry->name);
	*has = true;
	return is_collections ? walk_text(m->walk, &text, err) : read_metadata_json(m, entry, err);
}

static int read_members(struct members *m, struct vs_err *err)
{
	struct snap_tar_entry entry;
	int r;

	while ((r = snap_reader_next(m->reader, &entry, err)) > 0) {
		r = read_member(m, &entry, err);
		if (r != 0)
			return r;
	}
	if (r == 0 && (!m->has_collections || !m->has_metadata))
		return vs_fail(err, VS_EFORMAT, "has no member %s",
			       m->has_collections ? "metadata.json" : "collections.json");
	return r;
}

/* How many there should be is said in the other member. */
static int check_counts(const struct snap_older *o, struct slice metadata, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	uint64_t chunks = o->documents, collections = o->collections;

	if (jr_parse(&doc, metadata, err) < 0)
		return vs_err_in(err, "metadata.json");
	(void)!jr_get_uint(doc, "total_chunks", &chunks);
	(void)!jr_get_uint(doc, "collections_count", &collections);
	if (chunks == o->documents && collections == o->collections)
		return 0;
	return vs_fail(err, VS_EFORMAT,
		       "metadata.json says %" PRIu64 " documents in %" PRIu64
		       " collections, and there are %" PRIu64 " in %" PRIu64,
		       chunks, collections, o->documents, o->collections);
}

/* The directory in the archive is called as the archive is. */
static int id_of(const char *file, char id[SNAP_ID_MAX + 1], struct vs_err *err)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	struct slice name = slice_str(base);
	size_t len = slice_ends_with(name, ".tar.gz") ? name.len - 7
		     : slice_ends_with(name, ".tar")  ? name.len - 4
						      : 0;

	if (len == 0 || len > SNAP_ID_MAX)
		return vs_fail(err, VS_EUSAGE,
			       "an archive of the older tool is called ID.tar.gz or ID.tar");
	snprintf(id, SNAP_ID_MAX + 1, "%.*s", (int)len, base);
	if (!snap_id_is_valid(id))
		return vs_fail(err, VS_EUSAGE,
			       "its name is not that of a snapshot: letters, digits, '_', '-'");
	return 0;
}

/* All of the archive, with what @w makes of its documents. */
static int visit_archive(struct walk *w, struct slice *metadata, struct members *m,
			 struct vs_err *err)
{
	struct snap_access access = { .state_dirfd = -1 };
	char id[SNAP_ID_MAX + 1];
	struct snap_archive archive = { .file = w->older->file, .snapshot = id };
	int r;

	m->walk = w;
	m->left = SNAP_OLDER_MAX;
	r = id_of(w->older->file, id, err);
	if (r == 0)
		r = snap_reader_open(&m->reader, &access, w->older->dirfd, &archive, NULL, err);
	if (r == 0)
		r = read_members(m, err);
	*metadata = buf_slice(&m->metadata);
	return r;
}

int snap_older_visit(void *older, const struct chromem_export_visitor *to, struct vs_err *err)
{
	cleanup_(members_fini) struct members m = { 0 };
	struct snap_older *o = older;
	struct walk w = { .older = o, .to = to };
	struct slice metadata;
	int r;

	if (o->file)
		r = visit_archive(&w, &metadata, &m, err);
	else
		r = visit_memory(&w, o->json, err);
	buf_fini(&w.collection);
	return r;
}

int snap_older_open(struct snap_older **out, int dirfd, const char *file, bool allow_missing,
		    struct vs_err *err)
{
	cleanup_(snap_older_freep) struct snap_older *o = vs_alloc(sizeof(*o));
	cleanup_(members_fini) struct members m = { 0 };
	struct walk w = { .older = o };
	struct slice metadata;
	int r;

	o->dirfd = dirfd;
	o->file = vs_strdup(file);
	r = visit_archive(&w, &metadata, &m, err);
	buf_fini(&w.collection);
	if (r == 0)
		r = check_missing(o, allow_missing, err);
	if (r == 0)
		r = check_counts(o, metadata, err);
	if (r == 0)
		*out = VS_TAKE(o);
	return r;
}
