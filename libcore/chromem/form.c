/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Telling the compression setting from the names of the files. The library has to be told: opened
 * with the other setting, a store looks empty. A sample is enough, and keeps the answer quick where
 * a directory holds millions.
 */

#include "chromem/chromem.h"
#include "chromem/names.h"

#define SAMPLE_COLLECTIONS 64

/* Of each. Names are hashes and come in no order, so the first few that agree speak for the rest.
 */
#define SAMPLE_AGREEING 128
#define SAMPLE_FILES 65536

static int add_directory(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct names *directories = ctx;

	if (type != FILE_DIRECTORY && type != FILE_UNKNOWN)
		return 0;
	return names_add(directories, name, type, err);
}

struct count {
	size_t files;
	size_t of[2]; /* by enum chromem_compression */
};

static int count_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct count *count = ctx;
	size_t len = strlen(name);

	(void)err;
	for (unsigned form = CHROMEM_PLAIN; form <= CHROMEM_GZIP; form++) {
		const char *extension = chromem_extension(form);
		size_t end = strlen(extension);

		if (type != FILE_DIRECTORY && len >= end &&
		    strcmp(name + len - end, extension) == 0)
			count->of[form]++;
	}
	count->files++;
	return count->files == SAMPLE_FILES ||
	       (count->files >= SAMPLE_AGREEING &&
		(count->of[CHROMEM_PLAIN] == 0) != (count->of[CHROMEM_GZIP] == 0));
}

static void count_directory(int dirfd, const char *name, struct chromem_form *out)
{
	cleanup_(file_closep) int fd = -1;
	struct count count = { 0 };
	struct vs_err ignored;

	/* What cannot be read is the scan's to report. */
	if (file_open_dir(dirfd, name, FILE_NO_FOLLOW, &fd, &ignored) < 0 ||
	    file_list(fd, count_file, &count, &ignored) < 0)
		return;
	out->plain += count.of[CHROMEM_PLAIN];
	out->gzip += count.of[CHROMEM_GZIP];
}

int chromem_detect_form(int dirfd, struct chromem_form *out, struct vs_err *err)
{
	cleanup_(names_fini) struct names directories = { 0 };
	int r;

	r = file_list(dirfd, add_directory, &directories, err);
	if (r < 0)
		return r;
	names_sort(&directories);
	*out = (struct chromem_form){ 0 };
	for (size_t i = 0; i < directories.count && i < SAMPLE_COLLECTIONS; i++)
		count_directory(dirfd, names_at(&directories, i), out);
	out->compression = out->gzip > out->plain ? CHROMEM_GZIP : CHROMEM_PLAIN;
	return 0;
}
