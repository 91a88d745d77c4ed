/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A metadata file written anew: the few bytes whose loss keeps a whole store from loading.
 *
 * The result is what the library writes for a fresh collection of that name, in the compression of
 * the documents beside it. Whatever stood in its place goes into quarantine first, since it may be
 * a document whose id hashes to 00000000.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* As long as the names that are looked for. */
#define RECOVER_NAME_MAX ((size_t)64 << 10)

/* How many documents of each form a directory holds, and the mode of one of them. */
struct siblings {
	int dirfd;
	uint64_t plain, gzip;
	uint32_t mode;
};

static int count_sibling(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct siblings *s = ctx;
	struct slice text = slice_str(name);
	struct file_info info;

	if (type == FILE_DIRECTORY || strncmp(name, "00000000.", 9) == 0)
		return 0;
	if (slice_ends_with(text, ".gob"))
		s->plain++;
	else if (slice_ends_with(text, ".gob.gz"))
		s->gzip++;
	else
		return 0;
	if (s->mode == 0 && file_stat_at(s->dirfd, name, FILE_NO_FOLLOW, &info, err) == 0 &&
	    info.type == FILE_REGULAR)
		s->mode = info.mode & 0666;
	return 0;
}

static int check_name(const struct recover_request *req, struct vs_err *err)
{
	char want[CHROMEM_ID_LEN + 1];
	uint32_t hash;

	if (req->name.len == 0)
		return vs_fail(err, VS_EUSAGE, "a collection without a name will not load");
	if (req->name.len > RECOVER_NAME_MAX)
		return vs_fail(err, VS_EUSAGE,
			       "a name of %zu bytes: no collection has one of more than %zu",
			       req->name.len, RECOVER_NAME_MAX);
	if (req->force_name)
		return 0;
	chromem_hash_format(chromem_hash(req->name), want);
	if (!names_hash_of(req->collection, &hash) || hash != chromem_hash(req->name))
		return vs_fail(
			err, VS_EUSAGE,
			"the name hashes to %s, not to %s; give --force-name to use it all the same",
			want, req->collection);
	return 0;
}

/*
 * A document in the place of the metadata: its id hashes to 00000000, or somebody put it there. In
 * the second case it has a place of its own. *@proper is its path; *@is_document stays false when
 * the file holds none.
 */
static int holds_document(const char *collection, int dirfd, const char *file, struct buf *proper,
			  bool *is_document, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc = { 0 };
	char hash[CHROMEM_ID_LEN + 1];
	int r;

	r = chromem_reader_doc(reader, dirfd, file, &doc, &fault, err);
	*is_document = r == 0 && doc.id.len > 0;
	if (!*is_document)
		return VS_MIN(r, 0);
	chromem_hash_format(chromem_hash(doc.id), hash);
	buf_printf(proper, "%s/%s%s", collection, hash, strchr(file, '.'));
	return 0;
}

/* Give such a document its own place, if that is free. Returns 1 when it was planned. */
static int plan_give_place(struct plan *plan, const struct store *store,
			   const struct recover_request *req, const char *from,
			   struct quarantine_file *file, struct buf *proper, struct vs_err *err)
{
	struct digest mine, theirs;
	struct action *a;
	int r;

	r = journal_look(store->dirfd, from, &mine, err);
	if (r > 0)
		r = journal_look(store->dirfd, buf_cstr(proper), &theirs, err);
	if (r < 0)
		return r;
	if (r > 0) {
		file->has_copy = strcmp(from, buf_cstr(proper)) != 0 &&
				 memcmp(mine.bytes, theirs.bytes, DIGEST_LEN) == 0;
		return 0;
	}
	a = plan_add(plan, STEP_MOVE, "rename-document", from, buf_cstr(proper));
	a->detail = vs_strdup("give the document the file name that the hash of its id demands");
	a->reason = req->reason ? vs_strdup(req->reason) : NULL;
	a->collection = vs_strdup(req->collection);
	return 1;
}

/* Set aside what stands where the metadata go: a damaged file, a document, a directory, a link. */
static int plan_set_aside(struct plan *plan, const struct store *store,
			  const struct recover_request *req, int dirfd, const char *file,
			  struct vs_err *err)
{
	struct quarantine_file old = { .name = file,
				       .reason = req->reason,
				       .message = "replaced by recovered metadata" };
	struct quarantine_request quarantine = {
		.collection = req->collection,
		.reason = req->reason,
		.message = "the metadata file was replaced",
		.files = &old,
		.file_count = 1,
		.time_ns = req->time_ns,
	};
	cleanup_(buf_fini) struct buf from = { 0 };
	cleanup_(buf_fini) struct buf proper = { 0 };
	struct file_info info;
	struct vs_err absent = { 0 };
	int r;

	r = file_stat_at(dirfd, file, FILE_NO_FOLLOW, &info, &absent);
	if (r == VS_ENOENT)
		return 0;
	if (r < 0)
		return vs_fail(err, absent.status, "%s", absent.text);
	/* An item of the quarantine keeps its damaged file beside the new one, out of the way. */
	if (strncmp(req->collection, QUARANTINE_DIR "/", strlen(QUARANTINE_DIR) + 1) == 0) {
		cleanup_(buf_fini) struct buf to = { 0 };

		buf_printf(&from, "%s/%s", req->collection, file);
		buf_printf(&to, "%s/%s.replaced", req->collection, file);
		plan_add(plan, STEP_MOVE, "set-aside", buf_cstr(&from), buf_cstr(&to))->detail =
			vs_strdup("keep the damaged metadata file under another name");
		return 0;
	}
	buf_printf(&from, "%s/%s", req->collection, file);
	if (info.type == FILE_REGULAR)
		r = holds_document(req->collection, dirfd, file, &proper, &old.is_document, err);
	if (r == 0 && old.is_document)
		r = plan_give_place(plan, store, req, buf_cstr(&from), &old, &proper, err);
	if (r != 0)
		return VS_MIN(r, 0);
	return plan_quarantine(plan, store, &quarantine, err);
}

int plan_recover(struct plan *plan, const struct store *store, const struct recover_request *req,
		 struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(meta_map_fini) struct meta_map map = { 0 };
	struct siblings siblings = { 0 };
	enum chromem_compression form;
	char file[32];
	struct action *a;
	int r;

	r = check_name(req, err);
	if (r == 0)
		r = file_open_dir(store->dirfd, req->collection, FILE_NO_FOLLOW, &dirfd, err);
	if (r < 0)
		return r;
	siblings.dirfd = dirfd;
	r = file_list(dirfd, count_sibling, &siblings, err);
	if (r < 0)
		return r;
	form = siblings.plain + siblings.gzip > 0
		       ? (siblings.gzip > siblings.plain ? CHROMEM_GZIP : CHROMEM_PLAIN)
		       : req->default_form;
	snprintf(file, sizeof(file), "00000000%s", chromem_extension(form));
	r = meta_map_find(&map, store, req, dirfd, file, err);
	if (r == 0)
		r = plan_set_aside(plan, store, req, dirfd, file, err);
	if (r < 0)
		return r;
	buf_printf(&path, "%s/%s", req->collection, file);
	a = plan_add(plan, STEP_WRITE, "write-metadata", buf_cstr(&path), NULL);
	a->mode = siblings.mode != 0 ? siblings.mode : 0644;
	a->reason = req->reason ? vs_strdup(req->reason) : NULL;
	a->collection = vs_strdup(req->collection);
	chromem_encode_meta(&gob, req->name, map.pairs, map.count);
	r = chromem_pack(form, buf_slice(&gob), &a->content, err);
	if (r < 0)
		return r;
	buf_append_str(&detail, "write metadata with the name ");
	text_escape(&detail, req->name);
	if (req->evidence)
		buf_printf(&detail, " (%s)", req->evidence);
	if (map.count > 0)
		buf_printf(&detail, " and the metadata map of %s", map.from);
	a->detail = buf_take_str(&detail);
	return 0;
}
