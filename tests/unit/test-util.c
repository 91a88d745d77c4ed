/* SPDX-License-Identifier: Apache-2.0 */

/* Errors, bytes, text, JSON, time and the worker pool. */

#include "util/util.h"

#include <criterion/criterion.h>
#include <stdatomic.h>

static char *escaped(struct slice text)
{
	struct buf out = { 0 };

	text_escape(&out, text);
	return buf_take_str(&out);
}

Test(err, places_are_put_in_front)
{
	struct vs_err err = { 0 };

	cr_assert_eq(vs_fail(&err, VS_EFORMAT, "need %d bytes", 4), VS_EFORMAT);
	cr_assert_eq(vs_err_in(&err, "%s", "notes/3f2a.gob"), VS_EFORMAT);
	cr_assert_str_eq(err.text, "notes/3f2a.gob: need 4 bytes");
}

Test(err, system_errors_keep_their_number)
{
	struct vs_err err = { 0 };

	errno = EACCES;
	cr_assert_eq(vs_fail_errno(&err, "open %s", "x"), VS_EACCES);
	cr_assert_eq(err.sysno, EACCES);
	cr_assert_str_eq(err.text, "open x: Permission denied");
}

Test(buf, a_size_from_outside_can_fail)
{
	cleanup_(buf_fini) struct buf b = { 0 };
	struct vs_err err = { 0 };

	buf_append_str(&b, "kept");
	cr_assert_eq(buf_try_reserve(&b, SIZE_MAX - 2, &err), VS_ENOMEM);
	cr_assert(slice_eq_str(buf_slice(&b), "kept"));
}

Test(hex, both_ways)
{
	unsigned char bytes[3];
	char text[7];

	cr_assert(hex_parse(slice_str("00aBff"), bytes, 3));
	hex_format(bytes, 3, text);
	cr_assert_str_eq(text, "00abff");
	cr_assert_not(hex_parse(slice_str("00abf"), bytes, 3));
	cr_assert_not(hex_parse(slice_str("00abfg"), bytes, 3));
}

Test(utf8, length_of_the_valid_part)
{
	static const struct {
		const char text[16];
		size_t len;
		size_t valid;
	} rows[] = {
		{ "", 0, 0 },
		{ "plain ascii", 11, 11 },
		{ "12345678\xff", 9, 8 },
		{ "\xe2\x98\x95", 3, 3 },
		{ "\xe2\x98", 2, 0 },
		{ "a\xc0\x80", 3, 1 },        /* overlong NUL */
		{ "\xed\xa0\x80", 3, 0 },     /* surrogate */
		{ "\xf4\x90\x80\x80", 4, 0 }, /* above U+10FFFF */
		{ "\xf0\x9f\x98\x80x", 5, 5 },
		{ "\xe0\x80\x80", 3, 0 },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++)
		cr_assert_eq(utf8_valid_len(slice_of(rows[i].text, rows[i].len)), rows[i].valid,
			     "row %zu", i);
}

Test(text, a_terminal_is_not_steered)
{
	static const char hostile[] = "a\x1b[2J\n\\\x7f\xc2\x9b\xe2\x80\xae\xff";
	cleanup_(vs_freep) char *safe = escaped(slice_of(hostile, sizeof(hostile) - 1));

	cr_assert_str_eq(safe, "a\\x1b[2J\\n\\\\\\x7f\\u009b\\u202e\\xff");
}

Test(text, words_for_a_shell)
{
	static const struct {
		const char word[24];
		size_t len;
		const char want[40];
	} rows[] = {
		{ "e9f85bf6", 8, "e9f85bf6" },
		{ "/a_b-c.d,e:f@g%h=i+j", 20, "/a_b-c.d,e:f@g%h=i+j" },
		{ "", 0, "''" },
		{ "two words", 9, "'two words'" },
		{ "x; rm -rf ~", 11, "'x; rm -rf ~'" },
		{ "it's", 4, "'it'\\''s'" },
		{ "back\\slash", 10, "'back\\slash'" },
		{ "caf\xc3\xa9", 5, "'caf\xc3\xa9'" },
		{ "caf\xe9 1", 6, "$'caf\\351 1'" },
		{ "\x1b[2J", 4, "$'\\033[2J'" },
		{ "a\n'\\", 4, "$'a\\012\\'\\\\'" },
		{ "~", 1, "'~'" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf out = { 0 };

		text_quote(&out, slice_of(rows[i].word, rows[i].len));
		cr_assert_str_eq(buf_cstr(&out), rows[i].want, "row %zu: %s", i, buf_cstr(&out));
	}
}

Test(parse, numbers_sizes_durations)
{
	uint64_t value = 7;

	cr_assert(parse_u64("18446744073709551615", UINT64_MAX, &value));
	cr_assert_eq(value, UINT64_MAX);
	cr_assert_not(parse_u64("18446744073709551616", UINT64_MAX, &value));
	cr_assert_not(parse_u64("", UINT64_MAX, &value));
	cr_assert_not(parse_u64("-1", UINT64_MAX, &value));
	cr_assert_not(parse_u64("12x", UINT64_MAX, &value));
	cr_assert_not(parse_u64("12", 11, &value));
	cr_assert(parse_size("500M", &value));
	cr_assert_eq(value, UINT64_C(500) << 20);
	cr_assert(parse_size("1GiB", &value));
	cr_assert_eq(value, UINT64_C(1) << 30);
	cr_assert_not(parse_size("99999999999T", &value));
	cr_assert_not(parse_size("5X", &value));
	cr_assert(parse_duration("24h", &value));
	cr_assert_eq(value, 86400);
	cr_assert_not(parse_duration("5mm", &value));
}

Test(time, as_people_type_it)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "2026-01-22", "2026-01-22T00:00:00.000000000Z" },
		{ "2026-01-22T14:03", "2026-01-22T14:03:00.000000000Z" },
		{ "2026-01-22 14:03:09", "2026-01-22T14:03:09.000000000Z" },
		{ "2026-01-22T14:03:09Z", "2026-01-22T14:03:09.000000000Z" },
		{ "2026-01-22T14:03:09.5Z", "2026-01-22T14:03:09.500000000Z" },
		{ "2026-01-22T14:03:09.123456789", "2026-01-22T14:03:09.123456789Z" },
		{ "2024-02-29", "2024-02-29T00:00:00.000000000Z" },
		{ "90s", "2026-01-22T14:01:39.000000000Z" },
		{ "1d", "2026-01-21T14:03:09.000000000Z" },
	};
	static const char *const bad[] = {
		"",
		"yesterday",
		"2026-02-29",
		"2026-13-01",
		"2026-00-10",
		"2026-01-00",
		"2026-1-2",
		"2026-01-22T",
		"2026-01-22T24:00",
		"2026-01-22T14:60",
		"2026-01-22T14:03:60",
		"2026-01-22T14:03:09.",
		"2026-01-22T14:03:09.1234567891",
		"2026-01-22T14:03:09+01:00",
		"1969-12-31",
		"2262-01-01",
		"99999999999999999999w",
		"9223372036s",
		"2026-01-22Z",
	};
	const int64_t now = INT64_C(1769090589000000000);
	int64_t ns = 0;
	char text[32];

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cr_assert(time_parse(rows[i].text, now, &ns), "%s", rows[i].text);
		time_format(ns, true, text);
		cr_assert_str_eq(text, rows[i].want);
	}
	for (size_t i = 0; i < VS_COUNT(bad); i++)
		cr_assert_not(time_parse(bad[i], now, &ns), "%s", bad[i]);
}

Test(text, sizes_for_people)
{
	char out[16];

	size_format(999, out);
	cr_assert_str_eq(out, "999 B");
	size_format(1400000, out);
	cr_assert_str_eq(out, "1.40 MB");
	size_format(95123456, out);
	cr_assert_str_eq(out, "95.1 MB");
	size_format(UINT64_MAX, out);
	cr_assert_str_eq(out, "18.4 EB");
}

Test(text, distance_counts_edits)
{
	cr_assert_eq(text_distance("verify", "verify"), 0);
	cr_assert_eq(text_distance("verfiy", "verify"), 1);
	cr_assert_eq(text_distance("vrify", "verify"), 1);
	cr_assert_eq(text_distance("", "abc"), 3);
}

Test(digest, known_vector)
{
	char text[DIGEST_HEX_LEN + 1];
	struct digest d;
	struct digest running;
	struct digest_ctx *ctx = digest_ctx_new();

	digest_of(slice_str("abc"), &d);
	digest_format(&d, text);
	cr_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	for (int i = 0; i < 2; i++) {
		digest_ctx_reset(ctx);
		digest_ctx_add(ctx, "a", 1);
		digest_ctx_add(ctx, "bc", 2);
		digest_ctx_final(ctx, &running);
		cr_assert_arr_eq(running.bytes, d.bytes, DIGEST_LEN);
	}
	digest_ctx_freep(&ctx);
}

Test(json, escapes_and_nests)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct jw j;

	jw_init(&j, &out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_key(&j, "list");
	jw_array(&j);
	jw_str(&j, "a\"b\\c\n\x01");
	jw_null(&j);
	jw_double(&j, 0.5, 3);
	jw_array_end(&j);
	jw_bytes_field(&j, "id", slice_of("x\xff", 2));
	jw_object_end(&j);
	cr_assert_str_eq(buf_cstr(&out),
			 "{\"schema\":1,\"list\":[\"a\\\"b\\\\c\\n\\u0001\",null,0.500],"
			 "\"id\":\"x\xef\xbf\xbd\",\"id_hex\":\"78ff\"}");
}

/* What other programs write: NULs in keys and strings, a key twice, and a backslash before u0000. */
Test(json, foreign_documents_are_read)
{
	static const char text[] = "{\"a\\u0000b\": \"x\\u0000\", \"c\": \"\\\\u0000\", "
				   "\"d\": 1, \"d\": 2, \"e\": \"\\u0000";
	struct vs_err err = { 0 };
	cleanup_(jr_freep) struct jr *doc = NULL;
	cleanup_(jr_freep) struct jr *cut = NULL;
	cleanup_(buf_fini) struct buf whole = { 0 };
	const char *value;
	uint64_t number;

	buf_printf(&whole, "%s\"}", text);
	cr_assert_eq(jr_parse(&doc, buf_slice(&whole), &err), VS_EFORMAT);
	cr_assert_eq(jr_parse_foreign(&doc, buf_slice(&whole), &err), 0, "%s", err.text);
	cr_assert(jr_get_str(doc,
			     "a\xef\xbf\xbd"
			     "b",
			     &value));
	cr_assert_str_eq(value, "x\xef\xbf\xbd");
	cr_assert(jr_get_str(doc, "c", &value));
	cr_assert_str_eq(value, "\\u0000");
	cr_assert(jr_get_uint(doc, "d", &number));
	cr_assert_eq(number, 2);
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		cr_assert_eq(jr_parse_foreign(&cut, slice_of(text, len), &err), VS_EFORMAT);
}

/* What jw_bytes_field() writes comes back, whatever it was. */
Test(json, bytes_come_back)
{
	static const char any[] = "a\0b\xff\xfe";
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf back = { 0 };
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct vs_err err = { 0 };
	struct jw j;

	jw_init(&j, &text);
	jw_object(&j);
	jw_bytes_field(&j, "plain", slice_str("x"));
	jw_bytes_field(&j, "any", slice_of(any, sizeof(any) - 1));
	jw_str_field(&j, "odd", "");
	jw_str_field(&j, "odd_hex", "4g");
	jw_str_field(&j, "short", "");
	jw_uint_field(&j, "short_hex", 4);
	jw_object_end(&j);
	cr_assert_eq(jr_parse(&doc, buf_slice(&text), &err), 0, "%s", err.text);
	cr_assert(jr_get_bytes(doc, "plain", &back));
	cr_assert(slice_eq_str(buf_slice(&back), "x"));
	cr_assert(jr_get_bytes(doc, "any", &back));
	cr_assert(slice_eq(buf_slice(&back), slice_of(any, sizeof(any) - 1)));
	cr_assert_not(jr_get_bytes(doc, "odd", &back));
	cr_assert_not(jr_get_bytes(doc, "short", &back));
	cr_assert_not(jr_get_bytes(doc, "absent", &back));
}

Test(clock, formats_utc)
{
	char text[32];

	time_format(INT64_C(1769090589) * 1000000000 + 5, false, text);
	cr_assert_str_eq(text, "2026-01-22T14:03:09Z");
	time_format(INT64_C(1769090589) * 1000000000 + 5, true, text);
	cr_assert_str_eq(text, "2026-01-22T14:03:09.000000005Z");
	time_format(-1, true, text);
	cr_assert_str_eq(text, "1969-12-31T23:59:59.999999999Z");
	time_format_compact(INT64_C(1769090589) * 1000000000, text);
	cr_assert_str_eq(text, "20260122T140309Z");
}

struct tally {
	atomic_uint seen[1000];
};

static void count_index(void *ctx, unsigned worker, size_t index)
{
	struct tally *tally = ctx;

	(void)worker;
	atomic_fetch_add(&tally->seen[index], 1);
}

Test(pool, every_index_once_run_after_run)
{
	struct pool *pool = pool_new(4);
	struct tally tally = { 0 };

	for (unsigned run = 1; run <= 50; run++) {
		pool_run(pool, VS_COUNT(tally.seen), count_index, &tally);
		for (size_t i = 0; i < VS_COUNT(tally.seen); i++)
			cr_assert_eq(atomic_load(&tally.seen[i]), run);
	}
	pool_freep(&pool);
	cr_assert_null(pool);
}

Test(text, counts_have_the_number_of_their_noun)
{
	static const struct {
		uint64_t count;
		const char *noun, *want;
	} rows[] = {
		{ 0, "document", "no documents" },  { 1, "document", "1 document" },
		{ 22, "document", "22 documents" }, { 1, "copy", "1 copy" },
		{ 0, "copy", "no copies" },         { 2, "day", "2 days" },
		{ 3, "process", "3 processes" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf text = { 0 };

		text_count(&text, rows[i].count, rows[i].noun);
		cr_assert_str_eq(buf_cstr(&text), rows[i].want);
	}
}
