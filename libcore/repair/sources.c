/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names that somebody wrote down outside the store: our own audit log, the manifests of snapshots,
 * and contextd's write-ahead log. All of them are text from elsewhere: a word counts only where its
 * hash is a wanted one, which one in 2^32 others is by chance, so the numbers of words that are
 * looked at stay below what a search may try. What cannot be read says nothing.
 */

#include "chromem/chromem.h"
#include "lookup/lookup.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* 2^20 words are expected to hit a wanted hash by chance 0.0002 times. */
#define WORDS_MAX (UINT64_C(1) << 20)

#define MANIFEST_DIR "manifests"
#define MANIFEST_MAX (UINT64_C(256) << 20)
#define WAL_FILES_MAX 20000u
#define WAL_FILE_MAX (UINT64_C(64) << 20)
#define WAL_BYTES_MAX (UINT64_C(1) << 30)

struct telling {
	struct lookup *l;
	const struct name_target *targets;
	size_t count;
	enum lookup_source source;
	const char *where;
	uint64_t words_left;
};

static bool is_wanted(const struct telling *t, uint32_t hash)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->targets[i].hash == hash)
			return true;
	}
	return false;
}

static void tell_word(struct telling *t, struct slice word)
{
	if (word.len == 0 || word.len > LOOKUP_NAME_MAX || t->words_left == 0)
		return;
	t->words_left--;
	if (is_wanted(t, chromem_hash(word)))
		lookup_add_name(t->l, t->source, word, t->where);
}

/* A text as a whole, what stands behind its "=", and its words without their punctuation. */
static void tell_text(struct telling *t, const char *text)
{
	static const char blank[] = " \t\n\"'`,;:()[]{}<>";
	const char *equals = strchr(text, '=');
	size_t len;

	tell_word(t, slice_str(text));
	if (equals)
		tell_word(t, slice_str(equals + 1));
	for (const char *p = text + strspn(text, blank); *p != '\0';
	     p += len, p += strspn(p, blank)) {
		len = strcspn(p, blank);
		if (len < strlen(text))
			tell_word(t, slice_of(p, len));
		if (len > 1 && p[len - 1] == '.')
			tell_word(t, slice_of(p, len - 1));
	}
}

/* A name that is no plain text is kept as the hexadecimal digits of its bytes. */
static void tell_hex(struct telling *t, const char *digits)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };
	size_t len = strlen(digits) / 2;

	if (len == 0 || len > LOOKUP_NAME_MAX || buf_try_reserve(&bytes, len, &err) < 0 ||
	    !hex_parse(slice_str(digits), bytes.ptr, len))
		return;
	tell_word(t, slice_of(bytes.ptr, len));
}

static void tell_json(struct telling *t, const struct jr *v, unsigned depth);

struct json_walk {
	struct telling *telling;
	unsigned depth;
};

static int tell_member(void *ctx, const char *key, const struct jr *value)
{
	const struct json_walk *walk = ctx;
	const char *text;

	/* Collections may be listed by their names, with more about each behind it. */
	tell_word(walk->telling, slice_str(key));
	if (slice_ends_with(slice_str(key), "_hex") && jr_as_str(value, &text))
		tell_hex(walk->telling, text);
	tell_json(walk->telling, value, walk->depth + 1);
	return 0;
}

/* Every text in a document of ours, wherever it stands: versions may come that keep names in other
 * places. */
static void tell_json(struct telling *t, const struct jr *v, unsigned depth)
{
	struct json_walk walk = { t, depth };
	const char *text;

	if (depth > 16 || t->words_left == 0)
		return;
	if (jr_as_str(v, &text))
		tell_text(t, text);
	else if (jr_is_array(v))
		for (size_t i = 0; i < jr_count(v); i++)
			tell_json(t, jr_at(v, i), depth + 1);
	else if (jr_is_object(v))
		(void)jr_each(v, tell_member, &walk);
}

/* ---- the audit log ---- */

static int tell_entry(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct vs_err broken = { 0 };
	struct telling *t = ctx;
	char where[160];

	(void)err;
	if (jr_parse(&doc, e->line, &broken) < 0)
		return 0;
	snprintf(where, sizeof(where), "audit log, record %" PRIu64 " of %.40s (%.40s)", e->seq,
		 e->time ? e->time : "?", e->action ? e->action : "?");
	t->where = where;
	tell_json(t, doc, 0);
	t->where = NULL;
	return t->words_left == 0;
}

static int tell_audit_log(struct telling *t, int state_dirfd, struct vs_err *err)
{
	struct audit_query all = { 0 };
	int r;

	t->source = LOOKUP_LOGGED;
	t->words_left = WORDS_MAX;
	r = audit_list(state_dirfd, &all, tell_entry, t, err);
	return r == VS_ENOENT || r > 0 ? 0 : r;
}

/* ---- manifests of snapshots ---- */

struct file_names {
	char **names;
	size_t count, cap;
	const char *ending;
	size_t max;
};

static void file_names_fini(struct file_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int add_file_name(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct file_names *n = ctx;

	(void)err;
	if (type == FILE_DIRECTORY || !slice_ends_with(slice_str(name), n->ending) ||
	    n->count >= n->max)
		return 0;
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of a directory with an ending, sorted; *@dirfd -1 when it cannot be looked at. */
static void list_files(int above, const char *path, struct file_names *out, int *dirfd)
{
	struct vs_err ignored = { 0 };

	if (file_open_dir(above, path, FILE_NO_FOLLOW, dirfd, &ignored) < 0 ||
	    file_list(*dirfd, add_file_name, out, &ignored) < 0)
		return;
	if (out->count > 0)
		qsort(out->names, out->count, sizeof(*out->names), by_text);
}

/* Newest first: snapshots are named after their time. */
static void tell_manifests(struct telling *t, int state_dirfd)
{
	cleanup_(file_names_fini) struct file_names list = { .ending = ".json", .max = 100000 };
	cleanup_(file_closep) int dirfd = -1;

	t->source = LOOKUP_BACKUP;
	t->words_left = WORDS_MAX;
	list_files(state_dirfd, MANIFEST_DIR, &list, &dirfd);
	for (size_t i = list.count; i > 0; i--) {
		cleanup_(buf_fini) struct buf text = { 0 };
		cleanup_(buf_fini) struct buf where = { 0 };
		cleanup_(jr_freep) struct jr *doc = NULL;
		struct vs_err ignored = { 0 };
		const char *name = list.names[i - 1];

		if (file_read_at(dirfd, name, FILE_NO_FOLLOW, MANIFEST_MAX, &text, NULL,
				 &ignored) != 0 ||
		    jr_parse(&doc, buf_slice(&text), &ignored) < 0)
			continue;
		buf_append_str(&where, "snapshot ");
		text_escape(&where, slice_of(name, strlen(name) - strlen(".json")));
		t->where = buf_cstr(&where);
		tell_json(t, doc, 0);
		t->where = NULL;
	}
}

/* ---- contextd's write-ahead log ---- */

static int tell_wal_doc(void *ctx, const struct contextd_wal_doc *doc, struct vs_err *err)
{
	struct telling *t = ctx;

	(void)err;
	tell_word(t, doc->collection);
	if (doc->metadata_count > 0)
		lookup_add_document(t->l, chromem_hash(doc->collection), doc->id, doc->metadata,
				    doc->metadata_count);
	return 0;
}

/* It lies beside the store that it protects: `.claude/contextd/store` and `.claude/contextd/wal`.
 */
static int tell_wal(struct telling *t, int store_dirfd, struct vs_err *err)
{
	cleanup_(file_names_fini) struct file_names list = { .ending = ".wal",
							     .max = WAL_FILES_MAX };
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf bytes = { 0 };
	uint64_t left = WAL_BYTES_MAX;
	int r = 0;

	t->source = LOOKUP_LOGGED;
	t->words_left = WORDS_MAX;
	list_files(store_dirfd, "../wal", &list, &dirfd);
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		cleanup_(buf_fini) struct buf where = { 0 };
		struct vs_err ignored = { 0 };

		if (file_read_at(dirfd, list.names[i], FILE_NO_FOLLOW, VS_MIN(left, WAL_FILE_MAX),
				 &bytes, NULL, &ignored) != 0)
			continue;
		left -= bytes.len;
		buf_append_str(&where, "write-ahead log ");
		text_escape(&where, slice_str(list.names[i]));
		t->where = buf_cstr(&where);
		r = contextd_wal_docs(buf_slice(&bytes), tell_wal_doc, t, err);
		t->where = NULL;
	}
	return VS_MIN(r, 0);
}

int names_gather_written(struct lookup *l, const struct store *store, int state_dirfd,
			 const struct name_target *targets, size_t count, struct vs_err *err)
{
	struct telling t = { .l = l, .targets = targets, .count = count };
	int r = 0;

	if (state_dirfd >= 0) {
		tell_manifests(&t, state_dirfd);
		r = tell_audit_log(&t, state_dirfd, err);
	}
	return r < 0 ? r : tell_wal(&t, store->dirfd, err);
}
