/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl lookup`: from a collection's directory to its name, and from a name to its directory. */

#include "lookup.h"

static const struct opt options[] = {
	OPT_DIR("store", 's', struct lookup_opts, store, "DIR",
		"take names from this store: its collections, documents and backups"),
	OPT_DIR("state", 0, struct lookup_opts, state, "DIR",
		"where backups and remembered names are kept; default: STORE.vsctl"),
	OPT_FILE("names", 0, struct lookup_opts, names, "FILE",
		 "try the names in FILE, one a line; - is the standard input"),
	OPT_FLAG("rules", 0, struct lookup_opts, rules,
		 "try each of --names with every kind of record at its end as well"),
	OPT_TEXT("mask", 0, struct lookup_opts, mask, "MASK",
		 "try every name of a mask: ?l a-z, ?u A-Z, ?d 0-9, ?h 0-9a-f, ?H 0-9A-F, ?s "
		 "signs, ?a letters, digits and signs, ?b any byte, ?? a question mark"),
	OPT_TEXT("custom-charset1", '1', struct lookup_opts, custom[0], "SET",
		 "what ?1 stands for in the mask, such as ?d_-"),
	OPT_TEXT("custom-charset2", '2', struct lookup_opts, custom[1], "SET", "and ?2"),
	OPT_TEXT("custom-charset3", '3', struct lookup_opts, custom[2], "SET", "and ?3"),
	OPT_TEXT("custom-charset4", '4', struct lookup_opts, custom[3], "SET", "and ?4"),
	OPT_FLAG("thorough", 0, struct lookup_opts, thorough,
		 "go through every source although a name was found"),
	OPT_FLAG("of", 0, struct lookup_opts, of, "print the directory name of each NAME"),
	OPT_END,
};

static const struct emit_field fields[] = {
	{ .key = "hash", .heading = "directory" },
	{ .key = "name", .heading = "name" },
	{ 0 },
};

static int directories_of(struct app *app, char *const *operands)
{
	struct emit *e = &app->emit;

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

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct lookup_opts *opts = opts_;

	if (!opts->of)
		return lookup_search(app, opts, operands);
	if (opts->names || opts->mask || opts->store)
		return app_usage(app, "--of computes; --store, --names and --mask are for the way "
				      "back");
	return directories_of(app, operands);
}

static const struct example examples[] = {
	{ "vsctl lookup e9f85bf6", "contextd_memories: found without a hint" },
	{ "vsctl lookup 9e82ffe1 --store /var/lib/app/vectorstore",
	  "with the help of what is in the store" },
	{ "vsctl lookup 9e82ffe1 --names words.txt --rules",
	  "words of your own, and names made of them" },
	{ "vsctl lookup 9e82ffe1 --mask '?l?l?l?l_memories'", "every name of this form" },
	{ "vsctl lookup --of contextd_memories", "e9f85bf6: the directory of this collection" },
	{ NULL, NULL },
};

const struct command cmd_lookup = {
	.name = "lookup",
	.operands = "HASH...",
	.summary = "find the name behind a collection's directory",
	.details =
		"A chromem store keeps each collection in a directory that is named after the first "
		"four bytes of the SHA-256 of the collection's name. The name itself stands in one "
		"small file only; when that is lost, the directory still tells a right guess from a "
		"wrong one.\n\n"
		"Names come from the most trusted sources first: metadata backups, logs and names "
		"remembered from earlier runs; other collections' names, whole and recombined; what "
		"the documents say; naming rules and common names; word lists; masks. A name is shown "
		"only when its hash is the directory, with the evidence for it and with the number "
		"of names tried: among that many, one in 2^32 fits by chance.\n\n"
		"The exit status is 0 when exactly one name is certain for each HASH, else 4.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct lookup_opts),
	.run = run,
};
