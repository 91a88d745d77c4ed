/* SPDX-License-Identifier: Apache-2.0 */

/* Figures of the machine, ages, and drills, as several commands tell them. */

#include "operate.h"

#include "guard/guard.h"

#include <sys/statvfs.h>

int app_preflight(const struct app *app, const char *store, const char *state, struct vs_err *err)
{
	const char *const paths[] = { store, state, NULL };
	struct guard_limits limits = { GUARD_MEMORY_PERCENT, GUARD_FREE_BYTES };
	const char *memory = app->common.max_memory;
	const char *disk = app->common.min_free;
	uint64_t percent;

	if (memory) {
		if (!guard_percent_parse(memory, &percent))
			return vs_fail(err, VS_EUSAGE,
				       "--max-memory takes a percentage such as 80, not %s",
				       memory);
		limits.memory_percent = (double)percent / (double)GUARD_PERCENT;
	}
	if (disk && !parse_size(disk, &limits.free_bytes))
		return vs_fail(err, VS_EUSAGE, "--min-free takes a size such as 500M, not %s",
			       disk);
	return guard_preflight(&limits, paths, err);
}

int machine_disk(const char *path, uint64_t *free_bytes, double *percent, struct vs_err *err)
{
	struct statvfs fs;
	double used, all;

	if (statvfs(path, &fs) < 0)
		return vs_fail_errno(err, "%s", path);
	*free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	/* As df has it: what root alone may use is neither free nor part of the whole. */
	used = (double)(fs.f_blocks - fs.f_bfree);
	all = used + (double)fs.f_bavail;
	*percent = all > 0 ? used * 100 / all : 0;
	return 0;
}

void age_format(int64_t age_ns, char out[32])
{
	int64_t minutes = VS_MAX(age_ns, (int64_t)0) / 1000000000 / 60;

	if (minutes < 60)
		snprintf(out, 32, "%" PRId64 " min", minutes);
	else if (minutes < (int64_t)48 * 60)
		snprintf(out, 32, "%" PRId64 " h", minutes / 60);
	else
		snprintf(out, 32, "%" PRId64 " days", minutes / 60 / 24);
}

const struct snap_manifest *snap_list_drilled(const struct snap_list *list, bool good)
{
	const struct snap_manifest *best = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct snap_manifest *m = list->entries[i].m;

		if (m && m->drill.time_ns > 0 && (m->drill.is_good || !good) &&
		    (!best || m->drill.time_ns > best->drill.time_ns))
			best = m;
	}
	return best;
}
