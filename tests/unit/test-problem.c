/* SPDX-License-Identifier: Apache-2.0 */

/* The sentences and commands made from findings: what is not trusted is escaped or quoted. */

#include "check/check.h"

#include <criterion/criterion.h>

static char *message_of(const struct finding *f)
{
	struct buf out = { 0 };

	finding_format_message(f, &out);
	return buf_take_str(&out);
}

static char *fix_of(const struct finding *f)
{
	struct buf out = { 0 };

	cr_assert(finding_format_fix(f, &out));
	return buf_take_str(&out);
}

Test(problem, message_counts)
{
	struct finding f = { .code = PROB_CHROMEM_METADATA_MISSING, .has_count = true, .count = 4 };
	cleanup_(vs_freep) char *many = message_of(&f);
	cleanup_(vs_freep) char *one = NULL;

	f.count = 1;
	one = message_of(&f);
	cr_assert(strstr(many, "collection has 4 documents but no metadata file"));
	cr_assert(strstr(one, "collection has 1 document but no metadata file"));
}

Test(problem, message_escapes_and_cuts)
{
	char longest[1001];
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_GOB, .detail = "a\x1b[2J" };
	cleanup_(vs_freep) char *escaped = message_of(&f);
	cleanup_(vs_freep) char *cut = NULL;

	memset(longest, 'x', 1000);
	longest[1000] = '\0';
	f.detail = longest;
	cut = message_of(&f);
	cr_assert(strstr(escaped, "a\\x1b[2J"));
	cr_assert(strlen(cut) < 400 && strstr(cut, "xxx..."));
}

Test(problem, fix_quotes_for_the_shell)
{
	struct finding f = { .code = PROB_CHROMEM_METADATA_MISSING, .collection = "x; rm -rf ~" };
	cleanup_(vs_freep) char *fix = fix_of(&f);

	cr_assert_str_eq(fix, "vsctl recover-metadata STORE 'x; rm -rf ~'");
}

Test(problem, fix_names_the_document)
{
	static const char with_nul[] = "a\0b";
	struct finding f = { .code = PROB_CHROMEM_EMBEDDING_NORM,
			     .collection = "e9f85bf6",
			     .path = "e9f85bf6/0badcafe.gob",
			     .document = slice_str("my doc") };
	cleanup_(vs_freep) char *by_id = fix_of(&f);
	cleanup_(vs_freep) char *by_file = NULL;
	cleanup_(vs_freep) char *unknown = NULL;

	f.document = slice_of(with_nul, 3);
	by_file = fix_of(&f);
	f.document = slice_of(NULL, 0);
	unknown = fix_of(&f);
	cr_assert_str_eq(by_id, "vsctl inspect STORE e9f85bf6 'my doc'");
	cr_assert_str_eq(by_file, "vsctl inspect STORE e9f85bf6 0badcafe.gob");
	cr_assert_str_eq(unknown, by_file);
}

Test(problem, every_row_can_be_said)
{
	for (enum problem p = 0; p < PROB_COUNT_; p++) {
		struct finding f = { .code = p };
		cleanup_(vs_freep) char *message = message_of(&f);
		cleanup_(buf_fini) struct buf fix = { 0 };
		enum problem found = PROB_COUNT_;

		cr_assert(strlen(message) > 10);
		cr_assert_null(strchr(message, '{'));
		if (finding_format_fix(&f, &fix))
			cr_assert_eq(strncmp(buf_cstr(&fix), "vsctl ", 6), 0);
		cr_assert(problem_find(problem_row(p)->code, &found));
		cr_assert_eq(found, p);
	}
}

Test(problem, an_unknown_code_is_not_found)
{
	enum problem found;

	cr_assert_not(problem_find("chromem-no-such-thing", &found));
	cr_assert_not(problem_find("", &found));
}
