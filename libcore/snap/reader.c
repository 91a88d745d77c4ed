/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An archive, member by member, out of bytes that are not trusted.
 *
 * Pieces of our own are unpacked by all threads, some MB at a time; whatever else is gzip goes
 * through libarchive's own filter. What the tar says is then held against simple rules: regular
 * files only, in the snapshot's own directory, with safe names, without holes. Nothing is kept but
 * the batch that is being read.
 */

#include "snap/private.h"

#include "chromem/chromem.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#define BATCH_PACKED ((size_t)8 << 20)
#define BATCH_RAW ((size_t)32 << 20)
#define BATCH_PIECES 512
#define FOREIGN_READ ((size_t)1 << 20)

struct slot {
	uint64_t off; /* in the file */
	struct slice packed;
	size_t raw_off, raw_len;
	bool is_bad;
};

struct snap_reader {
	int fd;
	uint64_t size, off; /* of the file; where the next batch begins */
	struct buf sealed;  /* the whole file, opened, where it was sealed */
	struct slice plain;
	struct buf packed, raw;
	struct slot slots[BATCH_PIECES];
	size_t slot_count, slot_at;
	struct snap_index index;  /* where only some pieces are read */
	unsigned char *is_needed; /* of its rows; owned, NULL: all is read */
	size_t row;               /* the next that is needed */
	bool is_foreign;
	struct pool *pool; /* borrowed; NULL: this thread does it */
	struct snap_packer **packers;
	unsigned packer_count;
	struct archive *tar;
	char *prefix;
	struct buf name;
	uint64_t member_size, member_off;
	bool failed; /* in the read callback, with the reason */
	struct vs_err why;
};

void snap_reader_freep(struct snap_reader **reader)
{
	struct snap_reader *r = *reader;

	if (!r)
		return;
	if (r->tar)
		(void)archive_read_free(r->tar);
	for (unsigned i = 0; i < r->packer_count; i++)
		snap_packer_freep(&r->packers[i]);
	free(r->packers);
	file_closep(&r->fd);
	buf_fini(&r->sealed);
	buf_fini(&r->packed);
	buf_fini(&r->raw);
	buf_fini(&r->name);
	snap_index_fini(&r->index);
	free(r->is_needed);
	free(r->prefix);
	free(r);
	*reader = NULL;
}

/* ---- bytes ---- */

/* Up to @max bytes of the file from @off on. */
static int read_at(struct snap_reader *r, uint64_t off, size_t max, struct slice *out,
		   struct vs_err *err)
{
	size_t have = 0;
	int status;

	max = (size_t)VS_MIN((uint64_t)max, r->size - off);
	if (r->plain.ptr) {
		*out = slice_of(r->plain.ptr + off, max);
		return 0;
	}
	buf_clear(&r->packed);
	status = buf_try_reserve(&r->packed, max, err);
	if (status < 0)
		return status;
	while (have < max) {
		ssize_t n = pread(r->fd, r->packed.ptr + have, max - have, (off_t)(off + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "cannot be read");
		if (n == 0)
			break; /* it became shorter: what is missing shows */
		have += (size_t)n;
	}
	*out = slice_of(r->packed.ptr, have);
	return 0;
}

static void unpack_slot(void *ctx, unsigned worker, size_t index)
{
	struct snap_reader *r = ctx;
	struct slot *slot = &r->slots[index];

	slot->is_bad = !snap_unpack(r->packers[worker], slot->packed, r->raw.ptr + slot->raw_off,
				    slot->raw_len);
}

/* Find whole pieces in @bytes. */
static int cut_slots(struct snap_reader *r, struct slice bytes, struct vs_err *err)
{
	size_t at = 0, raw = 0;

	r->slot_count = 0;
	r->slot_at = 0;
	while (at < bytes.len && r->slot_count < BATCH_PIECES) {
		struct snap_piece piece;
		struct slice rest = slice_of(bytes.ptr + at, bytes.len - at);

		if (rest.len < PIECE_HEAD && r->slot_count > 0)
			break;
		if (!snap_piece_head(rest, &piece))
			return vs_fail(err, VS_EFORMAT, "damaged at byte %" PRIu64, r->off + at);
		if (piece.packed > rest.len && r->slot_count > 0)
			break;
		if (piece.packed > rest.len)
			return vs_fail(err, VS_EFORMAT,
				       "cut off: the piece at byte %" PRIu64
				       " has %zu bytes of %zu",
				       r->off + at, rest.len, piece.packed);
		if (r->slot_count > 0 && raw + piece.raw > BATCH_RAW)
			break;
		r->slots[r->slot_count++] =
			(struct slot){ r->off + at, slice_of(rest.ptr, piece.packed), raw,
				       piece.raw, false };
		at += piece.packed;
		raw += piece.raw;
	}
	r->off += at;
	buf_clear(&r->raw);
	return buf_try_reserve(&r->raw, raw, err);
}

/* Fill the slots with the next pieces that are needed; returns the sum of their lengths. */
static size_t choose_slots(struct snap_reader *r)
{
	size_t packed = 0, raw = 0;

	r->slot_count = 0;
	r->slot_at = 0;
	for (; r->row < r->index.count && r->slot_count < BATCH_PIECES; r->row++) {
		const struct snap_index_row *row = &r->index.rows[r->row];

		if (!r->is_needed[r->row])
			continue;
		if (r->slot_count > 0 &&
		    (packed + row->packed > BATCH_PACKED || raw + row->raw > BATCH_RAW))
			break;
		r->slots[r->slot_count++] = (struct slot){ row->off, slice_of(NULL, row->packed),
							   raw, row->raw, false };
		packed += row->packed;
		raw += row->raw;
	}
	while (r->row < r->index.count && !r->is_needed[r->row])
		r->row++;
	if (r->row == r->index.count)
		r->off = r->size; /* that was all */
	return packed;
}

/* The bytes of the slots, neighbours in one go. */
static int read_slots(struct snap_reader *r, struct vs_err *err)
{
	size_t first = 0, at = 0;

	while (first < r->slot_count) {
		size_t end = first + 1, len = r->slots[first].packed.len, have = 0;

		for (; end < r->slot_count && r->slots[end].off == r->slots[first].off + len; end++)
			len += r->slots[end].packed.len;
		while (have < len) {
			ssize_t n = pread(r->fd, r->packed.ptr + at + have, len - have,
					  (off_t)(r->slots[first].off + have));

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return vs_fail_errno(err, "cannot be read");
			if (n == 0)
				return vs_fail(err, VS_EFORMAT, "cut off at byte %" PRIu64,
					       r->slots[first].off + have);
			have += (size_t)n;
		}
		for (; first < end; first++) {
			r->slots[first].packed.ptr = r->packed.ptr + at;
			at += r->slots[first].packed.len;
		}
	}
	return 0;
}

static int next_chosen(struct snap_reader *r, struct vs_err *err)
{
	size_t packed = choose_slots(r);
	const struct slot *last = r->slot_count > 0 ? &r->slots[r->slot_count - 1] : NULL;
	int status;

	buf_clear(&r->raw);
	status = buf_try_reserve(&r->raw, last ? last->raw_off + last->raw_len : 0, err);
	for (size_t i = 0; r->plain.ptr && i < r->slot_count; i++)
		r->slots[i].packed.ptr = r->plain.ptr + r->slots[i].off;
	if (status < 0 || r->plain.ptr)
		return status;
	buf_clear(&r->packed);
	status = buf_try_reserve(&r->packed, packed, err);
	return status == 0 ? read_slots(r, err) : status;
}

static int next_in_row(struct snap_reader *r, struct vs_err *err)
{
	struct slice bytes;
	int status = read_at(r, r->off, BATCH_PACKED, &bytes, err);

	return status == 0 ? cut_slots(r, bytes, err) : status;
}

static int next_batch(struct snap_reader *r, struct vs_err *err)
{
	int status = r->is_needed ? next_chosen(r, err) : next_in_row(r, err);

	if (status < 0)
		return status;
	if (r->pool)
		pool_run(r->pool, r->slot_count, unpack_slot, r);
	for (size_t i = 0; !r->pool && i < r->slot_count; i++)
		unpack_slot(r, 0, i);
	for (size_t i = 0; i < r->slot_count; i++) {
		if (r->slots[i].is_bad)
			return vs_fail(err, VS_EFORMAT, "the piece at byte %" PRIu64 " is damaged",
				       r->slots[i].off);
	}
	return 0;
}

static int next_bytes(struct snap_reader *r, struct slice *out, struct vs_err *err)
{
	const struct slot *slot;
	int status = 0;

	*out = (struct slice){ 0 };
	if (r->is_foreign) {
		status = r->off < r->size ? read_at(r, r->off, FOREIGN_READ, out, err) : 0;
		r->off += out->len;
		return status;
	}
	if (r->slot_at >= r->slot_count) {
		if (r->off >= r->size)
			return 0;
		status = next_batch(r, err);
		if (status < 0)
			return status;
	}
	if (r->slot_count == 0)
		return 0;
	slot = &r->slots[r->slot_at++];
	*out = slice_of(r->raw.ptr + slot->raw_off, slot->raw_len);
	return 0;
}

static la_ssize_t give(struct archive *a, void *ctx, const void **bytes)
{
	struct snap_reader *r = ctx;
	struct slice s;

	do {
		bool is_end = r->off >= r->size && r->slot_at >= r->slot_count;

		if (next_bytes(r, &s, &r->why) < 0) {
			r->failed = true;
			archive_set_error(a, EIO, "%s", r->why.text);
			return -1;
		}
		if (is_end)
			break;
	} while (s.len == 0); /* an empty piece is no end */
	*bytes = s.ptr;
	return (la_ssize_t)s.len;
}

/* ---- opening ---- */

static int unseal(struct snap_reader *r, const unsigned char *key, struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	ssize_t n;
	int status;

	if (!key)
		return vs_fail(err, VS_EACCES, "it is encrypted: give its key with --key-file");
	status = buf_try_reserve(&r->sealed, (size_t)r->size, err);
	if (status < 0)
		return status;
	while (r->sealed.len < r->size) {
		n = pread(r->fd, r->sealed.ptr + r->sealed.len, (size_t)r->size - r->sealed.len,
			  (off_t)r->sealed.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "cannot be read");
		if (n == 0)
			break;
		r->sealed.len += (size_t)n;
	}
	status = chromem_unseal(key, r->sealed.ptr, r->sealed.len, &r->plain, &fault, err);
	if (status > 0)
		return vs_fail(err, VS_EFORMAT, "%s", fault.detail);
	r->size = r->plain.len;
	return status;
}

static int open_file(struct snap_reader *r, int dirfd, const struct snap_archive *archive,
		     const unsigned char *key, struct vs_err *err)
{
	struct file_info info;
	int status;

	do {
		r->fd = openat(dirfd, archive->file,
			       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	} while (r->fd < 0 && errno == EINTR);
	if (r->fd < 0)
		return vs_fail_errno(err, "cannot be opened");
	status = file_stat_fd(r->fd, &info, err);
	if (status < 0)
		return status;
	if (info.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "not a file");
	r->size = info.size;
	return archive->is_sealed ? unseal(r, key, err) : 0;
}

static int open_tar(struct snap_reader *r, struct vs_err *err)
{
	struct snap_piece piece;
	struct slice head;
	int status;

	status = read_at(r, 0, PIECE_HEAD, &head, err);
	if (status < 0)
		return status;
	r->is_foreign = !snap_piece_head(head, &piece);
	r->tar = archive_read_new();
	if (!r->tar)
		return vs_fail(err, VS_ENOMEM, "no memory to read an archive");
	if (archive_read_support_format_tar(r->tar) != ARCHIVE_OK ||
	    (r->is_foreign && archive_read_support_filter_gzip(r->tar) != ARCHIVE_OK) ||
	    archive_read_open(r->tar, r, NULL, give, NULL) != ARCHIVE_OK)
		return r->failed ? vs_fail(err, r->why.status, "%s", r->why.text)
				 : vs_fail(err, VS_EFORMAT, "not a packed tar: %s",
					   archive_error_string(r->tar));
	return 0;
}

/* Read the index, if there is one, and let it say which pieces are needed. */
static int choose_pieces(struct snap_reader *r, const struct snap_selection *s, uint32_t number,
			 struct vs_err *err)
{
	struct slice bytes;
	uint64_t off;
	size_t len;
	int status;

	if (r->size < SNAP_LOCATOR_LEN)
		return 0;
	status = read_at(r, r->size - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN, &bytes, err);
	if (status < 0 || !snap_index_locate(bytes, r->size, &off, &len))
		return status;
	status = read_at(r, off, len, &bytes, err);
	if (status == 0)
		status = snap_index_parse(&r->index, bytes, off, err);
	if (status <= 0)
		return status;
	r->is_needed = vs_alloc_array(r->index.count, 1);
	snap_index_choose(&r->index, s, number, r->is_needed);
	while (r->row < r->index.count && !r->is_needed[r->row])
		r->row++;
	r->size = off;
	if (r->row == r->index.count)
		r->off = r->size;
	return 0;
}

static int open_reader(struct snap_reader **out, const struct snap_reading *how,
		       const struct snap_archive *archive, const struct snap_selection *s,
		       uint32_t number, struct vs_err *err)
{
	cleanup_(snap_reader_freep) struct snap_reader *r = vs_alloc(sizeof(*r));
	struct pool *pool = how->pool;
	struct buf prefix = { 0 };
	int status;

	r->fd = -1;
	r->pool = pool;
	r->packer_count = pool ? pool_threads(pool) : 1;
	r->packers = vs_alloc_array(r->packer_count, sizeof(struct snap_packer *));
	for (unsigned i = 0; i < r->packer_count; i++)
		r->packers[i] = snap_packer_new();
	buf_printf(&prefix, "%s/", archive->snapshot);
	r->prefix = buf_take_str(&prefix);
	status = open_file(r, how->snapshots_dirfd, archive, how->access->key, err);
	if (status == 0 && s && !how->access->reads_whole)
		status = choose_pieces(r, s, number, err);
	if (status == 0)
		status = open_tar(r, err);
	if (status < 0)
		return vs_err_in(err, "%s/%s", SNAP_DIR, archive->file);
	*out = VS_TAKE(r);
	return 0;
}

int snap_reader_open(struct snap_reader **out, const struct snap_access *access,
		     int snapshots_dirfd, const struct snap_archive *archive, struct pool *pool,
		     struct vs_err *err)
{
	const struct snap_reading how = { access, snapshots_dirfd, pool };

	return open_reader(out, &how, archive, NULL, 0, err);
}

int snap_reader_open_chosen(struct snap_reader **out, const struct snap_reading *how,
			    const struct snap_selection *s, uint32_t archive, struct vs_err *err)
{
	return open_reader(out, how, &s->m->archives[archive], s, archive, err);
}

/* ---- members ---- */

static int tar_failed(struct snap_reader *r, struct vs_err *err)
{
	const char *text = archive_error_string(r->tar);

	if (r->failed)
		return vs_fail(err, r->why.status, "%s", r->why.text);
	return vs_fail(err, VS_EFORMAT, "%s", text ? text : "the tar is damaged");
}

static int check_entry(struct snap_reader *r, struct archive_entry *e, struct vs_err *err)
{
	const char *name = archive_entry_pathname(e);
	size_t prefix = strlen(r->prefix);

	buf_clear(&r->name);
	if (!name)
		return vs_fail(err, VS_EFORMAT, "a member without a name");
	if (archive_entry_hardlink(e) || archive_entry_symlink(e) ||
	    archive_entry_filetype(e) != AE_IFREG)
		return vs_fail(err, VS_EFORMAT, "%s: a member that is not a regular file", name);
	if (strncmp(name, r->prefix, prefix) != 0 || !snap_path_is_safe(slice_str(name + prefix)))
		return vs_fail(err, VS_EFORMAT,
			       "%s: a member whose name does not stay in the snapshot's directory",
			       name);
	if (!archive_entry_size_is_set(e) || archive_entry_size(e) < 0)
		return vs_fail(err, VS_EFORMAT, "%s: a member without a size", name);
	buf_append_str(&r->name, name + prefix);
	r->member_size = (uint64_t)archive_entry_size(e);
	r->member_off = 0;
	return 0;
}

int snap_reader_next(struct snap_reader *reader, struct snap_tar_entry *out, struct vs_err *err)
{
	struct archive_entry *e = NULL;
	int status;

	/* Others write entries for directories. Those of ours have none, and nothing is made of them. */
	do {
		status = archive_read_next_header(reader->tar, &e);
	} while (status == ARCHIVE_OK && reader->is_foreign &&
		 archive_entry_filetype(e) == AE_IFDIR);

	if (status == ARCHIVE_EOF)
		return 0;
	if (status != ARCHIVE_OK)
		return tar_failed(reader, err);
	status = check_entry(reader, e, err);
	if (status < 0)
		return status;
	*out = (struct snap_tar_entry){ buf_cstr(&reader->name), reader->member_size };
	return 1;
}

int snap_reader_data(struct snap_reader *reader, struct slice *out, struct vs_err *err)
{
	const void *bytes = NULL;
	size_t len = 0;
	la_int64_t off = 0;
	int status = archive_read_data_block(reader->tar, &bytes, &len, &off);

	*out = (struct slice){ 0 };
	if (status == ARCHIVE_EOF) {
		if (reader->member_off != reader->member_size)
			return vs_fail(err, VS_EFORMAT, "%s: a member shorter than it says",
				       buf_cstr(&reader->name));
		return 0;
	}
	if (status != ARCHIVE_OK)
		return tar_failed(reader, err);
	if (off < 0 || (uint64_t)off != reader->member_off ||
	    len > reader->member_size - reader->member_off)
		return vs_fail(err, VS_EFORMAT, "%s: a member with holes", buf_cstr(&reader->name));
	reader->member_off += len;
	*out = slice_of(bytes, len);
	return 0;
}
