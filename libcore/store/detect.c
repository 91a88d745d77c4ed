/* SPDX-License-Identifier: Apache-2.0 */

/* Recognising stores. The library itself asks for nothing: it opens every directory. So this must
 * know a store from the directories that people give by mistake. */

#include "store/detect.h"

/* Look into the directory @name; false when it is not to be read. */
static bool survey_child(int dirfd, const char *name, struct survey *out)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err ignored;

	return file_open_dir(dirfd, name, FILE_NO_FOLLOW, &fd, &ignored) == 0 &&
	       survey_directory(out, fd, SURVEY_COLLECTION, &ignored) == 0;
}

static bool child_is_collection(int dirfd, const char *name, bool *is_segment)
{
	cleanup_(survey_fini) struct survey child = { 0 };
	uint32_t hash;

	/* One that may not be read is damage to the store, not a sign that there is none. */
	if (!survey_child(dirfd, name, &child))
		return chromem_hash_parse(slice_str(name), &hash);
	*is_segment |= survey_is_chroma_segment(&child, name);
	return survey_is_collection(&child, name);
}

int detect_directory(int dirfd, const struct survey *s, enum store_kind *kind)
{
	bool has_segment = false;

	*kind = STORE_CHROMA;
	if (survey_has(s, MARK_CHROMA_DATABASE))
		return 1;
	for (size_t i = 0; i < s->directory_count; i++) {
		if (survey_skips(s->directories[i]))
			continue;
		if (child_is_collection(dirfd, s->directories[i], &has_segment)) {
			*kind = STORE_CHROMEM;
			return 1;
		}
	}
	if (has_segment)
		return 1;
	*kind = STORE_CHROMEM;
	return survey_has(s, MARK_COLLECTION_LINK) && s->gob_files == 0;
}

bool detect_export(const char *path, struct slice head, bool has_key)
{
	const char *name = strrchr(path, '/');
	enum chromem_content content;
	unsigned char unpacked[DETECT_HEAD_LEN];
	uint32_t hash;
	size_t len;

	name = name ? name + 1 : path;
	/* A file of a collection, whole or damaged, has another place in a store. */
	if (chromem_hash_parse(slice_of(name, strcspn(name, ".")), &hash) && !has_key)
		return false;
	len = chromem_unpack_head(head, unpacked, sizeof(unpacked));
	content = chromem_peek(len > 0 ? slice_of(unpacked, len) : head);
	if (content == CHROMEM_CONTENT_EXPORT || content == CHROMEM_CONTENT_GOB || has_key)
		return true;
	/* Its first bytes may be damaged, or encrypted. */
	return content == CHROMEM_CONTENT_OTHER &&
	       (strstr(name, ".gob") != NULL || strstr(name, ".enc") != NULL);
}
