/* SPDX-License-Identifier: Apache-2.0 */

/* Masks: what they stand for, and the search through all their names. */

#include "lookup-kit.h"

static struct mask *parse(const char *text, const char *const custom[MASK_CUSTOM_COUNT])
{
	struct mask *mask = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(mask_parse(&mask, text, custom, &err), 0, "%s", err.text);
	return mask;
}

static void expect_name(const struct mask *mask, uint64_t index, const char *want)
{
	unsigned char name[MASK_LEN_MAX];

	mask_at(mask, index, name);
	cr_assert(slice_eq_str(slice_of(name, mask_len(mask)), want), "%.*s, not %s",
		  (int)mask_len(mask), (const char *)name, want);
}

Test(mask, sizes)
{
	static const struct {
		char text[40];
		uint64_t size;
		size_t len;
	} rows[] = {
		{ "a", 1, 1 },
		{ "notes", 1, 5 },
		{ "?l", 26, 1 },
		{ "?u", 26, 1 },
		{ "?d", 10, 1 },
		{ "?h", 16, 1 },
		{ "?H", 16, 1 },
		{ "?s", 33, 1 },
		{ "?a", 95, 1 },
		{ "?b", 256, 1 },
		{ "??", 1, 1 },
		{ "?1", 11, 1 },
		{ "?2", 13, 1 },
		{ "team-?d?d_?l?l?l", 1757600, 11 },
		{ "?b?b?b?b?b?b?b?h", UINT64_C(1) << 60, 8 },
	};
	static const char *const custom[MASK_CUSTOM_COUNT] = { "?d?d_", "?1xx?dy" };

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(mask_freep) struct mask *mask = parse(rows[i].text, custom);

		cr_assert_eq(mask_size(mask), rows[i].size, "%s", rows[i].text);
		cr_assert_eq(mask_len(mask), rows[i].len, "%s", rows[i].text);
	}
}

Test(mask, names_in_order)
{
	static const char *const custom[MASK_CUSTOM_COUNT] = { NULL, NULL, "?ux", "_??" };
	cleanup_(mask_freep) struct mask *mask = parse("n?d?3-?4", custom);

	cr_assert_eq(mask_size(mask), UINT64_C(540)); /* 10 digits, 27 and 2 */
	expect_name(mask, 0, "n0A-_");
	expect_name(mask, 1, "n0A-?");
	expect_name(mask, 2, "n0B-_");
	expect_name(mask, 52, "n0x-_");
	expect_name(mask, 54, "n1A-_");
	expect_name(mask, 539, "n9x-?");
}

/* Each built-in set from its first member to its last; all of them together without doubles. */
Test(mask, sets)
{
	static const char rows[][5] = { "?laz", "?uAZ", "?d09", "?h0f", "?H0F", "?s ~" };
	cleanup_(mask_freep) struct mask *all = parse("?a", NULL);
	unsigned seen[256] = { 0 };
	unsigned char c;

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		const char text[] = { rows[i][0], rows[i][1], '\0' };
		cleanup_(mask_freep) struct mask *mask = parse(text, NULL);

		mask_at(mask, 0, &c);
		cr_assert_eq(c, rows[i][2], "%s", text);
		mask_at(mask, mask_size(mask) - 1, &c);
		cr_assert_eq(c, rows[i][3], "%s", text);
	}
	for (uint64_t i = 0; i < mask_size(all); i++) {
		mask_at(all, i, &c);
		cr_assert(c >= ' ' && c <= '~');
		cr_assert_eq(seen[c]++, 0);
	}
}

Test(mask, what_is_no_mask)
{
	static const struct {
		char text[32];
		enum vs_status status;
		char says[32];
	} rows[] = {
		{ "", VS_EUSAGE, "empty" },
		{ "abc?", VS_EUSAGE, "at the end" },
		{ "ab?x", VS_EUSAGE, "?x at character 3" },
		{ "?1", VS_EUSAGE, "custom charset 1 is not given" },
		{ "?5", VS_EUSAGE, "no such set as ?5" },
		{ "?b?b?b?b?b?b?b?b", VS_ELIMIT, "2^64" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct mask *mask = NULL;
		struct vs_err err = { 0 };

		cr_assert_eq(mask_parse(&mask, rows[i].text, NULL, &err), rows[i].status, "%s",
			     rows[i].text);
		cr_assert_null(mask);
		cr_assert(strstr(err.text, rows[i].says), "%s", err.text);
	}
}

Test(mask, custom_sets_that_are_none)
{
	static const char *const sets[][MASK_CUSTOM_COUNT] = {
		{ "" }, { "a?" }, { "?1" }, { "?2", "a" }, { NULL, "?z" }
	};

	for (size_t i = 0; i < VS_COUNT(sets); i++) {
		struct mask *mask = NULL;
		struct vs_err err = { 0 };

		cr_assert_eq(mask_parse(&mask, "?d", sets[i], &err), VS_EUSAGE, "row %zu", i);
		cr_assert_null(mask);
	}
}

Test(mask, longest)
{
	char text[MASK_LEN_MAX + 2];
	struct mask *mask = NULL;
	struct vs_err err = { 0 };

	memset(text, 'x', sizeof(text));
	text[MASK_LEN_MAX] = '\0';
	mask = parse(text, NULL);
	cr_assert_eq(mask_len(mask), MASK_LEN_MAX);
	mask_freep(&mask);
	text[MASK_LEN_MAX] = 'x';
	text[MASK_LEN_MAX + 1] = '\0';
	cr_assert_eq(mask_parse(&mask, text, NULL, &err), VS_ELIMIT);
}

/* ---- searching ---- */

struct search {
	struct lookup *l;
	struct pool *pool;
	struct mask *mask;
	uint64_t told, total;
	unsigned calls;
	atomic_bool cancel;
};

static void search_fini(struct search *s)
{
	lookup_freep(&s->l);
	mask_freep(&s->mask);
	pool_freep(&s->pool);
}

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	struct search *s = ctx;

	cr_assert_geq(done, s->told);
	s->told = done;
	s->total = total;
	s->calls++;
	atomic_store(&s->cancel, true);
}

static void search_init(struct search *s, const uint32_t *hashes, size_t count, const char *mask,
			enum hash_engine engine)
{
	s->pool = pool_new(2);
	s->l = lookup_new(&(struct lookup_request){
		.hashes = hashes, .count = count, .pool = s->pool, .engine = engine });
	s->mask = parse(mask, NULL);
}

/* Masks of every shape: one place, many, fixed heads and tails, more than a block, two blocks. */
static const char *const shapes[] = {
	"q",
	"?d",
	"?l?l?l",
	"notes_?d?d?d?d",
	"?l?d_memories",
	"x?h?h?hx?l",
	"?s?s",
	"?b?b",
	"?d?d?d?d?d?d",
	/* 55 bytes and 56: where one block begins not to be enough */
	"?d?d?dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_?l",
	"?d?d?dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_?l",
	/* a fixed head of one block and some */
	"remediations_project_fyrsmithlabs__users_dahendel_projects_contextd_?h?h?h",
	/* a fixed head of a block, and a tail that needs two */
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxyyyyyyyyyyyyyyyyyyyyyyyyy"
	"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy?d?d?d",
	/* all of it after a place that varies */
	"?dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx?d?d",
};

/* The first name, the last and one between: all three found, under each engine. */
Test(mask, first_and_last_names_are_found)
{
	for (size_t i = 0; i < VS_COUNT(shapes); i++) {
		for (enum hash_engine e = HASH_AUTO; e <= HASH_AVX512; e++) {
			cleanup_(mask_freep) struct mask *mask = parse(shapes[i], NULL);
			const uint64_t indices[] = { 0, mask_size(mask) / 3, mask_size(mask) - 1 };
			unsigned char names[3][MASK_LEN_MAX];
			cleanup_(search_fini) struct search s = { 0 };
			uint32_t hashes[3];

			if (!hash_engine_available(e))
				continue;
			for (size_t k = 0; k < 3; k++) {
				mask_at(mask, indices[k], names[k]);
				hashes[k] = kit_hash(slice_of(names[k], mask_len(mask)));
			}
			search_init(&s, hashes, 3, shapes[i], e);
			cr_assert_eq(lookup_try_mask(s.l, s.mask), 0);
			for (size_t k = 0; k < 3; k++) {
				struct lookup_answer a;
				char says[64];

				lookup_answer(s.l, hashes[k], &a);
				cr_assert_eq(a.verdict, LOOKUP_FOUND, "%s: %zu", shapes[i], k);
				cr_assert_eq(a.tried, mask_size(mask), "%s", shapes[i]);
				cr_assert_eq(a.candidates->source, LOOKUP_MASK);
				cr_assert(slice_eq(
					slice_of(a.candidates->name, a.candidates->name_len),
					slice_of(names[k], mask_len(mask))));
				snprintf(says, sizeof(says), "number %" PRIu64 " of the %" PRIu64,
					 indices[k] + 1, mask_size(mask));
				cr_assert(kit_has_evidence(a.candidates, says), "%s: %s", says,
					  a.candidates->evidence[0]);
			}
		}
	}
}

/* Every name of a mask is tried, and none twice. */
Test(mask, every_name_is_found)
{
	static const char text[] = "a?d?h_?1";
	static const char *const custom[MASK_CUSTOM_COUNT] = { "xyz" };
	cleanup_(search_fini) struct search s = { 0 };
	uint32_t hashes[10 * 16 * 3];

	s.mask = parse(text, custom);
	cr_assert_eq(mask_size(s.mask), VS_COUNT(hashes));
	for (uint64_t i = 0; i < mask_size(s.mask); i++) {
		unsigned char name[MASK_LEN_MAX];

		mask_at(s.mask, i, name);
		hashes[i] = kit_hash(slice_of(name, mask_len(s.mask)));
	}
	s.l = lookup_new(&(struct lookup_request){ .hashes = hashes, .count = VS_COUNT(hashes) });
	cr_assert_eq(lookup_try_mask(s.l, s.mask), 0);
	for (size_t i = 0; i < VS_COUNT(hashes); i++) {
		struct lookup_answer a;

		lookup_answer(s.l, hashes[i], &a);
		cr_assert_eq(a.verdict, LOOKUP_FOUND);
		cr_assert_eq(a.candidates->evidence_count, 1);
	}
}

/* Five million names: one in a thousand searches like that would find a name that is none. */
Test(mask, a_name_among_too_many_is_not_trusted)
{
	const uint32_t hash = kit_hash_str("4711-4b");
	cleanup_(search_fini) struct search s = { 0 };
	struct lookup_answer a;

	search_init(&s, &hash, 1, "?d?d?d?d?s?d?h", HASH_AUTO);
	cr_assert_gt((double)mask_size(s.mask) / 4294967296.0, LOOKUP_FALSE_MAX);
	cr_assert_eq(lookup_try_mask(s.l, s.mask), 0);
	lookup_answer(s.l, hash, &a);
	cr_assert_str_eq(lookup_verdict_name(a.verdict), "doubtful");
	cr_assert_str_eq(a.candidates->name, "4711-4b");
	cr_assert_not(a.candidates->is_trusted);
	cr_assert_gt(a.candidates->expected_false_matches, LOOKUP_FALSE_MAX);
	cr_assert_eq(lookup_open_count(s.l), 1);
}

/* 2^60 names: the search ends soon after it is told to, and says how far it came. */
Test(mask, cancelled, .timeout = 60)
{
	const uint32_t hash = kit_hash_str("no such name, of another length");
	cleanup_(search_fini) struct search s = { 0 };
	struct lookup_answer a;

	s.pool = pool_new(2);
	s.l = lookup_new(&(struct lookup_request){ .hashes = &hash,
						   .count = 1,
						   .pool = s.pool,
						   .progress = tell,
						   .ctx = &s,
						   .cancel = &s.cancel });
	s.mask = parse("?b?b?b?b?b?b?b?h", NULL);
	cr_assert_eq(lookup_try_mask(s.l, s.mask), 1);
	lookup_answer(s.l, hash, &a);
	cr_assert_gt(s.calls, 0);
	cr_assert_gt(s.told, 0);
	cr_assert_eq(s.total, mask_size(s.mask));
	cr_assert_geq(a.tried, s.told);
	cr_assert_lt(a.tried, mask_size(s.mask));
}

Test(mask, cancelled_before_it_begins)
{
	const uint32_t hash = kit_hash_str("q");
	cleanup_(search_fini) struct search s = { 0 };
	struct lookup_answer a;

	atomic_store(&s.cancel, true);
	s.l = lookup_new(
		&(struct lookup_request){ .hashes = &hash, .count = 1, .cancel = &s.cancel });
	s.mask = parse("?l", NULL);
	cr_assert_eq(lookup_try_mask(s.l, s.mask), 1);
	lookup_answer(s.l, hash, &a);
	cr_assert_eq(a.verdict, LOOKUP_NOTHING);
	cr_assert_eq(a.tried, 0);
}

Test(mask, nothing_is_tried_for_hashes_that_are_found)
{
	const uint32_t hash = kit_hash_str("q");
	cleanup_(search_fini) struct search s = { 0 };
	struct lookup_answer a;

	search_init(&s, &hash, 1, "?l", HASH_AUTO);
	lookup_add_name(s.l, LOOKUP_GIVEN, slice_str("q"), NULL);
	lookup_try_seen(s.l);
	cr_assert_eq(lookup_try_mask(s.l, s.mask), 0);
	lookup_answer(s.l, hash, &a);
	cr_assert_eq(a.tried, 1);
}
