/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshot a store goes back to: one that is named, or the newest good one, verified. */

#include "rollback.h"

int rollback_damaged(const char *store_path, const char *id, enum snap_check check, const char *why,
		     struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };

	text_shell_word(&path, store_path);
	return vs_fail(err, VS_EFORMAT,
		       "snapshot %s is damaged (%s: %s); vsctl snapshot list %s shows others", id,
		       snap_check_name(check), why ? why : "not as it should be", buf_cstr(&path));
}

static int damaged_as(const struct snap_verdict *v, const char *store_path, const char *id,
		      struct vs_err *err)
{
	for (size_t i = 0; i < SNAP_CHECK_COUNT_; i++) {
		if (v->was_made[i] && !v->is_good[i])
			return rollback_damaged(store_path, id, (enum snap_check)i, v->message[i],
						err);
	}
	return vs_fail(err, VS_EFORMAT, "snapshot %s could not be verified", id);
}

/* Load and verify one. */
static int choose_id(const struct snap_access *access, const char *store_path, const char *id,
		     struct snap_manifest **out, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(snap_verdict_fini) struct snap_verdict verdict = { 0 };
	int r;

	r = snap_verify(access, id, &verdict, &m, err);
	if (r < 0)
		return r;
	if (!snap_verdict_is_good(&verdict) || !m)
		return damaged_as(&verdict, store_path, id, err);
	*out = VS_TAKE(m);
	return 0;
}

/* What has become damaged since it was made is said and passed over. */
static int choose_newest(struct app *app, const struct snap_access *access, const char *store_path,
			 const char *absolute, struct snap_manifest **out, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	int r = snap_list_load(&list, access->state_dirfd, err);

	if (r < 0)
		return r;
	for (size_t i = list.count; i > 0; i--) {
		const struct snap_manifest *m = list.entries[i - 1].m;

		if (!m || !snap_is_good(m) ||
		    (absolute && m->store_path && strcmp(m->store_path, absolute) != 0))
			continue;
		r = choose_id(access, store_path, m->id, out, err);
		if (r != VS_EFORMAT)
			return r;
		app_note(app, "%s", err->text);
	}
	return vs_fail(
		err, VS_ENOENT,
		"there is no good snapshot of this store to go back to; vsctl snapshot list shows those there are, and --force takes one of a store at another path");
}

int rollback_choose(struct app *app, const struct snap_access *access, const char *store_path,
		    const char *absolute, const char *id, struct snap_manifest **out,
		    struct vs_err *err)
{
	return id ? choose_id(access, store_path, id, out, err)
		  : choose_newest(app, access, store_path, absolute, out, err);
}
