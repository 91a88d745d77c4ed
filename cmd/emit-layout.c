/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables and forms: the same values as aligned text or as JSON members.
 *
 * A table has to know its widths before it writes its first line. It holds back the first rows,
 * takes the widths from them, and from then on writes each row as it comes; a later value that is
 * wider pushes its line apart and nothing else.
 */

#include "emit-private.h"

#include <math.h>

#define LAYOUT_FIELDS_MAX 24
#define LAYOUT_ROWS_HELD 256

struct cell {
	char *text;
	enum emit_style style;
};

struct emit_layout {
	const struct emit_field *fields;
	size_t count; /* of fields */
	size_t at;    /* the next field of the record */
	bool is_form;
	bool is_frozen; /* headings written, widths fixed */
	size_t width[LAYOUT_FIELDS_MAX];
	struct cell *cells; /* of whole rows not yet written, and the one being filled */
	size_t cell_count, cell_cap;
};

static void layout_begin(struct emit *e, const struct emit_field *fields, bool is_form)
{
	struct emit_layout *l = vs_alloc(sizeof(*l));

	assert(!e->layout);
	l->fields = fields;
	l->is_form = is_form;
	while (fields[l->count].key || fields[l->count].heading)
		l->count++;
	assert(l->count > 0 && l->count <= LAYOUT_FIELDS_MAX);
	e->layout = l;
}

static void layout_free(struct emit *e)
{
	struct emit_layout *l = VS_TAKE(e->layout);

	if (!l)
		return;
	for (size_t i = 0; i < l->cell_count; i++)
		free(l->cells[i].text);
	free(l->cells);
	free(l);
}

void emit_fini(struct emit *e)
{
	layout_free(e);
	buf_fini(&e->buf);
}

/* ---- text ---- */

/* Is this the last column that text shows? It is not filled up with spaces. */
static bool is_last_column(const struct emit_layout *l, size_t field)
{
	for (size_t i = field + 1; i < l->count; i++) {
		if (l->fields[i].heading)
			return false;
	}
	return true;
}

/* Below that the last column is too narrow to be wrapped. */
#define LAST_COLUMN_MIN 24

/* Where the last column begins, when what it holds is to be wrapped; 0: it is not. */
static size_t wrap_at(const struct emit *e, size_t field)
{
	const struct emit_layout *l = e->layout;
	size_t column = 0;

	for (size_t i = 0; i < field; i++)
		column += l->fields[i].heading ? l->width[i] + 2 : 0;
	return column > 0 && column + LAST_COLUMN_MIN <= e->width ? column : 0;
}

static void append_column(struct emit *e, size_t field, enum emit_style style, const char *text)
{
	const struct emit_layout *l = e->layout;
	size_t columns = text_columns(slice_str(text));
	size_t fill = l->width[field] > columns ? l->width[field] - columns : 0;
	bool is_last = is_last_column(l, field);
	size_t column = is_last && style == EMIT_PLAIN ? wrap_at(e, field) : 0;

	if (column > 0 && !l->fields[field].is_number) {
		emit_append_wrapped(e, column, column, slice_str(text));
		buf_append_byte(&e->buf, '\n');
		return;
	}
	for (size_t i = 0; l->fields[field].is_number && i < fill; i++)
		buf_append_byte(&e->buf, ' ');
	emit_append_styled(e, style, slice_str(text));
	for (size_t i = 0; !l->fields[field].is_number && !is_last && i < fill; i++)
		buf_append_byte(&e->buf, ' ');
	buf_append_str(&e->buf, is_last ? "\n" : "  ");
}

/* Write the rows that were held back and forget them. */
static void write_rows(struct emit *e)
{
	struct emit_layout *l = e->layout;

	assert(l->count > 0);
	for (size_t i = 0; i < l->cell_count; i++) {
		if (l->cells[i].text)
			append_column(e, i % l->count, l->cells[i].style, l->cells[i].text);
		free(l->cells[i].text);
		emit_write_some(e);
	}
	l->cell_count = 0;
}

static void freeze(struct emit *e)
{
	struct emit_layout *l = e->layout;

	l->is_frozen = true;
	if (l->cell_count == 0)
		return;
	for (size_t i = 0; i < l->count; i++) {
		if (l->fields[i].heading)
			l->width[i] = text_columns(slice_str(l->fields[i].heading));
	}
	for (size_t i = 0; i < l->cell_count; i++) {
		const char *text = l->cells[i].text;

		if (text)
			l->width[i % l->count] =
				VS_MAX(l->width[i % l->count], text_columns(slice_str(text)));
	}
	for (size_t i = 0; i < l->count; i++) {
		if (l->fields[i].heading)
			append_column(e, i, EMIT_BOLD, l->fields[i].heading);
	}
	write_rows(e);
}

static void write_form(struct emit *e)
{
	struct emit_layout *l = e->layout;
	size_t width = 0;

	for (size_t i = 0; i < l->cell_count; i++) {
		if (l->fields[i].heading)
			width = VS_MAX(width, text_columns(slice_str(l->fields[i].heading)));
	}
	for (size_t i = 0; i < l->cell_count; i++) {
		const char *heading = l->fields[i].heading;
		struct cell *c = &l->cells[i];

		if (!heading)
			continue;
		emit_append_styled(e, EMIT_BOLD, slice_str(heading));
		for (size_t n = text_columns(slice_str(heading)); n < width + 2; n++)
			buf_append_byte(&e->buf, ' ');
		if (c->style == EMIT_PLAIN)
			emit_append_wrapped(e, width + 2, width + 2, slice_str(c->text));
		else
			emit_append_styled(e, c->style, slice_str(c->text));
		buf_append_byte(&e->buf, '\n');
	}
}

/* ---- both ---- */

void emit_table(struct emit *e, const char *key, const struct emit_field *fields)
{
	layout_begin(e, fields, false);
	emit_array(e, key);
}

void emit_table_end(struct emit *e)
{
	assert(e->layout && !e->layout->is_form && e->layout->at == 0);
	if (!e->is_json && !e->layout->is_frozen)
		freeze(e);
	emit_array_end(e);
	layout_free(e);
}

void emit_form(struct emit *e, const struct emit_field *fields)
{
	layout_begin(e, fields, true);
}

void emit_form_end(struct emit *e)
{
	assert(e->layout && e->layout->is_form && e->layout->at == e->layout->count);
	if (!e->is_json)
		write_form(e);
	layout_free(e);
	emit_write_some(e);
}

/* Write what is whole in an open table. */
static void layout_unwind(struct emit *e)
{
	struct emit_layout *l = e->layout;

	if (l && !l->is_form && !e->is_json) {
		while (l->cell_count % l->count != 0)
			free(l->cells[--l->cell_count].text);
		if (!l->is_frozen)
			freeze(e);
	}
	layout_free(e);
}

void emit_unwind(struct emit *e)
{
	struct jw *j = &e->json;

	layout_unwind(e);
	if (j->after_key)
		jw_null(j);
	while (j->depth > 1) {
		if (j->is_object[j->depth])
			jw_object_end(j);
		else
			jw_array_end(j);
	}
}

/* The field that the next value belongs to. */
static const struct emit_field *value_begin(struct emit *e)
{
	struct emit_layout *l = e->layout;

	assert(l && l->at < l->count);
	if (e->is_json && l->at == 0 && !l->is_form)
		jw_object(&e->json);
	return &l->fields[l->at];
}

static void value_end(struct emit *e)
{
	struct emit_layout *l = e->layout;

	if (++l->at < l->count || l->is_form)
		return;
	l->at = 0;
	if (e->is_json) {
		jw_object_end(&e->json);
		emit_write_some(e);
	} else if (l->is_frozen) {
		write_rows(e);
	} else if (l->cell_count == l->count * LAYOUT_ROWS_HELD) {
		freeze(e);
	}
}

/* Keep @text (owned from here on; NULL where text does not show the field) and go to the next
 * field. */
static void cell_take(struct emit *e, enum emit_style style, char *text)
{
	struct emit_layout *l = e->layout;
	struct cell *cell;

	l->cells = vs_grow(l->cells, &l->cell_cap, l->cell_count + 1, sizeof(*l->cells));
	cell = &l->cells[l->cell_count++];
	cell->text = text;
	cell->style = style;
	value_end(e);
}

static void cell_text(struct emit *e, enum emit_style style, const char *text)
{
	cell_take(e, style, e->layout->fields[e->layout->at].heading ? vs_strdup(text) : NULL);
}

static void cell_escaped(struct emit *e, struct slice bytes)
{
	struct buf text = { 0 };

	if (!e->layout->fields[e->layout->at].heading) {
		cell_take(e, EMIT_PLAIN, NULL);
		return;
	}
	text_escape(&text, bytes);
	cell_take(e, EMIT_PLAIN, buf_take_str(&text));
}

void emit_styled(struct emit *e, enum emit_style style, const char *text)
{
	const struct emit_field *f = value_begin(e);

	if (!e->is_json) {
		cell_text(e, style, text ? text : "-");
		return;
	}
	if (f->key)
		jw_str_field(&e->json, f->key, text);
	value_end(e);
}

void emit_str(struct emit *e, const char *text)
{
	emit_styled(e, EMIT_PLAIN, text);
}

void emit_null(struct emit *e)
{
	emit_str(e, NULL);
}

void emit_bytes(struct emit *e, struct slice bytes)
{
	const struct emit_field *f;

	if (!bytes.ptr) {
		emit_null(e);
		return;
	}
	f = value_begin(e);
	if (!e->is_json) {
		cell_escaped(e, bytes);
		return;
	}
	if (f->key)
		jw_bytes_field(&e->json, f->key, bytes);
	value_end(e);
}

void emit_text(struct emit *e, const char *text)
{
	emit_bytes(e, text ? slice_str(text) : slice_of(NULL, 0));
}

static void uint_as(struct emit *e, uint64_t value, const char *text)
{
	const struct emit_field *f = value_begin(e);

	if (!e->is_json) {
		cell_text(e, EMIT_PLAIN, text);
		return;
	}
	if (f->key)
		jw_uint_field(&e->json, f->key, value);
	value_end(e);
}

void emit_uint(struct emit *e, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	uint_as(e, value, text);
}

void emit_size(struct emit *e, uint64_t bytes)
{
	char text[16];

	size_format(bytes, text);
	uint_as(e, bytes, text);
}

void emit_double(struct emit *e, double value, int decimals)
{
	const struct emit_field *f = value_begin(e);
	char text[64];

	if (!e->is_json) {
		if (isnan(value))
			snprintf(text, sizeof(text), "NaN");
		else if (isinf(value))
			snprintf(text, sizeof(text), "infinite");
		else if (fabs(value) < 1e15)
			snprintf(text, sizeof(text), "%.*f", decimals, value);
		else
			snprintf(text, sizeof(text), "%.*e", decimals, value);
		cell_text(e, EMIT_PLAIN, text);
		return;
	}
	if (f->key) {
		jw_key(&e->json, f->key);
		jw_double(&e->json, value, decimals);
	}
	value_end(e);
}

void emit_bool(struct emit *e, bool value)
{
	const struct emit_field *f = value_begin(e);

	if (!e->is_json) {
		cell_text(e, EMIT_PLAIN, value ? "yes" : "no");
		return;
	}
	if (f->key)
		jw_bool_field(&e->json, f->key, value);
	value_end(e);
}
