/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * survey: what the entries of a directory say about it
 *
 * Names and types only; no file is opened. Private to the room.
 */

#include "chromem/chromem.h"
#include "file/file.h"
#include "util/util.h"

/* Names that give a kind of directory away. */
enum mark {
	MARK_CHROMA_DATABASE = 1 << 0, /* chroma.sqlite3 */
	MARK_HNSW = 1 << 1,            /* header.bin, data_level0.bin: of one vector index */
	MARK_AUDIT = 1 << 2,           /* audit.jsonl */
	MARK_JOURNAL = 1 << 3,
	MARK_WAL = 1 << 4, /* contextd's write-ahead log: .hmac_key, *.wal */
	MARK_CONFIG = 1 << 5,
	MARK_DATA = 1 << 6,
	MARK_INDEX = 1 << 7,
	MARK_KEYS = 1 << 8,
	MARK_SNAPSHOTS = 1 << 9,
	MARK_README = 1 << 10,
	MARK_GIT_HEAD = 1 << 11,
	MARK_GIT_OBJECTS = 1 << 12,
	MARK_GIT_REFS = 1 << 13,
	MARK_COLLECTION_LINK = 1 << 14, /* a symbolic link named like a collection */
};

struct survey {
	uint32_t marks;
	size_t entries;
	size_t gob_files; /* *.gob, *.gob.gz; directories do not count */
	char **directories;
	size_t directory_count, directory_cap;
};

/*
 * List the directory into @out. Stops after @enough gob files and no directory: it is a collection,
 * and one without another store in it.
 */
must_check_ int survey_directory(struct survey *out, int dirfd, size_t enough, struct vs_err *err);

/* One gob file tells a collection; directories among so many would have shown by then. */
#define SURVEY_COLLECTION 1
#define SURVEY_THOROUGH 65536
void survey_fini(struct survey *s);

static inline bool survey_has(const struct survey *s, uint32_t marks)
{
	return (s->marks & marks) == marks;
}

/* Is a directory @name with these entries a collection of the store around it? */
bool survey_is_collection(const struct survey *s, const char *name);

/* Named like a vector index of ChromaDB (a UUID) and holding its files? */
bool survey_is_chroma_segment(const struct survey *s, const char *name);

/* Directories of ours and of contextd's inside a store; what is in them is not the store's. */
bool survey_skips(const char *name);
