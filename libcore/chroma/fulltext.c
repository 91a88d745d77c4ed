/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The full-text index, proven to say what its content table says
 *
 * FTS5's own check answers only on a database that may be written, and takes three times as long as
 * all of the rest of the database. This reads the same two sides, the tokens of all texts and the
 * entries of all segments, and compares their sums; and with them what FTS5 compares beside: the length
 * of each text, the totals, and what leads to the pages. It knows the one table that Chroma makes, in
 * the one format that FTS5 has written since it came. It only ever says yes: where it finds a
 * difference or does not know its way, FTS5 is asked, so that a finding is always FTS5's.
 */

#include "chroma/db-private.h"

#include "fts5/fts5.h"

#define TABLE "embedding_fulltext_search"
#define SEGMENTS_MAX 256 /* FTS5 merges long before */

static void stmt_freep(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}

/* Nothing is damaged because of these: this does not know, and FTS5 is asked. */
static int unknown(struct vs_err *err)
{
	return vs_fail(err, VS_ENOTSUP, "not an index that is known");
}

static int prepare(sqlite3 *handle, const char *sql, sqlite3_stmt **out, struct vs_err *err)
{
	return sqlite3_prepare_v2(handle, sql, -1, out, NULL) == SQLITE_OK ? 0 : unknown(err);
}

static struct slice blob_of(sqlite3_stmt *stmt, int column)
{
	const void *ptr = sqlite3_column_blob(stmt, column);
	int len = sqlite3_column_bytes(stmt, column);

	return slice_of(ptr ? ptr : "", ptr && len > 0 ? (size_t)len : 0);
}

/* The first column of the first row. */
static int ask(sqlite3 *handle, const char *sql, int64_t *out, struct vs_err *err)
{
	cleanup_(stmt_freep) sqlite3_stmt *stmt = NULL;
	int r = prepare(handle, sql, &stmt, err);

	if (r < 0 || sqlite3_step(stmt) != SQLITE_ROW)
		return r < 0 ? r : unknown(err);
	*out = sqlite3_column_int64(stmt, 0);
	return 0;
}

/* Is it the table that is known, in the format that is known? */
static int check_shape(sqlite3 *handle, struct vs_err *err)
{
	static const char *const questions[] = {
		"SELECT count(*) = 1 FROM sqlite_master WHERE name = '" TABLE "' AND sql = "
		"'CREATE VIRTUAL TABLE " TABLE " USING fts5(string_value, tokenize=''trigram'')'",
		"SELECT count(*) = 1 FROM " TABLE "_config WHERE k = 'version' AND v = 4",
		/* What else there can be changes how words are ranked or when segments are merged. */
		("SELECT count(*) = 0 FROM " TABLE "_config WHERE k NOT IN ('version', 'pgsz', "
		 "'automerge', 'usermerge', 'crisismerge', 'hashsize', 'rank')"),
		"SELECT encoding = 'UTF-8' FROM pragma_encoding",
	};

	for (size_t i = 0; i < VS_COUNT(questions); i++) {
		int64_t is_so = 0;
		int r = ask(handle, questions[i], &is_so, err);

		if (r < 0 || !is_so)
			return r < 0 ? r : unknown(err);
	}
	return 0;
}

/* ---- the texts ---- */

struct texts {
	struct token_sum sum;
	uint64_t rows;
};

static int add_text(sqlite3_stmt *stmt, const struct trigrams *t, struct texts *out,
		    struct vs_err *err)
{
	uint64_t before = out->sum.count, len;
	struct slice size = blob_of(stmt, 2);
	size_t at = 0;
	int type = sqlite3_column_type(stmt, 1);

	if ((type != SQLITE_TEXT && type != SQLITE_NULL) ||
	    !trigrams_add(t, sqlite3_column_int64(stmt, 0), blob_of(stmt, 1), &out->sum) ||
	    !fts5_varint(size, &at, &len) || at != size.len || len != out->sum.count - before)
		return unknown(err);
	out->rows++;
	return 0;
}

static int read_texts(sqlite3 *handle, struct texts *out, struct vs_err *err)
{
	cleanup_(stmt_freep) sqlite3_stmt *stmt = NULL;
	cleanup_(trigrams_fini) struct trigrams t = { 0 };
	int code, r;

	trigrams_begin(&t, handle);
	r = prepare(handle,
		    "SELECT c.id, c.c0, s.sz FROM " TABLE "_content c "
		    "LEFT JOIN " TABLE "_docsize s ON s.id = c.id",
		    &stmt, err);
	while (r == 0 && (code = sqlite3_step(stmt)) != SQLITE_DONE)
		r = code == SQLITE_ROW ? add_text(stmt, &t, out, err) : unknown(err);
	return r;
}

/* ---- the segments ---- */

struct source {
	sqlite3_stmt *stmt;
	uint64_t segment;
};

static int read_page(void *ctx, uint32_t page, struct slice *out, struct vs_err *err)
{
	const struct source *s = ctx;

	if (sqlite3_step(s->stmt) != SQLITE_ROW ||
	    (uint64_t)sqlite3_column_int64(s->stmt, 0) != fts5_page_row(s->segment, page) ||
	    sqlite3_column_type(s->stmt, 1) != SQLITE_BLOB)
		return unknown(err);
	*out = blob_of(s->stmt, 1);
	return 0;
}

struct segments {
	struct fts5_structure structure;
	struct source *sources; /* one for each; owned */
	struct fts5_reader *readers;
	bool *has_term; /* more are to come */
	size_t *same;   /* which are at the same term, newest first */
	struct fts5_entry *entries;
	bool *has_entry;
};

static void segments_fini(struct segments *s)
{
	for (size_t i = 0; i < s->structure.count; i++) {
		if (s->sources)
			sqlite3_finalize(s->sources[i].stmt);
		if (s->readers)
			fts5_reader_fini(&s->readers[i]);
	}
	free(s->sources);
	free(s->readers);
	free(s->has_term);
	free(s->same);
	free(s->entries);
	free(s->has_entry);
	fts5_structure_fini(&s->structure);
}

static int begin_segment(struct segments *s, sqlite3 *handle, size_t i, struct vs_err *err)
{
	const struct fts5_segment *segment = &s->structure.segments[i];
	struct fts5_source source = { &s->sources[i], read_page };
	sqlite3_stmt **stmt = &s->sources[i].stmt;
	int r = prepare(handle,
			"SELECT id, block FROM " TABLE "_data WHERE id BETWEEN ? AND ? ORDER BY id",
			stmt, err);

	s->sources[i].segment = segment->number;
	if (r == 0 &&
	    (sqlite3_bind_int64(*stmt, 1,
				(int64_t)fts5_page_row(segment->number, segment->first)) !=
		     SQLITE_OK ||
	     sqlite3_bind_int64(*stmt, 2, (int64_t)fts5_page_row(segment->number, segment->last)) !=
		     SQLITE_OK))
		r = unknown(err);
	if (r == 0)
		r = fts5_reader_begin(&s->readers[i], segment, &source, err);
	if (r == 0)
		r = fts5_reader_term(&s->readers[i], err);
	s->has_term[i] = r > 0;
	return r < 0 ? r : 0;
}

static int begin_segments(struct segments *s, sqlite3 *handle, struct vs_err *err)
{
	cleanup_(stmt_freep) sqlite3_stmt *stmt = NULL;
	int r = prepare(handle, "SELECT block FROM " TABLE "_data WHERE id = 10", &stmt, err);
	size_t room;

	if (r < 0 || sqlite3_step(stmt) != SQLITE_ROW)
		return r < 0 ? r : unknown(err);
	r = fts5_structure_read(&s->structure, blob_of(stmt, 0), err);
	if (r < 0 || s->structure.count > SEGMENTS_MAX)
		return r < 0 ? r : unknown(err);
	room = s->structure.count + 1;
	s->sources = vs_alloc_array(room, sizeof(*s->sources));
	s->readers = vs_alloc_array(room, sizeof(*s->readers));
	s->has_term = vs_alloc_array(room, sizeof(*s->has_term));
	s->same = vs_alloc_array(room, sizeof(*s->same));
	s->entries = vs_alloc_array(room, sizeof(*s->entries));
	s->has_entry = vs_alloc_array(room, sizeof(*s->has_entry));
	for (size_t i = 0; r == 0 && i < s->structure.count; i++)
		r = begin_segment(s, handle, i, err);
	return r;
}

/* Those that are at the least term; their number, 0 at the end of all. */
static size_t find_least(struct segments *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->structure.count; i++) {
		int order = -1;

		if (!s->has_term[i])
			continue;
		if (count > 0)
			order = fts5_term_cmp(&s->readers[i].term, &s->readers[s->same[0]].term);
		if (order < 0)
			count = 0;
		if (order <= 0)
			s->same[count++] = i;
	}
	return count;
}

static int add_entry(struct token_sum *sum, uint64_t token, const struct fts5_entry *e,
		     struct vs_err *err)
{
	const struct token_sum keys = *sum;
	struct slice list = e->positions;
	uint64_t position = 0, added = 0, count = 0, step;

	for (size_t at = 0; at < list.len; count++) {
		/* Most of them take one byte. */
		if (list.ptr[at] < 0x80)
			step = list.ptr[at++];
		else if (!fts5_varint(list, &at, &step))
			return unknown(err);
		if (step < 2)
			return unknown(err);
		position += step - 2;
		added += token_at(&keys, token, e->rowid, position);
	}
	sum->sum += added;
	sum->count += count;
	return 0;
}

static int add_one(struct segments *s, uint64_t token, struct token_sum *sum, struct vs_err *err)
{
	struct fts5_entry entry;
	int r;

	while ((r = fts5_reader_entry(&s->readers[s->same[0]], &entry, err)) > 0) {
		r = add_entry(sum, token, &entry, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* Of the rows that several segments have at this term, that of the newest counts. */
static int add_several(struct segments *s, size_t count, uint64_t token, struct token_sum *sum,
		       struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; i < count; i++)
		s->has_entry[i] = false;
	for (size_t i = 0; i < count; i++) {
		r = fts5_reader_entry(&s->readers[s->same[i]], &s->entries[i], err);
		if (r < 0)
			return r;
		s->has_entry[i] = r > 0;
	}
	while (true) {
		size_t best = count;
		int64_t row;

		for (size_t i = 0; i < count; i++) {
			if (s->has_entry[i] &&
			    (best == count || s->entries[i].rowid < s->entries[best].rowid))
				best = i;
		}
		if (best == count)
			return 0;
		row = s->entries[best].rowid;
		r = add_entry(sum, token, &s->entries[best], err);
		for (size_t i = best; r >= 0 && i < count; i++) {
			if (!s->has_entry[i] || s->entries[i].rowid != row)
				continue;
			r = fts5_reader_entry(&s->readers[s->same[i]], &s->entries[i], err);
			s->has_entry[i] = r > 0;
		}
		if (r < 0)
			return r;
	}
}

static int read_segments(struct segments *s, struct token_sum *sum, struct vs_err *err)
{
	size_t count;

	while ((count = find_least(s)) > 0) {
		const struct fts5_term *term = &s->readers[s->same[0]].term;
		uint64_t token;
		int r;

		/* The digit says which index: 0 the terms themselves, others prefixes. */
		if (term->bytes[0] != '0')
			return unknown(err);
		token = token_of(sum, term->bytes + 1, term->len - 1u);
		r = count == 1 ? add_one(s, token, sum, err)
			       : add_several(s, count, token, sum, err);
		for (size_t i = 0; r >= 0 && i < count; i++) {
			r = fts5_reader_term(&s->readers[s->same[i]], err);
			s->has_term[s->same[i]] = r > 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what leads to their pages ---- */

static int check_row_index(sqlite3_stmt *stmt, const struct fts5_reader *r, uint64_t page,
			   struct vs_err *err)
{
	int code;

	if (fts5_is_merged(r, page))
		return 0;
	(void)sqlite3_bind_int64(stmt, 1,
				 (int64_t)fts5_rows_row(r->segment.number, (uint32_t)page));
	code = sqlite3_step(stmt) == SQLITE_ROW ? fts5_check_rows(r, page, blob_of(stmt, 0), err)
						: unknown(err);
	(void)sqlite3_reset(stmt);
	return code;
}

static int check_paths(sqlite3 *handle, const struct fts5_reader *r, struct vs_err *err)
{
	cleanup_(stmt_freep) sqlite3_stmt *rows = NULL, *data = NULL;
	struct fts5_path path = { 0 };
	int code = SQLITE_OK, status;

	status = prepare(handle,
			 "SELECT term, pgno FROM " TABLE "_idx WHERE segid = ? ORDER BY term",
			 &rows, err);
	if (status == 0)
		status = prepare(handle, "SELECT block FROM " TABLE "_data WHERE id = ?", &data,
				 err);
	if (status == 0)
		code = sqlite3_bind_int64(rows, 1, (int64_t)r->segment.number);
	while (status == 0 && (code = sqlite3_step(rows)) == SQLITE_ROW) {
		uint64_t number = (uint64_t)sqlite3_column_int64(rows, 1);

		if (number >> 1 > UINT32_MAX)
			return unknown(err);
		status = fts5_path_row(r, &path, blob_of(rows, 0), number >> 1, err);
		if (status == 0 && number & 1)
			status = check_row_index(data, r, number >> 1, err);
	}
	if (status == 0 && code != SQLITE_DONE)
		status = unknown(err);
	return status == 0 ? fts5_path_end(r, &path, err) : status;
}

/* ---- all of it ---- */

/* What FTS5 keeps in sum: rows, and tokens. */
static int check_totals(sqlite3 *handle, const struct texts *texts, struct vs_err *err)
{
	cleanup_(stmt_freep) sqlite3_stmt *stmt = NULL;
	uint64_t rows, tokens;
	int64_t sizes = 0;
	struct slice record;
	size_t at = 0;
	int r = ask(handle, "SELECT count(*) FROM " TABLE "_docsize", &sizes, err);

	if (r == 0)
		r = prepare(handle, "SELECT block FROM " TABLE "_data WHERE id = 1", &stmt, err);
	if (r < 0 || sqlite3_step(stmt) != SQLITE_ROW)
		return r < 0 ? r : unknown(err);
	record = blob_of(stmt, 0);
	/* Of a table that never had a row it is empty. */
	rows = tokens = 0;
	if (record.len > 0 &&
	    (!fts5_varint(record, &at, &rows) || !fts5_varint(record, &at, &tokens)))
		return unknown(err);
	return at == record.len && rows == texts->rows && (uint64_t)sizes == rows &&
			       tokens == texts->sum.count
		       ? 0
		       : unknown(err);
}

static int prove(sqlite3 *handle, struct vs_err *err)
{
	cleanup_(segments_fini) struct segments s = { 0 };
	struct texts texts = { 0 };
	struct token_sum entries;
	int r = check_shape(handle, err);

	token_sum_begin(&entries);
	texts.sum = entries;
	if (r == 0)
		r = read_texts(handle, &texts, err);
	if (r == 0)
		r = check_totals(handle, &texts, err);
	if (r == 0)
		r = begin_segments(&s, handle, err);
	if (r == 0)
		r = read_segments(&s, &entries, err);
	for (size_t i = 0; r == 0 && i < s.structure.count; i++)
		r = check_paths(handle, &s.readers[i], err);
	if (r == 0 && (entries.count != texts.sum.count || entries.sum != texts.sum.sum))
		r = unknown(err);
	return r;
}

int chroma_fulltext_is_proven(sqlite3 *handle, struct vs_err *err)
{
	struct vs_err why = { 0 };
	int r = prove(handle, &why);

	if (r == VS_ENOTSUP || r == VS_EFORMAT)
		return 0;
	if (r < 0)
		*err = why;
	return r < 0 ? r : 1;
}
