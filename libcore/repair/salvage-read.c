/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The pages of the old database as rows. They are put into tables of their own beside the new
 * database, as they were found; what becomes of them is then decided by statements.
 */

#include "repair/salvage-private.h"

#include <stdarg.h>
#include <unistd.h>

void salvage_note(struct salvage *s, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	s->notes = vs_grow(s->notes, &s->note_cap, s->note_count + 1, sizeof(*s->notes));
	s->notes[s->note_count++] = vs_strdup(text);
}

int salvage_run(struct salvage_work *w, const char *sql, const char *a, const char *b,
		const char *c, struct vs_err *err)
{
	const char *const texts[] = { a, b, c };
	struct chroma_arg args[3];
	size_t count = 0;

	for (; count < 3 && texts[count]; count++)
		args[count] = (struct chroma_arg){ .type = CHROMA_TEXT,
						   .bytes = slice_str(texts[count]) };
	return chroma_edit_run(w->edit, sql, args, count, NULL, err);
}

int salvage_ask(struct salvage_work *w, const char *sql, int64_t *out, struct vs_err *err)
{
	return chroma_query_int(chroma_edit_db(w->edit), sql, NULL, out, err);
}

/* ---- bytes ---- */

static int read_bytes(void *ctx, uint64_t off, void *to, size_t len, struct vs_err *err)
{
	const struct salvage_work *w = ctx;
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(w->fd, (char *)to + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "%s: at offset %" PRIu64, CHROMA_DATABASE, off);
		/* Cut off while it is read. */
		if (n == 0) {
			memset((char *)to + done, 0, len - done);
			return 0;
		}
		done += (size_t)n;
	}
	return 0;
}

/* ---- rows ---- */

struct taking {
	struct salvage_work *w;
	enum salvage_kind kind;
	bool is_stray;
	uint64_t rows;
	char sql[160];
};

static bool fits(void *ctx, const struct sqlitefile_row *row)
{
	const struct taking *t = ctx;

	return kind_fits(t->kind, row);
}

/* Releases before 1.0 wrote numbers of the queue as 8 bytes. */
static bool seq_of(const struct sqlitefile_value *v, int64_t *out)
{
	if (v->type == SQLITEFILE_INTEGER) {
		*out = v->integer;
		return true;
	}
	if (v->type != SQLITEFILE_BLOB || v->bytes.len != 8)
		return false;
	*out = (int64_t)load_be64(v->bytes.ptr);
	return true;
}

static struct chroma_arg arg_of(const struct sqlitefile_value *v)
{
	struct chroma_arg arg = { .type = CHROMA_NULL };

	switch (v->type) {
	case SQLITEFILE_INTEGER:
		arg = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = v->integer };
		break;
	case SQLITEFILE_REAL:
		arg = (struct chroma_arg){ .type = CHROMA_FLOAT, .real = v->real };
		break;
	case SQLITEFILE_TEXT:
		arg = (struct chroma_arg){ .type = CHROMA_TEXT, .bytes = v->bytes };
		break;
	case SQLITEFILE_BLOB:
		arg = (struct chroma_arg){ .type = CHROMA_BLOB, .bytes = v->bytes };
		break;
	case SQLITEFILE_NULL:
	case SQLITEFILE_LOST:
		break;
	}
	return arg;
}

static int take(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct taking *t = ctx;
	struct chroma_arg args[STAGE_COLUMNS + 4] = { 0 };
	int seq_column = t->kind == KIND_EMBEDDINGS ? 3 : t->kind == KIND_MAX_SEQ_ID ? 1 : -1;
	int64_t seq;

	/* An entry of an index has no number of its own. */
	if (t->kind < KIND_TABLES)
		args[0] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = row->rowid };
	args[1] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = row->count };
	args[2] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = row->is_partial };
	if (seq_column >= 0 && seq_of(&row->value[seq_column], &seq))
		args[3] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = seq };
	for (uint32_t i = 0; i < VS_MIN(row->count, (uint32_t)STAGE_COLUMNS); i++)
		args[4 + i] = arg_of(&row->value[i]);
	t->rows++;
	if (t->is_stray)
		t->w->strays[t->kind]++;
	else
		t->w->tree[t->kind]++;
	return chroma_edit_run(t->w->edit, t->sql, args, VS_COUNT(args), NULL, err);
}

static void take_problem(void *ctx, const struct sqlitefile_problem *p)
{
	struct taking *t = ctx;
	struct salvage *s = t->w->out;

	s->damage_total++;
	if (s->damage_count == SALVAGE_DAMAGES_MAX)
		return;
	s->damages = vs_grow(s->damages, &s->damage_cap, s->damage_count + 1, sizeof(*s->damages));
	s->damages[s->damage_count++] =
		(struct salvage_damage){ t->w->problem_of, p->page, p->off, p->what };
}

static struct taking taking_of(struct salvage_work *w, enum salvage_kind kind)
{
	struct taking t = { .w = w, .kind = kind };

	snprintf(t.sql, sizeof(t.sql), "INSERT OR IGNORE INTO s.%s VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
		 salvage_kinds[kind].stage);
	return t;
}

/* An entry of an index that nothing needs is only counted. */
static int take_none(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct taking *t = ctx;

	(void)row, (void)err;
	t->w->tree[t->kind]++;
	return 0;
}

static int walk_kind(struct salvage_work *w, enum salvage_kind kind, uint32_t root,
		     struct vs_err *err)
{
	bool is_index = kind >= KIND_TABLES;
	struct taking t = taking_of(w, kind);
	const struct sqlitefile_sink sink = { &t, fits,
					      is_index && w->has_whole_tables ? take_none : take,
					      take_problem };
	int r;

	w->problem_of = salvage_kinds[kind].name;
	w->is_there[kind] = true;
	r = sqlitefile_walk(w->file, root, is_index ? SQLITEFILE_INDEX : SQLITEFILE_TABLE, &sink,
			    err);
	w->is_whole[kind] = r == 0;
	return r < 0 ? r : 0;
}

/* ---- the schema ---- */

static bool is_schema(void *ctx, const struct sqlitefile_row *row)
{
	(void)ctx;
	return row->count == 5 && row->value[0].type == SQLITEFILE_TEXT &&
	       row->value[1].type == SQLITEFILE_TEXT && row->value[2].type == SQLITEFILE_TEXT &&
	       row->value[3].type == SQLITEFILE_INTEGER &&
	       (slice_eq_str(row->value[0].bytes, "table") ||
		slice_eq_str(row->value[0].bytes, "index") ||
		slice_eq_str(row->value[0].bytes, "view") ||
		slice_eq_str(row->value[0].bytes, "trigger"));
}

static int take_schema(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct salvage_work *w = ((struct taking *)ctx)->w;
	int64_t root = row->value[3].integer;
	bool has_sql = row->value[4].type == SQLITEFILE_TEXT;

	(void)err;
	w->schema = vs_grow(w->schema, &w->schema_cap, w->schema_count + 1, sizeof(*w->schema));
	w->schema[w->schema_count++] = (struct schema_entry){
		.type = vs_strndup(row->value[0].bytes),
		.name = vs_strndup(row->value[1].bytes),
		.sql = has_sql ? vs_strndup(row->value[4].bytes) : vs_strdup(""),
		.root = root > 0 && root < UINT32_MAX ? (uint32_t)root : 0,
	};
	return 0;
}

static int read_schema(struct salvage_work *w, struct vs_err *err)
{
	struct taking t = { .w = w };
	const struct sqlitefile_sink sink = { &t, is_schema, take_schema, take_problem };
	enum sqlitefile_tree tree;
	uint32_t page = 0;
	int r;

	w->problem_of = "sqlite_schema";
	r = sqlitefile_walk(w->file, 1, SQLITEFILE_TABLE, &sink, err);
	w->is_schema_whole = r == 0;
	if (r <= 0)
		return r;
	while ((r = sqlitefile_next_stray(w->file, &page, &tree, err)) == 1) {
		/* What is none of the schema is looked at again later. */
		struct taking quiet = { .w = w };
		const struct sqlitefile_sink s = { &quiet, is_schema, take_schema, NULL };

		if (tree == SQLITEFILE_TABLE &&
		    (r = sqlitefile_leaf(w->file, page, tree, &s, err)) < 0)
			return r;
	}
	return r;
}

/* Those of the kinds from @from up to @to. */
static int walk_some(struct salvage_work *w, int from, int to, struct vs_err *err)
{
	for (size_t i = 0; i < w->schema_count; i++) {
		const struct schema_entry *e = &w->schema[i];

		for (int k = from; k < to; k++) {
			int r;

			if (strcmp(salvage_kinds[k].name, e->name) != 0 ||
			    strcmp(e->type, k < KIND_TABLES ? "table" : "index") != 0 ||
			    w->is_there[k])
				continue;
			r = walk_kind(w, (enum salvage_kind)k, e->root, err);
			if (r < 0)
				return r;
		}
	}
	/* A table that a sound schema does not name is not there. */
	for (int k = from; k < to; k++)
		if (!w->is_there[k] && w->is_schema_whole)
			w->is_whole[k] = true;
	return 0;
}

/* Tables first: what indexes have is asked for where one of them is damaged. */
static int walk_known(struct salvage_work *w, struct vs_err *err)
{
	int r = walk_some(w, 0, KIND_TABLES, err);

	w->has_whole_tables = r == 0;
	for (int k = 0; k < KIND_TABLES; k++)
		w->has_whole_tables = w->has_whole_tables && w->is_whole[k];
	return r == 0 ? walk_some(w, KIND_TABLES, KIND_COUNT, err) : r;
}

/* ---- strays ---- */

/* May rows of this kind be on pages that nothing leads to? */
static bool may_stray(const struct salvage_work *w, int kind)
{
	if (w->is_whole[kind])
		return false;
	/* An index of lists looks like the one of single values. */
	switch (kind) {
	case KIND_IX_KEY:
		return w->is_whole[KIND_IX_ARRAY_KEY];
	case KIND_IX_STRING:
		return w->is_whole[KIND_IX_ARRAY_STRING];
	case KIND_IX_INT:
		return w->is_whole[KIND_IX_ARRAY_INT];
	case KIND_IX_FLOAT:
		return w->is_whole[KIND_IX_ARRAY_FLOAT];
	case KIND_IX_ARRAY_KEY:
	case KIND_IX_ARRAY_STRING:
	case KIND_IX_ARRAY_INT:
	case KIND_IX_ARRAY_FLOAT:
	case KIND_IX_COLLECTION_ID:
	case KIND_IX_COLLECTION_NAME:
	case KIND_IX_DATABASE_ID:
	case KIND_IX_DATABASE_NAME:
		return false;
	default:
		return true;
	}
}

/* Two tables have rows of one shape; whose they are shows by the ids in them. */
static int take_twin(struct salvage_work *w, struct vs_err *err)
{
	if (w->is_whole[KIND_SEGMENT_METADATA])
		return 0;
	return chroma_edit_exec(w->edit,
				"INSERT OR IGNORE INTO s.r_segment_metadata "
				"SELECT * FROM s.r_collection_metadata",
				err);
}

static int read_stray(struct salvage_work *w, uint32_t page, enum sqlitefile_tree tree,
		      struct vs_err *err)
{
	int from = tree == SQLITEFILE_TABLE ? 0 : KIND_TABLES;
	int to = tree == SQLITEFILE_TABLE ? KIND_TABLES : KIND_COUNT;

	for (int k = from; k < to; k++) {
		struct taking t = taking_of(w, (enum salvage_kind)k);
		const struct sqlitefile_sink sink = { &t, fits, take, take_problem };
		int r;

		if (!may_stray(w, k))
			continue;
		t.is_stray = true;
		w->problem_of = salvage_kinds[k].name;
		w->is_there[k] = true;
		r = sqlitefile_leaf(w->file, page, tree, &sink, err);
		if (r < 0 || t.rows > 0)
			return VS_MIN(r, 0);
	}
	return 0;
}

static int read_strays(struct salvage_work *w, struct vs_err *err)
{
	enum sqlitefile_tree tree;
	uint32_t page = 0;
	int r;

	while ((r = sqlitefile_next_stray(w->file, &page, &tree, err)) == 1) {
		r = read_stray(w, page, tree, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : take_twin(w, err);
}

static int make_stage(struct salvage_work *w, struct vs_err *err)
{
	for (int k = 0; k < KIND_COUNT; k++) {
		cleanup_(buf_fini) struct buf sql = { 0 };
		int r;

		buf_printf(&sql,
			   "CREATE TABLE s.%s(row INTEGER PRIMARY KEY, n, lost, seq, c0, c1, c2, "
			   "c3, c4, c5, c6, c7);",
			   salvage_kinds[k].stage);
		/* By the number of the row that an entry of an index is of. */
		if (k >= KIND_TABLES)
			buf_printf(&sql, "CREATE INDEX s.by_%s ON %s(c2, c1);",
				   salvage_kinds[k].stage, salvage_kinds[k].stage);
		r = chroma_edit_exec(w->edit, buf_cstr(&sql), err);
		if (r < 0)
			return r;
	}
	return chroma_edit_exec(
		w->edit,
		"CREATE TABLE s.state(name PRIMARY KEY, is_whole);"
		"CREATE TABLE s.pickle(segment, id, label, PRIMARY KEY(segment, id));"
		"CREATE TABLE s.directory(segment PRIMARY KEY, dimension, m, ef, "
		"is_unit, is_read);"
		"CREATE INDEX s.by_queue ON r_queue(c4);"
		"CREATE INDEX s.by_record ON x_key(c0, c1);",
		err);
}

/* For statements that ask what is whole. */
static int write_state(struct salvage_work *w, struct vs_err *err)
{
	int r = 0;

	for (int k = 0; r == 0 && k < KIND_COUNT; k++)
		r = salvage_run(w, "INSERT INTO s.state VALUES(?, CAST(? AS INTEGER))",
				salvage_kinds[k].name, w->is_whole[k] ? "1" : "0", NULL, err);
	return r;
}

int salvage_read(struct salvage_work *w, struct vs_err *err)
{
	const struct sqlitefile_source source = { w, w->size, read_bytes };
	const struct sqlitefile_info *info;
	int r = sqlitefile_open(&w->file, &source, err);

	if (r < 0)
		return vs_err_in(err, "%s", CHROMA_DATABASE);
	info = sqlitefile_info(w->file);
	w->out->pages = info->pages;
	w->out->page_size = info->page_size;
	if (!info->is_header_sound)
		salvage_note(w->out,
			     "the header is damaged: pages of %" PRIu32
			     " bytes were found by looking",
			     info->page_size);
	if (info->is_truncated)
		salvage_note(w->out,
			     "the file is cut off: %" PRIu32 " pages of %" PRIu32 " are there",
			     info->pages, info->header_pages);
	r = make_stage(w, err);
	if (r == 0)
		r = read_schema(w, err);
	if (r == 0)
		r = walk_known(w, err);
	if (r == 0)
		r = read_strays(w, err);
	return r == 0 ? write_state(w, err) : r;
}
