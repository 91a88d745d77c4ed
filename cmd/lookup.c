/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl lookup`: from a collection's name to its directory. */

#include "cmd.h"

#include "lookup/lookup.h"

struct lookup_opts {
	bool of;
};

static const struct opt options[] = {
	OPT_FLAG("of", 0, struct lookup_opts, of, "print the directory name of each NAME"),
	OPT_END,
};

static const struct emit_field fields[] = {
	{ .key = "hash", .heading = "directory" },
	{ .key = "name", .heading = "name" },
	{ 0 },
};

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct lookup_opts *opts = opts_;
	struct emit *e = &app->emit;

	if (!opts->of)
		return app_usage(app, "say what to look up: vsctl lookup --of NAME");

	emit_document(e, app->command_words);
	emit_json_null(e, "store");
	emit_table(e, "names", fields);
	for (; *operands; operands++) {
		struct slice name = slice_str(*operands);
		uint32_t hash;
		char directory[9];

		hash_names(HASH_AUTO, &name, 1, &hash);
		snprintf(directory, sizeof(directory), "%08" PRIx32, hash);
		emit_str(e, directory);
		emit_text(e, *operands);
	}
	emit_table_end(e);
	emit_document_end(e);
	return EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl lookup --of contextd_memories", "e9f85bf6: the directory of this collection" },
	{ NULL, NULL },
};

const struct command cmd_lookup = {
	.name = "lookup",
	.operands = "NAME...",
	.summary = "tell which directory belongs to a collection's name",
	.details =
		"A chromem store keeps each collection in a directory that is named after the first "
		"four bytes of the SHA-256 of the collection's name.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct lookup_opts),
	.run = run,
};
