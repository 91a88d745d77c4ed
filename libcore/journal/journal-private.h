/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of this room share: steps, the states they lead between, and the run's record.
 */

#include "journal/journal.h"

#define JOURNAL_DIR "journal"
#define JOURNAL_RECORD "run.jsonl"
#define JOURNAL_RECORD_MAX (UINT64_C(256) << 20)
#define JOURNAL_STEPS_MAX 4000000u
#define JOURNAL_TREE_DEPTH_MAX 16
/* Larger files go through a small buffer, twice where their digest decides; smaller ones are read whole. */
#define JOURNAL_WHOLE_MAX (UINT64_C(4) << 20)

/* What a path holds: nothing, a file, or a directory, by content. */
enum node_kind {
	NODE_ABSENT,
	NODE_FILE,
	NODE_DIRECTORY,
	NODE_LINK, /* its digest is of where it points */
	NODE_OTHER,
};

struct node {
	enum node_kind kind;
	uint32_t mode;
	/* Kept to be given back, never compared. Records of older versions say no owner. */
	bool has_owner;
	uint32_t owner, group;
	int64_t modified_ns;
	/* Of a file's bytes; of a directory's whole tree: names, kinds, modes, contents. */
	struct digest digest;
};

bool node_equal(const struct node *a, const struct node *b);

/* What a file of it has besides its bytes; without @has_time the time is that of the writing. */
struct file_look node_dress(const struct node *node, bool has_time);

/* Look at @path below @dirfd; a missing parent is NODE_ABSENT too. Symbolic links in the middle are
 * refused. */
must_check_ int node_look(int dirfd, const char *path, struct node *out, struct vs_err *err);

/* The same without reading content: digest stays zero. */
must_check_ int node_glance(int dirfd, const char *path, struct node *out, struct vs_err *err);

/*
 * A step leads @path from @before to @after and, for MOVE and EXCHANGE, @to from @to_before to
 * @to_after. Of a made directory only the existence is compared, since later steps fill it.
 */
struct step {
	enum step_kind kind;
	char *path;
	char *to;
	struct node before, after;
	struct node to_before, to_after;
	struct buf content; /* WRITE, until staged */
	bool is_staged;     /* <n>.new is there already */
	bool has_old;       /* <n>.old holds what was there */
	/* For apply.c: the first of the steps that may happen in any order with this one, and whether
	 * it has happened. */
	size_t group;
	bool is_done;
};

/*
 * Is the content at @want compared, or only that it is there and its mode? Steps before and after
 * one that makes, empties or only changes the mode of a directory may change what is in it.
 */
bool step_compares_content(const struct step *step, const struct node *want);

/* From a path to the last step that concerns it. Paths are borrowed. Zeroed is empty. */
struct path_slot;
struct path_index {
	struct path_slot *slots;
	size_t count, cap;
};

void path_index_fini(struct path_index *x);
void path_index_note(struct path_index *x, struct slice path, size_t step);
void path_index_note_all(struct path_index *x, const char *path,
			 size_t step); /* and all directories above it */
bool path_index_find(const struct path_index *x, struct slice path, size_t *step);

struct journal {
	int state_dirfd;
	int store_dirfd;
	int dirfd; /* of journal/<run> */
	char run[128];
	char *command;
	char *header_line;
	struct step *steps;
	size_t count, cap;
	/* While it is built: what the steps so far concern, by exact name. */
	struct path_index paths;
	enum run_state state;
	bool is_taking_back;
	bool is_prepared;
	bool links_old; /* as the header has it */
};

/* Open the directory that holds the last part of @path, without following a link; *@name points
 * into @path. */
must_check_ int journal_open_parent(int dirfd, const char *path, int *parent, const char **name,
				    struct vs_err *err);

/* content.c. Contents of so many steps are made durable each by itself, those of more with all that the
 * file system holds. */
#define SYNCED_ONE_BY_ONE 16

/* The new content of the step of that number: @bytes, or with a descriptor @from what it holds; @digest,
 * if asked for, is of what was put there. */
must_check_ int content_put(struct journal *j, size_t number, struct slice bytes, int from,
			    struct digest *digest, struct vs_err *err);
/* That of the newest step: the file @from of @dirfd, taken from there. @digest is set only where it had
 * to be copied. */
must_check_ int content_move(struct journal *j, int dirfd, const char *from, struct digest *digest,
			     struct vs_err *err);
/* Keep what a step will replace or remove; it must still be what it was when the step was added. */
must_check_ int content_keep(struct journal *j, const struct step *step, size_t number,
			     struct vs_err *err);
/* All contents of all steps: before the record. */
must_check_ int content_sync(struct journal *j, struct vs_err *err);
int content_changed(const char *path, struct vs_err *err); /* VS_EBUSY */

/* record.c */
void record_format_step(const struct step *step, size_t number, struct buf *out);
must_check_ int record_load(struct journal **out, int state_dirfd, int store_dirfd, const char *run,
			    struct vs_err *err);
/* Does the last line say that the run was ended? Reads only that: records may be long. */
must_check_ int record_is_ended(int run_dirfd, bool *out, struct vs_err *err);
must_check_ int record_append_state(struct journal *j, const char *state, struct vs_err *err);

/* apply.c: from whatever state a kill has left, to all steps done, or to none. */
must_check_ int journal_forward(struct journal *j, struct vs_err *err);
must_check_ int journal_back(struct journal *j, struct vs_err *err);

/* The same, begun just now: the store is in the state that the steps were made from. */
must_check_ int journal_forward_first(struct journal *j, struct vs_err *err);

/*
 * Which steps have been applied (is_done of each), and how far the run has come: all before @from are
 * done and durable, those from @end on have not been begun. VS_EFORMAT when the store is in no state
 * that this run knows.
 */
struct reach {
	size_t from, end;
};

must_check_ int journal_progress(struct journal *j, struct reach *out, struct vs_err *err);
