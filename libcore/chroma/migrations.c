/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The table of migrations: which steps a store's tables have been through. A server compares number,
 * digest and text of each with its own and does not start when one differs; 1.0 does not start on
 * one that it does not know either. The digest is the MD5 of the text, or by configuration its
 * SHA-256, which its length tells.
 */

#include "chroma/chroma.h"

struct released {
	const char *dir;
	int version;
	const char *md5;
};

/* As the releases 0.4.0 to 1.5 carry them. */
static const struct released releases[] = {
	{ "embeddings_queue", 1, "d3755dfd232be8e8301f4d7fcfb3a486" },
	{ "embeddings_queue", 2, "8fbfe4ffb3e57f1d8bfdc58510a82e85" },
	{ "metadb", 1, "2b4cf52c4bb2676e21d6860a4409f856" },
	{ "metadb", 2, "12a570f7121b3a8ce750a2a7c36da20f" },
	{ "metadb", 3, "f97ad6334aeaa8f419f01110b648b97a" },
	{ "metadb", 4, "fb36603a45ee2cd0254cef3ef86585e8" },
	{ "metadb", 5, "0e9de46758761b373ce682925edcc326" },
	{ "metadb", 6, "e026f01ea92c1baa1493f4ad5ca7cfe7" },
	{ "sysdb", 1, "38352d725ad1c16074fac420b22b4633" },
	{ "sysdb", 2, "2913cb6a503055a95f625448037e8912" },
	{ "sysdb", 3, "42d22d0574d31d419c2a0e7f625c93aa" },
	{ "sysdb", 4, "048867ce8fcdefe4023c7110e4433591" },
	{ "sysdb", 5, "b1367c826b8fba5f96f27befdc1d42d2" },
	{ "sysdb", 6, "4eea7468935bf25d4604a0fed2366116" },
	{ "sysdb", 7, "1c7e63bba346a42a18b6ab7f1c989bed" },
	{ "sysdb", 8, "0a0e7e93111a01789addf64961c6127c" },
	{ "sysdb", 9, "054355aef9e63702bf54ea29e61563f1" },
	{ "sysdb", 10, "5c3a5ac4b79df76799b4721827ed5e1d" },
};

struct checking {
	void (*fn)(void *ctx, enum chroma_migration_fault fault, const char *dir, int64_t version);
	void *ctx;
	char dir[64];
	int64_t last;
};

static const struct released *find_released(const char *dir, int64_t version)
{
	for (size_t i = 0; i < VS_COUNT(releases); i++) {
		if (strcmp(releases[i].dir, dir) == 0 && releases[i].version == version)
			return &releases[i];
	}
	return NULL;
}

/* Do text and digest fit each other, and are they what was released? */
static bool is_as_released(const struct released *known, struct slice sql, struct slice hash)
{
	char md5[MD5_HEX_LEN + 1], sha256[DIGEST_HEX_LEN + 1];
	struct digest digest;

	md5_of(sql, md5);
	if (strcmp(md5, known->md5) != 0)
		return false;
	if (hash.len == MD5_HEX_LEN)
		return slice_eq_str(hash, md5);
	digest_of(sql, &digest);
	digest_format(&digest, sha256);
	return slice_eq_str(hash, sha256);
}

/* dir, version, sql, hash; in order */
static int check_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct checking *c = ctx;
	cleanup_(vs_freep) char *dir = vs_strndup(chroma_bytes(row, 0));
	int64_t version = chroma_int(row, 1);
	const struct released *known = find_released(dir, version);

	(void)err;
	if (strncmp(dir, c->dir, sizeof(c->dir) - 1) != 0) {
		snprintf(c->dir, sizeof(c->dir), "%s", dir);
		c->last = 0;
	}
	if (version != c->last + 1)
		c->fn(c->ctx, CHROMA_MIGRATION_GAP, dir, c->last + 1);
	c->last = version;
	if (!known)
		c->fn(c->ctx, CHROMA_MIGRATION_NEWER, dir, version);
	else if (!is_as_released(known, chroma_bytes(row, 2), chroma_bytes(row, 3)))
		c->fn(c->ctx, CHROMA_MIGRATION_CHANGED, dir, version);
	return 0;
}

int chroma_migrations_check(struct chroma_db *db,
			    void (*fn)(void *ctx, enum chroma_migration_fault fault,
				       const char *dir, int64_t version),
			    void *ctx, struct vs_err *err)
{
	struct checking c = { .fn = fn, .ctx = ctx };

	return chroma_query(db,
			    "SELECT dir, version, sql, hash FROM migrations ORDER BY dir, version",
			    NULL, check_row, &c, err);
}
