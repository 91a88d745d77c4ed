/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * kit: stores for tests, made and broken by code
 *
 * A kit store is a directory of its own below $TMPDIR, removed with its owner. Paths given to these
 * functions are relative to the store. Whatever goes wrong here is a fault of the test or the
 * machine, and fails the test.
 */

#include "check/check.h"
#include "chromem/chromem.h"
#include "util/util.h"

/* ---- a place ---- */

struct kit_dir {
	char *root; /* removed in the end */
	char *path; /* of the store: root or below it */
};

/* An empty directory, mode 700. */
struct kit_dir *kit_dir_new(void);
void kit_dir_freep(struct kit_dir **dir);

/* A copy of a directory below tests/data, its setup.sh run; path is its `store` if it has one. */
struct kit_dir *kit_fixture(const char *name);

/*
 * Give the directory to a user whom modes stop, and act as that user until privileges are regained,
 * which must be before the test ends. Without privileges to begin with, these do nothing.
 */
void kit_drop_privileges(const struct kit_dir *dir);
void kit_regain_privileges(void);

/* Path below the source directory, "tests/data/x"; owned by the caller. */
char *kit_source(const char *path);

/* ---- files ---- */

char *kit_path(const struct kit_dir *dir, const char *path); /* absolute; owned by the caller */
void kit_write(const struct kit_dir *dir, const char *path, struct slice bytes);
void kit_read(const struct kit_dir *dir, const char *path, struct buf *out);
void kit_remove(const struct kit_dir *dir, const char *path); /* a file or an empty directory */
void kit_rename(const struct kit_dir *dir, const char *from, const char *to);
void kit_copy(const struct kit_dir *dir, const char *from, const char *to); /* trees too */
void kit_mkdir(const struct kit_dir *dir, const char *path);
void kit_mkfifo(const struct kit_dir *dir, const char *path);
void kit_symlink(const struct kit_dir *dir, const char *target, const char *path);
void kit_chmod(const struct kit_dir *dir, const char *path, unsigned mode);

/* ---- damage ---- */

void kit_truncate(const struct kit_dir *dir, const char *path, size_t len);
void kit_flip(const struct kit_dir *dir, const char *path, size_t off, unsigned bit);
void kit_zero(const struct kit_dir *dir, const char *path, size_t from);
void kit_append(const struct kit_dir *dir, const char *path, struct slice bytes);

/* Offset of @bytes in the file, which must be there once. */
size_t kit_find(const struct kit_dir *dir, const char *path, struct slice bytes);

/* One digest over names, types, modes, sizes, times of change and contents of the whole tree. */
void kit_tree_digest(const struct kit_dir *dir, struct digest *out);

/* ---- chromem stores ---- */

#define KIT_DOCUMENTS ((size_t)6)
#define KIT_DIMENSION 8
#define KIT_PAIRS 4

/* A document whose parts can be changed before it is written. */
struct kit_doc {
	char id[64];
	char content[128];
	float embedding[64];
	struct chromem_pair pairs[KIT_PAIRS];
	struct chromem_doc doc; /* points to the above */
};

/*
 * Document @number of a collection, always the same for the same arguments: an id, a vector of
 * length 1, a text, and metadata that say nothing about an owner.
 */
void kit_doc(struct kit_doc *out, const char *collection, unsigned number);

/*
 * A store as the library writes it, with collections "notes", "papers" and "letters" of
 * KIT_DOCUMENTS documents each.
 */
struct kit_dir *kit_healthy(enum chromem_compression c);

void kit_add_collection(const struct kit_dir *dir, enum chromem_compression c, const char *name);
void kit_write_metadata(const struct kit_dir *dir, enum chromem_compression c, const char *path,
			struct slice name);

/* Write to the file that belongs to the id, in the directory that belongs to the collection. */
void kit_add_doc(const struct kit_dir *dir, enum chromem_compression c, const char *collection,
		 const struct chromem_doc *doc);
void kit_write_doc(const struct kit_dir *dir, enum chromem_compression c, const char *path,
		   const struct chromem_doc *doc);

/* Write the store as an export file. */
void kit_export(const struct kit_dir *dir, enum chromem_compression c, const char *path);

/* "5f6b2c1a" for a collection, "5f6b2c1a/8c0d3e21.gob" for a document; owned by the caller. */
char *kit_collection_path(const char *name);
char *kit_doc_path(enum chromem_compression c, const char *collection, unsigned number);
char *kit_metadata_path(enum chromem_compression c, const char *collection);

/* ---- checking ---- */

struct kit_result {
	struct check_summary summary;
	struct finding *findings; /* deep copies */
	char **messages;
	size_t count;
	struct check_collection *collections; /* name_bytes not kept */
	size_t collection_count;
	size_t gaps, limits; /* parts not looked at; limits of the level */
	int status;
	struct vs_err err;
};

/* check_store() on what is at @path, with all that it hands out kept. */
struct kit_result *kit_check(const char *path, const struct check_request *req);
struct kit_result *kit_check_dir(const struct kit_dir *dir, enum check_level level);
void kit_result_freep(struct kit_result **result);

/* The one finding of this code; fails the test when there is none or there are more. */
const struct finding *kit_finding(const struct kit_result *r, const char *code);

/* Findings of this code. */
size_t kit_count(const struct kit_result *r, const char *code);

/* Fail the test with the list of all findings unless these are all errors and warnings. */
void kit_expect_only(const struct kit_result *r, const char *code, size_t count);
void kit_expect_clean(const struct kit_result *r);
