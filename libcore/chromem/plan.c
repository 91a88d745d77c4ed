/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The short cut. Files that one process wrote begin with the same definitions, byte for byte. Once
 * such a file was decoded the general way, one that begins alike needs no look at its definitions,
 * and its value can be read straight off. Processes differ in the numbers that they give to types,
 * and a store may have been written by several: a few beginnings are remembered.
 *
 * Only what the library itself writes is read here: fields in their order, integers in their
 * shortest form, no key twice, exact elements, an end mark that is the last byte of the file.
 * Everything else is left to the general way, so that both agree on every file by construction.
 */

#include "chromem/floats.h"
#include "chromem/read.h"

#define PLAN_PAIRS_MAX 32

static const struct plan *find_plan(const struct chromem_reader *reader, struct slice bytes)
{
	const struct plan *plan = reader->plans;

	for (size_t i = 0; i < PLANS_MAX && plan->prefix_len > 0; i++, plan++) {
		if (bytes.len > plan->prefix_len &&
		    memcmp(bytes.ptr, plan->prefix, plan->prefix_len) == 0)
			return plan;
	}
	return NULL;
}

void plan_learn(struct chromem_reader *reader, const struct chromem_doc *doc)
{
	const struct gob_reader *gob = &reader->gob;
	const struct gob_notes *notes = &gob->notes;
	const struct gob_type *type = gob_reader_type(gob, notes->type);
	const struct library_type *library = &chromem_library_document;
	struct plan *plan = &reader->plans[reader->plan_next];
	const struct plan *known = find_plan(reader, gob->input);
	size_t start = (size_t)notes->definitions_end;

	if ((known && known->prefix_len == start) || start > PLAN_PREFIX_MAX ||
	    notes->has_long_integer || !type || type->field_count != library->field_count)
		return;
	for (uint32_t i = 0; i < type->field_count; i++) {
		if (!slice_eq_str(gob_type_field_at(gob, type, i)->name, library->fields[i]))
			return;
	}
	reader->plan_next = (reader->plan_next + 1) % PLANS_MAX;
	plan->prefix_len = start;
	memcpy(plan->prefix, gob->input.ptr, start);
	plan->type = notes->type;
	plan->oddities = doc->oddities & CHROMEM_ODD_FOREIGN_TYPES;
	plan->odd_off = plan->oddities != 0 ? type->off : 0;
}

/* An unsigned integer in its shortest form; false for another, or one that is too large for a
 * length. */
static inline bool take_uint(const unsigned char **p, const unsigned char *end, uint64_t *out)
{
	const unsigned char *at = *p;
	unsigned len;
	uint64_t u;

	if (at == end)
		return false;
	if (*at <= 0x7f) {
		*out = *at;
		*p = at + 1;
		return true;
	}
	len = 256u - *at++;
	if (len > 4 || (size_t)(end - at) < len)
		return false;
	u = 0;
	for (unsigned i = 0; i < len; i++)
		u = u << 8 | at[i];
	if (u <= 0x7f || u >> (8 * (len - 1)) == 0)
		return false;
	*out = u;
	*p = at + len;
	return true;
}

static inline bool take_string(const unsigned char **p, const unsigned char *end, struct slice *out)
{
	uint64_t len;

	if (!take_uint(p, end, &len) || len > (size_t)(end - *p))
		return false;
	*out = slice_of(*p, (size_t)len);
	*p += len;
	return true;
}

static bool is_new_key(const struct chromem_pair *pairs, size_t count, struct slice key)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_eq(pairs[i].key, key))
			return false;
	}
	return true;
}

/* Memory is what the general way left; it makes more when a document needs more. */
static bool take_metadata(struct chromem_reader *reader, const unsigned char **p,
			  const unsigned char *end, struct chromem_doc *out)
{
	struct chromem_pair *pairs = reader->doc_pairs.at;
	uint64_t count;

	if (!take_uint(p, end, &count) || count > PLAN_PAIRS_MAX || count > reader->doc_pairs.cap)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!take_string(p, end, &pairs[i].key) || !take_string(p, end, &pairs[i].value) ||
		    !is_new_key(pairs, i, pairs[i].key))
			return false;
	}
	out->has_metadata = true;
	out->metadata_count = (size_t)count;
	return true;
}

static bool take_embedding(struct chromem_reader *reader, const unsigned char **p,
			   const unsigned char *end, struct chromem_doc *out)
{
	uint64_t count;

	if (!take_uint(p, end, &count) || count > reader->embedding_cap)
		return false;
	out->dimension = (size_t)count;
	out->embedding_off = (uint64_t)(*p - reader->gob.input.ptr);
	*p = floats_decode(*p, end, reader->embedding, (size_t)count);
	return *p != NULL;
}

static bool take_field(struct chromem_reader *reader, unsigned field, const unsigned char **p,
		       const unsigned char *end, struct chromem_doc *out)
{
	switch (field) {
	case 1:
		return take_string(p, end, &out->id);
	case 2:
		return take_metadata(reader, p, end, out);
	case 3:
		return take_embedding(reader, p, end, out);
	case 4:
		/* NULs at the end of a text may be a hole in the file. */
		return take_string(p, end, &out->content) &&
		       (out->content.len == 0 || out->content.ptr[out->content.len - 1] != 0);
	default:
		return false;
	}
}

static bool take_value(struct chromem_reader *reader, const unsigned char *p,
		       const unsigned char *end, struct chromem_doc *out)
{
	unsigned field = 0;

	while (p < end && *p != 0) {
		if (*p > 4)
			return false;
		field += *p++;
		if (!take_field(reader, field, &p, end, out))
			return false;
	}
	return end - p == 1;
}

bool plan_decode(struct chromem_reader *reader, const struct unpacked *in, struct chromem_doc *out)
{
	const unsigned char *p = in->bytes.ptr, *end = p + in->bytes.len;
	const struct plan *plan = find_plan(reader, in->bytes);
	uint64_t len, number;

	if (!plan || in->oddities != 0 || in->ending.error || in->ending.is_limit)
		return false;
	p += plan->prefix_len;
	if (!take_uint(&p, end, &len) || len != (size_t)(end - p) || !take_uint(&p, end, &number) ||
	    number != (uint64_t)plan->type * 2)
		return false;
	*out = (struct chromem_doc){ 0 };
	reader->gob.input = in->bytes;
	if (!take_value(reader, p, end, out))
		return false;
	out->metadata = reader->doc_pairs.at;
	out->embedding = reader->embedding;
	out->id_off = offset_in(out->id, in->bytes);
	out->content_off = offset_in(out->content, in->bytes);
	out->oddities = plan->oddities | (in->is_gzip ? CHROMEM_ODD_IS_GZIP : 0u);
	out->odd_off = plan->odd_off;
	out->facts.unpacked_size = in->bytes.len;
	out->facts.value_end = in->bytes.len;
	return true;
}
