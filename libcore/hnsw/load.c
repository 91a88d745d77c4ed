/* SPDX-License-Identifier: Apache-2.0 */

/* The header's bytes, and reaching the parts of an element. */

#include "hnsw/graph.h"

const char *hnsw_file_name(enum hnsw_file file)
{
	static const char *const names[HNSW_FILES] = {
		[HNSW_HEADER] = "header.bin",
		[HNSW_LEVEL0] = "data_level0.bin",
		[HNSW_LENGTH] = "length.bin",
		[HNSW_LINKS] = "link_lists.bin",
	};

	return names[file];
}

bool hnsw_header_decode(struct slice bytes, struct hnsw_header *out)
{
	const unsigned char *p = bytes.ptr;
	uint64_t mult;

	if (bytes.len < HNSW_HEADER_LEN)
		return false;
	mult = load_le64(p + HNSW_AT_MULT);
	*out = (struct hnsw_header){
		.version = (int32_t)load_le32(p + HNSW_AT_VERSION),
		.offset_level0 = load_le64(p + HNSW_AT_OFFSET_LEVEL0),
		.max_elements = load_le64(p + HNSW_AT_MAX_ELEMENTS),
		.count = load_le64(p + HNSW_AT_COUNT),
		.record_size = load_le64(p + HNSW_AT_RECORD_SIZE),
		.label_offset = load_le64(p + HNSW_AT_LABEL_OFFSET),
		.vector_offset = load_le64(p + HNSW_AT_VECTOR_OFFSET),
		.max_level = (int32_t)load_le32(p + HNSW_AT_MAX_LEVEL),
		.entry = load_le32(p + HNSW_AT_ENTRY),
		.max_m = load_le64(p + HNSW_AT_MAX_M),
		.max_m0 = load_le64(p + HNSW_AT_MAX_M0),
		.m = load_le64(p + HNSW_AT_M),
		.ef_construction = load_le64(p + HNSW_AT_EF_CONSTRUCTION),
	};
	memcpy(&out->mult, &mult, sizeof(mult));
	return true;
}

void hnsw_header_encode(const struct hnsw_header *h, unsigned char out[HNSW_HEADER_LEN])
{
	uint64_t mult;

	memcpy(&mult, &h->mult, sizeof(mult));
	store_le32(out + HNSW_AT_VERSION, (uint32_t)h->version);
	store_le64(out + HNSW_AT_OFFSET_LEVEL0, h->offset_level0);
	store_le64(out + HNSW_AT_MAX_ELEMENTS, h->max_elements);
	store_le64(out + HNSW_AT_COUNT, h->count);
	store_le64(out + HNSW_AT_RECORD_SIZE, h->record_size);
	store_le64(out + HNSW_AT_LABEL_OFFSET, h->label_offset);
	store_le64(out + HNSW_AT_VECTOR_OFFSET, h->vector_offset);
	store_le32(out + HNSW_AT_MAX_LEVEL, (uint32_t)h->max_level);
	store_le32(out + HNSW_AT_ENTRY, h->entry);
	store_le64(out + HNSW_AT_MAX_M, h->max_m);
	store_le64(out + HNSW_AT_MAX_M0, h->max_m0);
	store_le64(out + HNSW_AT_M, h->m);
	store_le64(out + HNSW_AT_MULT, mult);
	store_le64(out + HNSW_AT_EF_CONSTRUCTION, h->ef_construction);
}

int hnsw_header_make(uint64_t count, uint32_t dim, uint32_t m, uint32_t ef_construction,
		     struct hnsw_header *out, struct vs_err *err)
{
	uint64_t room = 100;

	if (dim < 1 || dim > HNSW_DIM_MAX)
		return vs_fail(err, VS_ELIMIT, "%u values per vector; 1 to %u are possible", dim,
			       HNSW_DIM_MAX);
	if (m < 2 || m > HNSW_M_MAX)
		return vs_fail(err, VS_ELIMIT, "%u neighbours; 2 to %u are possible", m,
			       HNSW_M_MAX);
	if (count > HNSW_ELEMENTS_MAX)
		return vs_fail(err, VS_ELIMIT, "%" PRIu64 " elements are more than an index takes",
			       count);
	/* The server makes room for 100 and goes on in powers of two. */
	while (room < count)
		room = room == 100 ? 128 : room * 2;
	*out = (struct hnsw_header){
		.version = 1,
		.max_elements = room,
		.count = count,
		.max_level = -1,
		.entry = HNSW_NO_ENTRY,
		.max_m = m,
		.max_m0 = 2 * (uint64_t)m,
		.m = m,
		.mult = 1 / log((double)m),
		.ef_construction = VS_MAX(ef_construction, m),
	};
	out->vector_offset = 4 + 4 * out->max_m0;
	out->label_offset = out->vector_offset + 4 * (uint64_t)dim;
	out->record_size = out->label_offset + 8;
	return 0;
}

void hnsw_index_fini(struct hnsw_index *index)
{
	free(index->upper);
	*index = (struct hnsw_index){ 0 };
}

float hnsw_length(const struct hnsw_index *x, uint32_t id)
{
	float length;

	if (x->length.len / sizeof(length) <= id)
		return 0;
	memcpy(&length, x->length.ptr + sizeof(length) * id, sizeof(length));
	return length;
}

/* NULL where the element has no level above 0. */
static const struct hnsw_upper *find_upper(const struct hnsw_index *x, uint32_t id)
{
	size_t from = 0;
	size_t to = x->upper_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (x->upper[mid].id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return from < x->upper_count && x->upper[from].id == id ? &x->upper[from] : NULL;
}

uint32_t hnsw_levels(const struct hnsw_index *x, uint32_t id)
{
	const struct hnsw_upper *upper = find_upper(x, id);

	return upper != NULL ? upper->levels : 0;
}

uint64_t hnsw_links_off(const struct hnsw_index *x, uint32_t id, uint32_t level)
{
	const struct hnsw_upper *upper;

	if (level == 0)
		return hnsw_record_off(x, id);
	upper = find_upper(x, id);
	return upper != NULL ? upper->off + (uint64_t)(level - 1) * x->list_size : 0;
}

struct hnsw_links hnsw_links(const struct hnsw_index *x, uint32_t id, uint32_t level)
{
	const struct hnsw_upper *upper = level > 0 ? find_upper(x, id) : NULL;
	struct hnsw_links out = { .max = (uint32_t)(level > 0 ? x->header.max_m
							      : x->header.max_m0) };
	const unsigned char *list;

	if (level == 0)
		list = hnsw_record(x, id);
	else if (upper != NULL && level <= upper->levels)
		list = x->links.ptr + upper->off + (size_t)(level - 1) * x->list_size;
	else
		return out;
	out.ptr = list + 4;
	out.stored_count = (uint32_t)list[0] | (uint32_t)list[1] << 8;
	out.count = VS_MIN(out.stored_count, out.max);
	return out;
}
