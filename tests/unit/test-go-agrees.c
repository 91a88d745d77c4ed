/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reader and Go's decoder on every truncation and every single-bit flip of a file: both load
 * it, with the same content, or both refuse it, with the same text. Go's side is what tests/peers
 * prints, one line for each damaged variant; here the same lines are made and compared.
 *
 *	test-go-agrees GOBCHECK doc|meta|export FILE [doc|meta|export FILE]...
 */

#include "kit/samples.h"

#include <fcntl.h>

#define SHOWN_MAX 10

struct tally {
	unsigned long variants, loaded, other_verdict, other_text, shown;
};

enum kind {
	KIND_DOC,
	KIND_META,
	KIND_EXPORT,
};

struct subject {
	enum kind kind;
	struct chromem_reader *reader;
	struct digest_ctx *ctx;
};

/* ---- content of metadata, as tests/peers/chromem/digest.go says ---- */

static void add_string(struct digest_ctx *ctx, struct slice text)
{
	digest_ctx_add_u64(ctx, text.len);
	digest_ctx_add(ctx, text.ptr, text.len);
}

static int compare_keys(const void *a, const void *b)
{
	const struct chromem_pair *const *left = a;
	const struct chromem_pair *const *right = b;

	return slice_cmp((*left)->key, (*right)->key);
}

static void add_map(struct digest_ctx *ctx, const struct chromem_pair *pairs, size_t count)
{
	const struct chromem_pair **sorted = vs_alloc_array(count, sizeof(*sorted));

	for (size_t i = 0; i < count; i++)
		sorted[i] = &pairs[i];
	qsort(sorted, count, sizeof(const struct chromem_pair *), compare_keys);
	digest_ctx_add_u64(ctx, count);
	for (size_t i = 0; i < count; i++) {
		add_string(ctx, sorted[i]->key);
		add_string(ctx, sorted[i]->value);
	}
	free(sorted);
}

static void put_digest(const struct digest *digest, char *line, size_t size)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(digest, hex);
	snprintf(line, size, "ok %s", hex);
}

/* ---- our side ---- */

/* The library's text without its words for the step that failed. */
static void put_error(const struct chromem_fault *fault, char *line, size_t size)
{
	static const char *const steps[] = {
		"couldn't decode object: ",
		"couldn't create gzip reader: ",
		"couldn't read magic number to determine whether the stream is compressed: ",
	};
	const char *text = fault->loader_text;
	size_t len;

	for (size_t i = 0; i < VS_COUNT(steps); i++) {
		if (strncmp(text, steps[i], strlen(steps[i])) == 0)
			text += strlen(steps[i]);
	}
	len = (size_t)snprintf(line, size, "error ");
	for (; *text && len + 5 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c > 0x7e || c == '\\')
			len += (size_t)snprintf(line + len, size - len, "\\x%02x", c);
		else
			len += (size_t)snprintf(line + len, size - len, "%c", c);
	}
}

static int decode_doc(const struct subject *s, struct slice bytes, struct digest *out,
		      struct chromem_fault *fault, struct vs_err *err)
{
	struct chromem_doc doc;
	int ret = chromem_decode_doc(s->reader, bytes, &doc, fault, err);

	if (ret == 0)
		chromem_doc_digest(s->ctx, &doc, out);
	return ret;
}

static int decode_meta(const struct subject *s, struct slice bytes, struct digest *out,
		       struct chromem_fault *fault, struct vs_err *err)
{
	struct chromem_meta meta;
	int ret = chromem_decode_meta(s->reader, bytes, &meta, fault, err);

	if (ret != 0)
		return ret;
	digest_ctx_reset(s->ctx);
	add_string(s->ctx, meta.name);
	add_map(s->ctx, meta.metadata, meta.metadata_count);
	digest_ctx_final(s->ctx, out);
	return 0;
}

static int decode_export(const struct subject *s, struct slice bytes, struct digest *out,
			 struct chromem_fault *fault, struct vs_err *err)
{
	cleanup_(sample_store_fini) struct sample_store store = { 0 };
	const struct chromem_export_visitor visitor = {
		.ctx = &store,
		.collection = sample_store_take_collection,
		.document = sample_store_take_document,
	};
	uint32_t oddities;
	int ret = chromem_decode_export(bytes, &visitor, &oddities, fault, err);

	(void)s;
	if (ret == 0)
		sample_store_digest(&store, out);
	return ret;
}

/* Both ways of decoding must say the same; an export has only one. */
static void our_verdict(const struct subject *s, struct slice bytes, bool general, char *line,
			size_t size)
{
	static int (*const decode[])(const struct subject *, struct slice, struct digest *,
				     struct chromem_fault *, struct vs_err *) = {
		[KIND_DOC] = decode_doc,
		[KIND_META] = decode_meta,
		[KIND_EXPORT] = decode_export,
	};
	struct chromem_fault fault = { 0 };
	struct vs_err err = { 0 };
	struct digest digest;
	int ret;

	chromem_reader_set_general(s->reader, general);
	ret = decode[s->kind](s, bytes, &digest, &fault, &err);
	if (ret < 0)
		snprintf(line, size, "failed: %s", err.text);
	else if (ret > 0)
		put_error(&fault, line, size);
	else
		put_digest(&digest, line, size);
}

/* ---- comparing ---- */

/*
 * Ours may be cut at the end, where Go's text is longer than we keep. For a type that the stream
 * does not define, Go prints what its own process has under that number, which nobody can know.
 */
static bool same_text(const char *ours, const char *theirs)
{
	static const char undefined[] = "error gob: bad data: undefined type ";
	size_t len = strlen(ours);

	if (strncmp(ours, undefined, strlen(undefined)) == 0)
		return strncmp(theirs, undefined, strlen(undefined)) == 0;
	return strcmp(ours, theirs) == 0 || (len > 150 && strncmp(ours, theirs, len) == 0);
}

static void compare(struct tally *t, const char *what, const char *ours, const char *theirs)
{
	bool our_ok = strncmp(ours, "ok ", 3) == 0;
	bool their_ok = strncmp(theirs, "ok ", 3) == 0;

	t->variants++;
	t->loaded += their_ok ? 1 : 0;
	if (same_text(ours, theirs))
		return;
	/* Go may not survive a count that is refused here; then anything but success will do. */
	if (strcmp(theirs, "process-dies") == 0 && !our_ok)
		return;
	if (our_ok != their_ok || our_ok)
		t->other_verdict++;
	else
		t->other_text++;
	if (t->shown++ < SHOWN_MAX)
		printf("# %s\n#   ours %s\n#   Go's %s\n", what, ours, theirs);
}

static void check_variant(const struct subject *s, struct slice bytes, const char *what,
			  const char *theirs, struct tally *t)
{
	char fast[1024], general[1024];

	our_verdict(s, bytes, false, fast, sizeof(fast));
	our_verdict(s, bytes, true, general, sizeof(general));
	if (strcmp(fast, general) != 0) {
		t->other_verdict++;
		printf("# %s\n#   fast %s\n#   general %s\n", what, fast, general);
	}
	compare(t, what, fast, theirs);
}

/* One line of Go's: "cut LEN VERDICT" or "flip OFFSET BIT VERDICT". */
static bool check_line(const struct subject *s, struct buf *file, char *line, struct tally *t)
{
	unsigned long off, bit;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	/* Lines of our own program. NOLINTBEGIN(cert-err34-c) */
	if (sscanf(line, "cut %lu %n", &off, &at) == 1 && at > 0 && off < file->len) {
		/* A copy of its own shows reads behind the end to the sanitizers. */
		char *copy = vs_alloc(off + 1);

		memcpy(copy, file->ptr, off);
		check_variant(s, slice_of(copy, off), line, line + at, t);
		free(copy);
		return true;
	}
	if (sscanf(line, "flip %lu %lu %n", &off, &bit, &at) == 2 && at > 0 && off < file->len &&
	    bit < 8) {
		file->ptr[off] ^= (unsigned char)(1u << bit);
		check_variant(s, buf_slice(file), line, line + at, t);
		file->ptr[off] ^= (unsigned char)(1u << bit);
		return true;
	}
	/* NOLINTEND(cert-err34-c) */
	return false;
}

static bool check_file(const char *gobcheck, const char *kind, const char *path)
{
	cleanup_(buf_fini) struct buf file = { 0 };
	struct subject s = { .kind = strcmp(kind, "meta") == 0     ? KIND_META
				     : strcmp(kind, "export") == 0 ? KIND_EXPORT
								   : KIND_DOC };
	struct vs_err err = { 0 };
	struct tally t = { 0 };
	char command[1024], line[4096];
	bool is_whole = true;
	FILE *theirs;

	if (file_read_at(AT_FDCWD, path, FILE_FOLLOW, CHROMEM_FILE_MAX, &file, NULL, &err) != 0) {
		printf("# %s: %s\n", path, err.text);
		return false;
	}
	snprintf(command, sizeof(command), "'%s' mutate '%s' --as %s", gobcheck, path, kind);
	theirs = popen(command, "r"); /* NOLINT(cert-env33-c): our own program */
	if (!theirs)
		return false;
	s.reader = chromem_reader_new();
	s.ctx = digest_ctx_new();
	/* The undamaged file first, so that there is a plan for the fast way. */
	our_verdict(&s, buf_slice(&file), false, line, sizeof(line));
	while (fgets(line, sizeof(line), theirs))
		is_whole = check_line(&s, &file, line, &t) && is_whole;
	if (pclose(theirs) != 0 || t.variants != 9 * file.len)
		is_whole = false;
	printf("# %s: %lu variants, %lu load, %lu differ in verdict or content, %lu in text%s\n",
	       path, t.variants, t.loaded, t.other_verdict, t.other_text,
	       is_whole ? "" : ", and some are missing");
	digest_ctx_freep(&s.ctx);
	chromem_reader_freep(&s.reader);
	return is_whole && t.other_verdict == 0 && t.other_text == 0;
}

int main(int argc, char **argv)
{
	int failed = 0, number = 0;

	for (int i = 2; i + 1 < argc; i += 2) {
		bool ok = check_file(argv[1], argv[i], argv[i + 1]);

		failed += ok ? 0 : 1;
		printf("%sok %d - %s\n", ok ? "" : "not ", ++number, argv[i + 1]);
	}
	printf("1..%d\n", number);
	return failed > 0 || number == 0 ? 1 : 0;
}
