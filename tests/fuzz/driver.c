/* SPDX-License-Identifier: Apache-2.0 */

/*
 *	replay-TARGET FILE|DIRECTORY...
 *
 * Runs a fuzz target over files that were kept, in any compiler's build: what once broke a decoder
 * stays fixed, and what it understands stays understood. Speaks TAP, a case per file. Where
 * libFuzzer drives the target, this is left out.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned cases;

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	size_t got = 1;

	while (file && got > 0) {
		uint8_t *larger = realloc(data, size + 65536);

		if (!larger)
			break;
		data = larger;
		got = fread(data + size, 1, 65536, file);
		size += got;
	}
	if (!file || got > 0 || ferror(file)) {
		printf("Bail out! cannot read %s\n", path);
		return 1;
	}
	fclose(file);
	/* A target that fails aborts, so the case is told of first only when it has passed. */
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %u - %s\n", ++cases, path);
	fflush(stdout);
	return 0;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_path(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, is_visible, alphasort);
	int status = 0;

	if (count < 0)
		return run_file(path);
	for (int i = 0; i < count; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		status |= run_file(name);
		free(names[i]);
	}
	free(names);
	return status;
}

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++)
		status |= run_path(argv[i]);
	printf("1..%u\n", cases);
	return status != 0 || cases == 0;
}
