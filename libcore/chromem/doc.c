/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Documents, the general way: whatever gob stream Go would decode into the library's type.
 */

#include "chromem/read.h"

#include <math.h>

/* Can the library have written @d, which became @f? */
static bool is_exact(double d, float f)
{
	uint64_t bits;

	if (!isnan(d))
		return (double)f == d;
	memcpy(&bits, &d, sizeof(bits));
	return (bits & ((UINT64_C(1) << 29) - 1)) == 0;
}

static int take_element(struct doc_pass *p, const struct gob_event *event, struct vs_err *err)
{
	struct chromem_doc *doc = p->out;
	float f = (float)event->f;
	int ret = reader_reserve_embedding(p->reader, doc->dimension + 1, err);

	if (ret < 0)
		return ret;
	p->reader->embedding[doc->dimension++] = f;
	if (is_exact(event->f, f))
		return 0;
	doc->facts.inexact_floats++;
	odd_note(&p->odd, CHROMEM_ODD_INEXACT_FLOAT, event->off);
	return 0;
}

int doc_pass_take(struct doc_pass *p, const struct gob_event *event, struct vs_err *err)
{
	struct chromem_doc *doc = p->out;

	switch (event->shape->tag) {
	case TAG_ID:
		doc->id = event->bytes;
		break;
	case TAG_CONTENT:
		doc->content = event->bytes;
		break;
	case TAG_METADATA:
		doc->has_metadata = true;
		break;
	case TAG_KEY:
	case TAG_VALUE:
		return pairs_take(&p->reader->doc_pairs, event, err);
	case TAG_EMBEDDING:
		if (event->kind != GOB_BEGIN)
			break;
		doc->dimension = 0;
		doc->embedding_off = event->off;
		break;
	case TAG_ELEMENT:
		return take_element(p, event, err);
	default:
		break;
	}
	return 0;
}

struct doc_pass doc_pass_init(struct chromem_reader *reader, struct chromem_doc *out)
{
	*out = (struct chromem_doc){ 0 };
	reader->doc_pairs.count = 0;
	return (struct doc_pass){
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
}

int doc_pass_finish(struct doc_pass *p, struct vs_err *err)
{
	struct chromem_reader *reader = p->reader;
	struct chromem_doc *doc = p->out;
	int ret = pairs_settle(&reader->doc_pairs, err);

	if (ret < 0)
		return ret;
	doc->metadata = reader->doc_pairs.at;
	doc->metadata_count = reader->doc_pairs.count;
	doc->embedding = reader->embedding;
	doc->id_off = offset_in(doc->id, reader->gob.input);
	doc->content_off = offset_in(doc->content, reader->gob.input);
	if (reader->doc_pairs.repeated.ptr)
		odd_note(&p->odd, CHROMEM_ODD_DUPLICATE_KEY,
			 offset_in(reader->doc_pairs.repeated, reader->gob.input));
	return 0;
}

static int take(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	return doc_pass_take(ctx, event, err);
}

int doc_decode_general(struct chromem_reader *reader, const struct unpacked *in,
		       struct chromem_doc *out, struct vs_err *err)
{
	struct doc_pass pass = doc_pass_init(reader, out);
	struct gob_sink sink = { &pass, take };
	int ret;

	gob_reader_init(&reader->gob, in->bytes, in->ending);
	ret = gob_reader_next(&reader->gob, &chromem_document_shape, &sink, err);
	if (ret <= 0)
		return reader_settle(reader, ret, err);
	ret = doc_pass_finish(&pass, err);
	if (ret < 0)
		return ret;
	odd_note_types(&pass.odd, &reader->gob, &chromem_library_document);
	odd_note_tail(&pass.odd, &reader->gob, out->content);
	odd_note_unpacked(&pass.odd, in);
	return 0;
}

int chromem_decode_doc(struct chromem_reader *reader, struct slice bytes, struct chromem_doc *out,
		       struct chromem_fault *fault, struct vs_err *err)
{
	struct unpacked in;
	int ret = chromem_unpack(&reader->unpacker, bytes, reader->general_only, &in, err);

	if (ret < 0)
		return ret;
	if (bytes.len == 0 || in.has_bad_header)
		return reader_refuse(reader, bytes, &in, fault, err);
	if (!reader->general_only && plan_decode(reader, &in, out))
		return 0;
	ret = doc_decode_general(reader, &in, out, err);
	if (ret > 0)
		return reader_refuse(reader, bytes, &in, fault, err);
	if (ret == 0 && !reader->general_only)
		plan_learn(reader, out);
	return ret;
}
