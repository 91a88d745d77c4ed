/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * names: a sorted list of directory entries, each with its type
 *
 * For the entries that no number stands for: those of the store itself, and in a collection the few
 * that are not named like documents. Private to the room.
 */

#include "file/file.h"
#include "util/util.h"

/* All names of one list together, each with its NUL; a directory with more is refused. */
#define NAMES_BYTES_MAX (UINT32_C(256) << 20)

struct name_row {
	uint32_t off; /* in the text */
	enum file_type type;
};

struct names {
	char *text;
	size_t len, text_cap;
	struct name_row *row;
	size_t count, cap;
};

void names_fini(struct names *names);

/* Append a copy. VS_ELIMIT and VS_ENOMEM leave the list as it was. */
must_check_ int names_add(struct names *names, const char *name, enum file_type type,
			  struct vs_err *err);

/* Sort in byte order; of a name that was listed twice one stays. */
void names_sort(struct names *names);

static inline const char *names_at(const struct names *names, size_t index)
{
	return names->text + names->row[index].off;
}
