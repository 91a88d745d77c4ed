/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing an archive with all processors: workers read files, take their digests, make a piece of
 * the tar of them and pack it; meanwhile one of them writes what the round before has made. Pieces
 * go into the file in the order of the paths, so that equal stores give equal archives.
 */

#include "snap/making.h"

#include "chromem/chromem.h"

/* Raw bytes of a piece: small enough that all workers end together, large enough to pack well. */
#define PIECE_TARGET ((uint64_t)512 << 10)
#define ROUND_PIECES 32
/* And of what is packed by itself: less would pack worse. */
#define PART_TARGET ((size_t)64 << 10)
/* Archives of fewer pieces are as soon read through. */
#define INDEX_FROM 3
/* Files larger than this are not held in memory whole. */
#define WHOLE_MAX ((uint64_t)32 << 20)
#define SEGMENT ((size_t)2 << 20)

/* Where files begin in what is packed. */
struct begin {
	size_t off;
	const char *path; /* borrowed */
};

/* What was packed by itself. */
struct packed {
	size_t packed, raw;
	const char *path; /* that it begins with; NULL: none */
};

struct piece {
	size_t first, end; /* items */
	struct buf raw, out;
	struct buf file;
	struct begin *begins; /* owned */
	size_t begin_count, begin_cap;
	struct packed *parts; /* owned */
	size_t part_count, part_cap;
	int result;
	struct vs_err err;
};

/* What a worker makes its pieces in: the same memory each time, which the cache has. */
struct desk {
	struct buf raw, file;
};

struct round {
	struct piece pieces[ROUND_PIECES];
	size_t count;
};

struct writing {
	struct making *mk;
	struct round rounds[2];
	unsigned now; /* which of them is being made; the other is being written */
	struct snap_packer **packers;
	struct desk *desks;
	unsigned packer_count; /* and of desks: one of each for a worker */
	int result;            /* of writing */
	struct vs_err err;
	struct snap_index index; /* of what was written */
};

/* ---- pieces ---- */

static void note_begin(struct piece *p, const char *path)
{
	p->begins = vs_grow(p->begins, &p->begin_cap, p->begin_count + 1, sizeof(*p->begins));
	p->begins[p->begin_count++] = (struct begin){ p->raw.len, path };
}

static int add_to_tar(struct making *mk, struct piece *p, struct item *item)
{
	cleanup_(buf_fini) struct buf name = { 0 };
	int r;

	note_begin(p, item->found->path);
	buf_printf(&name, "%s/%s", mk->id, item->found->path);
	r = snap_tar_header(&p->raw, buf_cstr(&name), p->file.len, item->info.mode,
			    item->info.modified_ns, &p->err);
	if (r == 0)
		r = buf_try_reserve(&p->raw, p->file.len + 512, &p->err);
	if (r < 0)
		return r;
	buf_append(&p->raw, p->file.ptr, p->file.len);
	snap_tar_pad(&p->raw, p->file.len);
	return 0;
}

static int add_item(struct making *mk, struct piece *p, struct item *item)
{
	int r = making_read(mk, item->found, &p->file, &item->info, &p->err);

	if (r > 0)
		item->is_gone = true;
	if (r != 0)
		return r < 0 ? vs_err_in(&p->err, "%s", item->found->path) : 0;
	/* What was read is what counts, should it have grown meanwhile. */
	item->info.size = p->file.len;
	digest_of(buf_slice(&p->file), &item->digest);
	if (item->before && item->before->size == p->file.len &&
	    memcmp(&item->before->digest, &item->digest, sizeof(item->digest)) == 0)
		return 0; /* the parent has it */
	item->is_stored = true;
	return add_to_tar(mk, p, item);
}

static int pack_part(struct snap_packer *packer, struct piece *p, size_t off, size_t len,
		     const char *path)
{
	size_t start = p->out.len;
	int r = snap_pack(packer, slice_of(p->raw.ptr + off, len), &p->out, &p->err);

	if (r < 0)
		return r;
	p->parts = vs_grow(p->parts, &p->part_cap, p->part_count + 1, sizeof(*p->parts));
	p->parts[p->part_count++] = (struct packed){ p->out.len - start, len, path };
	return 0;
}

/* Pack it in parts that begin where a file does, so that a few files can be had without the rest. */
static int pack_raw(struct snap_packer *packer, struct piece *p)
{
	size_t off = 0, at = 0;
	int r = 0;

	while (r == 0 && off < p->raw.len) {
		const char *path = NULL;
		size_t end;

		if (at < p->begin_count && p->begins[at].off == off)
			path = p->begins[at].path;
		while (at < p->begin_count && p->begins[at].off < off + PART_TARGET)
			at++;
		end = at < p->begin_count ? p->begins[at].off : p->raw.len;
		end = VS_MIN(end, off + PIECE_RAW_MAX);
		r = pack_part(packer, p, off, end - off, path);
		off = end;
	}
	return r;
}

static void add_items(struct writing *w, struct piece *p)
{
	for (size_t i = p->first; p->result == 0 && i < p->end; i++) {
		if (!w->mk->items[i].must_read)
			continue;
		p->result = add_item(w->mk, p, &w->mk->items[i]);
		snap_progress_step(w->mk->req->progress);
	}
}

static void change_places(struct piece *p, struct desk *desk)
{
	struct desk kept = *desk;

	*desk = (struct desk){ p->raw, p->file };
	p->raw = kept.raw;
	p->file = kept.file;
}

static void make_piece(struct writing *w, unsigned worker, struct piece *p)
{
	bool has_items = p->first < p->end; /* else it is a segment that is there already */
	struct desk *desk = &w->desks[worker];

	p->result = 0;
	if (has_items) {
		change_places(p, desk);
		buf_clear(&p->raw);
		add_items(w, p);
	}
	if (p->result == 0)
		p->result = pack_raw(w->packers[worker], p);
	if (has_items)
		change_places(p, desk);
}

/* ---- writing ---- */

static int write_bytes(struct making *mk, struct buf *bytes, struct vs_err *err)
{
	int r = 0;

	if (mk->seal)
		r = chromem_seal_add(mk->seal, bytes->ptr, bytes->len, err);
	if (r == 0)
		r = file_write(mk->fd, buf_slice(bytes), err);
	if (r < 0)
		return r;
	digest_ctx_add(mk->digest, bytes->ptr, bytes->len);
	mk->written += bytes->len;
	return 0;
}

static void write_round(struct writing *w, struct round *round)
{
	for (size_t i = 0; w->result == 0 && i < round->count; i++) {
		struct piece *p = &round->pieces[i];

		w->result = p->result;
		if (w->result < 0)
			w->err = p->err;
		else
			w->result = write_bytes(w->mk, &p->out, &w->err);
		for (size_t k = 0; k < p->part_count; k++)
			snap_index_add(&w->index, p->parts[k].packed, p->parts[k].raw,
				       p->parts[k].path);
	}
	if (w->result == 0 && round->count > 0)
		file_sync_begin(w->mk->fd);
	round->count = 0;
}

/* Index 0 writes what the round before made; the others each make a piece. */
static void work(void *ctx, unsigned worker, size_t index)
{
	struct writing *w = ctx;

	if (index == 0)
		write_round(w, &w->rounds[!w->now]);
	else
		make_piece(w, worker, &w->rounds[w->now].pieces[index - 1]);
}

static int run_round(struct writing *w, struct vs_err *err)
{
	pool_run(w->mk->pool, w->rounds[w->now].count + 1, work, w);
	w->now = !w->now;
	if (w->result < 0)
		*err = w->err;
	return w->result;
}

static void begin_piece(struct round *round, size_t first, size_t end)
{
	struct piece *p = &round->pieces[round->count++];

	p->first = first;
	p->end = end;
	buf_clear(&p->raw);
	buf_clear(&p->out);
	p->begin_count = 0;
	p->part_count = 0;
}

/* Everything that was made, into the file. */
static int flush(struct writing *w, struct vs_err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++)
		r = run_round(w, err);
	return r;
}

/* ---- large files ---- */

struct large {
	int fd;
	uint64_t size, off;
	struct digest_ctx *digest;
	bool ended; /* before its size was reached: it is being changed */
};

/* The next bytes of the file behind what @raw has; zeros where it turned out shorter. */
static int fill(struct large *l, struct buf *raw, struct vs_err *err)
{
	size_t want = (size_t)VS_MIN((uint64_t)SEGMENT, l->size - l->off);
	int r = buf_try_reserve(raw, want + 512, err);

	while (r == 0 && want > 0) {
		ssize_t n = l->ended ? 0 : pread(l->fd, raw->ptr + raw->len, want, (off_t)l->off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "cannot be read");
		if (n == 0) {
			l->ended = true;
			memset(raw->ptr + raw->len, 0, want);
			n = (ssize_t)want;
		}
		digest_ctx_add(l->digest, raw->ptr + raw->len, (size_t)n);
		raw->len += (size_t)n;
		l->off += (uint64_t)n;
		want -= (size_t)n;
	}
	return r;
}

static int write_segments(struct writing *w, struct large *l, struct item *item, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf name = { 0 };
	bool is_first = true;
	int r = 0;

	buf_printf(&name, "%s/%s", w->mk->id, item->found->path);
	while (r == 0 && (is_first || l->off < l->size)) {
		struct round *round = &w->rounds[w->now];

		while (r == 0 && round->count < ROUND_PIECES && (is_first || l->off < l->size)) {
			struct piece *p = &round->pieces[round->count];

			begin_piece(round, 0, 0);
			if (is_first)
				note_begin(p, item->found->path);
			if (is_first)
				r = snap_tar_header(&p->raw, buf_cstr(&name), l->size,
						    item->info.mode, item->info.modified_ns, err);
			is_first = false;
			if (r == 0)
				r = fill(l, &p->raw, err);
			if (r == 0 && l->off == l->size)
				snap_tar_pad(&p->raw, l->size);
		}
		if (r == 0)
			r = run_round(w, err);
	}
	return r;
}

/* A file that does not fit into memory goes through it in segments. */
static int write_large(struct writing *w, struct item *item, struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	cleanup_(file_closep) int fd = -1;
	struct large l = { .digest = digest };
	int r;

	digest_ctx_reset(digest);
	r = making_open(w->mk, item->found, &fd, &item->info, err);
	if (r == VS_ENOENT) {
		item->is_gone = true;
		return 0;
	}
	if (r < 0)
		return r;
	item->info.inode &= INT64_MAX;
	l.fd = fd;
	l.size = item->info.size;
	item->is_stored = true;
	r = write_segments(w, &l, item, err);
	digest_ctx_final(digest, &item->digest);
	return r < 0 ? vs_err_in(err, "%s", item->found->path) : 0;
}

/* ---- all of it ---- */

static int write_items(struct writing *w, struct vs_err *err)
{
	struct making *mk = w->mk;
	size_t count = mk->listing.file_count;
	size_t first = 0;
	int r = 0;

	while (r == 0 && first < count) {
		struct round *round = &w->rounds[w->now];
		uint64_t size = 0;
		size_t end = first;

		for (; end < count && size < PIECE_TARGET; end++) {
			const struct item *item = &mk->items[end];

			if (!item->must_read)
				continue;
			if (item->info.size > WHOLE_MAX)
				break;
			size += item->info.size + 1024;
		}
		if (end > first && size > 0)
			begin_piece(round, first, end);
		if (end < count && mk->items[end].must_read &&
		    mk->items[end].info.size > WHOLE_MAX) {
			r = run_round(w, err);
			if (r == 0)
				r = write_large(w, &mk->items[end], err);
			end++;
		} else if (round->count == ROUND_PIECES) {
			r = run_round(w, err);
		}
		first = end;
	}
	return r == 0 ? flush(w, err) : r;
}

static void writing_fini(struct writing *w)
{
	for (size_t i = 0; i < 2 * (size_t)ROUND_PIECES; i++) {
		struct piece *p = &w->rounds[i / ROUND_PIECES].pieces[i % ROUND_PIECES];

		buf_fini(&p->raw);
		buf_fini(&p->out);
		buf_fini(&p->file);
		free(p->begins);
		free(p->parts);
	}
	snap_index_fini(&w->index);
	for (unsigned i = 0; i < w->packer_count; i++) {
		snap_packer_freep(&w->packers[i]);
		buf_fini(&w->desks[i].raw);
		buf_fini(&w->desks[i].file);
	}
	free(w->packers);
	free(w->desks);
}

static void writing_freep(struct writing **w)
{
	writing_fini(*w);
	free(*w);
}

static int begin_file(struct making *mk, struct vs_err *err)
{
	unsigned char bytes[CHROMEM_NONCE_LEN];
	int r;

	mk->written = 0;
	digest_ctx_reset(mk->digest);
	file_closep(&mk->fd);
	r = snap_unlink(mk->place.snapshots, mk->part, err);
	if (r == 0)
		r = file_create_at(mk->place.snapshots, mk->part, 0600, &mk->fd, err);
	if (r < 0 || !mk->req->key)
		return r;
	r = chromem_seal_new(&mk->seal, mk->req->key, bytes, err);
	if (r == 0)
		r = file_write(mk->fd, slice_of(bytes, sizeof(bytes)), err);
	digest_ctx_add(mk->digest, bytes, sizeof(bytes));
	mk->written += sizeof(bytes);
	return r;
}

static int end_file(struct writing *w, struct vs_err *err)
{
	static const unsigned char end[TAR_END_LEN];
	cleanup_(buf_fini) struct buf out = { 0 };
	struct making *mk = w->mk;
	unsigned char tag[CHROMEM_TAG_LEN];
	int r;

	r = snap_pack_all(slice_of(end, sizeof(end)), &out, err);
	snap_index_add(&w->index, out.len, sizeof(end), NULL);
	if (w->index.count > INDEX_FROM)
		snap_index_format(&w->index, &out);
	if (r == 0)
		r = write_bytes(mk, &out, err);
	if (r == 0 && mk->seal) {
		r = chromem_seal_end(mk->seal, tag, err);
		if (r == 0)
			r = file_write(mk->fd, slice_of(tag, sizeof(tag)), err);
		digest_ctx_add(mk->digest, tag, sizeof(tag));
		mk->written += sizeof(tag);
	}
	digest_ctx_final(mk->digest, &mk->written_digest);
	mk->m->archives[0].digest = mk->written_digest;
	mk->m->archives[0].size = mk->written;
	chromem_seal_freep(&mk->seal);
	return r;
}

int making_write_archive(struct making *mk, struct vs_err *err)
{
	cleanup_(writing_freep) struct writing *w = vs_alloc(sizeof(*w));
	int r;

	w->mk = mk;
	w->packer_count = pool_threads(mk->pool);
	w->packers = vs_alloc_array(w->packer_count, sizeof(struct snap_packer *));
	w->desks = vs_alloc_array(w->packer_count, sizeof(*w->desks));
	for (unsigned i = 0; i < w->packer_count; i++)
		w->packers[i] = snap_packer_new();
	r = begin_file(mk, err);
	if (r == 0)
		r = write_items(w, err);
	if (r == 0)
		r = end_file(w, err);
	chromem_seal_freep(&mk->seal);
	return r < 0 ? vs_err_in(err, "%s/%s", SNAP_DIR, mk->part) : 0;
}
