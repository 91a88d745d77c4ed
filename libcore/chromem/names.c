/* SPDX-License-Identifier: Apache-2.0 */

/* Names lie behind each other in one block, and rows of 8 bytes say where; sorting moves only rows.
 */

#include "chromem/names.h"

void names_fini(struct names *names)
{
	free(names->text);
	free(names->row);
	*names = (struct names){ 0 };
}

/* Room for @need elements, at least doubling; how many there are comes from a directory. */
static void *try_grow(void *array, size_t *cap, size_t need, size_t size, struct vs_err *err)
{
	size_t want = VS_MAX(need, *cap * 2);
	void *grown;

	if (need <= *cap)
		return array;
	want = VS_MAX(want, (size_t)256);
	grown = reallocarray(array, want, size);
	if (!grown)
		vs_fail(err, VS_ENOMEM, "no memory for the names of a directory");
	else
		*cap = want;
	return grown;
}

int names_add(struct names *names, const char *name, enum file_type type, struct vs_err *err)
{
	size_t len = strlen(name) + 1;
	void *grown;

	if (names->len + len > NAMES_BYTES_MAX)
		return vs_fail(err, VS_ELIMIT,
			       "a directory with more than %" PRIu32 " bytes of unusual names",
			       NAMES_BYTES_MAX);
	grown = try_grow(names->text, &names->text_cap, names->len + len, 1, err);
	if (!grown)
		return err->status;
	names->text = grown;
	grown = try_grow(names->row, &names->cap, names->count + 1, sizeof(*names->row), err);
	if (!grown)
		return err->status;
	names->row = grown;
	memcpy(names->text + names->len, name, len);
	names->row[names->count++] = (struct name_row){ (uint32_t)names->len, type };
	names->len += len;
	return 0;
}

static int compare(const void *a_, const void *b_, void *text_)
{
	const struct name_row *a = a_, *b = b_;
	const char *text = text_;

	return strcmp(text + a->off, text + b->off);
}

void names_sort(struct names *names)
{
	size_t kept = 0;

	if (names->count < 2)
		return;
	qsort_r(names->row, names->count, sizeof(*names->row), compare, names->text);
	for (size_t i = 1; i < names->count; i++)
		if (compare(&names->row[kept], &names->row[i], names->text) != 0)
			names->row[++kept] = names->row[i];
	names->count = kept + 1;
}
