/* SPDX-License-Identifier: Apache-2.0 */

/* The reader's memory, and files on disk. */

#include "chromem/read.h"

#include <fcntl.h>

struct chromem_reader *chromem_reader_new(void)
{
	struct chromem_reader *reader = vs_alloc(sizeof(*reader));

	reader->unpacker.limit = CHROMEM_FILE_MAX;
	return reader;
}

void chromem_reader_freep(struct chromem_reader **reader)
{
	struct chromem_reader *r = *reader;

	if (!r)
		return;
	buf_fini(&r->file);
	buf_fini(&r->mended);
	unpacker_fini(&r->unpacker);
	gob_reader_fini(&r->gob);
	pairs_fini(&r->doc_pairs);
	pairs_fini(&r->meta_pairs);
	free(r->embedding);
	free(r);
	*reader = NULL;
}

uint64_t chromem_reader_file_size(const struct chromem_reader *reader)
{
	return reader->file_size;
}

void chromem_reader_set_general(struct chromem_reader *reader, bool general_only)
{
	reader->general_only = general_only;
}

void chromem_reader_set_known(struct chromem_reader *reader, struct file_known *known)
{
	reader->known = known;
}

int reader_reserve_embedding(struct chromem_reader *reader, size_t count, struct vs_err *err)
{
	size_t cap = VS_MAX(reader->embedding_cap * 2, VS_MAX(count, (size_t)1024));
	float *grown;

	if (count <= reader->embedding_cap)
		return 0;
	grown = reallocarray(reader->embedding, cap, sizeof(*grown));
	if (!grown)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu vector elements", cap);
	reader->embedding = grown;
	reader->embedding_cap = cap;
	return 0;
}

/* ---- files ---- */

/* Go's text for a failed open, which names the path that the library was given. */
static void set_open_text(struct chromem_fault *fault, const char *name, const char *text)
{
	snprintf(fault->loader_text, sizeof(fault->loader_text), "couldn't open file: open %s: %s",
		 name, text);
}

static void fault_of_open(int dirfd, const char *name, int status, const struct vs_err *cause,
			  struct chromem_fault *fault)
{
	struct file_info info;
	struct vs_err ignored = { 0 };

	snprintf(fault->detail, sizeof(fault->detail), "%.*s", (int)sizeof(fault->detail) - 1,
		 cause->text);
	fault->kind = CHROMEM_FAULT_UNREADABLE;
	fault->sysno = cause->sysno;
	if (status == VS_ELIMIT) {
		fault->kind = CHROMEM_FAULT_TOO_LARGE;
	} else if (status == VS_ENOENT) {
		fault->kind = CHROMEM_FAULT_VANISHED;
		if (file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &ignored) == 0 &&
		    info.type == FILE_SYMLINK)
			fault->kind = CHROMEM_FAULT_DANGLING;
		set_open_text(fault, name, "no such file or directory");
	} else if (status == VS_EACCES) {
		set_open_text(fault, name, "permission denied");
	} else if (cause->sysno == ELOOP) {
		fault->kind = CHROMEM_FAULT_DANGLING;
		set_open_text(fault, name, "too many levels of symbolic links");
	}
}

/* Read it, and write down what was read. */
static int read_known(struct chromem_reader *reader, int dirfd, const char *name,
		      enum file_flags flags, enum file_type *type, struct vs_err *err)
{
	struct digest digest;
	int r;

	r = file_read_info_at(dirfd, name, flags, reader->unpacker.limit, &reader->file,
			      &reader->info, err);
	*type = reader->info.type;
	if (r != 0 || reader->file.len != reader->info.size)
		return r;
	digest_of(buf_slice(&reader->file), &digest);
	file_known_add(reader->known, &reader->info, &digest);
	return 0;
}

int reader_load(struct chromem_reader *reader, int dirfd, const char *name, enum file_flags flags,
		struct chromem_fault *fault, struct vs_err *err)
{
	enum file_type type;
	struct vs_err cause;
	int ret;

	*fault = (struct chromem_fault){ 0 };
	reader->file_size = 0;
	ret = reader->known ? read_known(reader, dirfd, name, flags, &type, &cause)
			    : file_read_at(dirfd, name, flags, reader->unpacker.limit,
					   &reader->file, &type, &cause);
	if (ret == 0) {
		reader->file_size = reader->file.len;
		return 0;
	}
	if (ret == 1) {
		fault->kind = CHROMEM_FAULT_NOT_A_FILE;
		snprintf(fault->detail, sizeof(fault->detail), "not a regular file but a %s",
			 type == FILE_DIRECTORY ? "directory"
			 : type == FILE_FIFO    ? "pipe"
						: "socket or device");
		return 1;
	}
	if (ret == VS_ENOMEM || cause.sysno == EMFILE || cause.sysno == ENFILE) {
		*err = cause;
		return ret;
	}
	fault_of_open(dirfd, name, ret, &cause, fault);
	return 1;
}

static int load_doc(struct chromem_reader *reader, int dirfd, const char *name,
		    enum file_flags flags, struct chromem_doc *out, struct chromem_fault *fault,
		    struct vs_err *err)
{
	struct chromem_settling settling = { 0 };
	int ret;

	do {
		ret = reader_load(reader, dirfd, name, flags, fault, err);
		if (ret == 0)
			ret = chromem_decode_doc(reader, buf_slice(&reader->file), out, fault, err);
	} while (ret == 1 && chromem_settle(reader, &settling, dirfd, name, fault));
	return ret;
}

int chromem_reader_doc(struct chromem_reader *reader, int dirfd, const char *name,
		       struct chromem_doc *out, struct chromem_fault *fault, struct vs_err *err)
{
	return load_doc(reader, dirfd, name, FILE_FOLLOW, out, fault, err);
}

int chromem_reader_entry(struct chromem_reader *reader, int dirfd, enum file_flags flags,
			 const struct chromem_entry *entry, struct chromem_doc *out,
			 struct chromem_fault *fault, struct vs_err *err)
{
	if (entry->type == FILE_REGULAR)
		flags |= FILE_SEEN_REGULAR;
	return load_doc(reader, dirfd, entry->name, flags, out, fault, err);
}

int chromem_reader_meta(struct chromem_reader *reader, int dirfd, const char *name,
			struct chromem_meta *out, struct chromem_fault *fault, struct vs_err *err)
{
	struct chromem_settling settling = { 0 };
	int ret;

	do {
		ret = reader_load(reader, dirfd, name, FILE_FOLLOW, fault, err);
		if (ret == 0)
			ret = chromem_decode_meta(reader, buf_slice(&reader->file), out, fault,
						  err);
	} while (ret == 1 && chromem_settle(reader, &settling, dirfd, name, fault));
	return ret;
}
