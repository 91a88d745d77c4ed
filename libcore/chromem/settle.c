/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files that are being written at this moment.
 *
 * The library writes a file in place: it cuts it to nothing and puts the new content there with
 * several calls. A check that comes in between sees a file that is cut short, as after a crash. So
 * a young file that cannot be decoded is looked at again, until it can be, or until it has stayed
 * as it is. Whole files are never waited for, and neither are old ones.
 */

#include "chromem/read.h"

/* A file that nobody has touched for so long is not being written. */
#define YOUNG_NS INT64_C(5000000000)

/* Longer than a busy machine keeps a process from going on. */
#define PAUSE_MS 100u

/* For one file that does not stop changing. */
#define LOOKS_MAX 6u

/*
 * What a reader may spend in all: on files that then had not changed, so that a store of many
 * damaged files, copied just now, is still checked at once; and altogether.
 */
#define PATIENCE_MS 1200u
#define PATIENCE_ALL_MS 10000u

static bool may_be_half_written(enum chromem_fault_kind kind)
{
	static const bool may_be[] = {
		[CHROMEM_FAULT_EMPTY] = true,        [CHROMEM_FAULT_ZEROS] = true,
		[CHROMEM_FAULT_TRUNCATED] = true,    [CHROMEM_FAULT_GZIP_TRUNCATED] = true,
		[CHROMEM_FAULT_GZIP_CORRUPT] = true, [CHROMEM_FAULT_GOB] = true,
		[CHROMEM_FAULT_SHAPE] = true,
	};

	return kind < VS_COUNT(may_be) && may_be[kind];
}

bool chromem_settle(struct chromem_reader *reader, struct chromem_settling *s, int dirfd,
		    const char *name, struct chromem_fault *fault)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	struct file_info info;
	struct vs_err ignored;
	int64_t age;
	bool is_same;

	if (!may_be_half_written(fault->kind) ||
	    file_stat_at(dirfd, name, FILE_FOLLOW, &info, &ignored) < 0)
		return false;
	age = clock_now_ns(&vs_clock_system) - info.modified_ns;
	if (age < -YOUNG_NS || age > YOUNG_NS)
		return false;
	is_same = s->looks > 0 && s->size == info.size && s->modified_ns == info.modified_ns;
	if (is_same) {
		reader->waited_in_vain_ms += PAUSE_MS;
		return false;
	}
	s->size = info.size;
	s->modified_ns = info.modified_ns;
	if (++s->looks > LOOKS_MAX) {
		fault->kind = CHROMEM_FAULT_BEING_WRITTEN;
		return false;
	}
	if (reader->waited_in_vain_ms >= PATIENCE_MS || reader->waited_ms >= PATIENCE_ALL_MS)
		return false;
	reader->waited_ms += PAUSE_MS;
	nanosleep(&pause, NULL);
	return true;
}
