/* SPDX-License-Identifier: Apache-2.0 */

/* Reading a directory's names for what they give away. */

#include "store/survey.h"

static bool ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static uint32_t mark_of(const char *name)
{
	static const struct {
		const char *name;
		uint32_t mark;
	} marks[] = {
		{ "chroma.sqlite3", MARK_CHROMA_DATABASE },
		{ "header.bin", MARK_HNSW },
		{ "data_level0.bin", MARK_HNSW },
		{ "audit.jsonl", MARK_AUDIT },
		{ "journal", MARK_JOURNAL },
		{ ".hmac_key", MARK_WAL },
		{ "config", MARK_CONFIG },
		{ "data", MARK_DATA },
		{ "index", MARK_INDEX },
		{ "keys", MARK_KEYS },
		{ "snapshots", MARK_SNAPSHOTS },
		{ "README", MARK_README },
		{ "HEAD", MARK_GIT_HEAD },
		{ "objects", MARK_GIT_OBJECTS },
		{ "refs", MARK_GIT_REFS },
	};

	for (size_t i = 0; i < VS_COUNT(marks); i++)
		if (strcmp(name, marks[i].name) == 0)
			return marks[i].mark;
	return ends_in(name, ".wal") ? MARK_WAL : 0;
}

static bool is_gob_name(const char *name)
{
	return ends_in(name, chromem_extension(CHROMEM_PLAIN)) ||
	       ends_in(name, chromem_extension(CHROMEM_GZIP));
}

static bool is_hash(const char *name)
{
	uint32_t hash;

	return chromem_hash_parse(slice_str(name), &hash);
}

struct surveying {
	struct survey *s;
	int dirfd;
	size_t enough;
};

static int note_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct surveying *surveying = ctx;
	struct survey *s = surveying->s;
	struct file_info info;
	struct vs_err ignored;

	(void)err;
	if (type == FILE_UNKNOWN &&
	    file_stat_at(surveying->dirfd, name, FILE_NO_FOLLOW, &info, &ignored) == 0)
		type = info.type;
	s->entries++;
	s->marks |= mark_of(name);
	if (type == FILE_DIRECTORY) {
		s->directories = vs_grow(s->directories, &s->directory_cap, s->directory_count + 1,
					 sizeof(*s->directories));
		s->directories[s->directory_count++] = vs_strdup(name);
		return 0;
	}
	if (type == FILE_SYMLINK && is_hash(name))
		s->marks |= MARK_COLLECTION_LINK;
	s->gob_files += is_gob_name(name);
	return s->gob_files >= surveying->enough && s->directory_count == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int survey_directory(struct survey *out, int dirfd, size_t enough, struct vs_err *err)
{
	struct surveying surveying = { out, dirfd, enough };
	int r;

	r = file_list(dirfd, note_entry, &surveying, err);
	if (out->directory_count > 0)
		qsort(out->directories, out->directory_count, sizeof(*out->directories), by_name);
	return r < 0 ? r : 0;
}

void survey_fini(struct survey *s)
{
	for (size_t i = 0; i < s->directory_count; i++)
		free(s->directories[i]);
	free(s->directories);
	*s = (struct survey){ 0 };
}

bool survey_is_collection(const struct survey *s, const char *name)
{
	/* A tenant's directory of stores may be named like a hash, too. */
	return s->gob_files > 0 || (is_hash(name) && s->directory_count == 0);
}

bool survey_is_chroma_segment(const struct survey *s, const char *name)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	for (i = 0; form[i] != '\0'; i++) {
		bool is_digit = name[i] != '\0' && strchr("0123456789abcdef", name[i]) != NULL;

		if (form[i] == 'x' ? !is_digit : name[i] != form[i])
			return false;
	}
	return name[i] == '\0' && survey_has(s, MARK_HNSW);
}

bool survey_skips(const char *name)
{
	return strcmp(name, ".quarantine") == 0 || ends_in(name, ".vsctl");
}
