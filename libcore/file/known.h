/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * known: what was read of files, so that one reading serves all who ask in one run
 *
 * An entry says what the file of that device and inode held when it had that size and those times.
 * It counts as long as all of these are what they were. A program may set the time of modification
 * back, never the time of change, which the kernel moves with every write, so what was written
 * behind one's back shows. Two things are trusted: that the system's clock is not set back, and that
 * whoever writes does so with calls to the system: pages that were mapped to be written move the
 * times late, and on some file systems not at all.
 *
 * A file that had changed shortly before the run began is not kept: file systems count in ticks, and
 * another write in the same one would not show. It is read each time.
 *
 * Any thread may call any of these. About 100 bytes are kept of each file.
 *
 * Part of the room's front door.
 */

struct file_known; /* owned, freed with file_known_freep() */

struct file_known *file_known_new(void);
/* As if the run had begun then: for tests that cannot wait. */
struct file_known *file_known_new_at(int64_t now_ns);
void file_known_freep(struct file_known **known);

/* What was seen of directories in the same run (seen.h); borrowed, NULL for NULL. */
struct file_seen *file_known_seen(const struct file_known *known);

/* Is there anything that could be found? Asking saves a look at each file. */
bool file_known_is_empty(const struct file_known *known);

/*
 * @info is of the descriptor that the bytes were read from, and was taken before the first of them
 * was: a write meanwhile then makes the entry one that nobody finds.
 */
void file_known_add(struct file_known *known, const struct file_info *info,
		    const struct digest *digest);

/* What a reader wants to know again of a file besides: its own business. */
struct file_remark {
	uint64_t words[2];
	uint32_t flags; /* 0: there is none */
};

/* To the entry of that file, if there is one. */
void file_known_remark(struct file_known *known, const struct file_info *info,
		       const struct file_remark *remark);

/* False when nothing is known of the file as @info has it. @digest and @remark may be NULL. */
bool file_known_find(const struct file_known *known, const struct file_info *info,
		     struct digest *digest, struct file_remark *remark);
