/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When a collection's files were made, and what that tells about a metadata file that is not there.
 *
 * A program that still holds a collection whose directory was removed makes the directory again
 * with its next document, and never writes the metadata again: then the directory is as old as its
 * first document. Where the metadata file alone was removed, the directory changed after its last
 * document was written.
 *
 * Copies keep neither. One that keeps the times of files is known by documents that are older than
 * their directory. One that does not makes a directory and its files in one go, and the directories
 * of a store one right after the other; what happened before it cannot be seen in such times.
 */

#include "check/check.h"
#include "chromem/chromem.h"
#include "file/file.h"

#define SECOND INT64_C(1000000000)

/* A directory and the first file in it are made by two calls in a row. */
#define TOGETHER_NS (SECOND / 20)

/* What a copy takes at most: between two directories, and for each file. */
#define COPY_PAUSE_NS SECOND
#define COPY_FILE_NS (SECOND / 200)

struct times {
	int64_t *modified;
	size_t count;
	int64_t last_made; /* when the youngest document came into the directory */
};

static void times_fini(struct times *t)
{
	free(t->modified);
}

static int read_times(struct timeline *t, struct times *times, int dirfd,
		      const struct chromem_list *list, struct vs_err *err)
{
	size_t count = chromem_list_count(list);

	times->modified = vs_try_alloc(count + 1, sizeof(*times->modified));
	if (!times->modified)
		return vs_fail(err, VS_ENOMEM, "no memory for the times of %zu files", count);
	for (size_t i = 0; i < count; i++) {
		struct chromem_entry entry;
		struct file_info info;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (entry.entry_class > CHROMEM_ENTRY_METADATA || entry.type == FILE_DIRECTORY ||
		    file_stat_at(dirfd, entry.name, FILE_NO_FOLLOW, &info, err) < 0)
			continue;
		if (entry.entry_class == CHROMEM_ENTRY_METADATA) {
			t->has_metadata = true;
			t->metadata_born_ns = info.born_ns;
			t->metadata_modified_ns = info.modified_ns;
			continue;
		}
		times->modified[times->count++] = info.modified_ns;
		times->last_made = VS_MAX(times->last_made,
					  info.born_ns != 0 ? info.born_ns : info.modified_ns);
	}
	return 0;
}

static int compare_times(const void *a_, const void *b_)
{
	int64_t a = *(const int64_t *)a_;
	int64_t b = *(const int64_t *)b_;

	return (a > b) - (a < b);
}

static void fill_buckets(struct timeline *t, const struct times *times)
{
	/* Times from a damaged file system may be far apart: the span need not fit. */
	double span = (double)t->last_ns - (double)t->first_ns;

	for (size_t i = 0; i < times->count; i++) {
		double at = (double)times->modified[i] - (double)t->first_ns;
		size_t bucket = span > 0 ? (size_t)(at / span * TIMELINE_BUCKETS) : 0;

		t->bucket[VS_MIN(bucket, (size_t)TIMELINE_BUCKETS - 1)]++;
	}
}

static uint64_t count_since(const struct times *times, int64_t from)
{
	uint64_t count = 0;

	for (size_t i = 0; i < times->count; i++)
		count += times->modified[i] >= from;
	return count;
}

/* ---- fresh copies ---- */

struct neighbours {
	int dirfd; /* of the store */
	const char *self;
	int64_t from_ns, to_ns; /* in which this collection was made and filled */
	bool has_any;
	bool is_next_to; /* one was made or last changed right before, or made right after */
};

static bool is_pause(int64_t earlier, int64_t later)
{
	return earlier <= later + TOGETHER_NS && later - earlier <= COPY_PAUSE_NS;
}

static int look_at_neighbour(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct neighbours *n = ctx;
	struct file_info info;

	if (type != FILE_DIRECTORY || strcmp(name, n->self) == 0 ||
	    file_stat_at(n->dirfd, name, FILE_NO_FOLLOW, &info, err) < 0)
		return 0;
	n->has_any = true;
	n->is_next_to |= is_pause(info.born_ns, n->from_ns) ||
			 is_pause(info.modified_ns, n->from_ns) || is_pause(n->to_ns, info.born_ns);
	return 0;
}

/* Was the directory filled in one go, right before or after another directory of the store, or
 * right after the store itself was made? */
static int find_copy(const struct store *store, const char *dir, const struct times *times,
		     struct timeline *t, struct vs_err *err)
{
	struct neighbours n = { .dirfd = store->dirfd,
				.self = dir,
				.from_ns = t->directory_born_ns,
				.to_ns = VS_MAX(t->last_ns, t->directory_modified_ns) };
	int64_t files = (int64_t)times->count + 1;
	struct file_info root;
	int r;

	if (t->directory_born_ns == 0 || times->count == 0 || n.to_ns < n.from_ns ||
	    (n.to_ns - n.from_ns - COPY_PAUSE_NS) / COPY_FILE_NS > files)
		return 0;
	r = file_list(store->dirfd, look_at_neighbour, &n, err);
	if (r == 0)
		r = file_stat_fd(store->dirfd, &root, err);
	if (r == 0)
		t->is_copy = n.has_any ? n.is_next_to : is_pause(root.born_ns, n.from_ns);
	return r;
}

static void judge_gap(struct timeline *t, const struct times *times)
{
	if (t->has_metadata || times->count == 0)
		return;
	t->gap = GAP_UNKNOWN;
	if (t->is_copy)
		return;
	/* Documents older than their directory were copied into it with their times. */
	if (t->directory_born_ns == 0 || t->first_ns + TOGETHER_NS < t->directory_born_ns)
		return;
	if (t->directory_modified_ns > times->last_made + TOGETHER_NS) {
		t->gap = GAP_REMOVED;
		t->gap_from_ns = times->last_made;
		t->gap_to_ns = t->directory_modified_ns;
	} else if (t->first_ns - t->directory_born_ns <= TOGETHER_NS) {
		t->gap = GAP_NEVER_THERE;
		t->gap_to_ns = t->directory_born_ns;
		t->in_gap = count_since(times, t->directory_born_ns - TOGETHER_NS);
	}
}

int check_timeline(const struct store *store, const char *dir, struct timeline *out,
		   struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	cleanup_(times_fini) struct times times = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	struct timeline t = { 0 };
	struct chromem_form form;
	struct file_info info = { 0 };
	int r;

	if (store->kind != STORE_CHROMEM)
		return vs_fail(err, VS_ENOTSUP, "%s: no timeline for a store of this kind",
			       store->path);
	r = chromem_detect_form(store->dirfd, &form, err);
	if (r == 0)
		r = file_open_dir(store->dirfd, dir, FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = file_stat_fd(dirfd, &info, err);
	if (r == 0)
		r = chromem_list_load(&list, dirfd, NULL, form.compression, err);
	if (r == 0)
		r = read_times(&t, &times, dirfd, list, err);
	if (r < 0)
		return r;
	t.directory_born_ns = info.born_ns;
	t.directory_modified_ns = info.modified_ns;
	t.documents = times.count;
	if (times.count > 0) {
		qsort(times.modified, times.count, sizeof(*times.modified), compare_times);
		t.first_ns = times.modified[0];
		t.last_ns = times.modified[times.count - 1];
		fill_buckets(&t, &times);
	}
	r = find_copy(store, dir, &times, &t, err);
	if (r < 0)
		return r;
	judge_gap(&t, &times);
	*out = t;
	return 0;
}

const char *metadata_gap_name(enum metadata_gap gap)
{
	static const char *const names[] = { "none", "unknown", "never-there", "removed" };

	return names[gap];
}
