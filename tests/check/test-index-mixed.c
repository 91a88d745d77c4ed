/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An index that two processes wrote: made of two indexes, with the pickle and the newest elements of
 * one of them, and elsewhere elements of either.
 */

#include "segment-kit.h"

#include "repair/repair.h"

enum { COUNT = 300, DIM = 8, M = 8, SAVED = 20, VECTOR = DIM * sizeof(float) };

/* What one of the two had in memory. */
struct process {
	char ids[COUNT][16];
	float vectors[COUNT][DIM];
	struct index_row rows[COUNT];
	struct index_image *image;
	struct index_summary summary;
	struct buf file[INDEX_FILES];
};

static void process_freep(struct process **p_)
{
	struct process *p = *p_;

	index_image_freep(&p->image);
	index_summary_fini(&p->summary);
	for (int i = 0; i < INDEX_FILES; i++)
		buf_fini(&p->file[i]);
	free(p);
}

static void read_image(struct process *p)
{
	struct vs_err err = { 0 };

	for (int i = 0; i < INDEX_FILES; i++) {
		p->file[i].len = 0;
		cr_assert_eq(index_image_file(p->image, i, &p->file[i], &err), 0, "%s", err.text);
	}
}

static struct index_facts facts_of(const struct process *p, int dirfd)
{
	return (struct index_facts){ .dirfd = dirfd,
				     .segment = "segment",
				     .params = { .space = HNSW_L2,
						 .dim = DIM,
						 .m = M,
						 .ef_construction = 100,
						 .seed = 1 },
				     .has_position = true,
				     .position = COUNT,
				     .saves_after = SAVED,
				     .rows = p->rows,
				     .row_count = COUNT,
				     .log = p->rows,
				     .log_count = COUNT };
}

/* Its records have labels and changes in the order of their ids. */
static struct process *process_new(char name, uint64_t seed, int dirfd)
{
	struct process *p = vs_alloc(sizeof(*p));
	struct index_facts facts;
	struct vs_err err = { 0 };

	for (int i = 0; i < COUNT; i++) {
		snprintf(p->ids[i], sizeof(p->ids[i]), "%c%03d", name, i);
		for (int d = 0; d < DIM; d++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			p->vectors[i][d] = (float)((double)(seed >> 11) * 0x1p-53);
		}
		p->rows[i] = (struct index_row){ slice_str(p->ids[i]), i + 1, 0,
						 slice_of(p->vectors[i], VECTOR), i + 1 };
	}
	facts = facts_of(p, dirfd);
	cr_assert_eq(index_image_make(&facts, &p->image, &p->summary, &err), 0, "%s", err.text);
	read_image(p);
	return p;
}

static void open_index(const struct process *p, struct hnsw_index *x)
{
	const struct hnsw_files files = { .file = { buf_slice(&p->file[0]), buf_slice(&p->file[1]),
						    buf_slice(&p->file[2]),
						    buf_slice(&p->file[3]) } };
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_open(&files, x, &fault, &err), 1);
}

/* The last SAVED of @last, and what is linked with them, were saved last. */
static void find_last(const struct hnsw_index *x, bool *is_last)
{
	for (uint32_t id = COUNT - SAVED; id < COUNT; id++) {
		struct hnsw_links links = hnsw_links(x, id, 0);

		is_last[id] = true;
		for (uint32_t i = 0; i < links.count; i++)
			is_last[hnsw_link(&links, i)] = true;
	}
}

/* @last's files, with every third element, but those of its last save, the other's. Labels of the
 * other are other ones at the same places. How many are the other's. */
static size_t mix(struct process *last, const struct process *other)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index y = { 0 };
	bool is_last[COUNT] = { false };
	size_t count = 0;

	open_index(last, &x);
	open_index(other, &y);
	cr_assert_eq(x.count, COUNT);
	find_last(&x, is_last);
	for (uint32_t id = 0; id < COUNT; id++) {
		unsigned char *to = last->file[HNSW_LEVEL0].ptr + hnsw_record_off(&x, id);
		uint64_t label = (hnsw_label(&y, id) - 1) ^ 1;

		if (is_last[id] || id % 3 != 0)
			continue;
		memcpy(to, hnsw_record(&y, id), x.record_size);
		to[x.label_offset] = (unsigned char)(label + 1);
		to[x.label_offset + 1] = (unsigned char)((label + 1) >> 8);
		count++;
	}
	return count;
}

static void write_files(const struct kit_dir *dir, const struct process *p)
{
	for (int i = 0; i < INDEX_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "segment/%s", index_file_name(i));
		kit_write(dir, buf_cstr(&path), buf_slice(&p->file[i]));
	}
}

/* How many of @last's vectors come back from what is in the directory, with @queue of the queue. */
static size_t rebuild(struct process *last, struct index_facts facts, size_t queue)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct vs_err err = { 0 };

	facts.log += COUNT - queue;
	facts.log_count = queue;
	index_image_freep(&last->image);
	index_summary_fini(&last->summary);
	cr_assert_eq(index_image_make(&facts, &last->image, &last->summary, &err), 0, "%s",
		     err.text);
	cr_assert(last->summary.is_of_two);
	read_image(last);
	open_index(last, &x);
	for (uint32_t id = 0; id < x.count; id++) {
		uint64_t label = hnsw_label(&x, id);

		cr_assert(label > 0 && label <= COUNT);
		cr_expect_arr_eq(hnsw_vector(&x, id), last->vectors[label - 1], VECTOR,
				 "record %" PRIu64 " has another's vector", label);
	}
	cr_assert_eq(last->summary.lost, COUNT - x.count);
	return x.count;
}

struct scene {
	struct kit_dir *dir;
	int dirfd;
	struct process *last, *other;
	struct index_facts facts;
	size_t others; /* elements that are the other's */
};

static void scene_fini(struct scene *s)
{
	process_freep(&s->last);
	process_freep(&s->other);
	file_closep(&s->dirfd);
	kit_dir_freep(&s->dir);
}

static void scene_init(struct scene *s)
{
	struct vs_err err = { 0 };

	s->dir = kit_dir_new();
	cr_assert_eq(file_open_dir(AT_FDCWD, s->dir->path, FILE_FOLLOW, &s->dirfd, &err), 0);
	s->last = process_new('b', 5, s->dirfd);
	s->other = process_new('a', 6, s->dirfd);
	s->facts = facts_of(s->last, s->dirfd);
	s->others = mix(s->last, s->other);
	cr_assert_gt(s->others, COUNT / 10);
	kit_mkdir(s->dir, "segment");
	write_files(s->dir, s->last);
}

/* The queue has kept the newest change, and links tell the rest. */
Test(index_mixed, who_saved_last_gets_its_vectors)
{
	cleanup_(scene_fini) struct scene s = { .dirfd = -1 };
	size_t there;

	scene_init(&s);
	there = COUNT - s.others;
	cr_expect_geq(rebuild(s.last, s.facts, 1), there / 5 * 4);
}

/* Then nothing tells which elements were saved last. */
Test(index_mixed, nothing_is_believed_without_the_queue)
{
	cleanup_(scene_fini) struct scene s = { .dirfd = -1 };

	scene_init(&s);
	cr_expect_eq(rebuild(s.last, s.facts, 0), 0);
}

/* Nor where the newest element has not what the queue says. */
Test(index_mixed, nothing_is_believed_where_the_queue_disagrees)
{
	cleanup_(scene_fini) struct scene s = { .dirfd = -1 };

	scene_init(&s);
	s.last->vectors[COUNT - 1][0] += 1;
	cr_expect_eq(rebuild(s.last, s.facts, 1), 1);
}

/* Or how many changes a save is made of. */
Test(index_mixed, nothing_is_believed_where_saves_are_not_known)
{
	cleanup_(scene_fini) struct scene s = { .dirfd = -1 };

	scene_init(&s);
	s.facts.saves_after = 0;
	cr_expect_leq(rebuild(s.last, s.facts, 1), 1);
}

/* The vector of a record that was changed since may be an old one. */
Test(index_mixed, a_record_that_was_changed_since_is_not_given_its_old_vector)
{
	cleanup_(scene_fini) struct scene s = { .dirfd = -1 };
	size_t before, there;

	scene_init(&s);
	there = COUNT - s.others;
	/* Ten of those that nobody overwrote, by another, unknown change. */
	for (size_t i = 1; i < 30; i += 3)
		s.last->rows[i].seq_id = COUNT - SAVED - 1;
	before = rebuild(s.last, s.facts, 1);
	cr_expect_leq(before, there - 9);
	cr_expect_geq(before, there / 2);
}
