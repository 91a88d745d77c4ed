/* SPDX-License-Identifier: Apache-2.0 */

/* What two censuses of a store tell, and which rules speak against keeping a change. */

#include "guard/guard.h"

#include <criterion/criterion.h>
#include <math.h>

static struct guard_census *census_new(void)
{
	return vs_alloc(sizeof(struct guard_census));
}

static struct guard_document *add(struct guard_census *census, const char *id)
{
	struct guard_document *d =
		guard_collection_document(&census->collections[census->count - 1], slice_str(id));

	d->vector = GUARD_VECTOR_SOUND;
	d->dimension = 4;
	return d;
}

static void value(struct guard_census *census, struct guard_document *d, const char *key,
		  enum guard_kind kind)
{
	guard_document_value(&census->collections[census->count - 1], d, slice_str(key), kind);
}

static int by_id(const void *a, const void *b)
{
	const struct guard_document *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void in_order(struct guard_census *census)
{
	for (size_t i = 0; i < census->count; i++) {
		struct guard_collection *c = &census->collections[i];

		qsort(c->documents, c->count, sizeof(*c->documents), by_id);
	}
}

/* @count documents "0", "1", ... from @first, in a collection. */
static void many(struct guard_census *census, const char *name, unsigned first, unsigned count)
{
	(void)guard_census_collection(census, name, slice_str(name));
	for (unsigned i = first; i < first + count; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", i);
		(void)add(census, id);
	}
}

struct judged {
	unsigned reasons;
	struct guard_change change;
	struct buf text;
};

static struct judged judge(struct guard_census *before, struct guard_census *after, bool by_count,
			   const char *max_loss)
{
	struct judged j = { 0 };
	uint64_t limit;

	in_order(before);
	in_order(after);
	cr_assert(guard_percent_parse(max_loss, &limit));
	guard_compare(before, after, by_count, &j.change);
	j.reasons = guard_judge(&j.change, limit, 0, &j.text);
	return j;
}

static void done(struct judged *j, struct guard_census *before, struct guard_census *after)
{
	guard_change_fini(&j->change);
	buf_fini(&j->text);
	guard_census_freep(&before);
	guard_census_freep(&after);
}

Test(guard, percentages)
{
	static const struct {
		char text[16];
		uint64_t value;
	} good[] = {
		{ "5%", 5000000 },     { "5", 5000000 },          { "0", 0 },
		{ "100%", 100000000 }, { "2.5%", 2500000 },       { "0.000001", 1 },
		{ "007", 7000000 },    { "99.999999", 99999999 },
	};
	static const char bad[][16] = { "",      "%",   "5%%",  "-1",  "101",
					"100.1", "1e1", " 5",   "5 ",  "0.0000001",
					"5.",    ".5",  "1000", "5,5", "x" };
	uint64_t value;

	for (size_t i = 0; i < VS_COUNT(good); i++) {
		cr_assert(guard_percent_parse(good[i].text, &value), "%s", good[i].text);
		cr_assert_eq(value, good[i].value, "%s", good[i].text);
	}
	for (size_t i = 0; i < VS_COUNT(bad); i++)
		cr_assert(!guard_percent_parse(bad[i], &value), "%s", bad[i]);
}

Test(guard, exactly_the_limit_is_not_more)
{
	const uint64_t five = 5 * GUARD_PERCENT;

	cr_assert(!guard_exceeds(50, 1000, five));
	cr_assert(guard_exceeds(51, 1000, five));
	cr_assert(!guard_exceeds(0, 0, five));
	cr_assert(!guard_exceeds(0, 1000, 0));
	cr_assert(guard_exceeds(1, UINT64_C(100000000000), 0));
	/* In floating point 0.07 * 100 is more than 7. */
	cr_assert(!guard_exceeds(7, 100, 7 * GUARD_PERCENT));
	cr_assert(!guard_exceeds(UINT64_C(50000000), UINT64_C(1000000000), five));
	cr_assert(guard_exceeds(UINT64_C(50000001), UINT64_C(1000000000), five));
	cr_assert(guard_exceeds(UINT64_MAX, UINT64_MAX, five));
}

Test(guard, words_that_allow)
{
	struct vs_err err = { 0 };
	unsigned allowed;

	cr_assert_eq(guard_allow_parse("", &allowed, &err), 0);
	cr_assert_eq(allowed, 0);
	cr_assert_eq(guard_allow_parse("dimension,schema", &allowed, &err), 0);
	cr_assert_eq(allowed, GUARD_DIMENSION | GUARD_SCHEMA);
	cr_assert_eq(guard_allow_parse("loss", &allowed, &err), VS_EUSAGE);
	cr_assert_eq(guard_allow_parse("dimension;schema", &allowed, &err), VS_EUSAGE);
	cr_assert_eq(guard_allow_parse(",", &allowed, &err), VS_EUSAGE);
}

Test(guard, loss_is_of_ids)
{
	struct guard_census *before = census_new(), *after = census_new();
	struct judged j;

	many(before, "a", 0, 100);
	many(after, "a", 6, 300);
	j = judge(before, after, false, "5");
	cr_assert_eq(j.change.lost, 6);
	cr_assert_eq(j.change.gained, 206);
	cr_assert_eq(j.reasons, GUARD_LOSS);
	cr_assert_str_eq(buf_cstr(&j.text), "a lost 6 of 100 documents (6.00 %), more than 5 %");
	guard_change_fini(&j.change);
	buf_fini(&j.text);
	j = judge(before, after, true, "5");
	cr_assert_eq(j.change.lost, 0);
	cr_assert_eq(j.reasons, 0);
	done(&j, before, after);
}

Test(guard, an_id_twice_is_one_document)
{
	struct guard_census *before = census_new(), *after = census_new();
	struct judged j;

	many(before, "a", 0, 10);
	(void)add(before, "3");
	many(after, "a", 0, 10);
	(void)add(after, "4");
	(void)add(after, "4");
	j = judge(before, after, false, "0");
	cr_assert_eq(j.change.before, 10);
	cr_assert_eq(j.change.after, 10);
	cr_assert_eq(j.change.lost + j.change.gained, 0);
	cr_assert_eq(j.reasons, 0);
	done(&j, before, after);
}

/* Each collection is within the limit of 25 %, and all of them together are not: 1 of 4 and a whole
 * collection that is in another one now. */
Test(guard, moved_is_not_lost)
{
	struct guard_census *before = census_new(), *after = census_new();
	struct judged j;

	many(before, "a", 0, 4);
	many(before, "b", 100, 10);
	many(after, "a", 0, 3);
	many(after, "b2", 100, 10);
	j = judge(before, after, false, "25");
	cr_assert_eq(j.change.lost, 1);
	cr_assert_eq(j.change.moved, 10);
	cr_assert_eq(j.reasons, GUARD_COLLECTIONS);
	done(&j, before, after);
}

Test(guard, kinds_of_values)
{
	static const struct {
		enum guard_kind before, after;
		bool is_change;
	} rows[] = {
		{ GUARD_KIND_NUMBER, GUARD_KIND_TEXT, true },
		{ GUARD_KIND_TEXT, GUARD_KIND_NUMBER, false },
		{ GUARD_KIND_TEXT, GUARD_KIND_EMPTY, true },
		{ GUARD_KIND_EMPTY, GUARD_KIND_TEXT, false },
		{ GUARD_KIND_BOOL, GUARD_KIND_NUMBER, true },
		{ GUARD_KIND_INTEGER, GUARD_KIND_NUMBER, true },
		{ GUARD_KIND_LIST, GUARD_KIND_TEXT, true },
		{ GUARD_KIND_TEXT, GUARD_KIND_LIST, true },
		{ GUARD_KIND_NULL, GUARD_KIND_INTEGER, false },
		{ GUARD_KIND_TEXT, GUARD_KIND_TEXT, false },
		{ GUARD_KIND_TEXT, GUARD_KIND_ABSENT, true },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct guard_census *before = census_new(), *after = census_new();
		struct guard_document *d;
		struct judged j;

		many(before, "a", 0, 0);
		d = add(before, "x");
		value(before, d, "other", GUARD_KIND_TEXT);
		value(before, d, "key", rows[i].before);
		/* In another order. */
		many(after, "a", 0, 0);
		d = add(after, "x");
		if (rows[i].after != GUARD_KIND_ABSENT)
			value(after, d, "key", rows[i].after);
		value(after, d, "other", GUARD_KIND_TEXT);
		j = judge(before, after, false, "5");
		cr_assert_eq(j.reasons, rows[i].is_change ? GUARD_SCHEMA : 0, "row %zu: %s", i,
			     buf_cstr(&j.text));
		done(&j, before, after);
	}
}

Test(guard, vectors)
{
	static const struct {
		enum guard_vector before, after;
		uint32_t dimension;
		unsigned reasons;
	} rows[] = {
		{ GUARD_VECTOR_SOUND, GUARD_VECTOR_SOUND, 4, 0 },
		{ GUARD_VECTOR_SOUND, GUARD_VECTOR_ZERO, 4, GUARD_VECTORS },
		{ GUARD_VECTOR_SOUND, GUARD_VECTOR_NOT_FINITE, 4, GUARD_VECTORS },
		{ GUARD_VECTOR_SOUND, GUARD_VECTOR_NONE, 0, GUARD_VECTORS },
		{ GUARD_VECTOR_ZERO, GUARD_VECTOR_ZERO, 4, 0 },
		{ GUARD_VECTOR_ZERO, GUARD_VECTOR_SOUND, 4, 0 },
		{ GUARD_VECTOR_SOUND, GUARD_VECTOR_SOUND, 8, GUARD_DIMENSION },
		{ GUARD_VECTOR_UNKNOWN, GUARD_VECTOR_UNKNOWN, 4, 0 },
	};
	const float sound[] = { 0, 1 }, zero[] = { 0, -0.0f }, bad[] = { 1, NAN };

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct guard_census *before = census_new(), *after = census_new();
		struct guard_document *d;
		struct judged j;

		many(before, "a", 0, 0);
		add(before, "x")->vector = (uint8_t)rows[i].before;
		many(after, "a", 0, 0);
		d = add(after, "x");
		d->vector = (uint8_t)rows[i].after;
		d->dimension = rows[i].dimension;
		j = judge(before, after, false, "5");
		cr_assert_eq(j.reasons, rows[i].reasons, "row %zu: %s", i, buf_cstr(&j.text));
		done(&j, before, after);
	}
	cr_assert_eq(guard_vector_state(sound, 2), GUARD_VECTOR_SOUND);
	cr_assert_eq(guard_vector_state(zero, 2), GUARD_VECTOR_ZERO);
	cr_assert_eq(guard_vector_state(bad, 2), GUARD_VECTOR_NOT_FINITE);
	cr_assert_eq(guard_vector_state(NULL, 0), GUARD_VECTOR_NONE);
}

/* More keys than are remembered: what is past the end is no change. */
Test(guard, too_many_keys)
{
	struct guard_census *before = census_new(), *after = census_new();
	struct judged j;

	for (unsigned side = 0; side < 2; side++) {
		struct guard_census *census = side == 0 ? before : after;
		struct guard_document *d;

		many(census, "a", 0, 0);
		d = add(census, "x");
		for (unsigned i = 0; i < 100; i++) {
			char key[16];

			snprintf(key, sizeof(key), "%u", side == 0 ? i : 99 - i);
			value(census, d, key, GUARD_KIND_TEXT);
		}
	}
	j = judge(before, after, false, "5");
	cr_assert_eq(j.reasons, 0, "%s", buf_cstr(&j.text));
	done(&j, before, after);
}

Test(guard, limits)
{
	const char *const here[] = { "/", "/nowhere/at/all", NULL };
	const char *const relative[] = { "nowhere/at/all", NULL };
	struct guard_limits limits = { 100, 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(guard_preflight(&limits, here, &err), 0);
	limits.free_bytes = 1;
	cr_assert_eq(guard_preflight(&limits, here, &err), 0);
	cr_assert_eq(guard_preflight(&limits, relative, &err), 0);
	limits.free_bytes = UINT64_MAX;
	cr_assert_eq(guard_preflight(&limits, here, &err), VS_EIO);
	cr_assert_eq(guard_preflight(&limits, relative, &err), VS_EIO);
	cr_assert(strstr(err.text, "--min-free"));
	limits = (struct guard_limits){ 0, 0 };
	cr_assert_eq(guard_preflight(&limits, here, &err), VS_EIO);
	cr_assert(strstr(err.text, "--max-memory"));
	cr_assert(guard_memory_used() > 0 && guard_memory_used() <= 100);
}
