/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The index of an archive's pieces: what it says is what was written, a damaged one is none, and a
 * few files come out of an archive whatever happened to the pieces that they are not in.
 */

#include "kit.h"
#include "kit/scratch.h"
#include "snap/private.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#define END 5000u /* where the pieces of the sample end */

static void make_sample(struct snap_index *x, struct buf *bytes)
{
	snap_index_add(x, 1000, 65536, "aa/00");
	snap_index_add(x, 2000, 70000, "aa/0f1");
	snap_index_add(x, 1000, 4 << 20, NULL);
	snap_index_add(x, 900, 100, "b/x");
	snap_index_add(x, 100, 1024, NULL);
	snap_index_format(x, bytes);
}

static int read_index(struct snap_index *x, struct slice bytes)
{
	struct slice tail;
	struct vs_err err = { 0 };
	uint64_t off;
	size_t len;

	if (bytes.len < SNAP_LOCATOR_LEN)
		return 0;
	tail = slice_of(bytes.ptr + bytes.len - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN);
	if (!snap_index_locate(tail, END + bytes.len, &off, &len) || off != END)
		return 0;
	return snap_index_parse(x, slice_of(bytes.ptr, len), off, &err);
}

static void expect_same(const struct snap_index *a, const struct snap_index *b)
{
	cr_assert_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const char *x = snap_index_path(a, i);
		const char *y = snap_index_path(b, i);

		cr_assert_eq(a->rows[i].off, b->rows[i].off);
		cr_assert_eq(a->rows[i].packed, b->rows[i].packed);
		cr_assert_eq(a->rows[i].raw, b->rows[i].raw);
		cr_assert_eq(x == NULL, y == NULL);
		cr_assert(!x || strcmp(x, y) == 0);
	}
}

Test(snap_pieces, the_index_says_what_was_written)
{
	cleanup_(snap_index_fini) struct snap_index x = { 0 };
	cleanup_(snap_index_fini) struct snap_index again = { 0 };
	cleanup_(snap_index_fini) struct snap_index large = { 0 };
	cleanup_(snap_index_fini) struct snap_index large_again = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };
	uint64_t off;
	size_t len;

	make_sample(&x, &bytes);
	cr_assert_eq(read_index(&again, buf_slice(&bytes)), 1);
	expect_same(&x, &again);
	/* Of several carriers. */
	buf_clear(&bytes);
	for (unsigned i = 0; i < 20000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "c/%08x", i);
		snap_index_add(&large, 40000 + i, 65536, i % 7 == 6 ? NULL : path);
	}
	snap_index_format(&large, &bytes);
	cr_assert_gt(bytes.len, (size_t)2 * 65536);
	off = large.rows[large.count - 1].off + large.rows[large.count - 1].packed;
	cr_assert(snap_index_locate(
		slice_of(bytes.ptr + bytes.len - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN),
		off + bytes.len, &off, &len));
	cr_assert_eq(snap_index_parse(&large_again, slice_of(bytes.ptr, len), off, &err), 1);
	expect_same(&large, &large_again);
}

/* Each member is in the piece that begins last before it, or goes on behind that. */
Test(snap_pieces, what_is_needed_is_chosen)
{
	static const struct {
		const char *path;
		const char *rows;
	} cases[] = {
		{ "a", "00000" },      { "aa/00", "10000" }, { "aa/0f0", "10000" },
		{ "aa/0f1", "01100" }, { "b/w", "01100" },   { "b/x", "00011" },
		{ "c", "00011" },
	};
	cleanup_(snap_index_fini) struct snap_index x = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };

	make_sample(&x, &bytes);
	for (size_t i = 0; i < VS_COUNT(cases); i++) {
		cleanup_(vs_freep) char *path = vs_strdup(cases[i].path);
		struct snap_member member = { .path = path, .archive = 1 };
		struct snap_manifest m = { .members = &member, .member_count = 1 };
		unsigned char wanted = 1;
		const struct snap_selection s = { .m = &m, .is_wanted = &wanted };
		unsigned char rows[5] = { 0 };

		snap_index_choose(&x, &s, 0, rows);
		for (size_t k = 0; k < 5; k++)
			cr_assert_eq(rows[k], 0, "it is in another archive");
		snap_index_choose(&x, &s, 1, rows);
		for (size_t k = 0; k < 5; k++)
			cr_assert_eq(rows[k], cases[i].rows[k] == '1', "%s, row %zu", path, k);
	}
}

/* Damage is told by the digest, or by the frame; a right index is one that says what was written. */
Test(snap_pieces, every_flipped_bit_is_found_or_means_nothing)
{
	cleanup_(snap_index_fini) struct snap_index x = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	size_t refused = 0;

	make_sample(&x, &bytes);
	for (size_t i = 0; i < bytes.len * 8; i++) {
		cleanup_(snap_index_fini) struct snap_index damaged = { 0 };

		bytes.ptr[i / 8] ^= (unsigned char)(1 << i % 8);
		if (read_index(&damaged, buf_slice(&bytes)) == 1)
			expect_same(&x, &damaged);
		else
			refused++;
		bytes.ptr[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	/* But for the two trailers, of ten bytes each. */
	cr_assert_geq(refused, (bytes.len - 20) * 8);
	for (size_t len = 0; len < bytes.len; len++) {
		cleanup_(snap_index_fini) struct snap_index cut = { 0 };

		cr_assert_eq(read_index(&cut, slice_of(bytes.ptr, len)), 0);
	}
}

static void format_rows(struct snap_index *x, bool has_room, int want)
{
	cleanup_(snap_index_fini) struct snap_index again = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };
	uint64_t end = 0;

	snap_index_format(x, &bytes);
	for (size_t i = 0; i < x->count; i++)
		end += x->rows[i].packed;
	cr_assert_eq(snap_index_parse(&again, slice_of(bytes.ptr, bytes.len - SNAP_LOCATOR_LEN),
				      has_room ? end : end - 1, &err),
		     want);
	snap_index_fini(x);
}

/* With a right digest, and yet nothing that can be: somebody who knows the format has written it. */
Test(snap_pieces, a_bad_index_is_none)
{
	cleanup_(snap_index_fini) struct snap_index x = { 0 };

	snap_index_add(&x, 1000, 10, "a");
	snap_index_add(&x, 1000, 10, "b");
	format_rows(&x, true, 1);
	snap_index_add(&x, 1000, 10, "a");
	format_rows(&x, false, 0); /* beyond the pieces */
	snap_index_add(&x, 1000, 10, "b");
	snap_index_add(&x, 1000, 10, "a");
	format_rows(&x, true, 0); /* falls */
	snap_index_add(&x, 1000, 10, "a");
	snap_index_add(&x, 1000, 10, "a");
	format_rows(&x, true, 0); /* twice */
	snap_index_add(&x, 1000, 10, "../a");
	format_rows(&x, true, 0);
	snap_index_add(&x, 24, 10, "a");
	format_rows(&x, true, 0); /* no piece is as short as that */
	snap_index_add(&x, 1000, PIECE_RAW_MAX + 1, "a");
	format_rows(&x, true, 0);
	snap_index_add(&x, PIECE_PACKED_MAX + 1, 10, "a");
	format_rows(&x, true, 0);
}

/* ---- archives ---- */

#define FILES 400u

struct scene {
	struct kit_dir *dir;
	struct store *store;
	struct snap_manifest *m;
	struct snap_index index;
	int state;
};

static void name_of(unsigned i, char out[40])
{
	snprintf(out, 40, "0a1b2c3d/%08x.bin", i + 1);
}

static void scene_init(struct scene *s)
{
	struct snap_create_request req = {
		.name = "x", .tool_version = "test", .jobs = 2, .clock = &vs_clock_system
	};
	cleanup_(buf_fini) struct buf archive = { 0 };
	unsigned char bytes[1000];
	struct vs_err err = { 0 };
	uint32_t random = 1;
	uint64_t off;
	size_t len;

	*s = (struct scene){ .dir = kit_healthy(CHROMEM_PLAIN) };
	for (unsigned i = 0; i < FILES; i++) {
		char name[40];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			random = random * 1664525 + 1013904223;
			bytes[k] = (unsigned char)(random >> 24);
		}
		name_of(i, name);
		if (i == 0)
			kit_mkdir(s->dir, "0a1b2c3d");
		kit_write(s->dir, name, slice_of(bytes, sizeof(bytes)));
	}
	scratch_new(&s->state);
	cr_assert_eq(store_open(&s->store, s->dir->path, 0, &err), 0, "%s", err.text);
	cr_assert_eq(snap_create(s->state, s->store, &req, &s->m, &err), 0, "%s", err.text);
	cr_assert_eq(file_read_at(s->state, "snapshots/x.tar.gz", FILE_NO_FOLLOW, UINT32_MAX,
				  &archive, NULL, &err),
		     0);
	cr_assert(snap_index_locate(
		slice_of(archive.ptr + archive.len - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN),
		archive.len, &off, &len));
	cr_assert_eq(snap_index_parse(&s->index, slice_of(archive.ptr + off, len), off, &err), 1);
	cr_assert_gt(s->index.count, 5);
}

static void scene_fini(struct scene *s)
{
	snap_index_fini(&s->index);
	snap_manifest_freep(&s->m);
	store_closep(&s->store);
	kit_dir_freep(&s->dir);
	close(s->state);
}

static bool is_last(void *ctx, const struct snap_member *member)
{
	char name[40];

	(void)ctx;
	name_of(FILES - 1, name);
	return strcmp(member->path, name) == 0;
}

static int count_bytes(void *ctx, const struct snap_member *member, struct slice bytes,
		       struct vs_err *err)
{
	(void)member;
	(void)err;
	*(size_t *)ctx += bytes.len;
	return 0;
}

static int read_last(struct scene *s)
{
	const struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	struct vs_err err = { 0 };
	size_t len = 0;
	int r = snap_read(&access, s->m, is_last, count_bytes, &len, &err);

	cr_assert(r < 0 || len == 1000);
	return r;
}

/* Do the four checks find nothing? */
static bool verifies(struct scene *s)
{
	const struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	cleanup_(snap_verdict_fini) struct snap_verdict v = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(snap_verify(&access, "x", &v, NULL, &err), 0, "%s", err.text);
	return snap_verdict_is_good(&v);
}

static void flip(struct scene *s, uint64_t off)
{
	cleanup_(file_closep) int fd = openat(s->state, "snapshots/x.tar.gz", O_RDWR);
	unsigned char byte;

	cr_assert_eq(pread(fd, &byte, 1, (off_t)off), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)off), 1);
}

/* The row of the index that has the last of the files. */
static size_t last_row(const struct scene *s)
{
	char name[40];
	size_t row = 0;

	name_of(FILES - 1, name);
	for (size_t i = 0; i < s->index.count; i++) {
		const char *path = snap_index_path(&s->index, i);

		if (path && strcmp(path, name) <= 0)
			row = i;
	}
	return row;
}

Test(snap_pieces, a_bit_counts_where_it_is_needed, .timeout = 60)
{
	struct scene s;
	size_t row;

	scene_init(&s);
	row = last_row(&s);
	cr_assert(verifies(&s));
	cr_assert_eq(read_last(&s), 0);
	for (size_t i = 0; i < s.index.count; i++) {
		uint64_t off = s.index.rows[i].off + s.index.rows[i].packed / 2;

		flip(&s, off);
		/* The end of the tar goes with the last file's group. */
		if (i == row)
			cr_assert_eq(read_last(&s), VS_EFORMAT);
		else if (snap_index_path(&s.index, i))
			cr_assert_eq(read_last(&s), 0, "piece %zu", i);
		cr_assert_not(verifies(&s));
		flip(&s, off);
	}
	cr_assert(verifies(&s));
	scene_fini(&s);
}

/* The archive is read through then, and verifying finds it. */
Test(snap_pieces, a_damaged_index_costs_time_only, .timeout = 60)
{
	struct scene s;
	const struct snap_index_row *last;
	uint64_t end;

	scene_init(&s);
	last = &s.index.rows[s.index.count - 1];
	end = last->off + last->packed;
	flip(&s, end + 40);
	cr_assert_eq(read_last(&s), 0);
	cr_assert_not(verifies(&s));
	flip(&s, end + 40);
	flip(&s, s.m->archives[0].size - SNAP_LOCATOR_LEN + 30); /* where it is said to be */
	cr_assert_eq(read_last(&s), 0);
	cr_assert_not(verifies(&s));
	scene_fini(&s);
}

/* What versions without an index have written ends with the end of the tar. */
Test(snap_pieces, an_archive_without_an_index_is_read_through, .timeout = 60)
{
	struct scene s;
	const struct snap_index_row *last;
	cleanup_(file_closep) int fd = -1;

	scene_init(&s);
	last = &s.index.rows[s.index.count - 1];
	fd = openat(s.state, "snapshots/x.tar.gz", O_RDWR);
	cr_assert_eq(ftruncate(fd, (off_t)(last->off + last->packed)), 0);
	cr_assert_eq(read_last(&s), 0);
	scene_fini(&s);
}

Test(snap_pieces, other_programs_see_no_index, .timeout = 60)
{
	struct scene s;
	char command[500];

	scene_init(&s);
	cr_assert_eq(fchdir(s.state), 0);
	cr_assert_eq(system("gzip -t snapshots/x.tar.gz"), 0);
	snprintf(command, sizeof(command), "test $(tar -tzf snapshots/x.tar.gz | wc -l) -eq %zu",
		 s.m->member_count);
	cr_assert_eq(system(command), 0);
	scene_fini(&s);
}
