/* SPDX-License-Identifier: Apache-2.0 */

/* One document, whole. */

#include "inspect.h"

/* ---- showing ---- */

static const struct {
	uint32_t bit;
	const char *name;
} oddity_names[] = {
	{ CHROMEM_ODD_LEFTOVER, "leftover-bytes" },
	{ CHROMEM_ODD_TRAILING, "trailing-bytes" },
	{ CHROMEM_ODD_NO_END, "no-end-mark" },
	{ CHROMEM_ODD_ZERO_TAIL, "zero-tail" },
	{ CHROMEM_ODD_UNKNOWN_FIELD, "unknown-field" },
	{ CHROMEM_ODD_MISSING_FIELD, "missing-field" },
	{ CHROMEM_ODD_FOREIGN_TYPES, "foreign-types" },
	{ CHROMEM_ODD_DUPLICATE_KEY, "duplicate-key" },
	{ CHROMEM_ODD_INEXACT_FLOAT, "inexact-float" },
	{ CHROMEM_ODD_LONG_INTEGER, "long-integer" },
	{ CHROMEM_ODD_IS_GZIP, "gzip" },
	{ CHROMEM_ODD_GZIP_CHECKSUM, "gzip-checksum" },
	{ CHROMEM_ODD_GZIP_TRAILER, "gzip-trailer" },
	{ CHROMEM_ODD_GZIP_TRAILING, "gzip-trailing-bytes" },
};

static void oddities_emit(struct emit *e, uint32_t oddities)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	emit_array(e, "oddities");
	for (size_t i = 0; i < VS_COUNT(oddity_names); i++) {
		if (!(oddities & oddity_names[i].bit))
			continue;
		buf_printf(&text, "%s%s", text.len > 0 ? ", " : "", oddity_names[i].name);
		emit_json_str(e, NULL, oddity_names[i].name);
	}
	emit_array_end(e);
	if (text.len > 0)
		emit_paragraph(e, 2, EMIT_BOLD, "oddities", "");
	if (text.len > 0)
		emit_paragraph(e, 2, EMIT_PLAIN, "  ", buf_cstr(&text));
}

static void vector_emit(struct emit *e, const struct chromem_doc *doc)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	if (!e->is_json) {
		for (size_t i = 0; i < doc->dimension; i++)
			buf_printf(&text, "%s%.9g", i > 0 ? " " : "", (double)doc->embedding[i]);
		emit_paragraph(e, 0, EMIT_BOLD, "vector", "");
		emit_paragraph(e, 2, EMIT_PLAIN, "  ", buf_cstr(&text));
		return;
	}
	emit_array(e, "vector");
	for (size_t i = 0; i < doc->dimension; i++)
		emit_json_float(e, NULL, doc->embedding[i]);
	emit_array_end(e);
}

static const struct emit_field fields[] = {
	{ .key = "id", .heading = "id" },
	{ .key = "collection", .heading = "directory" },
	{ .key = "file", .heading = "file" },
	{ .key = "file_bytes", .heading = "file size" },
	{ .key = "dimension", .heading = "dimension" },
	{ .key = "norm", .heading = "norm" },
	{ .key = "content_bytes", .heading = "content" },
	{ .key = "id_offset", .heading = NULL },
	{ .key = "vector_offset", .heading = NULL },
	{ .key = "content_offset", .heading = NULL },
	{ 0 },
};

static void offset_emit(struct emit *e, uint64_t off)
{
	if (off > 0)
		emit_uint(e, off);
	else
		emit_null(e);
}

void document_emit(struct inspect *in, const char *dir, const char *file, uint64_t size,
		   const struct chromem_doc *doc)
{
	struct emit *e = &in->app->emit;
	struct document_row row = { .file = file, .size = size };

	document_row_of(&row, doc);
	emit_object(e, "document");
	emit_form(e, fields);
	emit_bytes(e, row.id);
	emit_text(e, dir);
	emit_text(e, file);
	if (file)
		emit_size(e, size);
	else
		emit_null(e);
	emit_uint(e, row.dimension);
	emit_double(e, row.norm, 9);
	emit_size(e, row.content_len);
	offset_emit(e, doc->id_off);
	offset_emit(e, doc->embedding_off);
	offset_emit(e, doc->content_off);
	emit_form_end(e);
	emit_json_null(e, "fault");
	oddities_emit(e, doc->oddities);
	if (doc->metadata_count > 0)
		emit_paragraph(e, 0, EMIT_BOLD, "metadata", "");
	pairs_emit(e, "metadata", doc->metadata, doc->metadata_count);
	block_emit(e, "content", "content", doc->content);
	if (in->opts->vector)
		vector_emit(e, doc);
	emit_object_end(e);
}

static const struct emit_field fault_fields[] = {
	{ .key = "id", .heading = NULL },
	{ .key = "collection", .heading = "directory" },
	{ .key = "file", .heading = "file" },
	{ .key = "file_bytes", .heading = "file size" },
	{ .key = "fault", .heading = "fault" },
	{ .key = "fault_offset", .heading = "at offset" },
	{ .key = "loader_error", .heading = "library says" },
	{ 0 },
};

/* What the library says, which knows a file by its whole path. */
static void append_loader_text(struct buf *out, const struct inspect *in, const char *dir,
			       const char *file, const struct chromem_fault *fault)
{
	static const char opening[] = "couldn't open file: open ";
	const size_t len = sizeof(opening) - 1;

	if (strncmp(fault->loader_text, opening, len) != 0 ||
	    strncmp(fault->loader_text + len, file, strlen(file)) != 0) {
		buf_append_str(out, fault->loader_text);
		return;
	}
	buf_printf(out, "%s%s/%s/%s", opening, in->store->path, dir, fault->loader_text + len);
}

static void fault_emit(struct inspect *in, const char *dir, const char *file, uint64_t size,
		       const struct chromem_fault *fault)
{
	struct emit *e = &in->app->emit;
	cleanup_(buf_fini) struct buf loader = { 0 };

	append_loader_text(&loader, in, dir, file, fault);
	emit_object(e, "document");
	emit_form(e, fault_fields);
	emit_null(e);
	emit_text(e, dir);
	emit_text(e, file);
	emit_size(e, size);
	emit_text(e, fault->detail);
	emit_uint(e, fault->off);
	emit_text(e, loader.len > 0 ? buf_cstr(&loader) : NULL);
	emit_form_end(e);
	emit_object_end(e);
}

/* ---- finding ---- */

struct finder {
	struct inspect *in;
	struct chromem_reader *reader;
	const char *dir;
	int dirfd;
	char *file; /* found; owned */
};

static void finder_fini(struct finder *f)
{
	chromem_reader_freep(&f->reader);
	file_closep(&f->dirfd);
	free(f->file);
}

/* Does the file @name hold the document? A file that is not there holds nothing. */
static int holds(struct finder *f, const char *name, bool *out, struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct file_info info;
	int r;

	*out = false;
	r = file_stat_at(f->dirfd, name, FILE_FOLLOW, &info, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		r = chromem_reader_doc(f->reader, f->dirfd, name, &doc, &fault, err);
	if (r == 0)
		*out = slice_eq_str(doc.id, f->in->document);
	return r < 0 ? r : 0;
}

/* The first file in byte order whose document has the id, however it is named. */
static int search(struct finder *f, struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int r = chromem_list_load(&list, f->dirfd, NULL, f->in->form.compression, err);

	for (size_t i = 0; r == 0 && !f->file && i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];
		bool found = false;

		chromem_list_at(list, i, scratch, &entry);
		if (entry.entry_class != CHROMEM_ENTRY_DOCUMENT)
			continue;
		r = holds(f, entry.name, &found, err);
		if (found)
			f->file = vs_strdup(entry.name);
	}
	return r;
}

static bool is_file_here(const struct finder *f, const char *name)
{
	struct file_info info;
	struct vs_err ignored = { 0 };

	return !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       file_stat_at(f->dirfd, name, FILE_NO_FOLLOW, &info, &ignored) == 0 &&
	       info.type != FILE_DIRECTORY;
}

/* By id where the library puts it; as a file, with or without its extension; by id anywhere. */
static int find(struct finder *f, struct vs_err *err)
{
	const char *extension = chromem_extension(f->in->form.compression);
	const char *wanted = f->in->document;
	char hash[CHROMEM_ID_LEN + 1];
	char name[300];
	bool found;
	int r;

	chromem_hash_format(chromem_hash(slice_str(wanted)), hash);
	snprintf(name, sizeof(name), "%s%s", hash, extension);
	r = holds(f, name, &found, err);
	if (r < 0)
		return r;
	if (!found) {
		snprintf(name, sizeof(name), "%s", wanted);
		found = is_file_here(f, name);
	}
	if (!found) {
		snprintf(name, sizeof(name), "%s%s", wanted, extension);
		found = is_file_here(f, name);
	}
	if (found) {
		f->file = vs_strdup(name);
		return 0;
	}
	r = search(f, err);
	if (r == 0 && !f->file)
		return vs_fail(err, VS_ENOENT, "no document %s in %s", wanted, f->dir);
	return r;
}

int inspect_document(struct inspect *in, const char *dir)
{
	cleanup_(finder_fini) struct finder f = { .in = in, .dir = dir, .dirfd = -1 };
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct vs_err err = { 0 };
	int r;

	f.reader = chromem_reader_new();
	if (file_open_dir(in->store->dirfd, dir, FILE_NO_FOLLOW, &f.dirfd, &err) < 0 ||
	    find(&f, &err) < 0)
		return app_error(in->app, &err);
	r = chromem_reader_doc(f.reader, f.dirfd, f.file, &doc, &fault, &err);
	if (r < 0)
		return app_error(in->app, &err);
	inspect_begin(in);
	if (r == 0)
		document_emit(in, dir, f.file, chromem_reader_file_size(f.reader), &doc);
	else
		fault_emit(in, dir, f.file, chromem_reader_file_size(f.reader), &fault);
	emit_document_end(&in->app->emit);
	return r == 0 ? EXIT_CLEAN : EXIT_PROBLEMS;
}
