/* SPDX-License-Identifier: Apache-2.0 */

/* Figures of the machine, ages, and drills, as several commands tell them. */

#include "operate.h"

#include "file/file.h"

#include <fcntl.h>
#include <sys/statvfs.h>

static bool meminfo_value(struct slice text, const char *key, double *out)
{
	const unsigned char *at = memmem(text.ptr, text.len, key, strlen(key));
	char digits[32] = "";
	size_t n = 0;

	if (!at)
		return false;
	at += strlen(key);
	while (at < text.ptr + text.len && *at == ' ')
		at++;
	while (at < text.ptr + text.len && *at >= '0' && *at <= '9' && n + 1 < sizeof(digits))
		digits[n++] = (char)*at++;
	*out = strtod(digits, NULL);
	return n > 0;
}

double machine_memory_percent(void)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	double total, left;

	if (file_read_head_at(AT_FDCWD, "/proc/meminfo", FILE_FOLLOW, 4096, &text, NULL, &err) !=
		    0 ||
	    !meminfo_value(buf_slice(&text), "MemTotal:", &total) ||
	    !meminfo_value(buf_slice(&text), "MemAvailable:", &left) || total <= 0)
		return -1;
	return (total - left) * 100 / total;
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
