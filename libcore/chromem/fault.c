/* SPDX-License-Identifier: Apache-2.0 */

/* Faults: why a file cannot be decoded, for the operator and in the library's words. */

#include "chromem/read.h"

static bool is_all_zero(struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.ptr[i] != 0)
			return false;
	}
	return true;
}

static void set_text(char text[192], const char *fmt, ...) printf_(2, 3);

/* Cut where it is longer. */
static void set_text(char text[192], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, 192, fmt, ap);
	va_end(ap);
}

static void set_loader_text(struct chromem_fault *fault, const char *step, const char *text)
{
	set_text(fault->loader_text, "couldn't %s: %s", step, text);
}

static void fault_of_header(const struct unpacked *in, struct chromem_fault *fault)
{
	fault->kind = in->is_truncated ? CHROMEM_FAULT_GZIP_TRUNCATED : CHROMEM_FAULT_GZIP_CORRUPT;
	fault->off = in->end_off;
	set_text(fault->detail, "the gzip header at offset 0 %s",
		 in->is_truncated ? "is cut off" : "is damaged");
	set_loader_text(fault, "create gzip reader", in->ending.error);
}

/* The value was not complete when the gzip data ended or could not be unpacked any further. */
static void fault_of_source(const struct gob_fault *gob, const struct unpacked *in,
			    struct chromem_fault *fault)
{
	fault->kind = in->is_truncated ? CHROMEM_FAULT_GZIP_TRUNCATED : CHROMEM_FAULT_GZIP_CORRUPT;
	fault->off = in->end_off;
	set_text(fault->detail, "the gzip data %s at offset %" PRIu64 ", after %zu bytes; %s",
		 in->is_truncated ? "end" : "are damaged before", in->end_off, in->bytes.len,
		 gob->text);
}

static enum chromem_fault_kind kind_of_gob(enum gob_fault_kind kind)
{
	switch (kind) {
	case GOB_FAULT_END:
		return CHROMEM_FAULT_TRUNCATED;
	case GOB_FAULT_SHAPE:
		return CHROMEM_FAULT_SHAPE;
	case GOB_FAULT_LIMIT:
		return CHROMEM_FAULT_TOO_LARGE;
	case GOB_FAULT_NONE:
	case GOB_FAULT_SOURCE:
	case GOB_FAULT_DATA:
		break;
	}
	return CHROMEM_FAULT_GOB;
}

/* gob data that are refused, where more is known of the file than gob can tell. */
static int look_again(struct chromem_reader *reader, struct slice file, const struct unpacked *in,
		      struct chromem_fault *fault, struct vs_err *err)
{
	bool is_gzip;
	int ret;

	if (is_all_zero(file)) {
		fault->kind = CHROMEM_FAULT_ZEROS;
		fault->off = 0;
		set_text(fault->detail, "all %zu bytes are zero", file.len);
		return 0;
	}
	if (in->is_gzip && (in->oddities & CHROMEM_ODD_GZIP_CHECKSUM) != 0) {
		fault->kind = CHROMEM_FAULT_GZIP_CORRUPT;
		fault->off = in->end_off;
		set_text(fault->detail,
			 "the gzip data before offset %" PRIu64 " are damaged; unpacked: %s",
			 in->end_off, reader->gob.fault.text);
		return 0;
	}
	if (in->is_gzip)
		return 0;
	ret = chromem_unpack_repaired(&reader->unpacker, file, &is_gzip, err);
	if (ret < 0 || !is_gzip)
		return ret;
	fault->kind = CHROMEM_FAULT_GZIP_CORRUPT;
	fault->off = 0;
	set_text(fault->detail, "gzip data with a damaged header at offset 0, taken for plain; %s",
		 reader->gob.fault.text);
	return 0;
}

static int describe(struct chromem_reader *reader, struct slice file, const struct unpacked *in,
		    struct chromem_fault *fault, struct vs_err *err)
{
	const struct gob_fault *gob = &reader->gob.fault;

	*fault = (struct chromem_fault){ 0 };
	if (file.len == 0) {
		fault->kind = CHROMEM_FAULT_EMPTY;
		set_text(fault->detail, "no bytes");
		set_loader_text(fault,
				"read magic number to determine whether the stream is compressed",
				"EOF");
		return 0;
	}
	if (in->has_bad_header) {
		fault_of_header(in, fault);
		return 0;
	}
	if (gob->go_text[0] != '\0')
		set_loader_text(fault, "decode object", gob->go_text);
	if (gob->kind == GOB_FAULT_SOURCE) {
		fault_of_source(gob, in, fault);
		return 0;
	}
	fault->kind = kind_of_gob(gob->kind);
	fault->off = gob->off;
	set_text(fault->detail, "%s", gob->text);
	if (gob->kind == GOB_FAULT_LIMIT)
		return 0;
	return look_again(reader, file, in, fault, err);
}

int reader_refuse(struct chromem_reader *reader, struct slice file, const struct unpacked *in,
		  struct chromem_fault *fault, struct vs_err *err)
{
	int ret = describe(reader, file, in, fault, err);

	return ret < 0 ? ret : 1;
}

int reader_settle(struct chromem_reader *reader, int ret, struct vs_err *err)
{
	struct gob_fault *fault = &reader->gob.fault;

	if (ret != VS_ELIMIT)
		return ret < 0 ? ret : 1;
	*fault = (struct gob_fault){ .kind = GOB_FAULT_LIMIT, .off = reader->gob.pos };
	snprintf(fault->text, sizeof(fault->text), "%.128s at offset %" PRIu64, err->text,
		 fault->off);
	*err = (struct vs_err){ 0 };
	return 1;
}
