/* SPDX-License-Identifier: Apache-2.0 */

/* Index metadata: what is read from real files, what is refused and where, what is written. */

#include "fixture.h"
#include "pickle/pickle.h"

#include <criterion/criterion.h>

/* ---- help ---- */

struct taken {
	struct pickle_entry *entries;
	size_t count, cap;
};

static void taken_fini(struct taken *t)
{
	free(t->entries);
}

static int take(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct taken *t = ctx;

	(void)err;
	t->entries = vs_grow(t->entries, &t->cap, t->count + 1, sizeof(*t->entries));
	t->entries[t->count++] = *entry;
	return 0;
}

static int read_all(struct slice bytes, struct taken *t, struct pickle_meta *meta,
		    struct pickle_fault *fault)
{
	const struct pickle_sink sink = { t, take };
	struct vs_err err = { 0 };

	return pickle_read(bytes, t != NULL ? &sink : NULL, meta, fault, &err);
}

/* Bytes as a string literal with its NULs; the literal's own is left out. */
#define BYTES(literal) slice_of((literal), sizeof(literal) - 1)

#define HEAD "\x80\x03}(X\x0e\0\0\0dimensionalityNX\x14\0\0\0total_elements_addedJ\x02\0\0\0"
#define ID_TO_LABEL "X\x0b\0\0\0id_to_label}"
#define LABEL_TO_ID "X\x0b\0\0\0label_to_id}"

static void expect_refused(struct slice bytes, enum pickle_fault_kind kind, uint64_t off,
			   const char *text)
{
	struct pickle_meta meta;
	struct pickle_fault fault;

	cr_assert_eq(read_all(bytes, NULL, &meta, &fault), 0);
	cr_assert_eq(fault.kind, kind, "%d: %s", fault.kind, fault.text);
	cr_assert_eq(fault.off, off, "%" PRIu64 ": %s", fault.off, fault.text);
	cr_assert_not_null(strstr(fault.text, text), "%s", fault.text);
}

/* ---- real files ---- */

Test(pickle, server_form_is_read)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(taken_fini) struct taken t = { 0 };
	struct pickle_meta meta;
	struct pickle_fault fault;

	fixture_load("tests/data/hnsw/pickles/rust-1.3.pickle", &bytes);
	cr_assert_eq(read_all(buf_slice(&bytes), &t, &meta, &fault), 1, "%s", fault.text);
	cr_assert(!meta.is_class && meta.protocol == 3 && meta.memo_count == 0);
	cr_assert(!meta.dimensionality.is_set && !meta.max_seq_id.is_set);
	cr_assert_eq(meta.total_elements_added.value, 150);
	cr_assert_eq(meta.maps[PICKLE_ID_TO_LABEL].count, 120);
	cr_assert_eq(meta.maps[PICKLE_LABEL_TO_ID].count, 120);
	cr_assert(meta.maps[PICKLE_ID_TO_SEQ_ID].is_whole);
	cr_assert_eq(meta.maps[PICKLE_ID_TO_SEQ_ID].count, 0);
	cr_assert_eq(meta.end_off, bytes.len);
	cr_assert_eq(t.count, 240);
}

/* Every label has to lead back to the id that has it. */
static void expect_maps_agree(const struct taken *t)
{
	size_t checked = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct pickle_entry *a = &t->entries[i];

		for (size_t k = 0; a->map == PICKLE_ID_TO_LABEL && k < t->count; k++) {
			const struct pickle_entry *b = &t->entries[k];

			if (b->map == PICKLE_LABEL_TO_ID && b->number == a->number) {
				cr_assert(slice_eq(a->id, b->id));
				checked++;
			}
		}
	}
	cr_assert_gt(checked, 0);
}

Test(pickle, python_form_is_read)
{
	static const char *const names[] = { "tests/data/hnsw/pickles/python-0.4.14.pickle",
					     "tests/data/hnsw/pickles/python-0.6.3.pickle" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		cleanup_(taken_fini) struct taken t = { 0 };
		struct pickle_meta meta;
		struct pickle_fault fault;

		fixture_load(names[i], &bytes);
		cr_assert_eq(read_all(buf_slice(&bytes), &t, &meta, &fault), 1, "%s", fault.text);
		cr_assert(meta.is_class && meta.protocol == 5);
		cr_assert(meta.dimensionality.is_set);
		cr_assert_eq(meta.dimensionality.value, 12);
		cr_assert_eq(meta.total_elements_added.value, 40);
		cr_assert_eq(meta.max_seq_id.is_set, i == 0);
		cr_assert_eq(meta.maps[PICKLE_ID_TO_LABEL].count,
			     meta.maps[PICKLE_LABEL_TO_ID].count);
		cr_assert_gt(meta.maps[PICKLE_ID_TO_SEQ_ID].count, 0);
		expect_maps_agree(&t);
	}
}

/* A file cut anywhere is refused as cut, and what was handed over is a beginning of the whole. */
Test(pickle, cut_at_every_byte)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(taken_fini) struct taken whole = { 0 };
	struct pickle_meta meta;
	struct pickle_fault fault;

	fixture_load("tests/data/hnsw/pickles/python-0.6.3.pickle", &bytes);
	cr_assert_eq(read_all(buf_slice(&bytes), &whole, &meta, &fault), 1);
	for (size_t len = 0; len < bytes.len; len++) {
		cleanup_(taken_fini) struct taken t = { 0 };

		cr_assert_eq(read_all(slice_of(bytes.ptr, len), &t, &meta, &fault), 0);
		cr_assert_eq(fault.kind, PICKLE_FAULT_END, "%zu: %s", len, fault.text);
		cr_assert_leq(fault.off, len);
		cr_assert_leq(t.count, whole.count);
		for (size_t i = 0; i < t.count; i++)
			cr_assert(slice_eq(t.entries[i].id, whole.entries[i].id) &&
				  t.entries[i].number == whole.entries[i].number);
	}
	/* With its label_to_id cut, the first map is known to be whole. */
	cr_assert_eq(read_all(slice_of(bytes.ptr, 500), NULL, &meta, &fault), 0);
	cr_assert(meta.maps[PICKLE_ID_TO_LABEL].is_whole);
	cr_assert(!meta.maps[PICKLE_LABEL_TO_ID].is_whole);
}

/* Flipping any bit is either noticed or changes nothing but values: never more than the file. */
Test(pickle, every_bit_flipped)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct pickle_meta meta;
	struct pickle_fault fault;

	fixture_load("tests/data/hnsw/pickles/python-0.4.14.pickle", &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		int r;

		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
		r = read_all(buf_slice(&bytes), NULL, &meta, &fault);
		cr_assert(r == 1 || (r == 0 && fault.kind != PICKLE_FAULT_NONE &&
				     fault.off <= bytes.len && fault.text[0] != '\0'));
		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

/* ---- the writer ---- */

static void write_again(const struct taken *t, int64_t total, struct buf *out)
{
	struct pickle_writer w;
	struct vs_err err = { 0 };
	bool is_turned = false;

	pickle_writer_begin(&w, out, total);
	for (size_t i = 0; i < t->count; i++) {
		if (t->entries[i].map == PICKLE_LABEL_TO_ID && !is_turned) {
			pickle_writer_turn(&w);
			is_turned = true;
		}
		cr_assert_eq(pickle_writer_add(&w, t->entries[i].id, t->entries[i].number, &err), 0,
			     "%s", err.text);
	}
	if (!is_turned)
		pickle_writer_turn(&w);
	cr_assert_eq(pickle_writer_end(&w, &err), 0, "%s", err.text);
}

Test(pickle, written_again_as_the_server_wrote_it)
{
	static const char *const names[] = {
		"tests/data/hnsw/pickles/rust-1.3.pickle",
		"tests/data/hnsw/pickles/rust-1.3-emptied.pickle",
		"tests/data/hnsw/cosine-12/index_metadata.pickle",
		"tests/data/hnsw/l2-8-tombstones/index_metadata.pickle",
	};

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		cleanup_(buf_fini) struct buf again = { 0 };
		cleanup_(taken_fini) struct taken t = { 0 };
		struct pickle_meta meta;
		struct pickle_fault fault;

		fixture_load(names[i], &bytes);
		cr_assert_eq(read_all(buf_slice(&bytes), &t, &meta, &fault), 1, "%s", fault.text);
		write_again(&t, meta.total_elements_added.value, &again);
		cr_assert(slice_eq(buf_slice(&bytes), buf_slice(&again)), "%s", names[i]);
	}
}

Test(pickle, labels_beyond_32_bits_come_back)
{
	static const int64_t labels[] = { 1,
					  INT32_MAX,
					  (int64_t)INT32_MAX + 1,
					  INT64_C(0x7fffffffff),
					  INT64_C(0x8000000000),
					  INT64_MAX };
	cleanup_(buf_fini) struct buf out = { 0 };
	cleanup_(taken_fini) struct taken t = { 0 };
	struct pickle_writer w;
	struct pickle_meta meta;
	struct pickle_fault fault;
	struct vs_err err = { 0 };

	pickle_writer_begin(&w, &out, INT64_MAX);
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < VS_COUNT(labels); i++)
			cr_assert_eq(pickle_writer_add(&w, slice_str("x"), labels[i], &err), 0);
		if (pass == 0)
			pickle_writer_turn(&w);
	}
	cr_assert_eq(pickle_writer_end(&w, &err), 0);
	cr_assert_eq(read_all(buf_slice(&out), &t, &meta, &fault), 1, "%s", fault.text);
	cr_assert_eq(meta.total_elements_added.value, INT64_MAX);
	for (size_t i = 0; i < t.count; i++)
		cr_assert_eq(t.entries[i].number, labels[i % VS_COUNT(labels)]);
}

Test(pickle, writer_refuses_what_would_not_load)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct pickle_writer w;
	struct vs_err err = { 0 };

	pickle_writer_begin(&w, &out, 1);
	cr_assert_eq(pickle_writer_add(&w, slice_str("\xff"), 1, &err), VS_EFORMAT);
	cr_assert_eq(pickle_writer_add(&w, slice_str("a"), 0, &err), VS_EUSAGE);
	cr_assert_eq(pickle_writer_add(&w, slice_str("a"), 1, &err), 0);
	pickle_writer_turn(&w);
	cr_assert_eq(pickle_writer_end(&w, &err), VS_EUSAGE);
}

/* ---- what is refused ---- */

Test(pickle, damage_is_told_with_its_place)
{
	expect_refused(BYTES(""), PICKLE_FAULT_END, 0, "empty");
	expect_refused(BYTES("\x80\x03"), PICKLE_FAULT_END, 2, "ends");
	expect_refused(BYTES("\x80\x09}."), PICKLE_FAULT_DATA, 0, "protocol 9");
	expect_refused(BYTES("\x80\x03}\xff"), PICKLE_FAULT_DATA, 3, "byte ff");
	expect_refused(BYTES("\x80\x03N."), PICKLE_FAULT_SHAPE, 3, "no index metadata");
	expect_refused(BYTES("\x80\x03]."), PICKLE_FAULT_SHAPE, 2, "EMPTY_LIST");
	expect_refused(BYTES("\x80\x03}."), PICKLE_FAULT_SHAPE, 3, "\"id_to_label\" is missing");
	expect_refused(BYTES("\x80\x03u."), PICKLE_FAULT_DATA, 2, "without a mark");
	expect_refused(BYTES("\x80\x03}X\x01\0\0\0\xffN"), PICKLE_FAULT_DATA, 3, "not UTF-8");
	expect_refused(BYTES("\x80\x03}}."), PICKLE_FAULT_SHAPE, 3, "dictionary");
	expect_refused(BYTES("\x80\x03}h\0"), PICKLE_FAULT_DATA, 3, "memo entry 0");
	expect_refused(BYTES("\x80\x04\x95\xff\0\0\0\0\0\0\0}."), PICKLE_FAULT_DATA, 12, "frame");
	expect_refused(BYTES("\x80\x03}NN."), PICKLE_FAULT_DATA, 5, "3 values left");
}

Test(pickle, shapes_that_are_not_index_metadata)
{
	expect_refused(BYTES(HEAD "X\x0e\0\0\0dimensionalityNu."), PICKLE_FAULT_SHAPE, 54,
		       "a second \"dimensionality\"");
	expect_refused(BYTES(HEAD ID_TO_LABEL "X\x0b\0\0\0id_to_label}u."), PICKLE_FAULT_SHAPE, 87,
		       "a second \"id_to_label\"");
	expect_refused(BYTES(HEAD ID_TO_LABEL "(J\x01\0\0\0J\x01\0\0\0u"), PICKLE_FAULT_SHAPE, 72,
		       "not text and integer");
	expect_refused(BYTES(HEAD LABEL_TO_ID "(X\x01\0\0\0aJ\x01\0\0\0u"), PICKLE_FAULT_SHAPE, 72,
		       "not text and integer");
	expect_refused(BYTES(HEAD "X\x0b\0\0\0id_to_labelNu."), PICKLE_FAULT_SHAPE, 70,
		       "no dictionary");
	expect_refused(BYTES(HEAD "X\x0a\0\0\0max_seq_id\x88u."), PICKLE_FAULT_SHAPE, 69,
		       "no integer");
	/* POP and its like could take back what was handed over. */
	expect_refused(BYTES(HEAD ID_TO_LABEL "(X\x01\0\0\0aJ\x01\0\0\0X\x01\0\0\0b0"),
		       PICKLE_FAULT_SHAPE, 89, "POP");
}

Test(pickle, keys_of_other_releases_are_passed_over)
{
	struct pickle_meta meta;
	struct pickle_fault fault;

	cr_assert_eq(read_all(BYTES(HEAD "X\x01\0\0\0?}(X\x01\0\0\0aK\x01u" ID_TO_LABEL LABEL_TO_ID
					 "u."),
			      NULL, &meta, &fault),
		     1, "%s", fault.text);
	cr_assert_eq(meta.unknown_keys, 1);
	cr_assert_eq(meta.maps[PICKLE_ID_TO_LABEL].count, 0);
}

Test(pickle, bombs_meet_a_limit)
{
	cleanup_(buf_fini) struct buf deep = { 0 };
	cleanup_(buf_fini) struct buf marks = { 0 };

	/* A million dictionaries inside one another. */
	buf_append(&deep, "\x80\x03", 2);
	for (size_t i = 0; i < 1000000; i++)
		buf_append(&deep, "}(X\x01\0\0\0a", 8);
	expect_refused(buf_slice(&deep), PICKLE_FAULT_LIMIT, 2 + 80 + 2, "values stacked");

	buf_append(&marks, "\x80\x03", 2);
	for (size_t i = 0; i < 1000000; i++)
		buf_append(&marks, "(", 1);
	expect_refused(buf_slice(&marks), PICKLE_FAULT_SHAPE, 2, "a mark");

	/* A leap in the memo would make a loader allocate four thousand million entries. */
	expect_refused(BYTES("\x80\x03}r\xff\xff\xff\xff"), PICKLE_FAULT_LIMIT, 3, "memo entry");
	expect_refused(BYTES("\x80\x04}\x94\x94\x94"), PICKLE_FAULT_SHAPE, 4, "remembered twice");
	expect_refused(BYTES(HEAD "\x8a\x09\1\2\3\4\5\6\7\x08\x09"), PICKLE_FAULT_LIMIT, 54,
		       "an integer of 9 bytes");
	expect_refused(BYTES("\x80\x04}\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"), PICKLE_FAULT_END, 3,
		       "ends");
}

/* ---- code ---- */

struct dangers {
	size_t count;
	struct pickle_danger first;
};

static int note(void *ctx, const struct pickle_danger *danger, struct vs_err *err)
{
	struct dangers *d = ctx;

	(void)err;
	if (d->count++ == 0)
		d->first = *danger;
	return 0;
}

static void expect_danger(struct slice bytes, size_t count, enum pickle_danger_kind kind,
			  const char *module, const char *name)
{
	struct dangers d = { 0 };
	struct pickle_scan scan;
	struct vs_err err = { 0 };

	cr_assert_eq(pickle_scan(bytes, note, &d, &scan, &err), 0);
	cr_assert_eq(d.count, count, "%zu", d.count);
	cr_assert(!scan.is_harmless);
	cr_assert_eq(d.first.kind, kind);
	cr_assert(slice_eq_str(d.first.module, module) && slice_eq_str(d.first.name, name));
}

#define CLASS                                                                                      \
	"\x8c\x32"                                                                                 \
	"chromadb.segment.impl.vector.local_persistent_hnsw\x94\x8c\x0e"                           \
	"PersistentData\x94\x93\x94)\x81\x94"

Test(pickle, code_is_reported_and_never_run)
{
	expect_refused(BYTES("cposix\nsystem\n(S'true'\ntR."), PICKLE_FAULT_CODE, 0,
		       "would import posix.system");
	expect_danger(BYTES("cposix\nsystem\n(S'true'\ntR."), 2, PICKLE_IMPORTS, "posix", "system");
	expect_refused(BYTES("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R."),
		       PICKLE_FAULT_CODE, 17, "would import posix.system");
	expect_danger(BYTES("\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x8c\x01x\x85R."), 2,
		      PICKLE_IMPORTS, "posix", "system");
	/* Names that come out of the memo are not guessed at. */
	expect_danger(BYTES("\x80\x04\x8c\x05posix\x94"
			    "0h\0\x8c\x06system\x93."),
		      1, PICKLE_IMPORTS, "", "");
	expect_refused(BYTES("(iposix\nsystem\n."), PICKLE_FAULT_SHAPE, 0, "mark");
	expect_danger(BYTES("(iposix\nsystem\n."), 1, PICKLE_IMPORTS, "posix", "system");
	expect_refused(BYTES("\x80\x03}R."), PICKLE_FAULT_CODE, 3, "REDUCE");
	expect_danger(BYTES("\x80\x02\x82\x01."), 1, PICKLE_EXTENSION, "", "");
	expect_danger(BYTES("Pname\n."), 1, PICKLE_PERSISTENT, "", "");
	expect_danger(BYTES("\x80\x03}}b."), 1, PICKLE_SETS_STATE, "", "");
	/* A name that would steer a terminal is shown escaped. */
	expect_refused(BYTES("c\x1b[2J\nx\n."), PICKLE_FAULT_CODE, 0, "\\x1b[2J.x");
}

Test(pickle, the_known_class_is_harmless_only_once)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct pickle_scan scan;
	struct vs_err err = { 0 };

	fixture_load("tests/data/hnsw/pickles/python-0.6.3.pickle", &bytes);
	cr_assert_eq(pickle_scan(buf_slice(&bytes), note, NULL, &scan, &err), 0);
	cr_assert(scan.is_harmless && scan.is_whole && scan.known_imports == 1);

	expect_danger(BYTES("\x80\x04" CLASS "}R."), 1, PICKLE_CALLS, "", "");
	expect_danger(BYTES("\x80\x04" CLASS "}b}b."), 1, PICKLE_SETS_STATE, "", "");
	expect_refused(BYTES("\x80\x04" CLASS "}b}b."), PICKLE_FAULT_CODE, 80, "set the state");
}
