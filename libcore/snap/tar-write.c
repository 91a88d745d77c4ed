/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Headers of a tar, made by libarchive: GNU's form, which takes names of any bytes and length as
 * they are. No user, no group, no time but the file's, so that equal files give equal archives.
 */

#include "snap/private.h"

#include <archive.h>
#include <archive_entry.h>

#define TAR_BLOCK 512

struct header_sink {
	struct buf *out;
	bool is_closed; /* what comes now is the end of an archive, which this is not */
};

static void archive_freep(struct archive **a)
{
	(void)archive_write_free(*a);
}

static void entry_freep(struct archive_entry **e)
{
	archive_entry_free(*e);
}

static la_ssize_t take(struct archive *a, void *ctx, const void *bytes, size_t len)
{
	struct header_sink *sink = ctx;

	(void)a;
	if (!sink->is_closed)
		buf_append(sink->out, bytes, len);
	return (la_ssize_t)len;
}

static int refused(struct archive *a, const char *name, struct vs_err *err)
{
	return vs_fail(err, VS_EIO, "%s: libarchive writes no header: %s", name,
		       archive_error_string(a));
}

int snap_tar_header(struct buf *out, const char *name, uint64_t size, uint32_t mode,
		    int64_t modified_ns, struct vs_err *err)
{
	struct header_sink sink = { .out = out };
	cleanup_(archive_freep) struct archive *a = archive_write_new();
	cleanup_(entry_freep) struct archive_entry *e = archive_entry_new();

	if (!a || !e)
		return vs_fail(err, VS_ENOMEM, "no memory for a tar header");
	archive_entry_set_pathname(e, name);
	archive_entry_set_size(e, (la_int64_t)size);
	archive_entry_set_mode(e, 0100000 | mode);
	archive_entry_set_mtime(e, (time_t)(modified_ns / 1000000000), 0);
	if (archive_write_set_format_gnutar(a) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
	    archive_write_open(a, &sink, NULL, take, NULL) != ARCHIVE_OK ||
	    archive_write_header(a, e) != ARCHIVE_OK)
		return refused(a, name, err);
	sink.is_closed = true;
	return 0;
}

void snap_tar_pad(struct buf *out, uint64_t size)
{
	static const unsigned char zeros[TAR_BLOCK];

	buf_append(out, zeros, (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}
