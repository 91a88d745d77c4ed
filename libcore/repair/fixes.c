/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From findings to a plan: everything that has one safe answer. What each problem's answer is
 * stands in the problem table; here it is turned into actions. A file with several problems gets
 * one action, the most far-reaching.
 */

#include "chromem/chromem.h"
#include "repair/chroma-private.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* One finding, kept. */
struct fault_item {
	enum problem code;
	char *collection;
	char *path;
	char *message;
	char *fix; /* the command that a person may give; NULL */
	char *expected;
	char *actual;
	bool is_planned;
};

struct fault_list {
	struct fault_item *items;
	size_t count, cap;
	const struct fixes_request *req;
	bool is_gzip;
};

static void fault_list_fini(struct fault_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].collection);
		free(l->items[i].path);
		free(l->items[i].message);
		free(l->items[i].fix);
		free(l->items[i].expected);
		free(l->items[i].actual);
	}
	free(l->items);
}

static bool is_wanted(const struct fixes_request *req, const char *code)
{
	if (!req->only)
		return true;
	for (const char *const *want = req->only; *want; want++) {
		if (strcmp(*want, code) == 0)
			return true;
	}
	return false;
}

static void keep_finding(void *ctx, const struct finding *f)
{
	const struct problem_row *row = problem_row(f->code);
	struct fault_list *l = ctx;
	struct buf message = { 0 };
	struct buf fix = { 0 };

	/* What is only worth knowing is mended when it is named. */
	if (!is_wanted(l->req, row->code) || (row->severity == SEV_INFO && !l->req->only))
		return;
	finding_format_message(f, &message);
	(void)!finding_format_fix(f, &fix);
	l->items = vs_grow(l->items, &l->cap, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct fault_item){
		.code = f->code,
		.collection = f->collection ? vs_strdup(f->collection) : NULL,
		.path = vs_strdup(f->path ? f->path : "."),
		.message = buf_take_str(&message),
		.fix = fix.len > 0 ? buf_take_str(&fix) : NULL,
		.expected = f->expected ? vs_strdup(f->expected) : NULL,
		.actual = f->actual ? vs_strdup(f->actual) : NULL,
	};
}

static enum remedy remedy_of(const struct fault_item *item)
{
	return problem_row(item->code)->remedy;
}

static const char *code_of(const struct fault_item *item)
{
	return problem_row(item->code)->code;
}

/* The file's name behind "<collection>/". */
static const char *file_of(const struct fault_item *item)
{
	const char *slash = strchr(item->path, '/');

	return slash ? slash + 1 : NULL;
}

static bool same_collection(const struct fault_item *a, const struct fault_item *b)
{
	return a->collection && b->collection && strcmp(a->collection, b->collection) == 0;
}

/* Everything else that is wrong in a directory leaves the store with it. */
static void mark_collection(struct fault_list *l, const struct fault_item *of)
{
	for (size_t i = 0; i < l->count; i++) {
		if (same_collection(&l->items[i], of))
			l->items[i].is_planned = true;
	}
}

static int quarantine_whole(struct plan *plan, const struct store *store, struct fault_list *l,
			    struct fault_item *item, struct vs_err *err)
{
	struct quarantine_request req = {
		.collection = item->collection ? item->collection : item->path,
		.reason = code_of(item),
		.message = item->message,
		.time_ns = l->req->time_ns,
	};

	/* What cannot be moved into itself is left to a person. */
	if (!quarantine_takes(req.collection, false))
		return 0;
	mark_collection(l, item);
	item->is_planned = true;
	return plan_quarantine(plan, store, &req, err);
}

/* The name, if it can be told; else the collection goes aside so that the others load. */
static int recover_or_set_aside(struct plan *plan, const struct store *store, struct fault_list *l,
				struct fault_item *item, struct vs_err *err)
{
	cleanup_(vs_freep) char *name = NULL;
	cleanup_(vs_freep) char *evidence = NULL;
	struct recover_request req = {
		.collection = item->collection,
		.reason = code_of(item),
		.state_dirfd = l->req->state_dirfd,
		.time_ns = l->req->time_ns,
		.default_form = l->is_gzip ? CHROMEM_GZIP : CHROMEM_PLAIN,
	};
	int r = 0;

	if (l->req->find_name)
		r = l->req->find_name(l->req->find_name_ctx, item->collection, &name, &evidence,
				      err);
	if (r < 0)
		return r;
	if (r > 0) {
		item->is_planned = true;
		req.name = slice_str(name);
		req.evidence = evidence;
		return plan_recover(plan, store, &req, err);
	}
	if (problem_row(item->code)->effect >= EFFECT_REFUSED)
		return quarantine_whole(plan, store, l, item, err);
	return 0;
}

/* All files of one collection that go into quarantine share an item and a sidecar. */
static int quarantine_files(struct plan *plan, const struct store *store, struct fault_list *l,
			    size_t first, struct vs_err *err)
{
	cleanup_(vs_freep) struct quarantine_file *files =
		vs_alloc_array(l->count - first, sizeof(*files));
	struct quarantine_request req = {
		.collection = l->items[first].collection,
		.reason = "repair",
		.files = files,
		.time_ns = l->req->time_ns,
	};

	for (size_t i = first; i < l->count; i++) {
		struct fault_item *item = &l->items[i];
		const char *name = file_of(item);
		bool is_again = false;

		if (item->is_planned || !same_collection(item, &l->items[first]) ||
		    remedy_of(item) != REMEDY_QUARANTINE_DOCUMENT || !name)
			continue;
		item->is_planned = true;
		for (size_t k = 0; k < req.file_count && !is_again; k++)
			is_again = strcmp(files[k].name, name) == 0;
		if (!is_again)
			files[req.file_count++] = (struct quarantine_file){
				.name = name,
				.reason = code_of(item),
				.message = item->message,
				.is_document = true,
			};
	}
	return req.file_count > 0 ? plan_quarantine(plan, store, &req, err) : 0;
}

/* Is the file on its way out of its place already? */
static bool is_moved(const struct plan *plan, const char *path)
{
	return plan_has(plan, STEP_MOVE, path) || plan_has(plan, STEP_WRITE, path);
}

static int rename_document(struct plan *plan, const struct store *store, struct fault_item *item,
			   struct vs_err *err)
{
	cleanup_(buf_fini) struct buf to = { 0 };
	const char *file = file_of(item);
	bool is_gzip = file && slice_ends_with(slice_str(file), ".gz");
	struct digest ignored;
	struct action *a;
	int r;

	if (!file || !item->expected || strlen(item->expected) < CHROMEM_ID_LEN)
		return 0;
	buf_printf(&to, "%s/%.8s%s", item->collection, item->expected,
		   chromem_extension(is_gzip ? CHROMEM_GZIP : CHROMEM_PLAIN));
	r = journal_look(store->dirfd, buf_cstr(&to), &ignored, err);
	if (r < 0)
		return r;
	/* What is there may be on its way into quarantine. */
	if (r > 0 && !plan_has(plan, STEP_MOVE, buf_cstr(&to))) {
		item->is_planned = true;
		plan_leave(plan, code_of(item), item->path, "another document has that file name",
			   NULL);
		return 0;
	}
	a = plan_add(plan, STEP_MOVE, "rename-document", item->path, buf_cstr(&to));
	a->detail = vs_strdup("give the file the name that the hash of its id demands");
	a->reason = vs_strdup(code_of(item));
	a->collection = vs_strdup(item->collection);
	item->is_planned = true;
	return 0;
}

/* The whole document as it ought to be: 0 and unpacked in @gob, 1 when that cannot be told. */
static int mended_document(const struct fault_item *item, int dirfd, const char *file,
			   struct buf *gob, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct chromem_doc doc = { 0 };
	struct chromem_fault fault = { 0 };
	int r;

	r = file_read_at(dirfd, file, FILE_NO_FOLLOW, CHROMEM_FILE_MAX, &bytes, NULL, err);
	if (r != 0)
		return r;
	if (item->code == PROB_CHROMEM_DOCUMENT_FIELD_DAMAGED)
		return item->actual && item->expected
			       ? chromem_mend_field(reader, buf_slice(&bytes), item->actual,
						    item->expected, gob, err)
			       : 1;
	r = chromem_decode_doc(reader, buf_slice(&bytes), &doc, &fault, err);
	if (r != 0 || (doc.oddities & CHROMEM_ODD_UNKNOWN_FIELD) != 0)
		return r < 0 ? r : 1;
	if (item->code == PROB_CHROMEM_DOCUMENT_ID_DAMAGED && item->expected)
		doc.id = slice_str(item->expected);
	chromem_encode_doc(gob, &doc);
	return 0;
}

static const char *mending_text(enum problem code)
{
	if (code == PROB_CHROMEM_DOCUMENT_ID_DAMAGED)
		return "write the document again with the id that its file name proves";
	if (code == PROB_CHROMEM_DOCUMENT_FIELD_DAMAGED)
		return "write the document again with the field's name mended";
	return "write the document again as the library would";
}

/* Decode and encode again, with what one lost bit had changed given back. */
static int rewrite_document(struct plan *plan, const struct store *store, struct fault_item *item,
			    struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf gob = { 0 };
	const char *file = file_of(item);
	struct file_info info;
	struct action *a;
	bool is_gzip;
	int r;

	if (!file)
		return 0;
	r = file_open_dir(store->dirfd, item->collection, FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = file_stat_at(dirfd, file, FILE_NO_FOLLOW, &info, err);
	if (r == 0 && info.type != FILE_REGULAR)
		return 0;
	if (r == 0)
		r = mended_document(item, dirfd, file, &gob, err);
	if (r != 0)
		return r < 0 ? r : 0;
	is_gzip = slice_ends_with(slice_str(file), ".gz");
	a = plan_add(plan, STEP_WRITE, "rewrite-document", item->path, NULL);
	a->mode = info.mode;
	a->detail = vs_strdup(mending_text(item->code));
	a->reason = vs_strdup(code_of(item));
	a->collection = vs_strdup(item->collection);
	item->is_planned = true;
	return chromem_pack(is_gzip ? CHROMEM_GZIP : CHROMEM_PLAIN, buf_slice(&gob), &a->content,
			    err);
}

/* Where a file will be when the plan so far is done; NULL when it leaves the collections. */
static const char *place_of(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct action *a = &plan->actions[i];

		if (a->kind == STEP_MOVE && strcmp(a->path, path) == 0)
			return strncmp(a->to, QUARANTINE_DIR "/", strlen(QUARANTINE_DIR) + 1) == 0
				       ? NULL
				       : a->to;
	}
	return path;
}

static int fix_mode(struct plan *plan, const struct store *store, struct fault_item *item,
		    struct vs_err *err)
{
	struct file_info info;
	struct action *a;
	const char *path;
	uint32_t mode;
	int r;

	r = file_stat_at(store->dirfd, item->path, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r;
	if (geteuid() != 0 && info.owner != geteuid()) {
		item->is_planned = true;
		plan_leave(plan, code_of(item), item->path,
			   "it belongs to another user, who alone can change its mode", item->fix);
		return 0;
	}
	path = place_of(plan, item->path);
	if (!path) {
		item->is_planned = true;
		return 0;
	}
	mode = info.type == FILE_DIRECTORY ? (info.mode & 0770) | 0700 : (info.mode & 0664) | 0600;
	if (info.type != FILE_DIRECTORY && info.type != FILE_REGULAR)
		return 0;
	a = plan_add(plan, STEP_MODE, "set-mode", path, NULL);
	a->mode = mode;
	a->detail = vs_strdup("give it the mode that the library would have given it");
	a->reason = vs_strdup(code_of(item));
	a->collection = item->collection ? vs_strdup(item->collection) : NULL;
	item->is_planned = true;
	return 0;
}

/* One file or directory inside a collection, which no loader reads. */
static int set_leftover_aside(struct plan *plan, const struct store *store,
			      const struct fault_list *l, struct fault_item *item,
			      struct vs_err *err)
{
	struct quarantine_file file = { .name = file_of(item),
					.reason = code_of(item),
					.message = item->message };
	struct quarantine_request req = {
		.collection = item->collection,
		.reason = code_of(item),
		.message = item->message,
		.files = &file,
		.file_count = 1,
		.time_ns = l->req->time_ns,
	};

	if (!item->collection || !file.name || strchr(file.name, '/'))
		return 0;
	item->is_planned = true;
	return plan_quarantine(plan, store, &req, err);
}

/* An empty directory goes, a collection that is none is set aside whole. */
static int remove_leftover(struct plan *plan, const struct store *store, struct fault_list *l,
			   struct fault_item *item, struct vs_err *err)
{
	struct action *a;

	if (item->code == PROB_CHROMEM_METADATA_UNUSED)
		return quarantine_whole(plan, store, l, item, err);
	if (item->code != PROB_CHROMEM_COLLECTION_EMPTY)
		return set_leftover_aside(plan, store, l, item, err);
	a = plan_add(plan, STEP_RMDIR, "remove-empty-directory", item->path, NULL);
	a->detail = vs_strdup("remove the directory, which is empty");
	a->reason = vs_strdup(code_of(item));
	item->is_planned = true;
	return 0;
}

static int plan_one(struct plan *plan, const struct store *store, struct fault_list *l,
		    size_t index, struct vs_err *err)
{
	struct fault_item *item = &l->items[index];

	switch (remedy_of(item)) {
	case REMEDY_QUARANTINE_DOCUMENT:
		return quarantine_files(plan, store, l, index, err);
	case REMEDY_RENAME_DOCUMENT:
		return is_moved(plan, item->path) ? 0 : rename_document(plan, store, item, err);
	case REMEDY_REWRITE_DOCUMENT:
		return is_moved(plan, item->path) ? 0 : rewrite_document(plan, store, item, err);
	case REMEDY_FIX_MODE:
		return fix_mode(plan, store, item, err);
	case REMEDY_REMOVE_LEFTOVER:
		return remove_leftover(plan, store, l, item, err);
	case REMEDY_NONE:
	case REMEDY_RECOVER_METADATA:
	case REMEDY_QUARANTINE_COLLECTION:
	case REMEDY_BY_HAND:
	case REMEDY_REBUILD_INDEX:
	case REMEDY_CORRECT_DATABASE:
	case REMEDY_ORPHANS_ASIDE:
	case REMEDY_ROWS_ASIDE:
	case REMEDY_REBUILD_FULLTEXT:
		break;
	}
	return 0;
}

/* Directories first, since what happens to one settles all that is wrong inside it; then files,
 * gravest remedy first. */
static int plan_all(struct plan *plan, const struct store *store, struct fault_list *l,
		    struct vs_err *err)
{
	static const enum remedy order[] = { REMEDY_QUARANTINE_DOCUMENT, REMEDY_REWRITE_DOCUMENT,
					     REMEDY_RENAME_DOCUMENT, REMEDY_FIX_MODE,
					     REMEDY_REMOVE_LEFTOVER };
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		if (!l->items[i].is_planned &&
		    remedy_of(&l->items[i]) == REMEDY_QUARANTINE_COLLECTION)
			r = quarantine_whole(plan, store, l, &l->items[i], err);
	}
	for (size_t i = 0; r == 0 && i < l->count; i++) {
		if (!l->items[i].is_planned && remedy_of(&l->items[i]) == REMEDY_RECOVER_METADATA)
			r = recover_or_set_aside(plan, store, l, &l->items[i], err);
	}
	for (size_t k = 0; r == 0 && k < VS_COUNT(order); k++) {
		for (size_t i = 0; r == 0 && i < l->count; i++) {
			if (!l->items[i].is_planned && remedy_of(&l->items[i]) == order[k])
				r = plan_one(plan, store, l, i, err);
		}
	}
	return r;
}

static void leave_rest(struct plan *plan, const struct fault_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct fault_item *item = &l->items[i];

		if (!item->is_planned && !is_moved(plan, item->path))
			plan_leave(plan, code_of(item), item->path,
				   "there is more than one answer, or none that is safe",
				   item->fix);
	}
}

int plan_fixes(struct plan *plan, const struct store *store, const struct check_request *check,
	       const struct fixes_request *req, struct vs_err *err)
{
	cleanup_(fault_list_fini) struct fault_list l = { .req = req };
	struct check_summary sum = { 0 };
	const struct check_sink sink = { .ctx = &l, .finding = keep_finding };
	struct check_request whole = *check;
	int r;

	if (store->kind == STORE_CHROMA)
		return plan_chroma_fixes(plan, store, check, req, err);
	whole.level = VS_MAX(check->level, CHECK_FULL);
	whole.max_findings = 0;
	r = check_store(store, &whole, &sink, &sum, err);
	if (r < 0)
		return r;
	l.is_gzip = sum.compression && strcmp(sum.compression, "gzip") == 0;
	r = plan_all(plan, store, &l, err);
	if (r < 0)
		return r;
	leave_rest(plan, &l);
	return plan_stamp(plan, store->dirfd, err);
}
