/* SPDX-License-Identifier: Apache-2.0 */

/* The run that is under way, written down for whoever comes after a guard that was killed. */

#include "guard/guard.h"

#include "file/file.h"

#define RECORD_NAME "run.json"
#define RECORD_KIND "vsctl-guard"

void guard_record_fini(struct guard_record *rec)
{
	free(rec->snapshot);
	free(rec->store);
	free(rec->command);
	*rec = (struct guard_record){ 0 };
}

int guard_record_load(int dirfd, struct guard_record *out, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	const char *snapshot, *store, *command;
	int64_t time_ns;
	int r;

	r = file_read_record_at(dirfd, RECORD_NAME, RECORD_KIND, &doc, err);
	if (r != 0)
		return r;
	if (!jr_get_str(doc, "snapshot", &snapshot) || !jr_get_str(doc, "store", &store) ||
	    !jr_get_str(doc, "command", &command) || !jr_get_int(doc, "time_ns", &time_ns))
		return vs_fail(err, VS_EFORMAT, "%s is not the record of a guarded run",
			       RECORD_NAME);
	*out = (struct guard_record){ .snapshot = vs_strdup(snapshot),
				      .store = vs_strdup(store),
				      .command = vs_strdup(command),
				      .time_ns = time_ns };
	return 0;
}

int guard_record_save(int dirfd, const struct guard_record *rec, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct jw j;

	jw_init(&j, &text);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "kind", RECORD_KIND);
	jw_str_field(&j, "snapshot", rec->snapshot);
	jw_str_field(&j, "store", rec->store);
	jw_str_field(&j, "command", rec->command);
	jw_key(&j, "time_ns");
	jw_int(&j, rec->time_ns);
	jw_object_end(&j);
	buf_append_byte(&text, '\n');
	return file_replace_at(dirfd, RECORD_NAME, 0600, buf_slice(&text), err);
}

int guard_record_remove(int dirfd, struct vs_err *err)
{
	int r = file_unlink_at(dirfd, RECORD_NAME, err);

	if (r == VS_ENOENT) {
		*err = (struct vs_err){ 0 };
		return 0;
	}
	return r;
}
