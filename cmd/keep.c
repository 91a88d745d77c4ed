/* SPDX-License-Identifier: Apache-2.0 */

/* The state of a store before a change, kept as a snapshot; see keep.h. */

#include "keep.h"

#include "snap/snap.h"

int keep_state_before(const struct change *c, const struct check_summary *before,
		      const char *command, char **id, struct vs_err *err)
{
	cleanup_(vs_freep) char *verdict = vs_strdup(verdict_name(before->verdict));
	cleanup_(vs_freep) char *loadable = vs_strdup(loadable_name(before->loadable));
	cleanup_(vs_freep) char *level = vs_strdup("full");
	const struct snap_health health = {
		.verdict = verdict,
		.loadable = loadable,
		.level = level,
		.errors = before->errors,
		.warnings = before->warnings,
	};
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(buf_fini) struct buf reason = { 0 };
	struct snap_create_request req = {
		.tool_version = VSCTL_VERSION,
		.health = &health,
		.jobs = app_jobs(c->app),
		.clock = c->app->clock,
		.seen = file_known_seen(session_known(c->session)),
	};
	int r;

	buf_printf(&reason, SNAP_REASON_BEFORE "%s", command);
	req.reason = buf_cstr(&reason);
	r = snap_create(session_state_dirfd(c->session), c->store, &req, &m, err);
	if (r < 0)
		return vs_err_in(err, "the state before could not be kept");
	*id = vs_strdup(m->id);
	return 0;
}
