/* SPDX-License-Identifier: Apache-2.0 */

/* Writing the audit log and listing it; what a power cut or somebody else left in it. */

#include "kit/auditlog.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AT_NS INT64_C(1769090589123456789)

static int64_t fixed_now_ns(void *ctx)
{
	return AT_NS + *(int64_t *)ctx;
}

static int64_t later;
static const struct vs_clock fixed = { .now_ns = fixed_now_ns, .ctx = &later };

static void append(int dirfd, enum audit_phase phase, const char *action)
{
	static const char *const argv[] = { "vsctl", "repair", "/srv/store", NULL };
	struct audit_record rec = {
		.phase = phase, .action = action, .store = "/srv/store", .argv = argv
	};
	struct vs_err err = { 0 };

	cr_assert_eq(audit_append(dirfd, &fixed, &rec, &err), 0, "%s", err.text);
}

static uint64_t verify(int dirfd, const unsigned char *first_key, int want)
{
	struct kit_findings found = { 0 };
	struct vs_err err = { 0 };
	uint64_t records = 0;
	int r;

	r = audit_verify(dirfd, NULL, first_key, kit_findings_add, &found, &records, &err);
	cr_assert_eq(r, want, "%d: %s, %zu findings, the first %s at line %" PRIu64, r, err.text,
		     found.count, audit_fault_name(found.items[0].fault), found.items[0].line);
	return records;
}

static void slurp(int dirfd, const char *name, struct buf *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(file_read_at(dirfd, name, FILE_NO_FOLLOW, UINT64_C(1) << 24, out, NULL, &err),
		     0, "%s", err.text);
}

/* The text of record @seq in the log. */
static struct slice record(const struct buf *log, uint64_t seq)
{
	struct slice text = buf_slice(log);

	for (;;) {
		const unsigned char *newline = memchr(text.ptr, '\n', text.len);
		size_t len = (size_t)(newline - text.ptr);
		struct audit_line line;

		cr_assert_not_null(newline);
		if (audit_line_scan(slice_of(text.ptr, len), &line) && line.seq == seq)
			return slice_of(text.ptr, len);
		text = slice_of(newline + 1, text.len - len - 1);
		cr_assert_gt(text.len, 0, "no record %" PRIu64, seq);
	}
}

static bool says(struct slice line, const char *text)
{
	return memmem(line.ptr, line.len, text, strlen(text)) != NULL;
}

/* ---- lines ---- */

Test(audit_line, is_canonical_json)
{
	static const char *const argv[] = { "vsctl", "repair", "tab\there \"quoted\" \x01 \x7f",
					    NULL };
	static const char *const collections[] = { "ab5aa970", "caf\xc3\xa9", NULL };
	struct audit_record rec = { .phase = AUDIT_FAILED,
				    .action = "repair",
				    .run = "20260122T140309Z-repair",
				    .store = "/srv/store",
				    .argv = argv,
				    .digest_before = "aa",
				    .digest_after = "bb",
				    .exit_status = 8,
				    .message = "line\nbreak",
				    .collections = collections };
	struct audit_place place = { .seq = 7, .time_ns = AT_NS };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *json = NULL;
	const char *const keys[] = { "action",       "argv",          "boot_id",     "collections",
				     "digest_after", "digest_before", "exit_status", "host",
				     "login_user",   "message",       "phase",       "pid",
				     "prev",         "run",           "schema",      "seq",
				     "store",        "time",          "user" };
	struct audit_line line;
	struct vs_err err = { 0 };
	const char *got;
	int64_t number;
	const char *at;

	audit_line_format(&rec, &place, &text);
	cr_assert(audit_line_scan(buf_slice(&text), &line), "%s", buf_cstr(&text));
	cr_assert_eq(jr_parse(&json, buf_slice(&text), &err), 0, "%s", err.text);
	at = buf_cstr(&text);
	for (size_t i = 0; i < VS_COUNT(keys); i++) {
		char key[32];

		snprintf(key, sizeof(key), "%c\"%s\":", i == 0 ? '{' : ',', keys[i]);
		cr_assert(i == 0 || strcmp(keys[i - 1], keys[i]) < 0);
		at = strstr(at, key);
		cr_assert_not_null(at, "%s is not in its place", key);
	}
	cr_assert(jr_get_str(json, "time", &got));
	cr_assert_str_eq(got, "2026-01-22T14:03:09.123456789Z");
	cr_assert(jr_get_str(json, "message", &got));
	cr_assert_str_eq(got, "line\nbreak");
	cr_assert(jr_get_int(json, "pid", &number) && number == getpid());
	cr_assert(jr_get_int(json, "exit_status", &number) && number == 8);
	cr_assert(jr_as_str(jr_at(jr_get(json, "argv"), 2), &got));
	cr_assert_str_eq(got, argv[2]);
	cr_assert(jr_as_str(jr_at(jr_get(json, "collections"), 1), &got));
	cr_assert_str_eq(got, collections[1]);
	cr_assert_null(jr_get(json, "seal"));
	cr_assert_eq(line.exit_status, 8);
	cr_assert(slice_eq_str(line.run, "20260122T140309Z-repair"));
}

Test(audit_line, null_is_what_is_not_known)
{
	const struct audit_record rec = { .phase = AUDIT_STARTED, .action = "x", .exit_status = 3 };
	const struct audit_place place = { .seq = 1, .time_ns = AT_NS };
	const char *const nulls[] = { "argv",        "collections", "digest_after", "digest_before",
				      "exit_status", "message",     "run",          "store" };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *json = NULL;
	struct audit_line line;
	struct vs_err err = { 0 };

	audit_line_format(&rec, &place, &text);
	cr_assert(audit_line_scan(buf_slice(&text), &line));
	cr_assert_eq(jr_parse(&json, buf_slice(&text), &err), 0);
	for (size_t i = 0; i < VS_COUNT(nulls); i++)
		cr_assert(jr_is_null(jr_get(json, nulls[i])), "%s", nulls[i]);
	cr_assert_eq(line.exit_status, -1, "a run that has just started has no status");
}

Test(audit_line, bytes_that_are_no_text_are_kept_in_hex)
{
	static const char *const argv[] = { "vsctl", "/srv/\xff\xfe", NULL };
	struct audit_record rec = { .action = "x", .store = "/srv/\xff\xfe", .argv = argv };
	struct audit_place place = { .seq = 1 };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *json = NULL;
	struct audit_line line;
	struct vs_err err = { 0 };
	const char *got;

	audit_line_format(&rec, &place, &text);
	cr_assert(audit_line_scan(buf_slice(&text), &line));
	cr_assert_eq(jr_parse(&json, buf_slice(&text), &err), 0, "%s", err.text);
	cr_assert(jr_as_str(jr_at(jr_get(json, "argv_hex"), 0), &got));
	cr_assert_str_eq(got, "767363746c");
	cr_assert(jr_as_str(jr_at(jr_get(json, "argv_hex"), 1), &got));
	cr_assert_str_eq(got, "2f7372762ffffe");
	cr_assert(jr_get_str(json, "store_hex", &got));
	cr_assert_str_eq(got, "2f7372762ffffe");
}

Test(audit_line, whatever_is_said_fits_into_a_line)
{
	enum { LEN = 300000, WORDS = 5000 };
	cleanup_(vs_freep) char *word = vs_alloc(LEN + 1);
	cleanup_(vs_freep) const char **words = vs_alloc_array(WORDS + 1, sizeof(*words));
	struct audit_record rec = { .phase = AUDIT_FAILED,
				    .action = word,
				    .run = word,
				    .store = word,
				    .argv = words,
				    .message = word,
				    .collections = words };
	struct audit_place place = { .seq = AUDIT_SEQ_MAX };

	/* Six bytes in JSON for each, or not UTF-8. */
	for (unsigned char filler = 1; filler != 0; filler = filler == 1 ? 0xff : 0) {
		cleanup_(buf_fini) struct buf text = { 0 };
		struct audit_line line;

		memset(word, filler, LEN);
		for (size_t i = 0; i < WORDS; i++)
			words[i] = word;
		audit_line_format(&rec, &place, &text);
		cr_assert_lt(text.len + 100, AUDIT_LINE_MAX);
		cr_assert(audit_line_scan(buf_slice(&text), &line));
		cr_assert(says(buf_slice(&text), "more]"), "what was cut is not said");
	}
}

Test(audit_line, scanner_knows_one_form_only)
{
	static const struct {
		char from[24], to[24];
	} rows[] = {
		{ ",\"argv\":", ", \"argv\":" },   /* white space */
		{ "\"seq\":12,", "\"seq\":012," }, /* another form of the number */
		{ "\"seq\":12,", "\"seq\":12.0," },
		{ "\"seq\":12,", "\"seq\":-12," },
		{ "\"seq\":12,", "\"seq\":0," },
		{ "\"seq\":12,", "\"seq\":99999999999999999," },
		{ "\"seq\":12,", "\"seq\":," },
		{ "\"schema\":1", "\"schema\":2" },
		{ "\"schema\":1,", "\"schema\":1,\"s\":1," }, /* a key more */
		{ "\"run\":null,", "" },                      /* a key less */
		{ "\"run\":null", "\"run\":nul" },
		{ "\"action\":\"x\"", "\"action\":null" },
		{ "\"action\":\"x\"", "\"action\":\"\\u0041\"" }, /* an escape nobody needs */
		{ "\"action\":\"x\"", "\"action\":\"\\/\"" },
		{ "\"action\":\"x\"", "\"action\":\"\\u000A\"" },
		{ "\"action\":\"x\"", "\"action\":\"\\u000a\"" }, /* the short form is \n */
		{ "\"action\":\"x\"", "\"action\":\"\\u0000\"" },
		{ "\"action\":\"x\"", "\"action\":\"\x01\"" },
		{ "\"action\":\"x\"", "\"action\":\"\x7f\"" },
		{ "\"action\":\"x\"", "\"action\":\"\xc3\"" },
		{ "\"action\":\"x\"", "\"action\":\"\xed\xa0\x80\"" },
		{ "\"action\":\"x\"", "\"action\":\"x\\\"" },
		{ "\"phase\":\"started\"", "\"phase\":\"begun\"" },
		{ "[\"a\",\"b\"]", "[\"a\",\"b\",]" },
		{ "[\"a\",\"b\"]", "[\"a\" \"b\"]" },
		{ "[\"a\",\"b\"]", "[\"a\",null]" },
		{ "[\"a\",\"b\"]", "[\"a\",\"b\"" },
		{ "Z\",\"user\"", "\",\"user\"" },
		{ "\"prev\":\"0000", "\"prev\":\"000A" },
		{ "\"prev\":\"0000", "\"prev\":\"000" },
	};
	static const char *const argv[] = { "a", "b", NULL };
	struct audit_record rec = { .action = "x", .argv = argv };
	struct audit_place place = { .seq = 12, .time_ns = AT_NS };
	cleanup_(buf_fini) struct buf good = { 0 };
	struct audit_line line;

	audit_line_format(&rec, &place, &good);
	cr_assert(audit_line_scan(buf_slice(&good), &line));
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf text = { 0 };
		const unsigned char *at =
			memmem(good.ptr, good.len, rows[i].from, strlen(rows[i].from));
		size_t before = (size_t)(at - good.ptr);

		cr_assert_not_null(at, "%s", rows[i].from);
		buf_append(&text, good.ptr, before);
		buf_append_str(&text, rows[i].to);
		buf_append(&text, at + strlen(rows[i].from),
			   good.len - before - strlen(rows[i].from));
		cr_assert_not(audit_line_scan(buf_slice(&text), &line), "%s", rows[i].to);
	}
	for (size_t len = 0; len < good.len; len++)
		cr_assert_not(audit_line_scan(slice_of(good.ptr, len), &line), "%zu bytes", len);
}

Test(audit_line, text_comes_back_as_it_was)
{
	char every[0x100];
	struct audit_record rec = { .action = every };
	struct audit_place place = { .seq = 1 };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf back = { 0 };
	struct audit_line line;

	for (unsigned c = 1; c < 0x80; c++)
		every[c - 1] = (char)c;
	every[0x7f] = '\0';
	audit_line_format(&rec, &place, &text);
	cr_assert(audit_line_scan(buf_slice(&text), &line));
	cr_assert_str_eq(audit_line_text(line.action, &back), every);
}

/* ---- appending ---- */

Test(audit_append, chains_and_anchors)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	struct audit_head head, want;
	struct vs_err err = { 0 };
	struct stat st;
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(audit_head_load(dirfd, &head, &err), 0);
	cr_assert_eq(head.seq, 0);
	for (unsigned i = 0; i < 20; i++)
		append(dirfd, i % 2 ? AUDIT_FINISHED : AUDIT_STARTED, "repair");
	cr_assert_eq(verify(dirfd, NULL, 0), 20);
	slurp(dirfd, AUDIT_LOG, &log);
	want.seq = 20;
	digest_of(record(&log, 20), &want.digest);
	cr_assert_eq(audit_head_load(dirfd, &head, &err), 0, "%s", err.text);
	cr_assert_eq(head.seq, want.seq);
	cr_assert_arr_eq(head.digest.bytes, want.digest.bytes, DIGEST_LEN);
	cr_assert(says(record(&log, 1), "\"prev\":\"00000000000000000000000000000000"
					"00000000000000000000000000000000\""));
	cr_assert_eq(fstatat(dirfd, AUDIT_LOG, &st, 0), 0);
	cr_assert_eq(st.st_mode & 077, 0, "the log is nobody else's");
}

#define WRITERS 8
#define EACH 12

Test(audit_append, processes_take_turns, .timeout = 120)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	unsigned char key[AUDIT_KEY_LEN];
	const struct audit_record first = { .action = "audit-log seal" };
	unsigned seen[WRITERS] = { 0 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(audit_key_new(key, &err), 0);
	cr_assert_eq(audit_seal_init(dirfd, &fixed, key, &first, &err), 0, "%s", err.text);
	for (unsigned w = 0; w < WRITERS; w++) {
		pid_t child = fork();

		cr_assert_geq(child, 0);
		if (child == 0) {
			char action[16];
			struct audit_record rec = { .action = action };
			int r = 0;

			snprintf(action, sizeof(action), "writer-%u", w);
			for (unsigned i = 0; r == 0 && i < EACH; i++)
				r = audit_append(dirfd, &fixed, &rec, &err);
			_exit(r == 0 ? 0 : 1);
		}
	}
	for (unsigned w = 0; w < WRITERS; w++) {
		int status = 0;

		cr_assert_gt(wait(&status), 0);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	cr_assert_eq(verify(dirfd, key, 0), 1 + WRITERS * EACH);
	slurp(dirfd, AUDIT_LOG, &log);
	for (uint64_t seq = 2; seq <= 1 + WRITERS * EACH; seq++) {
		for (unsigned w = 0; w < WRITERS; w++) {
			char action[32];

			snprintf(action, sizeof(action), "\"action\":\"writer-%u\"", w);
			seen[w] += says(record(&log, seq), action);
		}
	}
	for (unsigned w = 0; w < WRITERS; w++)
		cr_assert_eq(seen[w], EACH);
}

/* What stands behind the last record of a log of three. */
static void append_behind(const void *bytes, size_t len, uint64_t records, const char *aside,
			  const char *notice)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	cleanup_(buf_fini) struct buf kept = { 0 };
	struct kit_log three;
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&three, NULL);
	kit_log_fill(&three, 3);
	buf_append(&three.text, bytes, len);
	kit_log_save(&three, dirfd);
	kit_log_fini(&three);
	append(dirfd, AUDIT_STARTED, "next");
	cr_assert_eq(verify(dirfd, NULL, 0), records);
	slurp(dirfd, AUDIT_LOG, &log);
	cr_assert(says(record(&log, records), "\"action\":\"next\""));
	if (!aside)
		return;
	slurp(dirfd, aside, &kept);
	cr_assert_geq(kept.len, len);
	cr_assert_eq(memcmp(kept.ptr, bytes, len), 0, "the bytes are not kept");
	cr_assert(says(record(&log, 4), "\"phase\":\"recovered\""));
	cr_assert(says(record(&log, 4), notice));
}

Test(audit_append, sets_an_incomplete_line_aside)
{
	append_behind("{\"action\":\"re", 13, 5, "audit.torn.4", "audit.torn.4");
}

Test(audit_append, sets_a_block_of_zeros_aside)
{
	static const unsigned char zeros[5000];

	append_behind(zeros, sizeof(zeros), 5, "audit.torn.4", "audit.torn.4");
}

Test(audit_append, sets_garbage_with_a_newline_aside)
{
	append_behind("\0\0\0\0}\n", 6, 5, "audit.torn.4", "audit.torn.4");
}

Test(audit_append, sets_garbage_behind_garbage_aside)
{
	append_behind("\0\0\0\0}\n{\"act", 11, 5, "audit.torn.4", "audit.torn.4");
}

Test(audit_append, goes_on_behind_a_line_without_an_end)
{
	enum { LEN = AUDIT_LINE_MAX + 5000 };
	cleanup_(vs_freep) char *bytes = vs_alloc(LEN);
	cleanup_(buf_fini) struct buf log = { 0 };
	struct kit_log three;
	int dirfd;

	memset(bytes, 'x', LEN);
	scratch_new(&dirfd);
	kit_log_init(&three, NULL);
	kit_log_fill(&three, 3);
	buf_append(&three.text, bytes, LEN);
	kit_log_save(&three, dirfd);
	kit_log_fini(&three);
	append(dirfd, AUDIT_STARTED, "next");
	append(dirfd, AUDIT_STARTED, "after");
	cr_assert_eq(verify(dirfd, NULL, 1), 6, "the long line stays, and stays a finding");
	slurp(dirfd, AUDIT_LOG, &log);
	cr_assert(says(record(&log, 4), "without a newline"));
	cr_assert(says(record(&log, 6), "\"action\":\"after\""));
}

Test(audit_append, takes_up_a_record_that_the_head_does_not_have)
{
	struct audit_head before;
	struct kit_log four;
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&four, NULL);
	kit_log_fill(&four, 3);
	before = four.head;
	kit_log_fill(&four, 1);
	four.head = before;
	kit_log_save(&four, dirfd);
	kit_log_fini(&four);
	append(dirfd, AUDIT_STARTED, "next");
	cr_assert_eq(verify(dirfd, NULL, 0), 5, "nothing has to be told");
}

/* ---- evidence ---- */

Test(audit_append, does_not_hide_that_records_are_gone)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	struct kit_findings found = { 0 };
	struct kit_log twenty;
	struct vs_err err = { 0 };
	uint64_t records;
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&twenty, NULL);
	kit_log_fill(&twenty, 20);
	twenty.text.len = twenty.starts[15];
	kit_log_save(&twenty, dirfd);
	kit_log_fini(&twenty);
	append(dirfd, AUDIT_STARTED, "next");
	append(dirfd, AUDIT_STARTED, "after");
	cr_assert_eq(audit_verify(dirfd, NULL, NULL, kit_findings_add, &found, &records, &err), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_REMOVED);
	cr_assert_eq(found.items[0].line, 16);
	cr_assert_eq(found.items[0].seq, 16);
	cr_assert_eq(records, 18);
	slurp(dirfd, AUDIT_LOG, &log);
	cr_assert(says(record(&log, 21), "has been changed"));
	cr_assert(says(record(&log, 22), "\"action\":\"next\""));
}

Test(audit_append, does_not_hide_that_the_last_line_was_edited)
{
	struct kit_findings found = { 0 };
	struct kit_log three;
	struct vs_err err = { 0 };
	uint64_t records;
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&three, NULL);
	kit_log_fill(&three, 3);
	*(char *)memmem(three.text.ptr + three.starts[2], 100, "repair", 6) = 'R';
	kit_log_save(&three, dirfd);
	kit_log_fini(&three);
	append(dirfd, AUDIT_STARTED, "next");
	cr_assert_eq(audit_verify(dirfd, NULL, NULL, kit_findings_add, &found, &records, &err), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_EDITED);
	cr_assert_eq(found.items[0].line, 3);
}

Test(audit_append, says_when_the_head_was_put_back)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	struct audit_head before;
	struct kit_log many;
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&many, NULL);
	kit_log_fill(&many, 3);
	before = many.head;
	kit_log_fill(&many, 3);
	many.head = before;
	kit_log_save(&many, dirfd);
	kit_log_fini(&many);
	verify(dirfd, NULL, 1);
	append(dirfd, AUDIT_STARTED, "next");
	cr_assert_eq(verify(dirfd, NULL, 0), 8);
	slurp(dirfd, AUDIT_LOG, &log);
	cr_assert(says(record(&log, 7), "audit.head was at record 3 while the log went on to 6"));
}

/* ---- sealing ---- */

static void seal(int dirfd, unsigned char key[AUDIT_KEY_LEN])
{
	const struct audit_record rec = { .action = "audit-log seal", .phase = AUDIT_FINISHED };
	struct vs_err err = { 0 };

	cr_assert_eq(audit_key_new(key, &err), 0);
	cr_assert_eq(audit_seal_init(dirfd, &fixed, key, &rec, &err), 0, "%s", err.text);
}

Test(audit_append, seals_from_then_on)
{
	cleanup_(buf_fini) struct buf file = { 0 };
	unsigned char key[AUDIT_KEY_LEN];
	char hex[2 * AUDIT_KEY_LEN + 1];
	const struct audit_record again = { .action = "audit-log seal" };
	struct vs_err err = { 0 };
	struct stat st;
	int dirfd;

	scratch_new(&dirfd);
	append(dirfd, AUDIT_STARTED, "before");
	cr_assert_eq(audit_is_sealed(dirfd, &err), 0);
	seal(dirfd, key);
	cr_assert_eq(audit_is_sealed(dirfd, &err), 1);
	append(dirfd, AUDIT_STARTED, "after");
	cr_assert_eq(verify(dirfd, key, 0), 3);
	slurp(dirfd, AUDIT_LOG, &file);
	cr_assert_not(says(record(&file, 1), "\"seal\":"));
	cr_assert(says(record(&file, 2), "\"seal\":"));
	cr_assert(says(record(&file, 3), "\"seal\":"));

	slurp(dirfd, AUDIT_KEY, &file);
	hex_format(key, AUDIT_KEY_LEN, hex);
	cr_assert_not(says(buf_slice(&file), hex), "the first key is still there");
	cr_assert_eq(fstatat(dirfd, AUDIT_KEY, &st, 0), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(audit_seal_init(dirfd, &fixed, key, &again, &err), VS_EBUSY);
	cr_assert_eq(verify(dirfd, key, 0), 3, "a refusal leaves no record");
}

Test(audit_append, says_that_the_key_is_gone)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	unsigned char key[AUDIT_KEY_LEN];
	const struct audit_record again = { .action = "audit-log seal" };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	seal(dirfd, key);
	cr_assert_eq(unlinkat(dirfd, AUDIT_KEY, 0), 0);
	cr_assert_eq(audit_seal_init(dirfd, &fixed, key, &again, &err), VS_EBUSY);
	append(dirfd, AUDIT_STARTED, "next");
	append(dirfd, AUDIT_STARTED, "after");
	verify(dirfd, key, 1);
	cr_assert_eq(verify(dirfd, NULL, 1), 4, "seals that stop are seen without a key");
	slurp(dirfd, AUDIT_LOG, &log);
	cr_assert(says(record(&log, 2), "nothing is sealed from here on"));
	cr_assert(says(record(&log, 3), "\"action\":\"next\""));
}

Test(audit_append, a_log_put_back_together_with_its_head_shows_by_the_key)
{
	cleanup_(buf_fini) struct buf log = { 0 };
	cleanup_(buf_fini) struct buf head = { 0 };
	cleanup_(buf_fini) struct buf after = { 0 };
	struct kit_findings found = { 0 };
	unsigned char key[AUDIT_KEY_LEN];
	struct vs_err err = { 0 };
	uint64_t records;
	int dirfd;

	scratch_new(&dirfd);
	seal(dirfd, key);
	append(dirfd, AUDIT_STARTED, "one");
	slurp(dirfd, AUDIT_LOG, &log);
	slurp(dirfd, AUDIT_HEAD, &head);
	append(dirfd, AUDIT_STARTED, "two");
	append(dirfd, AUDIT_STARTED, "three");
	scratch_write(dirfd, AUDIT_LOG, log.ptr, log.len);
	scratch_write(dirfd, AUDIT_HEAD, head.ptr, head.len);
	cr_assert_eq(audit_verify(dirfd, NULL, NULL, kit_findings_add, &found, &records, &err), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_TRUNCATED);
	append(dirfd, AUDIT_STARTED, "four");
	found.count = 0;
	cr_assert_eq(audit_verify(dirfd, NULL, key, kit_findings_add, &found, &records, &err), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_REMOVED);
	cr_assert_eq(found.items[0].seq, 3);
	slurp(dirfd, AUDIT_LOG, &after);
	cr_assert(says(record(&after, 5), "audit.key has moved on to record 5"));
	cr_assert(says(record(&after, 6), "\"action\":\"four\""));
}

static int verify_as_nobody(void *ctx)
{
	struct kit_findings found = { 0 };
	struct vs_err err = { 0 };
	uint64_t records;
	static const unsigned char key[AUDIT_KEY_LEN];
	int dirfd = *(int *)ctx;
	int without = audit_verify(dirfd, NULL, NULL, kit_findings_add, &found, &records, &err);
	int with = audit_verify(dirfd, NULL, key, kit_findings_add, &found, &records, &err);

	return without == 0 && with == VS_EACCES;
}

Test(audit_verify, does_not_need_to_read_the_key)
{
	unsigned char key[AUDIT_KEY_LEN];
	int dirfd;

	scratch_new(&dirfd);
	seal(dirfd, key);
	cr_assert_eq(fchmodat(dirfd, AUDIT_LOG, 0644, 0), 0);
	cr_assert_eq(fchmodat(dirfd, AUDIT_HEAD, 0644, 0), 0);
	if (geteuid() != 0)
		cr_skip("needs to become another user");
	cr_assert_eq(scratch_as_nobody(verify_as_nobody, &dirfd), 1);
}

Test(audit_verify, waits_for_nothing_that_is_no_file)
{
	struct kit_findings found = { 0 };
	const struct audit_record rec = { .action = "x" };
	struct vs_err err = { 0 };
	uint64_t records;
	int dirfd;

	scratch_new(&dirfd);
	scratch_fifo(dirfd, AUDIT_LOG);
	cr_assert_eq(audit_verify(dirfd, NULL, NULL, kit_findings_add, &found, &records, &err),
		     VS_EFORMAT);
	cr_assert_lt(audit_append(dirfd, &fixed, &rec, &err), 0);
}

/* ---- listing ---- */

struct listed {
	uint64_t seqs[64];
	size_t count;
	size_t stop_at; /* 0: never */
	struct audit_entry last;
	char message[64];
};

static int collect(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	struct listed *l = ctx;

	cr_assert_lt(l->count, VS_COUNT(l->seqs));
	l->seqs[l->count++] = e->seq;
	l->last = *e;
	snprintf(l->message, sizeof(l->message), "%s", e->message ? e->message : "");
	cr_assert_str_eq(e->action, "repair");
	cr_assert_not_null(e->user);
	return l->count == l->stop_at ? vs_fail(err, VS_EIO, "stop") : 0;
}

static void list(int dirfd, const struct audit_query *query, uint64_t first, uint64_t last)
{
	struct listed l = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(audit_list(dirfd, query, collect, &l, &err), 0, "%s", err.text);
	cr_assert_eq(l.count, last + 1 - first, "%zu records", l.count);
	for (size_t i = 0; i < l.count; i++)
		cr_assert_eq(l.seqs[i], first + i);
}

Test(audit_list, gives_what_was_asked_for)
{
	struct listed l = { .stop_at = 3 };
	struct kit_log log;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(audit_list(dirfd, &(struct audit_query){ 0 }, collect, &l, &err), VS_ENOENT);
	kit_log_init(&log, NULL);
	kit_log_fill(&log, 30);
	kit_log_save(&log, dirfd);
	list(dirfd, &(struct audit_query){ 0 }, 1, 30);
	list(dirfd, &(struct audit_query){ .limit = 1 }, 30, 30);
	list(dirfd, &(struct audit_query){ .limit = 7 }, 24, 30);
	list(dirfd, &(struct audit_query){ .limit = 30 }, 1, 30);
	list(dirfd, &(struct audit_query){ .limit = UINT64_MAX }, 1, 30);
	/* A record a second and seven nanoseconds, from AT_NS. */
	list(dirfd, &(struct audit_query){ .since_ns = AT_NS }, 1, 30);
	list(dirfd, &(struct audit_query){ .since_ns = AT_NS + 1 }, 2, 30);
	list(dirfd, &(struct audit_query){ .since_ns = AT_NS + 10 * INT64_C(1000000007) }, 11, 30);
	list(dirfd, &(struct audit_query){ .limit = 5, .action = "repair" }, 26, 30);
	list(dirfd, &(struct audit_query){ .action = "repai" }, 1, 0);
	list(dirfd, &(struct audit_query){ .limit = 3, .action = "\"" }, 1, 0);
	cr_assert_eq(audit_list(dirfd, &(struct audit_query){ 0 }, collect, &l, &err), VS_EIO);
	cr_assert_eq(l.count, 3);
	kit_log_fini(&log);
}

Test(audit_list, gives_texts_as_they_were_written)
{
	struct listed l = { 0 };
	struct kit_log log;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&log, NULL);
	kit_log_fill(&log, 2);
	kit_log_save(&log, dirfd);
	cr_assert_eq(audit_list(dirfd, &(struct audit_query){ .limit = 1 }, collect, &l, &err), 0);
	cr_assert_str_eq(l.message, "2 problems corrected: \"names\"");
	cr_assert_eq(l.last.exit_status, 1);
	kit_log_fini(&log);
}

Test(audit_list, passes_over_what_cannot_be_read)
{
	struct listed l = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };
	struct kit_log log;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	kit_log_init(&log, NULL);
	kit_log_fill(&log, 10);
	buf_append(&text, log.text.ptr, log.starts[4]);
	buf_append_str(&text, "not a record\n");
	buf_append(&text, log.text.ptr + log.starts[4], log.text.len - log.starts[4]);
	buf_append_str(&text, "{\"torn");
	scratch_write(dirfd, AUDIT_LOG, text.ptr, text.len);
	cr_assert_eq(audit_list(dirfd, &(struct audit_query){ .limit = 8 }, collect, &l, &err), 1);
	cr_assert_eq(l.count, 8);
	cr_assert_eq(l.seqs[0], 3);
	cr_assert_eq(l.seqs[7], 10);
	kit_log_fini(&log);
}

/* ---- the older tool's log ---- */

Test(audit_rollback, has_exactly_its_eleven_keys)
{
	static const char *const collections[] = { "notes", "memories", NULL };
	struct audit_rollback_record rec = { .action = "rollback",
					     .snapshot_id = "snapshot_20260122_140309",
					     .status = "completed",
					     .trigger = "manual",
					     .rollback_type = "partial",
					     .duration_s = 1.25,
					     .collections = collections,
					     .success = true };
	cleanup_(buf_fini) struct buf text = { 0 };
	char want[512];
	struct vs_err err = { 0 };
	const char *user;
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "rollback_audit.jsonl", "{\"cut sho");
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), 0, "%s", err.text);
	rec.collections = NULL;
	rec.success = false;
	rec.status = "failed";
	rec.error_message = "no space";
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), 0, "%s", err.text);
	slurp(dirfd, "rollback_audit.jsonl", &text);
	user = strstr(buf_cstr(&text), "\"user\":\"");
	cr_assert_not_null(user);
	user += 8;
	snprintf(want, sizeof(want),
		 "{\"cut sho\n"
		 "{\"timestamp\":\"2026-01-22T14:03:09Z\",\"action\":\"rollback\","
		 "\"snapshot_id\":\"snapshot_20260122_140309\",\"status\":\"completed\","
		 "\"trigger\":\"manual\",\"user\":\"%.*s\",\"rollback_type\":\"partial\","
		 "\"duration_seconds\":1.250,\"collections_affected\":[\"notes\",\"memories\"],"
		 "\"error_message\":null,\"rollback_success\":true}\n",
		 (int)strcspn(user, "\""), user);
	cr_assert_eq(strncmp(buf_cstr(&text), want, strlen(want)), 0, "%s\n%s", buf_cstr(&text),
		     want);
	cr_assert_not_null(strstr(buf_cstr(&text) + strlen(want),
				  "\"collections_affected\":[],\"error_message\":\"no space\","
				  "\"rollback_success\":false}\n"));
}

Test(audit_rollback, refuses_words_that_its_reader_would_drop)
{
	const struct audit_rollback_record good = { .action = "rollback",
						    .snapshot_id = "x",
						    .status = "initiated",
						    .trigger = "time-based",
						    .rollback_type = "point-in-time" };
	struct audit_rollback_record rec = good;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), 0, "%s", err.text);
	rec.status = "done";
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), VS_EUSAGE);
	rec = good;
	rec.trigger = "cron";
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), VS_EUSAGE);
	rec = good;
	rec.rollback_type = NULL;
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), VS_EUSAGE);
	rec = good;
	rec.snapshot_id = NULL;
	cr_assert_eq(audit_rollback(dirfd, &fixed, &rec, &err), VS_EUSAGE);
}
