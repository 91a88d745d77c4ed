/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the room share: the sample, and a copy of it that is to be damaged. */

#include "chroma/chroma.h"
#include "chromem/chromem.h"
#include "selftest/selftest.h"

#define SAMPLE "sample"
#define CASE "case"

/* What is damaged, in the sample and so in every copy of it. */
struct victim {
	enum chromem_compression form;
	char dir[256];     /* of a collection, or the index directory of one */
	char document[64]; /* file of a sound document */
	char other[64];    /* another one */
	char metadata[64];
	bool is_cosine;   /* Chroma: the space of the index */
	char unread[256]; /* Chroma: an index directory of another space; "" */
};

struct damage_class;

struct damaged {
	int dirfd; /* of the store */
	int fd;    /* of the victim's directory; -1 in a Chroma store without an index */
	const struct victim *victim;
	const char *scratch; /* for private copies of a database */
	const struct damage_class *class;
	struct chromem_reader *reader;
	bool is_other_setting; /* set: it is opened with the other compression setting */
	char why[256];         /* filled where 1 is returned */
};

/* Do the damage. Returns 0; 1 with @why filled: it cannot be done here; or negative. */
typedef int damage_fn(struct damaged *d, struct vs_err *err);

struct damage_class {
	const char *name;
	const char *what;
	const char *expected; /* problem codes, divided by blanks; any of them will do */
	damage_fn *fn;
	/* Which of the things that @fn does, where it does several. */
	const char *text; /* a statement, or the name of a file */
	int way;          /* of the enum beside @fn */
};

/* Each ends with a NULL name. */
extern const struct damage_class selftest_chromem_classes[];   /* files */
extern const struct damage_class selftest_directory_classes[]; /* of chromem stores */
extern const struct damage_class selftest_document_classes[];  /* what is in documents */
extern const struct damage_class selftest_packed_classes[];    /* compressed stores only */
extern const struct damage_class selftest_index_classes[];
extern const struct damage_class selftest_chroma_classes[]; /* the database */

/* Say why it cannot be done; returns 1. */
int cannot(struct damaged *d, const char *why);
#ifdef __clang_analyzer__
/* As in util/err.h: the analyser does not see from here that it is 1. */
#define cannot(d, why) (cannot(d, why), 1)
#endif

#define SELFTEST_FILE_MAX (UINT64_C(256) << 20)
must_check_ int damage_read(int dirfd, const char *name, struct buf *out, struct vs_err *err);
must_check_ int damage_write(int dirfd, const char *name, struct slice bytes, struct vs_err *err);
must_check_ int damage_cut(int dirfd, const char *name, struct vs_err *err); /* in half */
must_check_ int damage_copy(int dirfd, const char *from, const char *to, struct vs_err *err);

/* One statement on the database of a Chroma store, with @param for its `?`; NULL: it has none.
 * Returns 1 where it changes no row or cannot be run. (damage-chroma.c) */
must_check_ int damage_sql(struct damaged *d, const char *sql, const char *param,
			   struct vs_err *err);

/* ---- made.c, made-chroma.c ---- */

/* Make a small store in the directory SAMPLE, which is not there yet, and choose the victim. */
must_check_ int made_chromem(const struct selftest_request *req, enum chromem_compression form,
			     struct victim *victim, struct selftest_summary *out,
			     struct vs_err *err);
must_check_ int made_chroma(const struct selftest_request *req, struct victim *victim,
			    struct selftest_summary *out, struct vs_err *err);

/* ---- sample.c ---- */

/* Make the sample in the directory SAMPLE, which is not there yet, and choose the victim. */
must_check_ int sample_make(const struct store *store, const struct selftest_request *req,
			    struct victim *victim, struct selftest_summary *out,
			    struct vs_err *err);

/* Copy the tree @from to the new directory @to, both below @dirfd. */
must_check_ int sample_copy(int dirfd, const char *from, const char *to, struct vs_err *err);

/* ---- age.c ---- */

/* Let the files of the tree @name below @dirfd be an hour old, so that no check waits for them. */
must_check_ int sample_age(int dirfd, const char *name, struct vs_err *err);
