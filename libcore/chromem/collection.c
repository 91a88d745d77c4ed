/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opening a collection. What is wrong with a directory is the store's fault and goes into a
 * struct chromem_fault; what this process lacks (memory, descriptors) is an error.
 */

#include "chromem/collection.h"
#include "chromem/read.h"

/* ---- faults ---- */

/* Would another process, or this one a little later, have been refused as well? */
static bool is_our_shortage(const struct vs_err *err)
{
	return err->status == VS_ENOMEM || err->sysno == EMFILE || err->sysno == ENFILE ||
	       err->sysno == ENOMEM;
}

static const char *reason(const struct vs_err *err, char *scratch, size_t len)
{
	return err->sysno != 0 ? strerror_r(err->sysno, scratch, len) : err->text;
}

/* A directory that was listed a moment ago and cannot be opened or read now. */
static int directory_fault(struct chromem_fault *fault, const struct vs_err *err)
{
	char scratch[128];

	if (is_our_shortage(err))
		return err->status;
	*fault = (struct chromem_fault){ 0 };
	/* Not there, or something else by now. */
	if (err->sysno == ENOENT || err->sysno == ENOTDIR || err->sysno == ELOOP)
		fault->kind = CHROMEM_FAULT_VANISHED;
	else
		fault->kind = err->status == VS_ELIMIT ? CHROMEM_FAULT_TOO_LARGE
						       : CHROMEM_FAULT_UNREADABLE;
	fault->sysno = err->sysno;
	snprintf(fault->detail, sizeof(fault->detail), "%.180s",
		 reason(err, scratch, sizeof(scratch)));
	return 1;
}

void fault_not_a_file(struct chromem_fault *fault, enum file_type type)
{
	*fault = (struct chromem_fault){ .kind = CHROMEM_FAULT_NOT_A_FILE };
	snprintf(fault->detail, sizeof(fault->detail), "%s",
		 type == FILE_FIFO ? "a FIFO" : "a socket or device");
}

/* ---- metadata ---- */

static struct slice keep(unsigned char **end, struct slice text)
{
	struct slice copy = slice_of(*end, text.len);

	if (text.len > 0)
		memcpy(*end, text.ptr, text.len);
	*end += text.len;
	return copy;
}

/* Copy what the reader decoded, since it will decode the next file into the same memory. */
static int keep_meta(struct collection *out, const struct chromem_meta *meta, struct vs_err *err)
{
	size_t len = meta->name.len + meta->document_id.len + meta->unknown_field.len;
	unsigned char *end;

	for (size_t i = 0; i < meta->metadata_count; i++)
		len += meta->metadata[i].key.len + meta->metadata[i].value.len;
	out->text = vs_try_alloc(len, 1);
	out->pairs = vs_try_alloc(meta->metadata_count, sizeof(*out->pairs));
	if (!out->text || !out->pairs)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu bytes of metadata", len);
	out->weight += len + meta->metadata_count * sizeof(*out->pairs);

	end = out->text;
	out->meta = *meta;
	out->meta.name = keep(&end, meta->name);
	out->meta.document_id = keep(&end, meta->document_id);
	out->meta.unknown_field = keep(&end, meta->unknown_field);
	for (size_t i = 0; i < meta->metadata_count; i++) {
		out->pairs[i].key = keep(&end, meta->metadata[i].key);
		out->pairs[i].value = keep(&end, meta->metadata[i].value);
	}
	out->meta.metadata = out->pairs;
	return 0;
}

static int read_meta(struct collection *out, enum chromem_compression c,
		     struct chromem_reader *reader, struct vs_err *err)
{
	struct chromem_entry entry;
	struct chromem_meta meta;
	char name[32], scratch[32];
	size_t index;
	int r;

	snprintf(name, sizeof(name), "00000000%s", chromem_extension(c));
	if (!chromem_list_find(out->list, name, &index))
		return 0;
	chromem_list_at(out->list, index, scratch, &entry);
	if (entry.type == FILE_DIRECTORY)
		return 0;
	if (entry.type == FILE_FIFO || entry.type == FILE_OTHER) {
		fault_not_a_file(&out->fault, entry.type);
		r = 1;
	} else {
		r = chromem_reader_meta(reader, out->dirfd, name, &meta, &out->fault, err);
	}
	if (r < 0)
		return r;
	if (r > 0) {
		out->shown.meta_fault = &out->fault;
		return 0;
	}
	r = keep_meta(out, &meta, err);
	if (r < 0)
		return r;
	out->shown.meta = &out->meta;
	return 0;
}

/* ---- the directory ---- */

int collection_open(struct collection *out, int dirfd, const char *name,
		    const struct chromem_scan_request *req, struct chromem_reader *reader,
		    struct vs_err *err)
{
	struct chromem_collection *shown = &out->shown;
	struct file_seen_dir *seen;
	int r;

	*out = (struct collection){ .dirfd = -1 };
	r = file_open_dir(dirfd, name, FILE_NO_FOLLOW, &out->dirfd, err);
	if (r == 0)
		r = file_stat_fd(out->dirfd, &shown->info, err);
	if (r == 0) {
		seen = file_seen_dir(file_known_seen(req->known), out->dirfd);
		r = chromem_list_load(&out->list, out->dirfd, seen, req->compression, err);
	}
	if (r < 0)
		return directory_fault(&out->fault, err);
	if (file_is_own(&shown->info))
		out->atime = FILE_NO_ATIME;
	out->weight = chromem_list_count(out->list) * sizeof(uint32_t);
	shown->dir = name;
	shown->dirfd = out->dirfd;
	shown->list = out->list;
	shown->has_hash = chromem_hash_parse(slice_str(name), &shown->hash);
	r = read_meta(out, req->compression, reader, err);
	return r < 0 ? vs_err_in(err, "%s", name) : 0;
}

void collection_fini(struct collection *collection)
{
	file_closep(&collection->dirfd);
	chromem_list_freep(&collection->list);
	free(collection->text);
	free(collection->pairs);
	*collection = (struct collection){ .dirfd = -1 };
}
