/* SPDX-License-Identifier: Apache-2.0 */

/* Opening the files as an index: sizes first, then how much of what they claim is there. */

#include "hnsw/graph.h"

int hnsw_refuse(struct hnsw_fault *fault, enum hnsw_file file, uint64_t off, const char *fmt, ...)
{
	char what[144];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	fault->file = file;
	fault->off = off;
	(void)snprintf(fault->text, sizeof(fault->text), "%s: %s at offset %" PRIu64,
		       hnsw_file_name(file), what, off);
	return 0;
}

int hnsw_take_sizes(const struct hnsw_header *h, struct hnsw_index *x, struct hnsw_fault *fault)
{
	uint64_t values;

	if (h->max_m < 1 || h->max_m > HNSW_M_MAX)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_MAX_M,
				   "%" PRIu64 " links on upper levels", h->max_m);
	if (h->max_m0 < 1 || h->max_m0 > UINT64_C(2) * HNSW_M_MAX)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_MAX_M0,
				   "%" PRIu64 " links on level 0", h->max_m0);
	if (h->vector_offset != 4 + 4 * h->max_m0)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_VECTOR_OFFSET,
				   "vectors %" PRIu64 " bytes into a record with %" PRIu64 " links",
				   h->vector_offset, h->max_m0);
	if (h->label_offset <= h->vector_offset)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_LABEL_OFFSET,
				   "labels %" PRIu64 " bytes into a record", h->label_offset);
	values = (h->label_offset - h->vector_offset) / 4;
	if (values > HNSW_DIM_MAX || h->label_offset != h->vector_offset + 4 * values)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_LABEL_OFFSET,
				   "labels %" PRIu64 " bytes into a record", h->label_offset);
	if (h->record_size != h->label_offset + 8)
		return hnsw_refuse(fault, HNSW_HEADER, HNSW_AT_RECORD_SIZE,
				   "records of %" PRIu64 " bytes", h->record_size);
	x->header = *h;
	x->dim = (uint32_t)values;
	x->record_size = (size_t)h->record_size;
	x->label_offset = (size_t)h->label_offset;
	x->vector_offset = (size_t)h->vector_offset;
	x->list_size = 4 + 4 * (size_t)h->max_m;
	return 1;
}

static int add_upper(struct hnsw_index *x, uint32_t id, uint32_t levels, uint64_t off,
		     struct vs_err *err)
{
	struct hnsw_upper *grown;
	size_t cap;

	if (x->upper_count == x->upper_cap) {
		cap = VS_MAX(x->upper_cap * 2, (size_t)64);
		grown = realloc(x->upper, cap * sizeof(*grown));
		if (grown == NULL)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu lists of links", cap);
		x->upper = grown;
		x->upper_cap = cap;
	}
	x->upper[x->upper_count++] = (struct hnsw_upper){ id, levels, off };
	return 0;
}

int hnsw_walk_links(struct slice links, struct hnsw_index *x, struct vs_err *err)
{
	struct cursor c = cursor_of(links);
	uint32_t id;
	uint32_t size;
	int r;

	for (id = 0; id < x->count; id++) {
		size_t off = cursor_off(&c);

		if (!cursor_le32(&c, &size) || size % x->list_size != 0 ||
		    size / x->list_size > HNSW_LEVEL_MAX || !cursor_skip(&c, size)) {
			x->links_end = off;
			x->links_count = id;
			x->links = slice_of(links.ptr, off);
			return 0;
		}
		if (size == 0)
			continue;
		r = add_upper(x, id, (uint32_t)(size / x->list_size), off + 4, err);
		if (r < 0)
			return r;
	}
	x->links_end = cursor_off(&c);
	x->links_count = id;
	x->links = slice_of(links.ptr, cursor_off(&c));
	return 0;
}

static int take_files(const struct hnsw_files *files, struct hnsw_index *x, struct vs_err *err)
{
	const struct slice *level0 = &files->file[HNSW_LEVEL0];
	uint64_t there;

	assert(x->record_size > 0);
	there = level0->len / x->record_size;
	if ((uintptr_t)level0->ptr % sizeof(float) != 0)
		return vs_fail(err, VS_EUSAGE, "the records of an index have to be aligned");
	there = VS_MIN(there, x->header.count);
	x->count = (uint32_t)VS_MIN(there, (uint64_t)HNSW_ELEMENTS_MAX);
	x->level0 = slice_of(level0->ptr, x->count * x->record_size);
	x->length = files->file[HNSW_LENGTH];
	return hnsw_walk_links(files->file[HNSW_LINKS], x, err);
}

int hnsw_open(const struct hnsw_files *files, struct hnsw_index *out, struct hnsw_fault *fault,
	      struct vs_err *err)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_header h;
	int r;

	if (!hnsw_header_decode(files->file[HNSW_HEADER], &h))
		return hnsw_refuse(fault, HNSW_HEADER, files->file[HNSW_HEADER].len,
				   "%u bytes are needed, and the file ends", HNSW_HEADER_LEN);
	if (hnsw_take_sizes(&h, &x, fault) == 0)
		return 0;
	r = take_files(files, &x, err);
	if (r < 0)
		return r;
	*out = x;
	x = (struct hnsw_index){ 0 };
	return 1;
}

/* Could these bytes be a record of an index with @room records at most? */
static bool is_record(const struct hnsw_index *x, const unsigned char *p, uint64_t room,
		      uint64_t label_max)
{
	uint32_t count = (uint32_t)p[0] | (uint32_t)p[1] << 8;
	uint64_t label = load_le64(p + x->label_offset);

	if (count > x->header.max_m0 || p[2] > 1 || p[3] != 0 || label < 1 || label > label_max)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (load_le32(p + 4 + (size_t)4 * i) >= room)
			return false;
	return true;
}

static int count_records(struct slice level0, uint64_t label_max, struct hnsw_index *x,
			 struct vs_err *err)
{
	cleanup_(hnsw_labels_fini) struct hnsw_labels seen = { 0 };
	uint64_t room, id;
	uint32_t earlier;
	int r;

	assert(x->record_size > 0);
	room = VS_MIN((uint64_t)(level0.len / x->record_size), (uint64_t)HNSW_ELEMENTS_MAX);
	for (id = 0; id < room; id++) {
		const unsigned char *p = level0.ptr + id * x->record_size;

		if (!is_record(x, p, room, label_max))
			break;
		r = hnsw_labels_add(&seen, load_le64(p + x->label_offset), (uint32_t)id, &earlier,
				    err);
		if (r < 0)
			return r;
		if (r == 0)
			break;
	}
	x->header.count = id;
	x->header.max_elements = VS_MAX(x->header.max_elements, id);
	return 0;
}

static void find_entry(struct hnsw_index *x)
{
	x->header.max_level = x->count > 0 ? 0 : -1;
	x->header.entry = x->count > 0 ? 0 : HNSW_NO_ENTRY;
	for (size_t i = 0; i < x->upper_count; i++) {
		if ((int32_t)x->upper[i].levels > x->header.max_level) {
			x->header.max_level = (int32_t)x->upper[i].levels;
			x->header.entry = x->upper[i].id;
		}
	}
}

int hnsw_open_as(const struct hnsw_files *files, const struct hnsw_header *h, uint64_t label_max,
		 struct hnsw_index *out, struct hnsw_fault *fault, struct vs_err *err)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	int r;

	if (hnsw_take_sizes(h, &x, fault) == 0)
		return 0;
	if (h->count == 0) {
		r = count_records(files->file[HNSW_LEVEL0], label_max, &x, err);
		if (r < 0)
			return r;
	}
	r = take_files(files, &x, err);
	if (r < 0)
		return r;
	find_entry(&x);
	*out = x;
	x = (struct hnsw_index){ 0 };
	return 1;
}
