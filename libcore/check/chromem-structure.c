/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Structure: what the entries of the store and of its collections are, from their names and types.
 *
 * The library takes every directory for a collection and every name that ends in the extension for
 * a document, and passes over all else in silence. So a file that it ignores is worth a word at
 * most, and a directory that it does not ignore may refuse the whole store.
 */

#include "check/chromem-run.h"

#define QUARANTINE_DIR ".quarantine"

/* Names that writers give to files before they are whole. */
static bool is_temporary(const char *name)
{
	const char *tmp = strstr(name, ".tmp");
	size_t len = strlen(name);

	if (tmp && (tmp[4] == '\0' || tmp[4] == '-' || tmp[4] == '.' || tmp[4] == '_'))
		return true;
	if (len > 5 && strcmp(name + len - 5, ".temp") == 0)
		return true;
	/* mkstemp() and its like: "tmp" and a random word. */
	return strncmp(name, "tmp", 3) == 0 && len >= 9 &&
	       strspn(name + 3,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == len - 3;
}

static enum problem stray_file(const char *name)
{
	return is_temporary(name) ? PROB_CHROMEM_LEFTOVER_TEMPORARY : PROB_CHROMEM_STRAY_FILE;
}

/* ---- the store's own entries ---- */

static int directory_unreadable(struct chromem_run *run, const char *name,
				const struct chromem_fault *fault)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_UNREADABLE,
			     .collection = name,
			     .detail = fault->detail };
	char text[LOADER_TEXT_CAP], system[80];

	if (fault->kind == CHROMEM_FAULT_VANISHED)
		return 0;
	loader_errno_text(fault->sysno, system, sizeof(system));
	snprintf(text, sizeof(text), "couldn't read collection directory: open ${STORE}/%.256s: %s",
		 name, system);
	f.loader_text = text;
	/* Directories come in the order in which the library reads them. */
	if (!run->refusal.is_set)
		refusal_note(&run->refusal, 0, text);
	run_gap(run, name, "the directory", "it cannot be read", false);
	record_report(run, run_record_new(run, name), &f);
	return 0;
}

static int structure_entry(struct chromem_run *run, const char *name, enum file_type type,
			   const struct chromem_fault *fault, struct vs_err *err)
{
	struct finding f = { .code = stray_file(name) };
	uint32_t hash;

	(void)err;
	if (fault)
		return directory_unreadable(run, name, fault);
	if (type == FILE_SYMLINK && chromem_hash_parse(slice_str(name), &hash)) {
		f.code = PROB_CHROMEM_COLLECTION_SYMLINK;
		f.collection = name;
	}
	run_report(run, name, &f);
	return 0;
}

/* ---- what a directory is ---- */

static void report_stray_collection(struct chromem_run *run, struct part *part)
{
	struct finding f = { .code = PROB_CHROMEM_STRAY_COLLECTION,
			     .has_count = true,
			     .count = part->record->documents };
	char text[LOADER_TEXT_CAP];

	refuse_nameless(part, text, &f);
	part_report(run, part, NULL, &f);
}

static void report_quarantine(struct chromem_run *run, struct part *part)
{
	struct finding f = { .code = PROB_CHROMEM_STORE_QUARANTINE, .has_count = true };
	const struct chromem_list *list = part->c->list;

	for (size_t i = 0; i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		f.count += entry.type == FILE_DIRECTORY;
	}
	if (f.count > 0)
		run_report(run, part->c->dir, &f);
}

/* A directory that is no collection: perhaps a store of its own, or the way to one. */
static int report_ignored(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_STORE_NESTED };
	cleanup_(buf_fini) struct buf path = { 0 };
	char **nested = NULL;
	size_t count = 0;
	int r;

	buf_printf(&path, "%s/%s", run->store->path, part->c->dir);
	r = store_find_nested(buf_cstr(&path), &nested, &count, err);
	if (r < 0 && err->status != VS_EACCES && err->status != VS_ENOENT)
		return r;
	if (r < 0 || count == 0) {
		f.code = PROB_CHROMEM_STRAY_DIRECTORY;
		run_report(run, part->c->dir, &f);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		buf_clear(&path);
		buf_append_str(&path, part->c->dir);
		if (strcmp(nested[i], ".") != 0)
			buf_printf(&path, "/%s", nested[i]);
		run_report(run, buf_cstr(&path), &f);
		free(nested[i]);
	}
	free(nested);
	return 0;
}

static void report_without_documents(struct chromem_run *run, struct part *part)
{
	bool has_name = part->c->meta && part->c->meta->name.len > 0;
	struct finding f = { .code = has_name ? PROB_CHROMEM_COLLECTION_NO_DOCUMENTS
					      : PROB_CHROMEM_COLLECTION_EMPTY };

	/* Files of the other setting are reported as such, and so are useless metadata. */
	if (has_name || (part->record->other_forms == 0 && part->metadata_index == SIZE_MAX))
		part_report(run, part, NULL, &f);
}

/* ---- entries of a collection ---- */

static void report_link(struct chromem_run *run, struct part *part, const char *name)
{
	char target[PATH_CAP];
	ssize_t len = readlinkat(part->c->dirfd, name, target, sizeof(target) - 1);
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_SYMLINK, .actual = target };
	struct file_info info;
	struct vs_err err = { 0 };

	/* One that leads nowhere is reported with what comes of reading it. */
	if (len < 0 || file_stat_at(part->c->dirfd, name, FILE_FOLLOW, &info, &err) < 0)
		return;
	target[len] = '\0';
	part_report(run, part, name, &f);
}

static void look_at_entry(struct chromem_run *run, struct part *part,
			  const struct chromem_entry *entry)
{
	bool is_directory = entry->type == FILE_DIRECTORY;
	bool is_document = entry->entry_class == CHROMEM_ENTRY_DOCUMENT;
	struct finding f = { 0 };

	if (entry->type == FILE_SYMLINK && entry->entry_class != CHROMEM_ENTRY_IGNORED) {
		report_link(run, part, entry->name);
		return;
	}
	if (is_directory && is_document)
		f.code = PROB_CHROMEM_DOCUMENT_IS_DIRECTORY;
	else if (is_directory && entry->entry_class == CHROMEM_ENTRY_IGNORED)
		f.code = PROB_CHROMEM_STRAY_DIRECTORY;
	else if (entry->entry_class == CHROMEM_ENTRY_IGNORED)
		f.code = stray_file(entry->name);
	else
		return;
	part_report(run, part, entry->name, &f);
}

static int structure_begin(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	const struct chromem_list *list = part->c->list;

	switch (part->kind) {
	case PART_IGNORED:
		return report_ignored(run, part, err);
	case PART_QUARANTINE:
		report_quarantine(run, part);
		return 0;
	case PART_STRAY_COLLECTION:
		report_stray_collection(run, part);
		if (strcmp(part->c->dir, QUARANTINE_DIR) == 0)
			report_quarantine(run, part);
		return 0;
	case PART_COLLECTION:
		break;
	}
	if (part->record->documents == 0)
		report_without_documents(run, part);
	for (size_t i = 0; i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (!entry.is_ordinary || entry.type != FILE_REGULAR)
			look_at_entry(run, part, &entry);
	}
	return 0;
}

/* ---- the two compression settings ---- */

static void report_wrong_form(struct chromem_run *run, uint64_t files)
{
	bool gzip = run->compression == CHROMEM_GZIP;
	struct finding f = { .code = PROB_CHROMEM_STORE_WRONG_FORM,
			     .has_count = true,
			     .count = files,
			     .expected = gzip ? "gzip" : "none",
			     .actual = gzip ? "none" : "gzip" };

	run_report(run, ".", &f);
}

static int structure_finish(struct chromem_run *run, struct vs_err *err)
{
	enum chromem_compression other =
		run->compression == CHROMEM_GZIP ? CHROMEM_PLAIN : CHROMEM_GZIP;
	uint64_t own = 0, others = 0;

	(void)err;
	for (size_t i = 0; i < run->record_count; i++) {
		own += run->records[i]->own_forms;
		others += run->records[i]->other_forms;
	}
	if (own == 0 && others > 0 && run->req->has_compression && !run->only) {
		report_wrong_form(run, others);
		return 0;
	}
	for (size_t i = 0; i < run->record_count; i++) {
		struct record *record = run->records[i];
		struct finding f = { .code = PROB_CHROMEM_COLLECTION_MIXED_FORMS,
				     .has_count = true,
				     .count = record->other_forms,
				     .other = chromem_extension(other) };

		if (record->other_forms > 0)
			record_report(run, record, &f);
	}
	return 0;
}

const struct chromem_check chromem_structure = {
	.entry = structure_entry,
	.begin = structure_begin,
	.finish = structure_finish,
};
