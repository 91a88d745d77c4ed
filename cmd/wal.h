/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * wal: contextd's write-ahead log, as its verbs see it
 *
 * A directory with a file for each write that the remote store may not have yet. Nothing in it is
 * ever changed but by `compact`, and that removes only what is proven and synced.
 */

#include "cmd.h"

#include "chromem/chromem.h"

enum wal_state {
	WAL_PENDING,    /* the only copy of a write */
	WAL_SYNCED,     /* the remote store has it */
	WAL_BAD_MAC,    /* another checksum than the key gives */
	WAL_UNPROVEN,   /* the key is lost */
	WAL_UNREADABLE, /* no whole entry */
	WAL_STATES_,
};

struct wal_file {
	char *name;
	enum wal_state state;
	bool is_synced; /* as it says itself, whatever its state */
	char operation[8];
	uint64_t size, documents; /* documents that are added, or ids that are deleted */
	int64_t time_ns;
	struct digest digest; /* of its bytes */
	char *why;            /* UNREADABLE */
};

enum wal_key {
	WAL_KEY_THERE,
	WAL_KEY_LOST,
	WAL_KEY_DAMAGED, /* not 32 bytes */
};

struct wal {
	char *path; /* of the directory, absolute */
	int dirfd;
	char *only; /* one file of it; NULL: all */
	enum wal_key key;
	struct wal_file *files; /* in byte order of their names */
	size_t count, cap;
	uint64_t leftovers; /* of writes that were cut off */
	uint64_t counts[WAL_STATES_];
};
#define WAL_CLOSED                                                                                 \
	{                                                                                          \
		.dirfd = -1                                                                        \
	}

/* Find and read the log: @path is a store that it lies beside, its directory, or one entry. */
must_check_ int wal_load(struct wal *w, const char *path, struct vs_err *err);
void wal_fini(struct wal *w);

const char *wal_state_name(enum wal_state state);
const char *wal_key_name(enum wal_key key);

/* "store", "log", "key", "counts" of the document. */
void wal_emit_head(struct app *app, const struct wal *w);

extern const struct command cmd_wal_compact;
