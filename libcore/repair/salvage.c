/* SPDX-License-Identifier: Apache-2.0 */

/* Salvage of a Chroma store's database, from the first page to the new file; see salvage.h. */

#include "repair/salvage-private.h"

#include <fcntl.h>
#include <unistd.h>

static void work_freep(struct salvage_work **w_)
{
	struct salvage_work *w = *w_;

	if (!w)
		return;
	sqlitefile_freep(&w->file);
	chroma_edit_freep(&w->edit);
	for (size_t i = 0; i < w->schema_count; i++) {
		free(w->schema[i].type);
		free(w->schema[i].name);
		free(w->schema[i].sql);
	}
	free(w->schema);
	file_closep(&w->fd);
	chroma_copy_remove(&w->old);
	chroma_copy_remove(&w->made);
	chroma_copy_remove(&w->side);
	free(w);
	*w_ = NULL;
}

void salvage_freep(struct salvage **s_)
{
	struct salvage *s = *s_;

	if (!s)
		return;
	work_freep(&s->work);
	for (size_t i = 0; i < s->record_count; i++) {
		free(s->records[i].collection);
		free(s->records[i].collection_id);
		vs_free_const(s->records[i].id.ptr);
		free(s->records[i].missing);
	}
	for (size_t i = 0; i < s->note_count; i++)
		free(s->notes[i]);
	free(s->notes);
	free(s->records);
	free(s->tables);
	free(s->damages);
	free(s);
	*s_ = NULL;
}

/* ---- the old database ---- */

static int look_beside(const struct store *store, const char *name, bool *is_there,
		       struct vs_err *err)
{
	struct file_info info;
	int r = file_stat_at(store->dirfd, name, FILE_NO_FOLLOW, &info, err);

	*is_there |= r == 0 && info.size > 0;
	return r == VS_ENOENT ? 0 : r;
}

/* A journal or a log belongs to its content: then what is read is a copy that has taken it in. */
static int open_old(struct salvage_work *w, const char *scratch, struct vs_err *err)
{
	struct file_info info;
	bool is_there = false;
	int r = chroma_look_for_writer(w->store->dirfd, err);

	if (r == 0)
		r = look_beside(w->store, CHROMA_DATABASE "-journal", &is_there, err);
	if (r == 0)
		r = look_beside(w->store, CHROMA_DATABASE "-wal", &is_there, err);
	if (r < 0)
		return r;
	if (is_there) {
		r = chroma_copy_make(&w->old, w->store->dirfd, scratch, err);
		if (r == 0)
			r = chroma_edit_settle(w->old.path, err);
		if (r < 0)
			return r;
		w->fd = open(w->old.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		w->fd = openat(w->store->dirfd, CHROMA_DATABASE,
			       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (w->fd < 0)
		return vs_fail_errno(err, "%s", CHROMA_DATABASE);
	r = file_stat_fd(w->fd, &info, err);
	if (r == 0 && info.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "%s: is not a regular file", CHROMA_DATABASE);
	w->size = info.size;
	return r;
}

/* Does SQLite find nothing wrong either? It looks at indexes, which do not matter here. */
static bool is_sound_to_sqlite(const struct store *store)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	struct vs_err err = { 0 };

	return chroma_db_open(&db, store->dirfd, NULL, &err) == 0 &&
	       chroma_db_integrity(db, 1, NULL, NULL, &err) == 0 &&
	       chroma_db_check_fts(db, &err) == 0;
}

/* ---- the new one ---- */

/* SQLite's word on both databases, which takes as long as reading them. */
struct asking {
	struct salvage *s;
	struct vs_err *err;
	int result; /* of finishing the new one */
};

static void ask_one(void *ctx, unsigned worker, size_t index)
{
	struct asking *a = ctx;
	struct salvage *s = a->s;

	(void)worker;
	if (index == 0)
		a->result = chroma_edit_finish(s->work->edit, &s->path, a->err);
	else
		s->is_sound = s->damage_total == 0 && is_sound_to_sqlite(s->work->store);
}

static int ask_both(struct salvage *s, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MIN(cpu_count(), 2u));
	struct asking a = { .s = s, .err = err };

	pool_run(pool, 2, ask_one, &a);
	return a.result;
}

static int begin(struct salvage_work *w, const char *scratch, struct vs_err *err)
{
	int r = chroma_copy_dir(&w->made, scratch, err);

	if (r == 0)
		r = chroma_copy_dir(&w->side, scratch, err);
	if (r == 0)
		r = chroma_edit_open(&w->edit, w->made.path, err);
	return r < 0 ? r : chroma_edit_attach(w->edit, w->side.path, "s", err);
}

static bool is_any_of_ours(const struct salvage_work *w)
{
	return w->tree[KIND_MIGRATIONS] + w->strays[KIND_MIGRATIONS] + w->tree[KIND_COLLECTIONS] +
		       w->strays[KIND_COLLECTIONS] + w->tree[KIND_SEGMENTS] +
		       w->strays[KIND_SEGMENTS] + w->tree[KIND_EMBEDDINGS] +
		       w->strays[KIND_EMBEDDINGS] >
	       0;
}

int salvage_make(struct salvage **out, const struct store *store, const char *scratch,
		 struct vs_err *err)
{
	cleanup_(salvage_freep) struct salvage *s = vs_alloc(sizeof(*s));
	struct salvage_work *w = vs_alloc(sizeof(*w));
	int r;

	s->work = w;
	w->out = s;
	w->store = store;
	w->fd = -1;
	r = open_old(w, scratch, err);
	if (r == 0)
		r = begin(w, scratch, err);
	if (r == 0)
		r = salvage_read(w, err);
	if (r == 0 && !is_any_of_ours(w))
		return vs_fail(err, VS_EFORMAT,
			       "%s: no page of it has rows of Chroma's tables; restore a snapshot",
			       CHROMA_DATABASE);
	if (r == 0)
		r = salvage_schema(w, err);
	if (r == 0)
		r = salvage_tables(w, err);
	if (r == 0)
		r = salvage_report(w, err);
	if (r == 0)
		r = ask_both(s, err);
	if (r < 0)
		return r;
	s->has_all_ids = w->is_whole[KIND_EMBEDDINGS] || w->is_whole[KIND_IX_EMBEDDINGS];
	if (!s->has_all_ids)
		salvage_note(
			s, "records and the index of their ids are damaged: others may be lost of "
			   "which nothing is left");
	*out = VS_TAKE(s);
	return 0;
}
