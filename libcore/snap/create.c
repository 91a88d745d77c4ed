/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Making a snapshot: look, read, look again; then give it its name.
 *
 * The store is listed before and after it is read. When both agree with what was read, all of it
 * was there at one moment. Else it is read again, a few times; a store that never rests is taken as
 * it comes, file by file, and the manifest says so.
 */

#include "snap/making.h"

#include "audit/audit.h"

#include <limits.h>
#include <sys/stat.h>

#define SUFFIX_MAX 1000u

/* ---- side by side ---- */

/* Steps that need nothing of each other. */
typedef int step_fn(struct making *mk, struct vs_err *err);

#define STEPS_MAX 3

struct steps {
	struct making *mk;
	step_fn *const *steps;
	int results[STEPS_MAX];
	struct vs_err errors[STEPS_MAX];
};

static void take_step(void *ctx, unsigned worker, size_t index)
{
	struct steps *s = ctx;

	(void)worker;
	s->results[index] = s->steps[index](s->mk, &s->errors[index]);
}

/* The first that failed is the one that is told. */
static int take_steps(struct making *mk, step_fn *const *steps, size_t count, struct vs_err *err)
{
	struct steps s = { .mk = mk, .steps = steps };

	assert(count <= STEPS_MAX);
	pool_run(mk->pool, count, take_step, &s);
	for (size_t i = 0; i < count; i++) {
		if (s.results[i] < 0) {
			*err = s.errors[i];
			return s.results[i];
		}
	}
	return 0;
}

static void making_fini(struct making *mk)
{
	if (mk->backend && mk->backend->end && mk->state)
		mk->backend->end(mk->state);
	snap_manifest_freep(&mk->parent);
	snap_manifest_freep(&mk->m);
	snap_listing_fini(&mk->listing);
	file_seen_freep(&mk->own_seen);
	free(mk->items);
	buf_fini(&mk->list);
	pool_freep(&mk->pool);
	digest_ctx_freep(&mk->digest);
	file_closep(&mk->fd);
	snap_place_close(&mk->place);
}

/* ---- before ---- */

/* Snapshots inside the store would be in the next snapshot, and go when it is rolled back. */
static int refuse_inside(struct making *mk, struct vs_err *err)
{
	char self[64];
	char state[PATH_MAX], store[PATH_MAX];
	ssize_t n;
	size_t len;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", mk->state_dirfd);
	n = readlink(self, state, sizeof(state) - 1);
	if (!realpath(mk->store->path, store))
		return vs_fail_errno(err, "%s", mk->store->path);
	mk->m->store_path = vs_strdup(store);
	if (n < 0)
		return 0; /* no /proc: the caller has looked by the path */
	state[n] = '\0';
	len = strlen(store);
	if (strncmp(state, store, len) == 0 && (state[len] == '/' || state[len] == '\0'))
		return vs_fail(err, VS_EUSAGE,
			       "%s is inside the store: give --state a place outside it", state);
	return 0;
}

/* Is anything called so already? */
static int is_taken(struct making *mk, const char *id, struct vs_err *err)
{
	char name[SNAP_FILE_MAX];
	int r;

	snap_manifest_name(id, name);
	r = snap_exists(mk->place.manifests, name, err);
	if (r == 0) {
		snap_members_name(id, name);
		r = snap_exists(mk->place.manifests, name, err);
	}
	for (int is_sealed = 0; r == 0 && is_sealed < 2; is_sealed++) {
		snap_archive_name(id, is_sealed, name);
		r = snap_exists(mk->place.snapshots, name, err);
	}
	return r;
}

static int choose_id(struct making *mk, struct vs_err *err)
{
	char base[SNAP_ID_MAX + 1];
	int r;

	if (mk->req->name && !snap_id_is_valid(mk->req->name))
		return vs_fail(
			err, VS_EUSAGE,
			"a snapshot's name has letters, digits, '_' and '-', at most %d of them",
			SNAP_ID_MAX);
	if (mk->req->name)
		snprintf(base, sizeof(base), "%s", mk->req->name);
	else
		snap_id_format(mk->now_ns, base);
	snprintf(mk->id, sizeof(mk->id), "%s", base);
	r = is_taken(mk, mk->id, err);
	if (r > 0 && mk->req->name)
		return vs_fail(err, VS_EBUSY,
			       "there is a snapshot %s already, or one that was removed and whose "
			       "files others need",
			       base);
	for (unsigned i = 2; r > 0 && i < SUFFIX_MAX; i++) {
		snprintf(mk->id, sizeof(mk->id), "%.100s_%u", base, i);
		r = is_taken(mk, mk->id, err);
	}
	return r > 0 ? vs_fail(err, VS_EBUSY, "there is a snapshot %s already", base) : r;
}

static char *copy_of(const char *text)
{
	return text ? vs_strdup(text) : NULL;
}

static int describe(struct making *mk, struct vs_err *err)
{
	const struct snap_health *h = mk->req->health;
	struct snap_manifest *m = mk->m;
	struct audit_head head = { 0 };
	char name[SNAP_FILE_MAX];
	int r;

	m->id = vs_strdup(mk->id);
	m->time_ns = mk->now_ns;
	m->tool_version = vs_strdup(mk->req->tool_version);
	m->reason = vs_strdup(mk->req->reason ? mk->req->reason : "asked for");
	if (h && h->verdict)
		m->health = (struct snap_health){ copy_of(h->verdict), copy_of(h->loadable),
						  copy_of(h->level), h->errors, h->warnings };
	m->archives = vs_alloc_array(1, sizeof(*m->archives));
	m->archive_count = 1;
	snap_archive_name(mk->id, mk->req->key != NULL, name);
	m->archives[0].file = vs_strdup(name);
	m->archives[0].snapshot = vs_strdup(mk->id);
	m->archives[0].is_sealed = mk->req->key != NULL;
	snap_temp_name(mk->id, mk->part);
	/* A log that cannot be read is told by audit-log; it is no reason to have no snapshot. */
	r = audit_head_load(mk->state_dirfd, &head, err);
	if (r == 0) {
		m->audit_seq = head.seq;
		m->audit_digest = head.digest;
	}
	*err = (struct vs_err){ 0 };
	return 0;
}

/* ---- looking ---- */

static int look(struct making *mk, struct snap_listing *out, struct vs_err *err)
{
	out->jobs = mk->req->jobs;
	out->seen = mk->seen;
	return mk->backend->list(mk->store, mk->state, out, err);
}

static int look_at_store(struct making *mk, struct vs_err *err)
{
	int r;

	snap_listing_fini(&mk->listing);
	r = mk->backend->refresh ? mk->backend->refresh(mk->store, mk->state, err) : 0;
	return r == 0 ? look(mk, &mk->listing, err) : r;
}

static void match_items(struct making *mk)
{
	free(mk->items);
	mk->items = vs_alloc_array(mk->listing.file_count, sizeof(*mk->items));
	making_match(mk);
	if (making_chain(mk) > SNAP_CHAIN_MAX) {
		snap_manifest_freep(&mk->parent);
		making_match(mk);
	}
}

/* Is there room for what must be written, whatever it packs to? */
static int check_space(const struct making *mk, struct vs_err *err)
{
	uint64_t need = (uint64_t)1 << 20;

	for (size_t i = 0; i < mk->listing.file_count; i++) {
		need += 512;
		if (mk->items[i].must_read && !(mk->req->rehash && mk->items[i].before))
			need += mk->items[i].info.size + 1024;
	}
	return snap_check_room(mk->state_dirfd, need, "the snapshot", err);
}

static bool same_file(const struct item *item, const struct snap_found *now)
{
	return !item->is_gone && item->info.size == now->info.size &&
	       item->info.modified_ns == now->info.modified_ns &&
	       item->info.inode == now->info.inode;
}

/* Is the store now what was read of it? */
static int is_as_read(struct making *mk, bool *out, struct vs_err *err)
{
	cleanup_(snap_listing_fini) struct snap_listing now = { 0 };
	int r = look(mk, &now, err);

	if (r < 0)
		return r;
	*out = now.file_count == mk->listing.file_count;
	for (size_t i = 0; *out && i < now.file_count; i++)
		*out = strcmp(now.files[i].path, mk->listing.files[i].path) == 0 &&
		       same_file(&mk->items[i], &now.files[i]);
	if (*out && mk->backend->is_current)
		return mk->backend->is_current(mk->store, mk->state, out, err);
	return 0;
}

/* ---- the list of members ---- */

/* The place of the parent's archive @old in the new list, added when it is not there. */
static uint32_t take_archive(struct making *mk, uint32_t old, uint32_t *places)
{
	const struct snap_archive *from;
	struct snap_manifest *m = mk->m;

	assert(mk->parent);
	from = &mk->parent->archives[old];
	if (places[old] == 0) {
		struct snap_archive *to = &m->archives[m->archive_count];

		*to = (struct snap_archive){ vs_strdup(from->file), vs_strdup(from->snapshot),
					     from->size, from->digest, from->is_sealed };
		places[old] = (uint32_t)m->archive_count++;
	}
	return places[old];
}

static void add_member(struct making *mk, const struct item *item, uint32_t *places)
{
	struct snap_manifest *m = mk->m;

	m->members[m->member_count++] = (struct snap_member){
		.path = vs_strdup(item->found->path),
		.size = item->info.size,
		.inode = item->info.inode,
		.modified_ns = item->info.modified_ns,
		.mode = item->info.mode,
		.archive = item->is_stored ? 0 : take_archive(mk, item->before->archive, places),
		.collection = UINT32_MAX,
		.batch = SNAP_NO_BATCH,
		.row = SNAP_NO_ROW,
		.digest = item->digest,
	};
}

static void take_listing(struct making *mk)
{
	struct snap_manifest *m = mk->m;
	size_t old = mk->parent ? mk->parent->archive_count : 0;
	cleanup_(vs_freep) uint32_t *places = vs_alloc_array(old, sizeof(*places));

	m->archives = vs_grow(m->archives, &(size_t){ 1 }, old + 1, sizeof(*m->archives));
	m->members = vs_alloc_array(mk->listing.file_count, sizeof(*m->members));
	for (size_t i = 0; i < mk->listing.file_count; i++) {
		if (!mk->items[i].is_gone)
			add_member(mk, &mk->items[i], places);
	}
	m->directories = mk->listing.directories;
	m->directory_count = mk->listing.directory_count;
	m->skipped = mk->listing.skipped;
	m->skipped_count = mk->listing.skipped_count;
	mk->listing.directories = NULL;
	mk->listing.directory_count = 0;
	mk->listing.skipped = NULL;
	mk->listing.skipped_count = 0;
	m->chain = (uint32_t)(m->archive_count - 1);
	if (m->chain > 0) {
		assert(mk->parent);
		m->parent = vs_strdup(mk->parent->id);
	}
}

static int read_for_group(void *ctx, const struct snap_member *member, struct buf *out,
			  struct vs_err *err)
{
	struct making *mk = ctx;
	struct snap_found found = { .path = member->path, .is_link = true };
	struct file_info info;

	/* Gone since, or a link by now: then its collection has no name in the manifest. */
	if (making_read(mk, &found, out, &info, err) > 0)
		buf_clear(out);
	*err = (struct vs_err){ 0 };
	return 0;
}

/* ---- the whole ---- */

static uint64_t count_to_read(const struct making *mk)
{
	uint64_t count = 0;

	for (size_t i = 0; i < mk->listing.file_count; i++)
		count += mk->items[i].must_read;
	return count;
}

static int read_until_stable(struct making *mk, struct vs_err *err)
{
	static step_fn *const first_look[] = { look_at_store, making_find_parent };
	int r = 0;

	for (unsigned round = 0; r == 0 && !mk->m->is_stable && round < SNAP_ROUNDS_MAX; round++) {
		if (round == 0)
			r = take_steps(mk, first_look, VS_COUNT(first_look), err);
		else
			r = look_at_store(mk, err);
		if (r < 0)
			return r;
		match_items(mk);
		if (round == 0)
			r = check_space(mk, err);
		if (r == 0) {
			snap_progress_begin(mk->req->progress, count_to_read(mk));
			r = making_write_archive(mk, err);
		}
		if (r == 0)
			r = is_as_read(mk, &mk->m->is_stable, err);
	}
	return r;
}

static int sync_archive(struct making *mk, struct vs_err *err)
{
	int r = file_sync(mk->fd, err);

	return r < 0 ? vs_err_in(err, "%s/%s", SNAP_DIR, mk->part) : 0;
}

/* Each piece was unpacked again before it was written; what is in the file now is these pieces. */
static int compare_archive(struct making *mk, struct vs_err *err)
{
	struct digest digest;
	int r = file_digest_at(mk->place.snapshots, mk->part, FILE_NO_FOLLOW, &digest, NULL, err);

	if (r == 0 && memcmp(&digest, &mk->written_digest, sizeof(digest)) != 0)
		r = vs_fail(err, VS_EIO, "does not hold what was written to it");
	return r < 0 ? vs_err_in(err, "%s/%s", SNAP_DIR, mk->part) : 0;
}

static int fill_manifest(struct making *mk, struct vs_err *err)
{
	int r;

	take_listing(mk);
	r = mk->backend->group(mk->m, mk->state, read_for_group, mk, err);
	if (r < 0)
		return r;
	snap_sum(mk->m);
	snap_base_choose(mk->m, mk->parent);
	return snap_pack_members(mk->m, &mk->list, err);
}

/* What was sealed opens with the key, and is what was meant. */
static int open_again(struct making *mk, struct vs_err *err)
{
	struct snap_access access = { .state_dirfd = mk->state_dirfd, .key = mk->req->key };
	char *name = mk->m->archives[0].file;
	int r;

	if (!mk->req->key)
		return 0;
	mk->m->archives[0].file = mk->part;
	r = snap_read_back(&access, mk->place.snapshots, mk->m, 1, mk->pool, err);
	mk->m->archives[0].file = name;
	return r < 0 ? vs_err_in(err, "the archive cannot be read back") : 0;
}

static int make(struct making *mk, struct vs_err *err)
{
	static step_fn *const last[] = { sync_archive, compare_archive, fill_manifest };
	int r = 0;

	if (mk->backend->begin)
		r = mk->backend->begin(mk->store, mk->place.snapshots, &mk->state, err);
	if (r == 0)
		r = read_until_stable(mk, err);
	if (r == 0)
		r = take_steps(mk, last, VS_COUNT(last), err);
	if (r == 0)
		r = open_again(mk, err);
	if (r == 0)
		r = snap_publish(&mk->place, mk->m, buf_slice(&mk->list), mk->part, err);
	return r;
}

int snap_check_kind(enum store_kind kind, struct vs_err *err)
{
	const struct snap_backend *backend;

	return snap_backend_for(kind, &backend, err);
}

/* Where it cannot be known, what is restored belongs to whoever restores it. */
static void note_owner(struct snap_manifest *m, const struct store *store)
{
	struct vs_err ignored = { 0 };
	struct file_info info;

	if (file_stat_fd(store->dirfd, &info, &ignored) < 0)
		return;
	m->has_owner = true;
	m->owner = info.owner;
	m->group = info.group;
}

int snap_create(int state_dirfd, const struct store *store, const struct snap_create_request *req,
		struct snap_manifest **out, struct vs_err *err)
{
	cleanup_(making_fini) struct making mk = {
		.req = req,
		.store = store,
		.state_dirfd = state_dirfd,
		.fd = -1,
		.now_ns = clock_now_ns(req->clock),
		.place = SNAP_PLACE_CLOSED,
	};
	struct vs_err ignored = { 0 };
	uint64_t removed = 0;
	int r;

	mk.m = vs_alloc(sizeof(*mk.m));
	mk.m->store_kind = vs_strdup(store_kind_name(store->kind));
	note_owner(mk.m, store);
	mk.digest = digest_ctx_new();
	if (!req->seen)
		mk.own_seen = file_seen_new();
	mk.seen = req->seen ? req->seen : mk.own_seen;
	r = snap_backend_for(store->kind, &mk.backend, err);
	if (r == 0)
		r = refuse_inside(&mk, err);
	if (r == 0)
		r = snap_place_open(state_dirfd, true, &mk.place, err);
	if (r == 0)
		r = snap_sweep(state_dirfd, &removed, err);
	if (r == 0)
		r = choose_id(&mk, err);
	if (r < 0)
		return r;
	mk.pool = pool_new(VS_MAX(req->jobs, 1));
	r = describe(&mk, err);
	if (r == 0)
		r = make(&mk, err);
	if (r < 0) {
		(void)!snap_sweep(state_dirfd, &removed, &ignored);
		return r;
	}
	*out = VS_TAKE(mk.m);
	return 0;
}
