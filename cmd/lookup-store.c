/* SPDX-License-Identifier: Apache-2.0 */

/* What a store and its state directory have to say about lost names. */

#include "lookup.h"

#include "repair/repair.h"

#include <fcntl.h>

static void add_target(struct search *s, const char *collection)
{
	uint32_t hash;
	bool is_wanted = false;

	if (!names_hash_of(collection, &hash))
		return;
	for (size_t i = 0; i < s->count; i++)
		is_wanted |= s->hashes[i] == hash;
	if (!is_wanted)
		return;
	s->collections = vs_grow(s->collections, &s->collection_cap, s->target_count + 1,
				 sizeof(*s->collections));
	s->targets = vs_grow(s->targets, &s->target_cap, s->target_count + 1, sizeof(*s->targets));
	s->collections[s->target_count] = vs_strdup(collection);
	s->targets[s->target_count] = (struct name_target){ s->collections[s->target_count], hash };
	s->target_count++;
}

static int add_directory(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct search *s = ctx;
	uint32_t hash;

	(void)type;
	(void)err;
	if (chromem_hash_parse(slice_str(name), &hash))
		add_target(s, name);
	return 0;
}

static int add_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	char path[600];

	(void)err;
	snprintf(path, sizeof(path), ".quarantine/%s", item->name);
	if (!item->is_files)
		add_target(ctx, path);
	return 0;
}

/* The collections that the hashes stand for, where the store has them, in place or set aside. */
static int find_targets(struct search *s, struct vs_err *err)
{
	int r = file_list(s->store->dirfd, add_directory, s, err);

	return r < 0 ? r : quarantine_list(s->store, add_item, s, err);
}

static int open_state(struct search *s, struct vs_err *err)
{
	const char *given = s->opts->state ? s->opts->state : getenv("VSCTL_STATE");
	cleanup_(vs_freep) char *path = NULL;
	int r = state_path_for(s->store->path, given, &path, err);

	if (r == 0)
		r = state_open(path, &s->state_dirfd, err);
	/* Most stores have none yet. */
	return r == VS_ENOENT && !s->opts->state ? 0 : r;
}

int lookup_tell_store(struct search *s, struct vs_err *err)
{
	const char *path = s->opts->store ? s->opts->store : s->app->common.store;
	int r;

	if (!path)
		path = settings_store(&s->app->settings);
	if (!path)
		return 0;
	s->app->path = path;
	r = store_open(&s->store, path, 0, err);
	if (r < 0)
		return r;
	if (s->store->kind != STORE_CHROMEM)
		return vs_fail(err, VS_ENOTSUP,
			       "%s: only a chromem directory keeps collections under hashes", path);
	r = find_targets(s, err);
	if (r == 0)
		r = open_state(s, err);
	if (r == 0)
		r = names_gather(s->l, s->store, s->state_dirfd, s->targets, s->target_count, err);
	return r;
}

void lookup_store_fini(struct search *s)
{
	store_closep(&s->store);
	file_closep(&s->state_dirfd);
	for (size_t i = 0; i < s->target_count; i++)
		free(s->collections[i]);
	free(s->collections);
	free(s->targets);
}
