/* SPDX-License-Identifier: Apache-2.0 */

/*
 *	bench-audit [RECORDS]
 *
 * How long it takes to verify an audit log, a million records unless told otherwise: the chain
 * alone, then with every seal checked; and to list its newest records. The best of three rounds
 * counts. Then what the digest of a store's contents costs, made and made again, for 10,000 files
 * of 6 KiB. All is written below TMPDIR first and read from the page cache, so this is processor
 * time, not that of a disk. Ends with 1 when anything is found in the log, or when a byte changed
 * in its middle is not.
 */

#include "kit/auditlog.h"
#include "kit/scratch.h"

#include <fcntl.h>

#define ROUNDS 3
#define CHUNK 4096

static const unsigned char first_key[AUDIT_KEY_LEN] = "a first key for measurements, 32";

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void write_all(int fd, struct slice text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0)
			fail("writing the log", "no space?");
		text = slice_of(text.ptr + n, text.len - (size_t)n);
	}
}

/* Write the log in pieces; returns its size. */
static uint64_t make_log(int dirfd, uint64_t records)
{
	int fd = openat(dirfd, AUDIT_LOG, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct vs_err err = { 0 };
	struct kit_log log;
	uint64_t size = 0;

	kit_log_init(&log, first_key);
	while (log.count < records) {
		kit_log_fill(&log, (size_t)VS_MIN((uint64_t)CHUNK, records - log.count));
		write_all(fd, buf_slice(&log.text));
		size += log.text.len;
		buf_clear(&log.text);
	}
	close(fd);
	if (audit_head_store(dirfd, &log.head, &err) < 0 ||
	    seal_key_store(dirfd, &log.key, &err) < 0)
		fail("head and key", err.text);
	kit_log_fini(&log);
	return size;
}

struct span {
	double wall, cpu;
};

static struct span now(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return (struct span){ (double)clock_elapsed_ns() / 1e9,
			      (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9 };
}

static void keep_best(struct span *best, struct span begin)
{
	struct span end = now();

	best->wall = VS_MIN(best->wall, end.wall - begin.wall);
	best->cpu = VS_MIN(best->cpu, end.cpu - begin.cpu);
}

static void verify(int dirfd, const unsigned char *key, uint64_t want_records, int want_findings,
		   struct span *best)
{
	struct kit_findings found = { 0 };
	struct vs_err err = { 0 };
	uint64_t records = 0;
	struct span begin = now();
	int r = audit_verify(dirfd, NULL, key, kit_findings_add, &found, &records, &err);

	keep_best(best, begin);
	if (r != want_findings || records != want_records)
		fail("verifying", r < 0 ? err.text : "wrong findings");
}

static int count_entry(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	(void)e;
	(void)err;
	++*(uint64_t *)ctx;
	return 0;
}

static void list(int dirfd, struct span *best)
{
	const struct audit_query query = { .limit = 20, .action = "repair" };
	struct vs_err err = { 0 };
	struct span begin = now();
	uint64_t count = 0;
	int r = audit_list(dirfd, &query, count_entry, &count, &err);

	keep_best(best, begin);
	if (r != 0 || count != query.limit)
		fail("listing", err.text);
}

/* Turn one letter of a message in the middle of the log into another. */
static void damage(int dirfd, uint64_t size)
{
	int fd = openat(dirfd, AUDIT_LOG, O_RDWR | O_CLOEXEC);
	char block[8192];
	ssize_t len = pread(fd, block, sizeof(block), (off_t)(size / 2));
	const char *at = len > 0 ? memmem(block, (size_t)len, "problems", 8) : NULL;

	if (!at || pwrite(fd, "P", 1, (off_t)(size / 2) + (at - block)) != 1)
		fail("changing the log", "cannot");
	close(fd);
}

static void show(const char *what, const struct span *best, uint64_t size)
{
	printf("%-24s %8.3f s  %8.3f s  %8.0f MB/s\n", what, best->wall, best->cpu,
	       (double)size / 1e6 / best->cpu);
}

/* ---- the digest of a store's contents ---- */

#define TREE_DIRS 10
#define TREE_FILES 1000
#define TREE_FILE_LEN 6144

static uint64_t make_tree(int dirfd)
{
	static unsigned char content[TREE_FILE_LEN];

	for (unsigned d = 0; d < TREE_DIRS; d++) {
		char dir[16];

		snprintf(dir, sizeof(dir), "%08x", d);
		close(scratch_mkdir(dirfd, dir));
		for (unsigned f = 0; f < TREE_FILES; f++) {
			char name[48];

			snprintf(name, sizeof(name), "%s/%08x.gob", dir, f);
			memcpy(content, name, strlen(name));
			scratch_write(dirfd, name, content, sizeof(content));
		}
	}
	return (uint64_t)TREE_DIRS * TREE_FILES * TREE_FILE_LEN;
}

static void digest_tree(struct audit_tree *tree, int dirfd, unsigned threads, struct digest *out,
			struct span *best)
{
	struct vs_err err = { 0 };
	struct span begin = now();

	if (audit_tree_digest(tree, dirfd, threads, out, &err) < 0)
		fail("the digest of a tree", err.text);
	keep_best(best, begin);
}

static void measure_tree(int parent)
{
	struct span one = { 1e9, 1e9 }, all = one, again = one;
	struct digest digest[3] = { 0 };
	uint64_t size;
	int dirfd = scratch_mkdir(parent, "tree");

	size = make_tree(dirfd);
	/* Files as young as this would be read again. */
	nanosleep(&(struct timespec){ .tv_sec = 3 }, NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		cleanup_(audit_tree_freep) struct audit_tree *first = audit_tree_new();
		cleanup_(audit_tree_freep) struct audit_tree *second = audit_tree_new();

		digest_tree(first, dirfd, 1, &digest[0], &one);
		digest_tree(second, dirfd, cpu_count(), &digest[1], &all);
		digest_tree(second, dirfd, cpu_count(), &digest[2], &again);
		if (memcmp(&digest[0], &digest[1], DIGEST_LEN) != 0 ||
		    memcmp(&digest[0], &digest[2], DIGEST_LEN) != 0)
			fail("the digest of a tree", "it depends on how it is made");
	}
	printf("%d files, %.0f MB, %u threads\n", TREE_DIRS * TREE_FILES, (double)size / 1e6,
	       cpu_count());
	show("contents, one thread", &one, size);
	show("contents, all threads", &all, size);
	show("contents, made again", &again, size);
	close(dirfd);
}

int main(int argc, char **argv)
{
	struct span chain = { 1e9, 1e9 }, seals = chain, listing = chain, ignored = chain;
	uint64_t records = 1000000;
	uint64_t size;
	int dirfd;

	if (argc > 1 && !parse_u64(argv[1], 100000000, &records))
		fail(argv[1], "not a number of records");
	scratch_new(&dirfd);
	size = make_log(dirfd, records);
	for (unsigned round = 0; round < ROUNDS; round++) {
		verify(dirfd, NULL, records, 0, &chain);
		verify(dirfd, first_key, records, 0, &seals);
		list(dirfd, &listing);
	}
	damage(dirfd, size);
	verify(dirfd, NULL, records, 1, &ignored);
	printf("%-24s %10s  %10s  %13s\n", "audit log", "clock", "processor", "of processor");
	printf("%" PRIu64 " records, %.0f MB\n", records, (double)size / 1e6);
	show("chain", &chain, size);
	show("chain and seals", &seals, size);
	show("newest 20 of an action", &listing, size);
	measure_tree(dirfd);
	return 0;
}
