/* SPDX-License-Identifier: Apache-2.0 */

/* The index's files: what the server wrote is clean, and each damage is told once, in its place. */

#include "hnsw-kit.h"

#define DOCS "cosine-12"        /* 32 elements of 188 bytes */
#define NOTES "l2-8-tombstones" /* 38 elements of 92 bytes, M 6 */
#define RECORD 92
#define VECTOR 52
#define LABEL 84

static void set_u32(struct kit_index *k, enum hnsw_file file, size_t off, uint32_t value)
{
	cr_assert_leq(off + 4, k->file[file].len);
	store_le32(k->file[file].ptr + off, value);
}

static void set_u64(struct kit_index *k, enum hnsw_file file, size_t off, uint64_t value)
{
	cr_assert_leq(off + 8, k->file[file].len);
	store_le64(k->file[file].ptr + off, value);
}

static void expect_field(struct kit_index *k, const char *name, uint64_t off)
{
	struct kit_findings found;
	struct hnsw_stats stats;

	(void)kit_check(k, HNSW_L2, &found, &stats);
	cr_assert_geq(found.count[HNSW_HEADER_FIELD], 1);
	cr_assert_eq(found.all, found.count[HNSW_HEADER_FIELD]);
	cr_assert_str_eq(found.last[HNSW_HEADER_FIELD].field, name);
	cr_assert_eq(found.last[HNSW_HEADER_FIELD].off, off);
}

/* ---- sound files ---- */

Test(hnsw_check, what_the_server_wrote_is_clean)
{
	static const struct {
		char name[32];
		enum hnsw_space space;
		uint32_t dim, count, deleted;
	} rows[] = {
		{ DOCS, HNSW_COSINE, 12, 32, 0 },
		{ NOTES, HNSW_L2, 8, 38, 4 },
		{ "ip-4-empty", HNSW_IP, 4, 0, 0 },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_index_fini) struct kit_index k = { 0 };
		struct kit_findings found;
		struct hnsw_stats stats;

		kit_load(rows[i].name, &k);
		cr_assert_eq(kit_check(&k, rows[i].space, &found, &stats), 1);
		cr_assert_eq(found.all, 0);
		cr_assert_eq(stats.dim, rows[i].dim);
		cr_assert_eq(stats.count, rows[i].count);
		cr_assert_eq(stats.deleted, rows[i].deleted);
		cr_assert_eq(stats.label_highest, rows[i].count);
	}
}

Test(hnsw_check, header_comes_back_byte_for_byte)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	unsigned char out[HNSW_HEADER_LEN];
	struct hnsw_header h, made;
	struct vs_err err = { 0 };

	kit_load(NOTES, &k);
	cr_assert(hnsw_header_decode(buf_slice(&k.file[HNSW_HEADER]), &h));
	hnsw_header_encode(&h, out);
	cr_assert_eq(memcmp(out, k.file[HNSW_HEADER].ptr, sizeof(out)), 0);

	/* What we make for as many is what the server made, but for what the graph decides. */
	cr_assert_eq(
		hnsw_header_make(38, 8, (uint32_t)h.m, (uint32_t)h.ef_construction, &made, &err),
		0);
	made.entry = h.entry;
	made.max_level = h.max_level;
	hnsw_header_encode(&made, out);
	cr_assert_eq(memcmp(out, k.file[HNSW_HEADER].ptr, sizeof(out)), 0);
	cr_assert_eq(hnsw_header_make(1, 0, 16, 100, &made, &err), VS_ELIMIT);
	cr_assert_eq(hnsw_header_make(1, 8, 1, 100, &made, &err), VS_ELIMIT);
	cr_assert_eq(hnsw_header_make(UINT32_MAX, 8, 16, 100, &made, &err), VS_ELIMIT);
}

/* ---- header ---- */

Test(hnsw_check, header_fields_are_held_against_each_other)
{
	static const struct {
		char name[24];
		size_t off;
		uint64_t value;
		bool is_32;
	} rows[] = {
		{ "version", HNSW_AT_VERSION, 2, true },
		{ "offset_level0", HNSW_AT_OFFSET_LEVEL0, 8, false },
		{ "record_size", HNSW_AT_RECORD_SIZE, 4096, false },
		{ "vector_offset", HNSW_AT_VECTOR_OFFSET, 60, false },
		{ "label_offset", HNSW_AT_LABEL_OFFSET, 3, false },
		{ "max_m", HNSW_AT_MAX_M, 7, false },
		{ "mult", HNSW_AT_MULT, 0, false },
		{ "ef_construction", HNSW_AT_EF_CONSTRUCTION, 1, false },
		{ "max_level", HNSW_AT_MAX_LEVEL, 3, true },
		{ "max_level", HNSW_AT_MAX_LEVEL, 0x80000000, true },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_index_fini) struct kit_index k = { 0 };
		struct kit_findings found;
		struct hnsw_stats stats;

		kit_load(NOTES, &k);
		if (rows[i].is_32)
			set_u32(&k, HNSW_HEADER, rows[i].off, (uint32_t)rows[i].value);
		else
			set_u64(&k, HNSW_HEADER, rows[i].off, rows[i].value);
		/* Wrong lists of links follow from another M, so only this one is looked at. */
		if (rows[i].off != HNSW_AT_MAX_M) {
			expect_field(&k, rows[i].name, rows[i].off);
			continue;
		}
		(void)kit_check(&k, HNSW_L2, &found, &stats);
		cr_assert_str_eq(found.last[HNSW_HEADER_FIELD].field, rows[i].name);
	}
}

Test(hnsw_check, header_of_another_size)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };

	kit_load(NOTES, &k);
	buf_append_byte(&k.file[HNSW_HEADER], 0);
	cr_assert_eq(kit_expect(&k, HNSW_L2, HNSW_HEADER_SIZE).actual, 101);
	k.file[HNSW_HEADER].len = 99;
	cr_assert_eq(kit_expect(&k, HNSW_L2, HNSW_HEADER_SIZE).actual, 99);
}

Test(hnsw_check, counts_and_entry)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_finding f;

	kit_load(NOTES, &k);
	set_u64(&k, HNSW_HEADER, HNSW_AT_COUNT, 1 << 20);
	f = kit_expect(&k, HNSW_L2, HNSW_COUNT_HIGH);
	cr_assert(f.off == HNSW_AT_COUNT && f.expected == 100 && f.actual == 1 << 20);
	set_u64(&k, HNSW_HEADER, HNSW_AT_COUNT, 38);
	set_u32(&k, HNSW_HEADER, HNSW_AT_ENTRY, 38);
	f = kit_expect(&k, HNSW_L2, HNSW_ENTRY_RANGE);
	cr_assert(f.off == HNSW_AT_ENTRY && f.expected == 38 && f.actual == 38);
	/* An element that has only level 0. */
	set_u32(&k, HNSW_HEADER, HNSW_AT_ENTRY, 0);
	f = kit_expect(&k, HNSW_L2, HNSW_ENTRY_LEVEL);
	cr_assert(f.expected == 2 && f.actual < 2);
}

/* ---- sizes ---- */

Test(hnsw_check, files_that_are_too_short)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_finding f;

	kit_load(NOTES, &k);
	k.file[HNSW_LENGTH].len = 100;
	f = kit_expect(&k, HNSW_L2, HNSW_LENGTH_SHORT);
	cr_assert(f.expected == 152 && f.actual == 100);
	k.file[HNSW_LENGTH].len = 400;
	k.file[HNSW_LEVEL0].len = 20 * RECORD + 5;
	f = kit_expect(&k, HNSW_L2, HNSW_LEVEL0_SHORT);
	cr_assert(f.expected == (uint64_t)38 * RECORD && f.actual == 20 * RECORD + 5);
}

Test(hnsw_check, links_that_cannot_be_followed)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_finding f;
	size_t whole;

	kit_load(NOTES, &k);
	whole = k.file[HNSW_LINKS].len;
	for (size_t len = 0; len < whole; len++) {
		k.file[HNSW_LINKS].len = len;
		f = kit_expect(&k, HNSW_L2, HNSW_LINKS_SHORT);
		cr_assert(f.off <= len && f.actual == len - f.off && f.expected > f.actual);
	}
	k.file[HNSW_LINKS].len = whole;
	buf_append(&k.file[HNSW_LINKS], "\0\0\0\0", 4);
	f = kit_expect(&k, HNSW_L2, HNSW_LINKS_LONG);
	cr_assert(f.expected == whole && f.actual == whole + 4);
	k.file[HNSW_LINKS].len = whole;
	set_u32(&k, HNSW_LINKS, 0, 27);
	f = kit_expect(&k, HNSW_L2, HNSW_LINKS_SIZE);
	cr_assert(f.off == 0 && f.element == 0 && f.actual == 27);
}

/* ---- elements ---- */

Test(hnsw_check, links_of_an_element)
{
	static const struct {
		enum hnsw_finding_kind kind;
		uint32_t value;
	} rows[] = {
		{ HNSW_LINK_RANGE, 38 },
		{ HNSW_LINK_SELF, 7 },
		{ HNSW_LINK_DUPLICATE, UINT32_MAX }, /* the link before */
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_index_fini) struct kit_index k = { 0 };
		size_t off = 7 * RECORD + 8;
		uint32_t value = rows[i].value;
		struct hnsw_finding f;

		kit_load(NOTES, &k);
		if (value == UINT32_MAX)
			value = load_le32(k.file[HNSW_LEVEL0].ptr + off - 4);
		set_u32(&k, HNSW_LEVEL0, off, value);
		f = kit_expect(&k, HNSW_L2, rows[i].kind);
		cr_assert_eq(f.file, HNSW_LEVEL0);
		cr_assert_eq(f.off, off);
		cr_assert_eq(f.element, 7);
		cr_assert_eq(f.actual, value);
		cr_assert_neq(f.label, 0);
	}
}

Test(hnsw_check, counts_and_flags_of_an_element)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	unsigned char *record;
	struct hnsw_finding f;
	unsigned char held;

	kit_load(NOTES, &k);
	record = k.file[HNSW_LEVEL0].ptr + 7 * RECORD;
	record[3] = 4;
	f = kit_expect(&k, HNSW_L2, HNSW_FLAGS);
	cr_assert(f.element == 7 && (f.actual & ~UINT64_C(1)) == 0x400);
	record[3] = 0;
	held = record[0];
	record[0] = 0;
	f = kit_expect(&k, HNSW_L2, HNSW_NO_LINKS);
	cr_assert_eq(f.element, 7);
	record[0] = held;
	kit_expect_clean(&k, HNSW_L2);
}

Test(hnsw_check, more_links_than_fit)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct kit_findings found;
	struct hnsw_stats stats;

	kit_load(NOTES, &k);
	k.file[HNSW_LEVEL0].ptr[7 * RECORD] = 200;
	(void)kit_check(&k, HNSW_L2, &found, &stats);
	cr_assert_eq(found.count[HNSW_LINK_COUNT], 1);
	cr_assert_eq(found.last[HNSW_LINK_COUNT].actual, 200);
	cr_assert_eq(found.last[HNSW_LINK_COUNT].expected, 12);
}

Test(hnsw_check, link_to_an_element_without_the_level)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct hnsw_finding f;
	struct vs_err err = { 0 };
	uint32_t low = 0;

	kit_load(NOTES, &k);
	files = kit_files(&k);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	while (hnsw_levels(&x, low) > 0)
		low++;
	set_u32(&k, HNSW_LINKS, x.upper[0].off + 4, low);
	f = kit_expect(&k, HNSW_L2, HNSW_LINK_LEVEL);
	cr_assert(f.file == HNSW_LINKS && f.off == x.upper[0].off + 4 && f.actual == low &&
		  f.level == 1 && f.element == x.upper[0].id);
}

Test(hnsw_check, labels)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_finding f;

	kit_load(NOTES, &k);
	set_u64(&k, HNSW_LEVEL0, 5 * RECORD + LABEL, 0);
	f = kit_expect(&k, HNSW_L2, HNSW_LABEL_RANGE);
	cr_assert(f.off == 5 * RECORD + LABEL && f.element == 5);
	set_u64(&k, HNSW_LEVEL0, 5 * RECORD + LABEL,
		load_le64(k.file[HNSW_LEVEL0].ptr + 3 * RECORD + LABEL));
	f = kit_expect(&k, HNSW_L2, HNSW_LABEL_DUPLICATE);
	cr_assert(f.element == 5 && f.expected == 3);
}

Test(hnsw_check, values)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(kit_index_fini) struct kit_index docs = { 0 };
	struct hnsw_finding f;

	kit_load(NOTES, &k);
	set_u32(&k, HNSW_LEVEL0, 5 * RECORD + VECTOR + 8, 0x7fc00000);
	f = kit_expect(&k, HNSW_L2, HNSW_VALUE_NOT_FINITE);
	cr_assert(f.element == 5 && f.expected == 2 && f.off == 5 * RECORD + VECTOR + 8);

	kit_load(DOCS, &docs);
	/* 2.0 in a vector of norm 1; and for l2 that is a vector like any other. */
	set_u32(&docs, HNSW_LEVEL0, 5 * 188 + 132, 0x40000000);
	f = kit_expect(&docs, HNSW_COSINE, HNSW_NORM);
	cr_assert(f.element == 5 && f.value > 1.9);
	kit_expect_clean(&docs, HNSW_L2);
}

Test(hnsw_check, stored_norms)
{
	static const uint32_t bad[] = { 0x7f800000, 0xbf800000, 0 };

	for (size_t i = 0; i < VS_COUNT(bad); i++) {
		cleanup_(kit_index_fini) struct kit_index k = { 0 };

		kit_load(DOCS, &k);
		set_u32(&k, HNSW_LENGTH, 4 * 9, bad[i]);
		cr_assert_eq(kit_expect(&k, HNSW_COSINE, HNSW_LENGTH_VALUE).element, 9);
		kit_expect_clean(&k, HNSW_IP);
	}
}

/* ---- the graph ---- */

Test(hnsw_check, what_nothing_leads_to)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(vs_freep) float *v = kit_vectors(400, 4, 1);
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = 4, .m = 4, .ef_construction = 100, .seed = 3
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 400, &params);
	const struct hnsw_index *x = hnsw_graph_index(g);
	struct kit_findings found;
	struct hnsw_stats stats;

	kit_save(g, &k);
	kit_expect_clean(&k, HNSW_L2);
	/* All links out of the first half, but for the entry point's one. */
	for (uint32_t id = 0; id < 400; id++) {
		struct hnsw_links links = hnsw_links(x, id, 0);
		unsigned char *list = k.file[HNSW_LEVEL0].ptr + hnsw_record_off(x, id);
		uint32_t kept = 0;

		for (uint32_t i = 0; i < links.count; i++)
			if ((hnsw_link(&links, i) < 200) == (id < 200))
				store_le32(list + 4 + (size_t)4 * kept++, hnsw_link(&links, i));
		list[0] = (unsigned char)kept;
	}
	(void)kit_check(&k, HNSW_L2, &found, &stats);
	cr_assert_eq(found.count[HNSW_CUT_OFF], 1);
	cr_assert_geq(found.count[HNSW_UNREACHABLE], 200);
	cr_assert_eq(found.last[HNSW_CUT_OFF].actual, stats.unreachable);
	cr_assert_eq(found.last[HNSW_CUT_OFF].expected, 12);
}

/* Take @id out of all lists of level 0 that have more than one element. */
static void forget(struct kit_index *k, const struct hnsw_index *x, uint32_t id)
{
	for (uint32_t from = 0; from < x->count; from++) {
		unsigned char *list = k->file[HNSW_LEVEL0].ptr + hnsw_record_off(x, from);
		uint32_t count = list[0];

		for (uint32_t i = 0; i < count && count > 1; i++) {
			uint32_t to;

			memcpy(&to, list + 4 + (size_t)4 * i, sizeof(to));
			if (to != id)
				continue;
			memmove(list + 4 + (size_t)4 * i, list + 4 + (size_t)4 * (i + 1),
				(size_t)4 * (count - i - 1));
			list[0] = (unsigned char)--count;
		}
	}
}

/* Links to an element that are gone, while its own are still there. */
Test(hnsw_check, what_lost_the_links_to_it)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(vs_freep) float *v = kit_vectors(400, 8, 1);
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = 8, .m = 16, .ef_construction = 100, .seed = 3
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 400, &params);
	struct kit_findings found;
	struct hnsw_stats stats;

	kit_save(g, &k);
	for (uint32_t id = 100; id < 140; id++)
		forget(&k, hnsw_graph_index(g), id);
	(void)kit_check(&k, HNSW_L2, &found, &stats);
	cr_assert_geq(found.count[HNSW_UNREACHABLE], 30);
	cr_assert_eq(found.count[HNSW_CUT_OFF], 1);
	cr_assert_eq(found.count[HNSW_NO_LINKS], 0);
	/* With so few candidates updates alone do that. */
	set_u32(&k, HNSW_HEADER, HNSW_AT_EF_CONSTRUCTION, 99);
	(void)kit_check(&k, HNSW_L2, &found, &stats);
	cr_assert_geq(found.count[HNSW_UNREACHABLE], 30);
	cr_assert_eq(found.count[HNSW_CUT_OFF], 0);
}

/*
 * By inner product long vectors are nearest to all others, and the choice of neighbours drops the
 * links to the short ones: the server made this index, and no path leads to 24 of its 130 elements.
 */
Test(hnsw_check, links_that_the_server_drops_are_not_lost)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct kit_findings found;
	struct hnsw_stats stats;

	kit_load("ip-1-hubs", &k);
	(void)kit_check(&k, HNSW_IP, &found, &stats);
	cr_assert_eq(found.count[HNSW_UNREACHABLE], 24);
	cr_assert_eq(found.all, 24);
}

Test(hnsw_check, quick_reads_no_element)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct kit_findings found = { 0 };
	const struct hnsw_check_request request = {
		.space = HNSW_L2,
		.is_quick = true,
		.finding = kit_note,
		.ctx = &found,
	};
	struct hnsw_files files;
	struct hnsw_stats stats;
	struct vs_err err = { 0 };

	kit_load(NOTES, &k);
	set_u64(&k, HNSW_LEVEL0, 5 * RECORD + LABEL, 0);
	files = kit_files(&k);
	cr_assert_eq(hnsw_check(&files, &request, &stats, &err), 1);
	cr_assert_eq(found.all, 0);
}

/* A callback that stops is obeyed, and its status comes back. */
static int stop(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	(void)ctx;
	(void)f;
	return vs_fail(err, VS_ELIMIT, "enough");
}

Test(hnsw_check, callback_stops_the_check)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	const struct hnsw_check_request request = { .space = HNSW_L2, .finding = stop };
	struct hnsw_files files;
	struct hnsw_stats stats;
	struct vs_err err = { 0 };

	kit_load(NOTES, &k);
	set_u64(&k, HNSW_LEVEL0, 5 * RECORD + LABEL, 0);
	files = kit_files(&k);
	cr_assert_eq(hnsw_check(&files, &request, &stats, &err), VS_ELIMIT);
	cr_assert_eq(stats.findings, 1);
}

/* ---- many elements, many threads ---- */

struct told {
	struct hnsw_finding f[4096];
	unsigned count;
};

static int tell(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	struct told *t = ctx;

	(void)err;
	if (t->count < VS_COUNT(t->f))
		t->f[t->count++] = *f;
	return 0;
}

static void check_in(const struct kit_index *k, unsigned threads, struct told *told,
		     struct hnsw_stats *stats)
{
	cleanup_(pool_freep) struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
	const struct hnsw_files files = kit_files(k);
	const struct hnsw_check_request request = {
		.space = HNSW_COSINE, .pool = pool, .finding = tell, .ctx = told
	};
	struct vs_err err = { 0 };

	told->count = 0;
	cr_assert_eq(hnsw_check(&files, &request, stats, &err), 1, "%s", err.text);
}

/* Where bytes are damaged here and there, all is told as one thread tells it, and in that order. */
Test(hnsw_check, threads_tell_the_same)
{
	cleanup_(vs_freep) float *v = kit_vectors(2000, 6, 5);
	const struct hnsw_params params = {
		.space = HNSW_COSINE, .dim = 6, .m = 4, .ef_construction = 20, .seed = 3
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 2000, &params);
	cleanup_(vs_freep) struct told *one = vs_alloc(sizeof(*one));
	cleanup_(vs_freep) struct told *many = vs_alloc(sizeof(*many));
	uint64_t state = 11;

	for (unsigned round = 0; round < 60; round++) {
		cleanup_(kit_index_fini) struct kit_index k = { 0 };
		struct hnsw_stats a, b;

		kit_save(g, &k);
		for (unsigned i = 0; i < round; i++) {
			struct buf *file = &k.file[i % 3 == 0 ? HNSW_LINKS : HNSW_LEVEL0];

			file->ptr[(size_t)(kit_random(&state) * (float)file->len) % file->len] ^=
				(unsigned char)(1u << i % 8);
		}
		check_in(&k, 1, one, &a);
		check_in(&k, 3, many, &b);
		cr_assert(round == 0 || one->count > 0);
		cr_assert_eq(one->count, many->count);
		for (unsigned i = 0; i < one->count; i++)
			cr_assert(one->f[i].kind == many->f[i].kind &&
					  one->f[i].off == many->f[i].off &&
					  one->f[i].element == many->f[i].element &&
					  one->f[i].actual == many->f[i].actual,
				  "round %u, finding %u", round, i);
		cr_assert(a.links0 == b.links0 && a.out_min == b.out_min && a.no_in == b.no_in &&
			  a.deleted == b.deleted && a.in_max == b.in_max &&
			  a.label_highest == b.label_highest &&
			  memcmp(a.per_level, b.per_level, sizeof(a.per_level)) == 0);
	}
}

/* A piece that is not clean counts as a clean one does. */
Test(hnsw_check, figures_do_not_depend_on_findings)
{
	cleanup_(vs_freep) float *v = kit_vectors(2000, 6, 5);
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = 6, .m = 4, .ef_construction = 20, .seed = 3
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 2000, &params);
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct kit_findings found;
	struct hnsw_stats clean, odd;
	const float nan = NAN;

	kit_save(g, &k);
	(void)kit_check(&k, HNSW_L2, &found, &clean);
	cr_assert_eq(clean.findings, 0);
	for (uint32_t id = 0; id < 2000; id += 150)
		memcpy(k.file[HNSW_LEVEL0].ptr + hnsw_record_off(&g->index, id) +
			       g->index.vector_offset,
		       &nan, sizeof(nan));
	(void)kit_check(&k, HNSW_L2, &found, &odd);
	cr_assert_eq(found.count[HNSW_VALUE_NOT_FINITE], 14);
	odd.findings = 0;
	cr_assert_eq(memcmp(&clean, &odd, sizeof(clean)), 0);
}
