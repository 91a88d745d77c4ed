/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One collection directory, listed and sorted.
 *
 * A regular file named 8 hex digits and one of the two extensions is kept as the number that the
 * digits stand for: 4 bytes, and sorted numbers are sorted names. All else (other names; links,
 * directories, FIFOs under any name) is kept as it stands, with its type. The listing is the merge
 * of three sorted lists: the plain numbers, the gzip numbers, and the odd entries, each of which
 * knows its place in the merged order.
 */

#include "chromem/chromem.h"
#include "chromem/names.h"

/* An index of ours fits into 32 bits. */
#define ENTRIES_MAX UINT32_MAX

struct keys {
	uint32_t *at;
	size_t count, cap;
};

struct chromem_list {
	enum chromem_compression compression;
	struct keys keys[2]; /* by enum chromem_compression; of equal ones plain comes first */
	struct names odd;
	uint32_t *rank; /* of each odd entry: its index in the merged order */
	size_t documents;
};

/* ---- what a name says ---- */

struct parsed_name {
	enum chromem_entry_class entry_class;
	enum chromem_compression form;
	bool has_key; /* 8 hex digits and an extension, nothing else */
	uint32_t key;
};

static bool ends_in(struct slice name, const char *end)
{
	size_t len = strlen(end);

	return name.len >= len && memcmp(name.ptr + name.len - len, end, len) == 0;
}

static struct parsed_name parse_name(const char *name_, enum chromem_compression c)
{
	struct slice name = slice_str(name_);
	struct parsed_name p = { .entry_class = CHROMEM_ENTRY_IGNORED };

	if (ends_in(name, chromem_extension(CHROMEM_PLAIN)))
		p.form = CHROMEM_PLAIN;
	else if (ends_in(name, chromem_extension(CHROMEM_GZIP)))
		p.form = CHROMEM_GZIP;
	else
		return p;
	name.len -= strlen(chromem_extension(p.form));
	p.has_key = chromem_hash_parse(name, &p.key);
	if (p.form != c)
		p.entry_class = CHROMEM_ENTRY_OTHER_FORM;
	else if (p.has_key && p.key == CHROMEM_META_KEY)
		p.entry_class = CHROMEM_ENTRY_METADATA;
	else
		p.entry_class = CHROMEM_ENTRY_DOCUMENT;
	return p;
}

static void format_name(uint32_t key, enum chromem_compression form, char out[32])
{
	const char *extension = chromem_extension(form);

	chromem_hash_format(key, out);
	memcpy(out + CHROMEM_ID_LEN, extension, strlen(extension) + 1);
}

/* ---- loading ---- */

static int keys_add(struct keys *keys, uint32_t key, struct vs_err *err)
{
	if (keys->count == keys->cap) {
		size_t cap = VS_MAX(keys->cap * 2, (size_t)256);
		uint32_t *grown = reallocarray(keys->at, cap, sizeof(*grown));

		if (!grown)
			return vs_fail(err, VS_ENOMEM, "no memory to list %zu files", cap);
		keys->at = grown;
		keys->cap = cap;
	}
	keys->at[keys->count++] = key;
	return 0;
}

/* Few enough that moving them about is quicker than counting their bytes. */
static void sort_few(struct keys *keys)
{
	for (size_t i = 1; i < keys->count; i++) {
		uint32_t key = keys->at[i];
		size_t j = i;

		for (; j > 0 && keys->at[j - 1] > key; j--)
			keys->at[j] = keys->at[j - 1];
		keys->at[j] = key;
	}
}

/* Radix sort, a byte a pass from the lowest; four passes leave the result where it began. */
static int sort_many(struct keys *keys, struct vs_err *err)
{
	cleanup_(vs_freep) uint32_t *other = vs_try_alloc(keys->count, sizeof(*other));
	uint32_t *from = keys->at, *to = other;
	size_t starts[4][256] = { 0 };

	if (!other)
		return vs_fail(err, VS_ENOMEM, "no memory to sort %zu files", keys->count);
	for (size_t i = 0; i < keys->count; i++)
		for (unsigned pass = 0; pass < 4; pass++)
			starts[pass][from[i] >> 8 * pass & 255]++;
	for (unsigned pass = 0; pass < 4; pass++) {
		size_t start = 0;
		uint32_t *swap;

		for (unsigned byte = 0; byte < 256; byte++) {
			size_t count = starts[pass][byte];

			starts[pass][byte] = start;
			start += count;
		}
		for (size_t i = 0; i < keys->count; i++)
			to[starts[pass][from[i] >> 8 * pass & 255]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	return 0;
}

/* Sort, and drop what a directory that changed while it was read has listed twice. */
static int keys_sort(struct keys *keys, struct vs_err *err)
{
	size_t kept = 0;
	int r = 0;

	if (keys->count < 64)
		sort_few(keys);
	else
		r = sort_many(keys, err);
	for (size_t i = 1; i < keys->count && r == 0; i++)
		if (keys->at[i] != keys->at[kept])
			keys->at[++kept] = keys->at[i];
	if (keys->count > 0 && r == 0)
		keys->count = kept + 1;
	return r;
}

/* How many of the sorted keys come before @name in byte order. */
static size_t keys_before(const struct keys *keys, enum chromem_compression form, const char *name)
{
	size_t low = 0, high = keys->count;
	char scratch[32];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		format_name(keys->at[mid], form, scratch);
		if (strcmp(scratch, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct loading {
	struct chromem_list *list;
	int dirfd;
};

static int add_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct loading *loading = ctx;
	struct chromem_list *list = loading->list;
	struct parsed_name p = parse_name(name, list->compression);
	struct file_info info;

	if (type == FILE_UNKNOWN) {
		int r = file_stat_at(loading->dirfd, name, FILE_NO_FOLLOW, &info, err);

		if (r == VS_ENOENT)
			return 0; /* gone since it was listed */
		if (r == 0)
			type = info.type;
	}
	if (chromem_list_count(list) >= ENTRIES_MAX)
		return vs_fail(err, VS_ELIMIT, "a directory of more than %" PRIu32 " entries",
			       ENTRIES_MAX);
	if (p.has_key && type == FILE_REGULAR)
		return keys_add(&list->keys[p.form], p.key, err);
	return names_add(&list->odd, name, type, err);
}

static int rank_odd(struct chromem_list *list, struct vs_err *err)
{
	if (list->odd.count == 0)
		return 0;
	list->rank = vs_try_alloc(list->odd.count, sizeof(*list->rank));
	if (!list->rank)
		return vs_fail(err, VS_ENOMEM, "no memory to list %zu files", list->odd.count);
	for (size_t i = 0; i < list->odd.count; i++) {
		const char *name = names_at(&list->odd, i);
		size_t before = i;

		for (unsigned form = CHROMEM_PLAIN; form <= CHROMEM_GZIP; form++)
			before += keys_before(&list->keys[form], form, name);
		list->rank[i] = (uint32_t)before;
	}
	return 0;
}

static void count_documents(struct chromem_list *list)
{
	const struct keys *keys = &list->keys[list->compression];
	bool has_metadata = keys->count > 0 && keys->at[0] == CHROMEM_META_KEY;

	list->documents = keys->count - has_metadata;
	for (size_t i = 0; i < list->odd.count; i++) {
		struct parsed_name p = parse_name(names_at(&list->odd, i), list->compression);

		list->documents += list->odd.row[i].type != FILE_DIRECTORY &&
				   p.entry_class == CHROMEM_ENTRY_DOCUMENT;
	}
}

int chromem_list_load(struct chromem_list **out, int dirfd, struct file_seen_dir *seen,
		      enum chromem_compression c, struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = vs_alloc(sizeof(*list));
	struct loading loading = { list, dirfd };
	int r;

	list->compression = c;
	r = file_seen_list(seen, dirfd, add_entry, &loading, err);
	for (unsigned form = CHROMEM_PLAIN; form <= CHROMEM_GZIP && r == 0; form++)
		r = keys_sort(&list->keys[form], err);
	if (r < 0)
		return r;
	names_sort(&list->odd);
	r = rank_odd(list, err);
	if (r < 0)
		return r;
	count_documents(list);
	*out = VS_TAKE(list);
	return 0;
}

void chromem_list_freep(struct chromem_list **list_)
{
	struct chromem_list *list = *list_;

	if (!list)
		return;
	free(list->keys[CHROMEM_PLAIN].at);
	free(list->keys[CHROMEM_GZIP].at);
	names_fini(&list->odd);
	free(list->rank);
	free(list);
	*list_ = NULL;
}

/* ---- asking ---- */

size_t chromem_list_count(const struct chromem_list *list)
{
	return list->keys[CHROMEM_PLAIN].count + list->keys[CHROMEM_GZIP].count + list->odd.count;
}

size_t chromem_list_documents(const struct chromem_list *list)
{
	return list->documents;
}

/* Element @index of the merged keys: how many plain ones come before it is found by halving. */
static uint32_t select_key(const struct chromem_list *list, size_t index,
			   enum chromem_compression *form)
{
	const struct keys *plain = &list->keys[CHROMEM_PLAIN];
	const struct keys *gzip = &list->keys[CHROMEM_GZIP];
	size_t low = index > gzip->count ? index - gzip->count : 0;
	size_t high = VS_MIN(index, plain->count);

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (plain->at[mid] <= gzip->at[index - mid - 1])
			low = mid + 1;
		else
			high = mid;
	}
	if (low < plain->count &&
	    (index - low == gzip->count || plain->at[low] <= gzip->at[index - low])) {
		*form = CHROMEM_PLAIN;
		return plain->at[low];
	}
	*form = CHROMEM_GZIP;
	return gzip->at[index - low];
}

/* How many odd entries come before @index; that many is also the number of the next one. */
static size_t odd_before(const struct chromem_list *list, size_t index)
{
	size_t low = 0, high = list->odd.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (list->rank[mid] < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void chromem_list_at(const struct chromem_list *list, size_t index, char scratch[32],
		     struct chromem_entry *out)
{
	size_t odd = odd_before(list, index);
	enum chromem_compression form;
	struct parsed_name p;
	uint32_t key;

	assert(index < chromem_list_count(list));
	if (odd < list->odd.count && list->rank[odd] == index) {
		out->name = names_at(&list->odd, odd);
		out->type = list->odd.row[odd].type;
		p = parse_name(out->name, list->compression);
		out->entry_class = p.entry_class;
		out->is_ordinary = p.has_key && p.form == list->compression;
		out->key = out->is_ordinary ? p.key : 0;
		return;
	}
	key = select_key(list, index - odd, &form);
	format_name(key, form, scratch);
	out->name = scratch;
	out->type = FILE_REGULAR;
	out->is_ordinary = form == list->compression;
	out->key = out->is_ordinary ? key : 0;
	if (!out->is_ordinary)
		out->entry_class = CHROMEM_ENTRY_OTHER_FORM;
	else
		out->entry_class =
			key == CHROMEM_META_KEY ? CHROMEM_ENTRY_METADATA : CHROMEM_ENTRY_DOCUMENT;
}

bool chromem_list_find(const struct chromem_list *list, const char *name, size_t *index)
{
	size_t low = 0, high = chromem_list_count(list);
	struct chromem_entry entry;
	char scratch[32];

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order;

		chromem_list_at(list, mid, scratch, &entry);
		order = strcmp(entry.name, name);
		if (order == 0) {
			*index = mid;
			return true;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}
