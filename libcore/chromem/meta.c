/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata of a collection: whatever gob stream Go would decode into the library's type.
 */

#include "chromem/read.h"

struct meta_pass {
	struct chromem_reader *reader;
	struct chromem_meta *out;
	struct odd odd;
};

static int take(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct meta_pass *p = ctx;

	switch (event->shape->tag) {
	case TAG_NAME:
		p->out->name = event->bytes;
		break;
	case TAG_METADATA:
		p->out->has_metadata = true;
		break;
	case TAG_KEY:
	case TAG_VALUE:
		return pairs_take(&p->reader->meta_pairs, event, err);
	default:
		break;
	}
	return 0;
}

/*
 * A document in the place of the metadata decodes as metadata, without a name. Its id tells how it
 * got there.
 */
static int look_for_document(struct meta_pass *p, const struct unpacked *in, struct vs_err *err)
{
	const struct gob_type *type = gob_reader_type(&p->reader->gob, p->reader->gob.notes.type);
	struct chromem_doc doc;
	unsigned found = 0;
	int ret;

	for (uint32_t i = 0; type && i < type->field_count; i++) {
		const struct gob_type_field *field = gob_type_field_at(&p->reader->gob, type, i);

		found |= slice_eq_str(field->name, "ID") ? 1u : 0;
		found |= slice_eq_str(field->name, "Embedding") ? 2u : 0;
		found |= slice_eq_str(field->name, "Content") ? 4u : 0;
	}
	if (found != 7)
		return 0;
	p->out->looks_like_document = true;
	ret = doc_decode_general(p->reader, in, &doc, err);
	if (ret == 0)
		p->out->document_id = doc.id;
	return ret < 0 ? ret : 0;
}

static int finish(struct meta_pass *p, const struct unpacked *in, struct vs_err *err)
{
	struct chromem_reader *reader = p->reader;
	struct chromem_meta *meta = p->out;
	int ret = pairs_settle(&reader->meta_pairs, err);

	if (ret < 0)
		return ret;
	meta->metadata = reader->meta_pairs.at;
	meta->metadata_count = reader->meta_pairs.count;
	meta->name_off = offset_in(meta->name, in->bytes);
	if (reader->meta_pairs.repeated.ptr)
		odd_note(&p->odd, CHROMEM_ODD_DUPLICATE_KEY,
			 offset_in(reader->meta_pairs.repeated, reader->gob.input));
	odd_note_types(&p->odd, &reader->gob, &chromem_library_collection);
	odd_note_tail(&p->odd, &reader->gob, (struct slice){ 0 });
	odd_note_unpacked(&p->odd, in);
	return look_for_document(p, in, err);
}

static int decode(struct chromem_reader *reader, const struct unpacked *in,
		  struct chromem_meta *out, struct vs_err *err)
{
	struct meta_pass pass = {
		.reader = reader,
		.out = out,
		.odd = {
			.set = &out->oddities,
			.off = &out->odd_off,
			.unknown_field = &out->unknown_field,
			.crc_stored = &out->gzip_crc_stored,
			.crc_actual = &out->gzip_crc_actual,
			.facts = &out->facts,
		},
	};
	struct gob_sink sink = { &pass, take };
	int ret;

	*out = (struct chromem_meta){ 0 };
	reader->meta_pairs.count = 0;
	gob_reader_init(&reader->gob, in->bytes, in->ending);
	ret = gob_reader_next(&reader->gob, &chromem_collection_shape, &sink, err);
	if (ret <= 0)
		return reader_settle(reader, ret, err);
	return finish(&pass, in, err);
}

int chromem_decode_meta(struct chromem_reader *reader, struct slice bytes, struct chromem_meta *out,
			struct chromem_fault *fault, struct vs_err *err)
{
	struct unpacked in;
	int ret = chromem_unpack(&reader->unpacker, bytes, reader->general_only, &in, err);

	if (ret < 0)
		return ret;
	ret = bytes.len == 0 || in.has_bad_header ? 1 : decode(reader, &in, out, err);
	return ret > 0 ? reader_refuse(reader, bytes, &in, fault, err) : ret;
}
