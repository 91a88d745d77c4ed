/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl inspect`: what a store holds. */

#include "inspect.h"
#include "shown.h"

#include "key.h"

static const struct opt options[] = {
	OPT_FLAG("vector", 0, struct inspect_opts, vector, "print the vector of the document"),
	OPT_FLAG(
		"timeline", 0, struct inspect_opts, timeline,
		"show when collections were made and written, and since when metadata are missing"),
	OPT_FILE("key-file", 0, struct inspect_opts, key_file, "FILE",
		 "the 32 bytes of the key of an encrypted export"),
	OPT_END,
};

void inspect_begin(struct inspect *in)
{
	struct emit *e = &in->app->emit;

	emit_document(e, in->app->command_words);
	emit_store_begin(e, in->store->path, store_kind_name(in->store->kind));
	if (in->form.plain + in->form.gzip > 0)
		emit_json_str(e, "compression", chromem_compression_name(in->form.compression));
	else
		emit_json_null(e, "compression");
	emit_object_end(e);
}

static int inspect_directory(struct inspect *in)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(in->app));
	cleanup_(vs_freep) char *dir = NULL;
	struct vs_err err = { 0 };

	if (chromem_detect_form(in->store->dirfd, &in->form, &err) < 0)
		return app_error(in->app, &err);
	if (!in->collection)
		return in->opts->timeline ? inspect_timeline(in, NULL) : inspect_collections(in);
	if (chromem_find_collection(in->store->dirfd, in->form.compression, in->collection, pool,
				    &dir, &err) < 0)
		return app_error(in->app, &err);
	if (in->opts->timeline)
		return inspect_timeline(in, dir);
	return in->document ? inspect_document(in, dir) : inspect_documents(in, dir);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct inspect_opts *opts = opts_;
	cleanup_(store_closep) struct store *store = NULL;
	struct inspect in = { .app = app, .opts = opts, .collection = operands[1] };
	unsigned char key[CHROMEM_KEY_LEN];
	struct vs_err err = { 0 };

	in.document = operands[1] ? operands[2] : NULL;
	if (opts->timeline && in.document)
		return app_usage(app, "--timeline is about collections; name no document with it");
	if (opts->key_file) {
		if (key_load(opts->key_file, key, &err) < 0)
			return app_error(app, &err);
		in.key = key;
	}
	if (store_open(&store, operands[0], in.key ? STORE_HAS_KEY : 0, &err) < 0)
		return app_error(app, &err);
	in.store = store;
	switch (store->kind) {
	case STORE_CHROMEM:
		return inspect_directory(&in);
	case STORE_CHROMEM_EXPORT:
		if (opts->timeline)
			return app_usage(
				app, "--timeline needs the files of a store; an export has none");
		return inspect_export(&in);
	case STORE_CHROMA:
		if (opts->timeline)
			return app_usage(
				app,
				"--timeline needs a file per document; a Chroma store has none");
		return inspect_chroma(&in);
	}
	return EXIT_OPERATIONAL;
}

static const struct example examples[] = {
	{ "vsctl inspect /var/lib/app/vectorstore", "the collections of a store" },
	{ "vsctl inspect /var/lib/app/vectorstore contextd_memories",
	  "the documents of a collection, by its name" },
	{ "vsctl inspect /var/lib/app/vectorstore e9f85bf6", "the same, by its directory" },
	{ "vsctl inspect --vector /var/lib/app/vectorstore e9f85bf6 mem-17",
	  "one document whole, by its id or its file" },
	{ "vsctl inspect --timeline /var/lib/app/vectorstore e9f85bf6",
	  "when its documents were written, and since when its metadata are missing" },
	{ "vsctl inspect --vector /var/lib/chroma docs doc-9",
	  "a record of a ChromaDB store, with its vector" },
	{ NULL, NULL },
};

const struct command cmd_inspect = {
	.name = "inspect",
	.operands = "STORE [COLLECTION [DOCUMENT]]",
	.summary = "show what a store holds",
	.details =
		"Reads the store, or an export file of one, and changes nothing. Damaged collections are shown "
		"as far as they can be read: documents need no metadata file. The exit status is 4 when "
		"something that was to be shown could not be decoded.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct inspect_opts),
	.run = run,
};
