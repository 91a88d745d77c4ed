/* SPDX-License-Identifier: Apache-2.0 */

/* The tables of a new database, made by the migrations that a server of that release would run, so
 * that it finds its own. */

#include "chroma/chroma.h"

static int version_of(const struct chroma_versions *to, const char *dir)
{
	if (strcmp(dir, "sysdb") == 0)
		return to->sysdb;
	return strcmp(dir, "metadb") == 0 ? to->metadb : to->queue;
}

static int apply(struct chroma_edit *e, const struct chroma_migration *m, bool is_sha256,
		 struct vs_err *err)
{
	char hash[DIGEST_HEX_LEN + 1];
	struct digest digest;
	struct chroma_arg args[5] = { { .type = CHROMA_TEXT, .bytes = slice_str(m->dir) },
				      { .type = CHROMA_INTEGER, .integer = m->version },
				      { .type = CHROMA_TEXT, .bytes = slice_str(m->filename) },
				      { .type = CHROMA_TEXT, .bytes = slice_str(m->sql) } };
	int r = chroma_edit_exec(e, m->sql, err);

	if (r < 0)
		return vs_err_in(err, "%s %d", m->dir, m->version);
	md5_of(slice_str(m->sql), hash);
	if (is_sha256) {
		digest_of(slice_str(m->sql), &digest);
		digest_format(&digest, hash);
	}
	args[4] = (struct chroma_arg){ .type = CHROMA_TEXT, .bytes = slice_str(hash) };
	return chroma_edit_run(e, "INSERT INTO migrations VALUES(?, ?, ?, ?, ?)", args,
			       VS_COUNT(args), NULL, err);
}

void chroma_versions_known(struct chroma_versions *out)
{
	const struct chroma_migration *m;

	*out = (struct chroma_versions){ 0 };
	for (size_t i = 0; (m = chroma_migration_at(i)) != NULL; i++)
		if (strcmp(m->dir, "sysdb") == 0)
			out->sysdb = m->version;
		else if (strcmp(m->dir, "metadb") == 0)
			out->metadb = m->version;
		else
			out->queue = m->version;
}

int chroma_edit_migrate(struct chroma_edit *e, const struct chroma_versions *to, bool is_sha256,
			struct vs_err *err)
{
	const struct chroma_migration *m;
	int r = chroma_edit_exec(
		e,
		"CREATE TABLE migrations (dir TEXT NOT NULL, version INTEGER NOT NULL, "
		"filename TEXT NOT NULL, sql TEXT NOT NULL, hash TEXT NOT NULL, "
		"PRIMARY KEY (dir, version));"
		"CREATE TABLE acquire_write (id INTEGER PRIMARY KEY, "
		"lock_status INTEGER NOT NULL);",
		err);

	for (size_t i = 0; r == 0 && (m = chroma_migration_at(i)) != NULL; i++)
		if (m->version <= version_of(to, m->dir))
			r = apply(e, m, is_sha256, err);
	return r;
}
