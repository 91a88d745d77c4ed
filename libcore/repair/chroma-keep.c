/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows that leave a database, kept before they do.
 *
 *	<store>/.quarantine/database.<UTC time>/rows.jsonl	the rows, one a line
 *	<store>/.quarantine/database.<UTC time>.json		how many, and why
 *
 * A line is {"reason": CODE, "table": NAME, "row": {COLUMN: VALUE, ...}}. Numbers and texts stand as
 * they are; a blob is {"blob": HEX}, a text that is no valid UTF-8 or has a NUL in it {"text": HEX}, and
 * a number that JSON cannot write {"real": TEXT}. So a row can be put back as it was.
 */

#include "repair/chroma-private.h"

#include <math.h>

#define ROWS_FILE "rows.jsonl"
#define KEPT_MAX (UINT64_C(1) << 30)

/* Columns as they are named in the line, and as they are asked for. */
struct columns {
	char **names;
	size_t count, cap;
	struct buf select;
};

static void columns_fini(struct columns *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->names[i]);
	free(c->names);
	buf_fini(&c->select);
}

static void add_column(struct columns *c, const char *name, const char *expression)
{
	c->names = vs_grow(c->names, &c->cap, c->count + 1, sizeof(*c->names));
	c->names[c->count++] = vs_strdup(name);
	buf_printf(&c->select, "%s%s", c->select.len > 0 ? ", " : "", expression);
}

static int on_column(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	cleanup_(vs_freep) char *name = vs_strndup(chroma_bytes(row, 0));
	cleanup_(buf_fini) struct buf quoted = { 0 };

	(void)err;
	buf_append_byte(&quoted, '"');
	for (const char *at = name; *at; at++)
		buf_printf(&quoted, *at == '"' ? "\"\"" : "%c", *at);
	buf_append_byte(&quoted, '"');
	add_column(ctx, name, buf_cstr(&quoted));
	return 0;
}

void sql_text(struct buf *out, struct slice text)
{
	cleanup_(vs_freep) char *hex = NULL;

	if (utf8_is_valid(text) &&
	    !memchr(text.len > 0 ? text.ptr : (const void *)"x", '\0', text.len)) {
		buf_append_byte(out, '\'');
		for (size_t i = 0; i < text.len; i++) {
			if (text.ptr[i] == '\'')
				buf_append_byte(out, '\'');
			buf_append_byte(out, text.ptr[i]);
		}
		buf_append_byte(out, '\'');
		return;
	}
	hex = vs_alloc_array(text.len + 1, 2);
	hex_format(text.ptr, text.len, hex);
	buf_printf(out, "CAST(x'%s' AS TEXT)", hex);
}

/* ---- lines ---- */

static void write_hex(struct jw *j, const char *key, struct slice bytes)
{
	cleanup_(vs_freep) char *hex = vs_alloc_array(bytes.len + 1, 2);

	hex_format(bytes.ptr, bytes.len, hex);
	jw_object(j);
	jw_str_field(j, key, hex);
	jw_object_end(j);
}

static void write_value(struct jw *j, const struct chroma_row *row, int column)
{
	struct slice bytes;
	char number[40];

	switch (chroma_type(row, column)) {
	case CHROMA_NULL:
		jw_null(j);
		break;
	case CHROMA_INTEGER:
		jw_int(j, chroma_int(row, column));
		break;
	case CHROMA_FLOAT:
		snprintf(number, sizeof(number), "%.17g", chroma_double(row, column));
		jw_object(j);
		jw_str_field(j, "real", number);
		jw_object_end(j);
		break;
	case CHROMA_TEXT:
		bytes = chroma_bytes(row, column);
		if (utf8_is_valid(bytes) && (bytes.len == 0 || !memchr(bytes.ptr, '\0', bytes.len)))
			jw_text(j, bytes);
		else
			write_hex(j, "text", bytes);
		break;
	case CHROMA_BLOB:
		write_hex(j, "blob", chroma_bytes(row, column));
		break;
	}
}

struct keeping {
	struct chroma_fixing *f;
	const struct columns *columns;
	const char *reason, *table;
	uint64_t count;
};

static int on_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct keeping *k = ctx;
	struct jw j;

	if (k->f->kept.len > KEPT_MAX)
		return vs_fail(err, VS_ELIMIT, "more than 1 GiB of rows would leave the database");
	jw_init(&j, &k->f->kept);
	jw_object(&j);
	jw_str_field(&j, "reason", k->reason);
	jw_str_field(&j, "table", k->table);
	jw_key(&j, "row");
	jw_object(&j);
	for (size_t i = 0; i < k->columns->count; i++) {
		jw_key(&j, k->columns->names[i]);
		write_value(&j, row, (int)i);
	}
	jw_object_end(&j);
	jw_object_end(&j);
	buf_append_byte(&k->f->kept, '\n');
	k->count++;
	return 0;
}

int chroma_keep(struct chroma_fixing *f, enum problem code, const char *table, const char *where,
		uint64_t *count, struct vs_err *err)
{
	cleanup_(columns_fini) struct columns c = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	struct keeping k = {
		.f = f, .columns = &c, .reason = problem_row(code)->code, .table = table
	};
	const char *from = table;
	int r = 0;

	/* What the full-text table answers with comes from this one, whatever its index is like. */
	if (strcmp(table, "embedding_fulltext_search") == 0) {
		from = "(SELECT id AS rowid, c0 AS string_value FROM embedding_fulltext_search_content) AS t";
		add_column(&c, "rowid", "rowid");
		add_column(&c, "string_value", "string_value");
	} else {
		r = chroma_query(chroma_fixing_db(f), "SELECT name FROM pragma_table_info(?)",
				 table, on_column, &c, err);
	}
	if (r < 0)
		return r;
	buf_printf(&sql, "SELECT %s FROM %s WHERE %s", buf_cstr(&c.select), from, where);
	r = chroma_query(chroma_fixing_db(f), buf_cstr(&sql), NULL, on_row, &k, err);
	if (r < 0)
		return r;
	f->kept_rows += k.count;
	f->kept_records += strcmp(table, "embeddings") == 0 ? k.count : 0;
	if (count)
		*count = k.count;
	return 0;
}

/* ---- the item ---- */

static void write_sidecar(const struct chroma_fixing *f, const char *item, struct buf *out)
{
	char hex[DIGEST_HEX_LEN + 1], when[32];
	cleanup_(buf_fini) struct buf message = { 0 };
	struct digest digest;
	struct jw j;

	digest_of(buf_slice(&f->kept), &digest);
	digest_format(&digest, hex);
	time_format(f->req->time_ns, false, when);
	text_count(&message, f->kept_rows, "row");
	buf_append_str(&message, " of the database, as " ROWS_FILE " has them");
	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "kind", "vsctl-quarantine");
	jw_str_field(&j, "item", item + strlen(QUARANTINE_DIR) + 1);
	jw_str_field(&j, "content", "rows");
	jw_str_field(&j, "collection", "database");
	jw_str_field(&j, "name", NULL);
	jw_str_field(&j, "time", when);
	jw_str_field(&j, "reason", "repair");
	jw_str_field(&j, "message", buf_cstr(&message));
	jw_key(&j, "files");
	jw_array(&j);
	jw_object(&j);
	jw_str_field(&j, "name", ROWS_FILE);
	jw_str_field(&j, "reason", NULL);
	jw_str_field(&j, "message", buf_cstr(&message));
	jw_uint_field(&j, "size", f->kept.len);
	jw_str_field(&j, "sha256", hex);
	jw_object_end(&j);
	jw_array_end(&j);
	jw_uint_field(&j, "documents", f->kept_records);
	jw_uint_field(&j, "bytes", f->kept.len);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

/* The last @count actions come first. */
static void bring_to_front(struct plan *plan, size_t count)
{
	size_t rest = plan->count - count;
	cleanup_(vs_freep) struct action *moved = vs_alloc_array(count + 1, sizeof(*moved));

	memcpy(moved, plan->actions + rest, count * sizeof(*moved));
	memmove(plan->actions + count, plan->actions, rest * sizeof(*moved));
	memcpy(plan->actions, moved, count * sizeof(*moved));
}

int chroma_keep_plan(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	size_t before = f->plan->count;
	struct action *a;
	char item[300];
	char path[340];
	int r;

	if (f->kept_rows == 0)
		return 0;
	r = quarantine_choose_item(f->plan, f->store, "database", f->req->time_ns, item,
				   sizeof(item), err);
	if (r == 0)
		r = quarantine_plan_home(f->plan, f->store, err);
	if (r < 0)
		return r;
	plan_add(f->plan, STEP_MKDIR, "make-directory", item, NULL)->mode = 0700;
	snprintf(path, sizeof(path), "%s/" ROWS_FILE, item);
	a = plan_add(f->plan, STEP_WRITE, "keep-rows", path, NULL);
	a->mode = 0600;
	text_count(&detail, f->kept_rows, "row");
	buf_append_str(&detail, " that leave the database, kept as they are");
	a->detail = buf_take_str(&detail);
	buf_append(&a->content, f->kept.ptr, f->kept.len);
	snprintf(path, sizeof(path), "%s.json", item);
	a = plan_add(f->plan, STEP_WRITE, "write-sidecar", path, NULL);
	a->mode = 0600;
	write_sidecar(f, item, &a->content);
	bring_to_front(f->plan, f->plan->count - before);
	return 0;
}
