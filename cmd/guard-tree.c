/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Descendants, found by their parents in /proc. A process that has made itself a group, a session,
 * an orphan, is found all the same: an orphan's parent is this process.
 */

#include "guard-run.h"

#include "file/file.h"

#include <fcntl.h>
#include <sys/pidfd.h>

struct process {
	pid_t pid, parent;
	char state; /* 'R', 'S', 'T', 'Z', ... */
	bool is_ours;
};

struct processes {
	struct process *items; /* owned */
	size_t count, cap;
};

static void processes_fini(struct processes *p)
{
	free(p->items);
}

/* "4711 (a name) S 4710 ...": a name may have brackets and blanks in it. */
static bool read_process(pid_t pid, struct process *out)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	char path[48];
	const char *at;
	char *end;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (file_read_head_at(AT_FDCWD, path, FILE_FOLLOW, 512, &text, NULL, &err) != 0)
		return false;
	at = strrchr(buf_cstr(&text), ')');
	if (!at || at[1] != ' ' || at[2] == '\0' || at[3] != ' ')
		return false;
	*out = (struct process){ .pid = pid, .state = at[2] };
	out->parent = (pid_t)strtol(at + 4, &end, 10);
	return end != at + 4;
}

static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct processes *p = ctx;
	uint64_t pid;

	(void)type;
	(void)err;
	if (!parse_u64(name, INT32_MAX, &pid))
		return 0;
	p->items = vs_grow(p->items, &p->cap, p->count + 1, sizeof(*p->items));
	if (read_process((pid_t)pid, &p->items[p->count]))
		p->count++;
	return 0;
}

static bool is_ours(const struct processes *p, pid_t parent)
{
	if (parent == getpid())
		return true;
	for (size_t i = 0; i < p->count; i++) {
		if (p->items[i].pid == parent)
			return p->items[i].is_ours;
	}
	return false;
}

/* Each round finds the children of those found in the one before. */
static void find_descendants(struct processes *p, pid_t except)
{
	bool has_more = true;

	while (has_more) {
		has_more = false;
		for (size_t i = 0; i < p->count; i++) {
			struct process *one = &p->items[i];

			if (one->is_ours || one->pid == except || !is_ours(p, one->parent))
				continue;
			one->is_ours = true;
			has_more = true;
		}
	}
}

static void load(struct processes *p, pid_t except)
{
	cleanup_(file_closep) int proc = -1;
	struct vs_err err = { 0 };

	if (file_open_dir(AT_FDCWD, "/proc", FILE_FOLLOW, &proc, &err) == 0)
		(void)!file_list(proc, on_entry, p, &err);
	find_descendants(p, except);
}

/*
 * Between the look and the signal a number may have gone to another process. A descriptor holds the
 * process that has the number now, and that one is signalled if it is what was seen.
 */
static bool send(const struct process *seen, int signo)
{
	cleanup_(file_closep) int fd = pidfd_open(seen->pid, 0);
	struct process now;

	if (fd < 0)
		return errno == ENOSYS && kill(seen->pid, signo) == 0;
	/* A parent that has ended meanwhile leaves its children to us. */
	if (!read_process(seen->pid, &now) ||
	    (now.parent != seen->parent && now.parent != getpid()))
		return false;
	return pidfd_send_signal(fd, signo, NULL, 0) == 0;
}

static bool is_alive(const struct process *p)
{
	return p->is_ours && p->state != 'Z' && p->state != 'X';
}

uint64_t guard_tree_signal(int signo, pid_t except)
{
	cleanup_(processes_fini) struct processes p = { 0 };
	uint64_t count = 0;

	load(&p, except);
	for (size_t i = 0; i < p.count; i++) {
		if (is_alive(&p.items[i]) && !(signo == SIGSTOP && p.items[i].state == 'T'))
			count += send(&p.items[i], signo);
	}
	return count;
}

uint64_t guard_tree_count(pid_t except)
{
	cleanup_(processes_fini) struct processes p = { 0 };
	uint64_t count = 0;

	load(&p, except);
	for (size_t i = 0; i < p.count; i++)
		count += is_alive(&p.items[i]);
	return count;
}
