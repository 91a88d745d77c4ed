/* SPDX-License-Identifier: Apache-2.0 */

/* Index directories that belong to no segment: the server leaves them when it drops a collection. */

#include "check/chroma-segment-work.h"

struct strays {
	int dirfd;
	const char *const *ids;
	size_t count;
	struct report *report;
	struct gaps *gaps;
};

/* "24e69c0e-7aba-41e6-934b-8f72a5d57d41" */
static bool is_uuid(const char *name)
{
	for (size_t i = 0; i < 36; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? name[i] != '-'
			    : !strchr("0123456789abcdefABCDEF", name[i]) || !name[i])
			return false;
	}
	return name[36] == '\0';
}

static int look(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct strays *s = ctx;
	cleanup_(file_closep) int fd = -1;
	struct vs_err why = { 0 };
	struct file_info info;
	struct finding f = { .code = PROB_CHROMA_INDEX_STRAY, .path = name };

	(void)err;
	if ((type != FILE_DIRECTORY && type != FILE_UNKNOWN) || !is_uuid(name))
		return 0;
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->ids[i], name) == 0)
			return 0;
	if (file_open_dir(s->dirfd, name, FILE_NO_FOLLOW, &fd, &why) < 0) {
		gaps_add(s->gaps, name, "the directory", why.text, false);
		return 0;
	}
	if (file_stat_at(fd, hnsw_file_name(HNSW_HEADER), FILE_NO_FOLLOW, &info, &why) < 0)
		return 0;
	for (int i = 0; i < SEGMENT_FILES; i++) {
		const char *file = segment_file_name(i);

		if (file_stat_at(fd, file, FILE_NO_FOLLOW, &info, &why) == 0 &&
		    info.type == FILE_REGULAR)
			f.count += info.size;
	}
	f.has_count = true;
	report_add(s->report, &f);
	return 0;
}

int chroma_segment_check_strays(int dirfd, const char *const *ids, size_t count,
				struct report *report, struct gaps *gaps, struct vs_err *err)
{
	struct strays s = { dirfd, ids, count, report, gaps };

	return file_list(dirfd, look, &s, err);
}
