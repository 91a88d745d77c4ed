/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Snapshots of small stores: what is made verifies, comes out as it went in, costs what changed,
 * and shows every bit that is not as it was written.
 */

#include "kit.h"
#include "kit/scratch.h"
#include "snap/snap.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene {
	struct kit_dir *store_dir;
	struct store *store;
	int state;
	int64_t now_ns;
	struct vs_clock clock;
};

static int64_t scene_now(void *ctx)
{
	const struct scene *s = ctx;

	return s->now_ns;
}

static void scene_init(struct scene *s, enum chromem_compression c)
{
	struct vs_err err = { 0 };

	*s = (struct scene){ .store_dir = kit_healthy(c) };
	/* Later than the files, so that they count as settled. */
	s->now_ns = clock_now_ns(&vs_clock_system) + INT64_C(3600) * 1000000000;
	s->clock = (struct vs_clock){ scene_now, s };
	scratch_new(&s->state);
	cr_assert_eq(store_open(&s->store, s->store_dir->path, 0, &err), 0, "%s", err.text);
}

static void scene_fini(struct scene *s)
{
	store_closep(&s->store);
	kit_dir_freep(&s->store_dir);
	close(s->state);
}

static struct snap_create_request request(struct scene *s, const char *name)
{
	return (struct snap_create_request){
		.name = name,
		.tool_version = "test",
		.jobs = 2,
		.clock = &s->clock,
	};
}

static struct snap_manifest *create(struct scene *s, const char *name)
{
	struct snap_create_request req = request(s, name);
	struct snap_manifest *m = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(snap_create(s->state, s->store, &req, &m, &err), 0, "%s", err.text);
	s->now_ns += INT64_C(3600) * 1000000000;
	return m;
}

static bool verifies(struct scene *s, const char *id, char *why, size_t size)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	cleanup_(snap_verdict_fini) struct snap_verdict v = { 0 };
	struct vs_err err = { 0 };

	why[0] = '\0';
	if (snap_verify(&access, id, &v, NULL, &err) < 0) {
		snprintf(why, size, "%s", err.text);
		return false;
	}
	for (size_t i = 0; i < SNAP_CHECK_COUNT_; i++) {
		if (why[0] == '\0' && v.was_made[i] && !v.is_good[i])
			snprintf(why, size, "%s: %s", snap_check_name((enum snap_check)i),
				 v.message[i]);
	}
	return snap_verdict_is_good(&v);
}

/* The files of the snapshot in a new directory are those of the store, bytes, modes and times. */
static void expect_equal_tree(struct scene *s, const struct snap_manifest *m)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	cleanup_(kit_dir_freep) struct kit_dir *to = kit_dir_new();
	cleanup_(file_closep) int fd = open(to->path, O_RDONLY | O_DIRECTORY);
	struct vs_err err = { 0 };

	cr_assert_eq(snap_extract(&access, m, NULL, NULL, fd, &err), 0, "%s", err.text);
	for (size_t i = 0; i < m->member_count; i++) {
		cleanup_(buf_fini) struct buf a = { 0 };
		cleanup_(buf_fini) struct buf b = { 0 };
		struct file_info info;

		kit_read(s->store_dir, m->members[i].path, &a);
		kit_read(to, m->members[i].path, &b);
		cr_assert(slice_eq(buf_slice(&a), buf_slice(&b)), "%s", m->members[i].path);
		cr_assert_eq(file_stat_at(fd, m->members[i].path, FILE_NO_FOLLOW, &info, &err), 0);
		cr_assert_eq(info.mode, m->members[i].mode);
		cr_assert_eq(info.modified_ns, m->members[i].modified_ns);
	}
}

static void round_trip(enum chromem_compression c)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	char why[1200];

	scene_init(&s, c);
	m = create(&s, NULL);
	cr_assert(verifies(&s, m->id, why, sizeof(why)), "%s", why);
	cr_assert_eq(m->collection_count, 3);
	cr_assert_eq(m->documents, 3 * KIT_DOCUMENTS);
	cr_assert_eq(m->member_count, 3 * (KIT_DOCUMENTS + 1));
	cr_assert(m->is_stable);
	cr_assert_not_null(snap_find_collection(m, "papers"));
	cr_assert_eq(snap_find_collection(m, "papers")->documents, KIT_DOCUMENTS);
	expect_equal_tree(&s, m);
	scene_fini(&s);
}

Test(snap, comes_out_as_it_went_in)
{
	round_trip(CHROMEM_PLAIN);
}

Test(snap, comes_out_as_it_went_in_gzip)
{
	round_trip(CHROMEM_GZIP);
}

Test(snap, an_unchanged_store_costs_a_list)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *first = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *second = NULL;
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	first = create(&s, "first");
	second = create(&s, "second");
	cr_assert_eq(second->stored_members, 0);
	cr_assert_eq(second->chain, 1);
	cr_assert_str_eq(second->parent, "first");
	cr_assert_eq(memcmp(&first->root, &second->root, sizeof(first->root)), 0);
	cr_assert(verifies(&s, "second", why, sizeof(why)), "%s", why);
	expect_equal_tree(&s, second);
	scene_fini(&s);
}

Test(snap, stores_what_changed)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *first = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *second = NULL;
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(vs_freep) char *gone = kit_doc_path(CHROMEM_PLAIN, "notes", 3);
	struct kit_doc doc;
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	first = create(&s, "first");
	kit_doc(&doc, "notes", 77);
	kit_write_doc(s.store_dir, CHROMEM_PLAIN, path, &doc.doc);
	kit_add_doc(s.store_dir, CHROMEM_PLAIN, "papers", &doc.doc);
	kit_remove(s.store_dir, gone);
	second = create(&s, "second");
	cr_assert_eq(second->stored_members, 2);
	cr_assert_null(snap_find_member(second, gone));
	cr_assert_eq(snap_find_member(second, path)->archive, 0);
	cr_assert(verifies(&s, "second", why, sizeof(why)), "%s", why);
	expect_equal_tree(&s, second);
	scene_fini(&s);
}

/* Same size, same time, another byte: believed without --rehash, found with it. */
Test(snap, rehash_distrusts_times)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *first = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *second = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *third = NULL;
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	struct snap_create_request req;
	struct file_info info;
	struct vs_err err = { 0 };

	scene_init(&s, CHROMEM_PLAIN);
	first = create(&s, "first");
	cr_assert_eq(file_stat_at(s.store->dirfd, path, FILE_NO_FOLLOW, &info, &err), 0);
	kit_flip(s.store_dir, path, 40, 3);
	cr_assert_eq(file_set_times_at(s.store->dirfd, path, info.modified_ns, &err), 0);
	second = create(&s, "second");
	cr_assert_eq(second->stored_members, 0);
	req = request(&s, "third");
	req.rehash = true;
	cr_assert_eq(snap_create(s.state, s.store, &req, &third, &err), 0, "%s", err.text);
	cr_assert_eq(third->stored_members, 1);
	expect_equal_tree(&s, third);
	scene_fini(&s);
}

Test(snap, a_long_chain_ends_in_a_full_one)
{
	struct scene s;
	bool was_full = false;

	scene_init(&s, CHROMEM_PLAIN);
	for (unsigned i = 0; i < SNAP_CHAIN_MAX + 3; i++) {
		cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
		struct kit_doc doc;
		char name[32], why[1200];

		kit_doc(&doc, "notes", 100 + i);
		kit_add_doc(s.store_dir, CHROMEM_PLAIN, "notes", &doc.doc);
		snprintf(name, sizeof(name), "s%u", i);
		m = create(&s, name);
		cr_assert_leq(m->chain, SNAP_CHAIN_MAX);
		was_full |= i > 0 && m->chain == 0;
		cr_assert(verifies(&s, name, why, sizeof(why)), "%s", why);
	}
	cr_assert(was_full);
	scene_fini(&s);
}

/* ---- names ---- */

Test(snap, names)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	struct snap_manifest *none = NULL;
	struct snap_create_request req;
	static const char *const bad[] = { "", "a/b", "..", "-x", "a b", "\xff", "a.b" };
	char id[SNAP_ID_MAX + 1];
	char longest[301];
	struct vs_err err = { 0 };

	scene_init(&s, CHROMEM_PLAIN);
	for (size_t i = 0; i < VS_COUNT(bad); i++) {
		req = request(&s, bad[i]);
		cr_assert_eq(snap_create(s.state, s.store, &req, &none, &err), VS_EUSAGE, "%s",
			     bad[i]);
	}
	memset(longest, 'x', 300);
	longest[300] = '\0';
	req = request(&s, longest);
	cr_assert_eq(snap_create(s.state, s.store, &req, &none, &err), VS_EUSAGE);
	req = request(&s, NULL);
	snap_id_format(s.now_ns, id);
	cr_assert_eq(snap_create(s.state, s.store, &req, &a, &err), 0);
	cr_assert_str_eq(a->id, id);
	/* Within one second: a suffix, as the name was not asked for. */
	cr_assert_eq(snap_create(s.state, s.store, &req, &b, &err), 0);
	cr_assert_str_neq(b->id, id);
	req = request(&s, id);
	cr_assert_eq(snap_create(s.state, s.store, &req, &none, &err), VS_EBUSY);
	cr_assert_null(none);
	scene_fini(&s);
}

Test(snap, the_state_is_not_inside_the_store)
{
	struct scene s;
	struct snap_manifest *m = NULL;
	struct snap_create_request req;
	struct vs_err err = { 0 };
	int inside;

	scene_init(&s, CHROMEM_PLAIN);
	kit_mkdir(s.store_dir, "state");
	inside = openat(s.store->dirfd, "state", O_RDONLY | O_DIRECTORY);
	req = request(&s, NULL);
	cr_assert_eq(snap_create(inside, s.store, &req, &m, &err), VS_EUSAGE);
	close(inside);
	scene_fini(&s);
}

/* ---- damage ---- */

static void read_file(int dirfd, const char *path, struct buf *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(file_read_at(dirfd, path, FILE_NO_FOLLOW, UINT32_MAX, out, NULL, &err), 0);
}

/*
 * From one flipped bit to the next: 1, unless FLIP_STRIDE says a larger number, as scripts/test does
 * where sanitizers make each slow. It is odd, so that all bits of a byte have their turn.
 */
static size_t flip_stride(void)
{
	const char *text = getenv("FLIP_STRIDE");
	unsigned long n = text ? strtoul(text, NULL, 10) : 1;

	cr_assert(n % 2 == 1, "FLIP_STRIDE=%s", text);
	return n;
}

/* Flip each bit of a file in turn: the check that finds it is always among those expected. */
static void flip_every_bit(struct scene *s, const char *path, const char *id)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int fd = openat(s->state, path, O_WRONLY);
	size_t stride = flip_stride();
	char why[1200];

	cr_assert_geq(fd, 0);
	read_file(s->state, path, &bytes);
	cr_assert_gt(bytes.len, 50);
	for (size_t bit = 0; bit < bytes.len * 8; bit += stride) {
		unsigned char byte = bytes.ptr[bit / 8] ^ (unsigned char)(1u << bit % 8);

		cr_assert_eq(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
		cr_assert_not(verifies(s, id, why, sizeof(why)), "%s: bit %zu of byte %zu", path,
			      bit % 8, bit / 8);
		cr_assert_eq(pwrite(fd, &bytes.ptr[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	cr_assert(verifies(s, id, why, sizeof(why)), "%s", why);
	close(fd);
}

static void scene_small(struct scene *s)
{
	scene_init(s, CHROMEM_PLAIN);
	/* Fewer documents make the walk over all bits shorter. */
	for (unsigned i = 1; i < KIT_DOCUMENTS; i++) {
		static const char *const names[] = { "notes", "papers", "letters" };

		for (size_t k = 0; k < VS_COUNT(names); k++) {
			cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, names[k], i);

			kit_remove(s->store_dir, path);
		}
	}
}

Test(snap, every_flipped_bit_is_found, .timeout = 300)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;

	scene_small(&s);
	m = create(&s, "x");
	flip_every_bit(&s, "snapshots/x.tar.gz", "x");
	flip_every_bit(&s, "manifests/x.json", "x");
	flip_every_bit(&s, "manifests/x.members.gz", "x");
	scene_fini(&s);
}

/* A list that builds on another's is as good as both. */
Test(snap, every_flipped_bit_is_found_of_a_list_that_builds_on_another, .timeout = 300)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;

	scene_small(&s);
	a = create(&s, "a");
	b = create(&s, "b");
	cr_assert_null(a->base.snapshot);
	cr_assert_str_eq(b->base.snapshot, "a");
	flip_every_bit(&s, "manifests/b.json", "b");
	flip_every_bit(&s, "manifests/b.members.gz", "b");
	flip_every_bit(&s, "manifests/a.members.gz", "b");
	scene_fini(&s);
}

/* ---- links, pipes, odd names ---- */

Test(snap, odd_things_in_a_store)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(buf_fini) struct buf name = { 0 };
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	buf_append_str(&name, "\xff\xfe\n");
	for (int i = 0; i < 240; i++)
		buf_append_byte(&name, 'n');
	kit_mkdir(s.store_dir, "empty");
	kit_mkdir(s.store_dir, "deep");
	kit_mkdir(s.store_dir, "deep/er");
	kit_write(s.store_dir, "deep/er/file", slice_str("x"));
	kit_write(s.store_dir, "empty-file", slice_str(""));
	kit_write(s.store_dir, buf_cstr(&name), slice_str("odd"));
	kit_mkfifo(s.store_dir, "pipe");
	kit_symlink(s.store_dir, "empty-file", "link");
	kit_symlink(s.store_dir, "nowhere", "dangling");
	m = create(&s, "x");
	cr_assert(verifies(&s, "x", why, sizeof(why)), "%s", why);
	cr_assert_eq(m->skipped_count, 2);
	cr_assert_not_null(snap_find_member(m, "link"));
	cr_assert_not_null(snap_find_member(m, buf_cstr(&name)));
	expect_equal_tree(&s, m);
	scene_fini(&s);
}

/* A file that goes through memory in segments. */
Test(snap, a_large_file)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(vs_freep) unsigned char *bytes = vs_alloc(70u << 20);
	uint64_t random = 88172645463325252u;
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	for (size_t i = 0; i < 70u << 20; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		bytes[i] = i % 3 ? (unsigned char)random : 0;
	}
	kit_write(s.store_dir, "large", slice_of(bytes, (70u << 20) - 5));
	m = create(&s, "x");
	cr_assert(verifies(&s, "x", why, sizeof(why)), "%s", why);
	expect_equal_tree(&s, m);
	scene_fini(&s);
}

/* ---- beside a writer ---- */

#define WRITTEN_MAX 20000
#define MADE_BESIDE 4

/* As the library writes: in place, in more than one call, with other things between them. */
static void write_in_halves(const struct scene *s, unsigned number)
{
	static const struct timespec pause = { .tv_nsec = 4000000 };
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1000 + number);
	cleanup_(buf_fini) struct buf gob = { 0 };
	struct kit_doc doc;
	int fd;

	kit_doc(&doc, "notes", 1000 + number);
	chromem_encode_doc(&gob, &doc.doc);
	fd = openat(s->store->dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, gob.ptr, gob.len / 2) < 0)
		_exit(1);
	nanosleep(&pause, NULL);
	if (write(fd, gob.ptr + gob.len / 2, gob.len - gob.len / 2) < 0)
		_exit(1);
	close(fd);
}

/* What the snapshot holds is a store that loads: no document in it is half of one. */
static void expect_healthy(struct scene *s, const struct snap_manifest *m)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	cleanup_(kit_dir_freep) struct kit_dir *to = kit_dir_new();
	cleanup_(kit_result_freep) struct kit_result *result = NULL;
	cleanup_(file_closep) int fd = open(to->path, O_RDONLY | O_DIRECTORY);
	struct vs_err err = { 0 };

	cr_assert_eq(snap_extract(&access, m, NULL, NULL, fd, &err), 0, "%s", err.text);
	result = kit_check_dir(to, CHECK_FULL);
	cr_assert_eq(result->summary.errors, 0, "%s", result->count ? result->messages[0] : "");
}

Test(snap, beside_a_writer, .timeout = 120)
{
	struct scene s;
	struct snap_create_request req;
	int status = 0;
	pid_t writer;

	scene_init(&s, CHROMEM_PLAIN);
	writer = fork();
	cr_assert_geq(writer, 0);
	if (writer == 0) {
		for (unsigned i = 0; i < WRITTEN_MAX; i++)
			write_in_halves(&s, i);
		_exit(0);
	}
	req = request(&s, NULL);
	req.clock = &vs_clock_system;
	for (unsigned made = 0; made < MADE_BESIDE; made++) {
		cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
		struct vs_err err = { 0 };

		cr_assert_eq(snap_create(s.state, s.store, &req, &m, &err), 0, "%s", err.text);
		expect_healthy(&s, m);
	}
	/* It has been writing all the time. */
	cr_assert_eq(waitpid(writer, &status, WNOHANG), 0);
	cr_assert_eq(kill(writer, SIGKILL), 0);
	cr_assert_eq(waitpid(writer, &status, 0), writer);
	scene_fini(&s);
}

/* ---- removing ---- */

static bool is_there(const struct scene *s, const char *file)
{
	return faccessat(s->state, file, F_OK, 0) == 0;
}

static void compact(struct scene *s, uint64_t expected)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 2 };
	struct snap_compaction done = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(snap_compact(&access, &done, &err), 0, "%s", err.text);
	cr_assert_eq(done.archives, expected, "%" PRIu64 " archives", done.archives);
	cr_assert_eq(done.freed > 0, expected > 0);
}

Test(snap, what_others_need_is_not_removed)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	struct snap_delete_request req = { 0 };
	struct vs_err err = { 0 };
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	a = create(&s, "a");
	b = create(&s, "b");
	cr_assert_eq(snap_delete(s.state, "none", &req, &err), VS_ENOENT);
	cr_assert_eq(snap_delete(s.state, "../x", &req, &err), VS_EUSAGE);
	cr_assert_eq(snap_delete(s.state, "a", &req, &err), 0, "%s", err.text);
	cr_assert(is_there(&s, "snapshots/a.tar.gz"));
	cr_assert(is_there(&s, "manifests/a.members.gz")); /* b's list builds on it */
	/* All of it is needed. */
	compact(&s, 0);
	cr_assert(is_there(&s, "snapshots/a.tar.gz"));
	cr_assert(verifies(&s, "b", why, sizeof(why)), "%s", why);
	cr_assert_eq(snap_delete(s.state, "b", &req, &err), VS_EBUSY); /* the last good one */
	req.force = true;
	cr_assert_eq(snap_delete(s.state, "b", &req, &err), 0, "%s", err.text);
	cr_assert_not(is_there(&s, "snapshots/a.tar.gz"));
	cr_assert_not(is_there(&s, "snapshots/b.tar.gz"));
	cr_assert_not(is_there(&s, "manifests/a.members.gz"));
	cr_assert_not(is_there(&s, "manifests/b.members.gz"));
	scene_fini(&s);
}

/* ---- lists that build on others ---- */

static void expect_same_list(const struct snap_manifest *made, const struct snap_manifest *read)
{
	cr_assert_eq(made->member_count, read->member_count);
	cr_assert_eq(made->directory_count, read->directory_count);
	for (size_t i = 0; i < made->member_count; i++) {
		const struct snap_member *a = &made->members[i];
		const struct snap_member *b = &read->members[i];

		cr_assert_str_eq(a->path, b->path);
		cr_assert(a->size == b->size && a->inode == b->inode && a->mode == b->mode &&
				  a->modified_ns == b->modified_ns && a->archive == b->archive &&
				  a->collection == b->collection && a->batch == b->batch &&
				  memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0,
			  "%s", a->path);
	}
	for (size_t i = 0; i < made->directory_count; i++)
		cr_assert_str_eq(made->directories[i].path, read->directories[i].path);
}

/* As it is read again, it is as it was made. */
static struct snap_manifest *create_and_read(struct scene *s, const char *name)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *made = create(s, name);
	struct snap_manifest *m = NULL;
	struct vs_err err = { 0 };
	char why[1200];

	cr_assert(verifies(s, name, why, sizeof(why)), "%s: %s", name, why);
	cr_assert_eq(snap_load(s->state, name, &m, &err), 0, "%s", err.text);
	cr_assert_eq(snap_load_members(s->state, m, &err), 0, "%s", err.text);
	expect_same_list(made, m);
	expect_equal_tree(s, m);
	return m;
}

#define MANY 400 /* documents beside those of the kit */

static void add_documents(struct scene *s, const char *collection, unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct kit_doc doc;

		kit_doc(&doc, collection, first + i);
		kit_add_doc(s->store_dir, CHROMEM_PLAIN, collection, &doc.doc);
	}
}

static void remove_document(struct scene *s, const char *collection, unsigned number)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, collection, number);

	kit_remove(s->store_dir, path);
}

static void expect_base(const struct snap_manifest *m, const char *id)
{
	if (!id)
		cr_assert_null(m->base.snapshot, "%s", m->id);
	else
		cr_assert_str_eq(m->base.snapshot, id, "%s", m->id);
}

/* Documents come, change and go, and so do collections, whose numbers change with that, and
 * snapshots. */
Test(snap, lists_build_on_whole_ones, .timeout = 120)
{
	struct scene s;
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };

	scene_init(&s, CHROMEM_PLAIN);
	add_documents(&s, "notes", 2000, MANY);
	for (unsigned i = 0; i < 7; i++) {
		cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
		char name[8];

		snprintf(name, sizeof(name), "s%u", i);
		if (i == 1)
			remove_document(&s, "notes", 2007);
		if (i == 2)
			add_documents(&s, "papers", 5000, 3);
		if (i == 3) {
			kit_add_collection(s.store_dir, CHROMEM_PLAIN, "another one");
			add_documents(&s, "another one", 6000, 4);
		}
		if (i == 4)
			kit_write(s.store_dir, "aside", slice_str("of no collection"));
		if (i == 5)
			cr_assert_eq(snap_delete(s.state, "s0", &req, &err), 0, "%s", err.text);
		m = create_and_read(&s, name);
		expect_base(m, i == 0 ? NULL : "s0");
	}
	cr_assert(is_there(&s, "manifests/s0.members.gz"));
	cr_assert_not(is_there(&s, "manifests/s0.json"));
	/* Its name is taken as long as its list is there. */
	cr_assert_eq(snap_create(s.state, s.store,
				 &(struct snap_create_request){ .name = "s0",
								.tool_version = "test",
								.full = true,
								.clock = &s.clock },
				 &(struct snap_manifest *){ NULL }, &err),
		     VS_EBUSY);
	for (unsigned i = 1; i < 7; i++) {
		char name[8], why[1200];

		cr_assert(is_there(&s, "manifests/s0.members.gz"));
		cr_assert(verifies(&s, "s6", why, sizeof(why)), "%s", why);
		snprintf(name, sizeof(name), "s%u", i);
		cr_assert_eq(snap_delete(s.state, name, &req, &err), 0, "%s", err.text);
	}
	cr_assert_not(is_there(&s, "manifests/s0.members.gz"));
	scene_fini(&s);
}

/* What differs more than a little is whole again, and the next ones build on that. */
Test(snap, a_list_that_differs_much_is_whole)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *c = NULL;

	scene_init(&s, CHROMEM_PLAIN);
	a = create_and_read(&s, "a");
	add_documents(&s, "notes", 2000, MANY);
	b = create_and_read(&s, "b");
	c = create_and_read(&s, "c");
	expect_base(b, NULL);
	expect_base(c, "b");
	scene_fini(&s);
}

/* Without the list that it builds on a snapshot says which one that is, and the next one does
 * without. */
Test(snap, a_missing_base_is_named)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *c = NULL;
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	a = create(&s, "a");
	b = create(&s, "b");
	cr_assert_eq(unlinkat(s.state, "manifests/a.members.gz", 0), 0);
	cr_assert_not(verifies(&s, "b", why, sizeof(why)));
	cr_assert_not_null(strstr(why, "manifests/a.members.gz"), "%s", why);
	cr_assert_not_null(strstr(why, "builds on"), "%s", why);
	c = create_and_read(&s, "c");
	expect_base(c, NULL);
	cr_assert_null(c->parent);
	cr_assert_eq(snap_delete(s.state, "b", &req, &err), 0, "%s", err.text);
	cr_assert_eq(snap_delete(s.state, "a", &req, &err), 0, "%s", err.text);
	cr_assert(verifies(&s, "c", why, sizeof(why)), "%s", why);
	scene_fini(&s);
}

static uint64_t bytes_in(int dirfd, const char *name)
{
	struct file_info info;
	struct vs_err err = { 0 };

	cr_assert_eq(file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &err), 0, "%s", err.text);
	return info.size;
}

/* All that a snapshot has added to the disk. */
static uint64_t added_by(struct scene *s, const char *id)
{
	cleanup_(buf_fini) struct buf archive = { 0 };
	cleanup_(buf_fini) struct buf manifest = { 0 };
	cleanup_(buf_fini) struct buf list = { 0 };

	buf_printf(&archive, "snapshots/%s.tar.gz", id);
	buf_printf(&manifest, "manifests/%s.json", id);
	buf_printf(&list, "manifests/%s.members.gz", id);
	return bytes_in(s->state, buf_cstr(&archive)) + bytes_in(s->state, buf_cstr(&manifest)) +
	       bytes_in(s->state, buf_cstr(&list));
}

#define SMALL_DIMENSION 16

/* Documents with few numbers: what is known of a file is about as much as is in it. */
static void add_small(struct scene *s, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "notes", i);
		for (unsigned k = KIT_DIMENSION; k < SMALL_DIMENSION; k++)
			doc.embedding[k] = (float)((i * 2654435761u + k * 40503u) % 100003u);
		doc.doc.dimension = SMALL_DIMENSION;
		kit_add_doc(s->store_dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
}

#define SMALL 5000

Test(snap, little_is_stored_of_what_has_not_changed, .timeout = 120)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *c = NULL;
	uint64_t whole, unchanged, changed;
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	add_small(&s, 10000, SMALL);
	a = create(&s, "a");
	b = create(&s, "b");
	for (unsigned i = 0; i < SMALL / 100; i++) {
		if (i % 2)
			remove_document(&s, "notes", 10000 + 100 * i);
		else
			add_small(&s, 10000 + SMALL + i, 1);
	}
	c = create(&s, "c");
	whole = added_by(&s, "a");
	unchanged = added_by(&s, "b");
	changed = added_by(&s, "c");
	cr_assert_lt(unchanged * 100, whole * 2, "%" PRIu64 " of %" PRIu64, unchanged, whole);
	cr_assert_lt(changed * 100, whole * 3, "%" PRIu64 " of %" PRIu64, changed, whole);
	cr_assert(verifies(&s, "c", why, sizeof(why)), "%s", why);
	expect_equal_tree(&s, c);
	scene_fini(&s);
}

/* ---- packed anew ---- */

#define PASSING 60 /* documents that only the first snapshot has */

static void remove_passing(struct scene *s, unsigned first)
{
	for (unsigned i = first; i < PASSING; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 500 + i);
		struct vs_err err = { 0 };

		cr_assert_eq(file_unlink_at(s->store->dirfd, path, &err), 0, "%s", err.text);
	}
}

static void make_passing(struct scene *s)
{
	for (unsigned i = 0; i < PASSING; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "notes", 500 + i);
		kit_add_doc(s->store_dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
}

static void expect_whole(struct scene *s, const char *id)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct vs_err err = { 0 };
	char why[1200];

	cr_assert(verifies(s, id, why, sizeof(why)), "%s: %s", id, why);
	cr_assert_eq(snap_load(s->state, id, &m, &err), 0, "%s", err.text);
	cr_assert_eq(snap_load_members(s->state, m, &err), 0, "%s", err.text);
	expect_equal_tree(s, m);
}

Test(snap, what_others_need_is_packed_anew)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *c = NULL;
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };
	uint64_t whole;

	scene_init(&s, CHROMEM_PLAIN);
	make_passing(&s);
	a = create(&s, "a");
	whole = a->archives[0].size;
	remove_passing(&s, 10);
	b = create(&s, "b");
	cr_assert_eq(b->chain, 1);
	cr_assert_eq(snap_delete(s.state, "a", &req, &err), 0, "%s", err.text);
	compact(&s, 1);
	cr_assert_not(is_there(&s, "snapshots/a.tar.gz"));
	cr_assert(is_there(&s, "snapshots/a.kept-1.tar.gz"));
	expect_whole(&s, "b");
	compact(&s, 0);

	/* What is built on it, and what is left of it when that is all that needs it. */
	for (unsigned i = 0; i < 10; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 500 + i);

		cr_assert_eq(file_unlink_at(s.store->dirfd, path, &err), 0, "%s", err.text);
	}
	c = create(&s, "c");
	cr_assert_eq(c->archive_count, 2);
	cr_assert_str_eq(c->archives[1].file, "a.kept-1.tar.gz");
	cr_assert_lt(c->archives[1].size, whole);
	cr_assert_eq(snap_delete(s.state, "b", &req, &err), 0, "%s", err.text);
	compact(&s, 1);
	cr_assert_not(is_there(&s, "snapshots/a.kept-1.tar.gz"));
	cr_assert(is_there(&s, "snapshots/a.kept-2.tar.gz"));
	expect_whole(&s, "c");
	cr_assert_eq(snap_delete(s.state, "c", &req, &err), 0, "%s", err.text);
	cr_assert_not(is_there(&s, "snapshots/a.kept-2.tar.gz"));
	scene_fini(&s);
}

/* Nothing is written anew out of what is not what the lists say; all stays as it was. */
Test(snap, a_damaged_archive_is_not_packed_anew)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	struct snap_access access;
	struct snap_delete_request req = { .force = true };
	struct snap_compaction done = { 0 };
	struct vs_err err = { 0 };
	unsigned char byte;
	int fd;

	scene_init(&s, CHROMEM_PLAIN);
	make_passing(&s);
	a = create(&s, "a");
	remove_passing(&s, 10);
	b = create(&s, "b");
	cr_assert_eq(snap_delete(s.state, "a", &req, &err), 0, "%s", err.text);
	fd = openat(s.state, "snapshots/a.tar.gz", O_RDWR);
	cr_assert_eq(pread(fd, &byte, 1, 2000), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, 2000), 1);
	close(fd);
	access = (struct snap_access){ .state_dirfd = s.state, .jobs = 1 };
	cr_assert_eq(snap_compact(&access, &done, &err), VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, "a.tar.gz"));
	cr_assert(is_there(&s, "snapshots/a.tar.gz"));
	cr_assert_not(is_there(&s, "snapshots/.a.part"));
	cr_assert_not(is_there(&s, "snapshots/a.kept-1.tar.gz"));
	scene_fini(&s);
}

Test(snap, missing_archives_are_named)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *a = NULL;
	cleanup_(snap_manifest_freep) struct snap_manifest *b = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *to = kit_dir_new();
	cleanup_(file_closep) int fd = open(to->path, O_RDONLY | O_DIRECTORY);
	struct snap_access access;
	struct vs_err err = { 0 };
	char why[1200];

	scene_init(&s, CHROMEM_PLAIN);
	access = (struct snap_access){ .state_dirfd = s.state, .jobs = 1 };
	a = create(&s, "a");
	b = create(&s, "b");
	cr_assert_eq(unlinkat(s.state, "snapshots/a.tar.gz", 0), 0);
	cr_assert_eq(snap_extract(&access, b, NULL, NULL, fd, &err), VS_ENOENT);
	cr_assert_not_null(strstr(err.text, "a.tar.gz"), "%s", err.text);
	cr_assert_not(verifies(&s, "b", why, sizeof(why)));
	cr_assert_not_null(strstr(why, "archive"), "%s", why);
	scene_fini(&s);
}

Test(snap, sealed)
{
	struct scene s;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(snap_verdict_fini) struct snap_verdict v = { 0 };
	cleanup_(snap_verdict_fini) struct snap_verdict w = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = "0123456789abcdef0123456789abcde";
	struct snap_create_request req;
	struct snap_access access;
	struct vs_err err = { 0 };

	scene_init(&s, CHROMEM_PLAIN);
	req = request(&s, "x");
	req.key = key;
	cr_assert_eq(snap_create(s.state, s.store, &req, &m, &err), 0, "%s", err.text);
	access = (struct snap_access){ .state_dirfd = s.state, .jobs = 1, .key = key };
	cr_assert_eq(snap_verify(&access, "x", &v, NULL, &err), 0);
	cr_assert(snap_verdict_is_good(&v), "%s", v.message[3]);
	key[4] ^= 1;
	cr_assert_eq(snap_verify(&access, "x", &w, NULL, &err), 0);
	cr_assert(w.is_good[SNAP_CHECK_CHECKSUM]);
	cr_assert_not(w.is_good[SNAP_CHECK_READABLE]);
	scene_fini(&s);
}
