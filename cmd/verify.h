/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * verify: what one check of one store found, kept until all of it is known
 *
 * The verdict stands first in what is printed and is known last, so findings are kept. They are few
 * in a store that anybody still uses, and --max-findings bounds them in one that nobody can.
 */

#include "cmd.h"

#include "check/check.h"

struct verify_finding {
	enum problem code;
	enum severity severity;
	char *collection; /* NULL: the store itself */
	char *path;
	struct slice document; /* ptr is owned; NULL when unknown */
	bool has_offset;
	uint64_t offset;
	char *message;
	char *fix; /* with STORE in it; NULL when there is none */
};

struct verify_collection {
	char *id;
	struct slice name; /* ptr is owned; NULL when unknown */
	enum collection_state state;
	uint64_t documents, dimension, bytes;
};

struct verify_gap {
	char *path, *what, *why;
	bool is_limit;
};

struct verify_cause {
	char *code, *summary, *collection, *evidence; /* collection may be NULL */
	uint64_t findings;
};

struct verify_report {
	const char *path; /* of the store, borrowed */
	const char *kind;
	enum check_level level;
	struct check_summary summary;
	double elapsed_s;
	struct verify_collection *collections;
	size_t collection_count, collection_cap;
	struct verify_finding *findings;
	size_t finding_count, finding_cap;
	struct verify_gap *gaps;
	size_t gap_count, gap_cap;
	struct explain *explain; /* while checking, when asked for; owned */
	bool is_explained;
	struct verify_cause *causes;
	size_t cause_count, cause_cap;
};

void verify_report_fini(struct verify_report *r);

/* What to check, beyond what the library needs to know. */
struct verify_request {
	struct check_request check;
	bool explain;
	unsigned fail_on;
};

/* Check @store for @collections (names or directories, ends with NULL; none: all) into @out. */
must_check_ int verify_store(struct verify_report *out, const struct store *store,
			     const struct verify_request *req, char *const *collections,
			     struct vs_err *err);

/* The exit status that one report asks for. */
int verify_status(const struct verify_report *r, const struct verify_request *req);

/* What the library prints when it refuses the store, with the store's path; "" when it does not. */
void verify_loader_error(const struct verify_report *r, struct buf *out);

/* The members of the JSON document from "store" on, into the object that is open. */
void verify_json(struct emit *e, const struct verify_report *r);

/* A document for each finding, and at the end one with the verdict and the summary. */
void verify_json_lines(struct emit *e, const struct verify_report *r, const char *command);

struct verify_text_opts {
	bool is_quiet;
	bool is_verbose;
	bool is_nested; /* one of several stores: name it in the first line */
};

void verify_text(struct emit *e, const struct verify_report *r,
		 const struct verify_text_opts *opts);

/* The last line: the command that helps most. */
void verify_next(struct emit *e, const struct verify_report *r);

/*
 * Check the store at @root and every store below it, and print all of it. Returns the exit status:
 * the bits that each store asks for, and EXIT_OPERATIONAL where one could not be checked.
 */
must_check_ int verify_tree(struct app *app, const struct verify_request *req, const char *root);

const char *verify_level_name(enum check_level level);
