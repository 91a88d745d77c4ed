/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The names seen by earlier runs, kept as JSON lines. A line stands for itself, so that what one
 * crash broke costs one line. The hash in a line is for people who search the file; it is computed
 * anew and must agree, or the line was tampered with and does not count.
 */

#include "file/file.h"
#include "lookup/lookup.h"

struct known {
	struct slice name;
	const char *source;     /* "" when the line has none */
	const char *first_seen; /* "" likewise */
};

/* ---- reading ---- */

/* The name of a line into @bytes, from whichever key has it. */
static bool line_name(const struct jr *line, struct buf *bytes)
{
	const char *text;
	size_t len;

	buf_clear(bytes);
	if (jr_get_str(line, "name", &text)) {
		buf_append_str(bytes, text);
		return bytes->len > 0;
	}
	if (!jr_get_str(line, "name_hex", &text))
		return false;
	len = strlen(text) / 2;
	for (size_t i = 0; i < len; i++)
		buf_append_byte(bytes, 0);
	return len > 0 && hex_parse(slice_str(text), bytes->ptr, len);
}

/* Text of our own making, for all we know: nothing that would look odd in a line of evidence. */
static const char *line_text(const struct jr *line, const char *key)
{
	const char *text;

	return jr_get_str(line, key, &text) && strlen(text) <= 64 ? text : "";
}

static bool parse_line(struct slice text, struct jr **doc, struct buf *bytes, struct known *out)
{
	struct vs_err ignored = { 0 };
	unsigned char want[4];
	struct digest digest;
	const char *hash;

	if (jr_parse(doc, text, &ignored) < 0 || !jr_is_object(*doc) || !line_name(*doc, bytes) ||
	    !jr_get_str(*doc, "hash", &hash) || !hex_parse(slice_str(hash), want, sizeof(want)))
		return false;
	digest_of(buf_slice(bytes), &digest);
	if (memcmp(digest.bytes, want, sizeof(want)) != 0)
		return false;
	*out = (struct known){
		.name = buf_slice(bytes),
		.source = line_text(*doc, "source"),
		.first_seen = line_text(*doc, "first_seen"),
	};
	return true;
}

/* Read the file into @text; an absent one is empty. */
static int read_file(int state_dirfd, struct buf *text, struct vs_err *err)
{
	enum file_type type;
	int r = file_read_at(state_dirfd, KNOWN_NAMES_FILE, FILE_NO_FOLLOW, KNOWN_NAMES_SIZE_MAX,
			     text, &type, err);

	if (r == VS_ENOENT) {
		buf_clear(text);
		return 0;
	}
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: not a regular file", KNOWN_NAMES_FILE);
	return r < 0 ? vs_err_in(err, "%s", KNOWN_NAMES_FILE) : 0;
}

/* Call @fn for each good line of @text; returns the number of bad ones. */
static uint64_t each_line(struct slice text, void (*fn)(void *ctx, const struct known *known),
			  void *ctx)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	uint64_t bad = 0;

	while (text.len > 0) {
		cleanup_(jr_freep) struct jr *doc = NULL;
		const unsigned char *end = memchr(text.ptr, '\n', text.len);
		size_t len = end ? (size_t)(end - text.ptr) : text.len;
		struct known known;

		if (parse_line(slice_of(text.ptr, len), &doc, &bytes, &known))
			fn(ctx, &known);
		else if (len > 0)
			bad++;
		len += end ? 1 : 0;
		text = slice_of(text.ptr + len, text.len - len);
	}
	return bad;
}

static void tell(void *ctx, const struct known *known)
{
	cleanup_(buf_fini) struct buf where = { 0 };

	buf_append_str(&where, "seen in this store");
	if (known->first_seen[0] != '\0')
		buf_printf(&where, " at %s", known->first_seen);
	if (known->source[0] != '\0')
		buf_printf(&where, " (%s)", known->source);
	lookup_add_name(ctx, LOOKUP_REMEMBERED, known->name, buf_cstr(&where));
}

int known_names_load(struct lookup *l, int state_dirfd, uint64_t *bad_lines, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	uint64_t bad;
	int r;

	r = read_file(state_dirfd, &text, err);
	if (r < 0)
		return r;
	bad = each_line(buf_slice(&text), tell, l);
	if (bad_lines)
		*bad_lines = bad;
	return 0;
}

/* ---- writing ---- */

/* Names that are in the file already, or are on their way into it. */
struct name_set {
	struct slice *names;
	size_t count, cap;
	struct buf bytes; /* of those read; @names are offsets into it until settled */
};

static int by_name(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void set_fini(struct name_set *set)
{
	free(set->names);
	buf_fini(&set->bytes);
}

static void put(void *ctx, const struct known *known)
{
	struct name_set *set = ctx;

	set->names = vs_grow(set->names, &set->cap, set->count + 1, sizeof(*set->names));
	set->names[set->count++] = slice_of(NULL, known->name.len);
	buf_append(&set->bytes, known->name.ptr, known->name.len);
}

static void set_settle(struct name_set *set)
{
	size_t off = 0;

	for (size_t i = 0; i < set->count; i++) {
		set->names[i].ptr = set->bytes.ptr + off;
		off += set->names[i].len;
	}
	if (set->count > 0)
		qsort(set->names, set->count, sizeof(*set->names), by_name);
}

static bool set_has(const struct name_set *set, struct slice name)
{
	return set->count > 0 &&
	       bsearch(&name, set->names, set->count, sizeof(*set->names), by_name);
}

/* Text that JSON gives back as it was. */
static bool is_plain_text(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			return false;
	}
	return utf8_is_valid(name);
}

static void format_line(struct buf *out, struct slice name, const char *source, int64_t now_ns)
{
	struct digest digest;
	char hash[9], when[32];
	struct jw j;

	digest_of(name, &digest);
	hex_format(digest.bytes, 4, hash);
	time_format(now_ns, false, when);
	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "hash", hash);
	if (is_plain_text(name)) {
		jw_key(&j, "name");
		jw_text(&j, name);
	} else {
		cleanup_(vs_freep) char *hex = vs_alloc(2 * name.len + 1);

		hex_format(name.ptr, name.len, hex);
		jw_str_field(&j, "name_hex", hex);
	}
	jw_str_field(&j, "first_seen", when);
	jw_str_field(&j, "source", source);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

static int append(int state_dirfd, struct slice bytes, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_append_at(state_dirfd, KNOWN_NAMES_FILE, 0600, &fd, err);
	if (r < 0)
		return r;
	r = file_write(fd, bytes, err);
	if (r < 0)
		return r;
	return file_sync(fd, err);
}

int known_names_add(int state_dirfd, const struct slice *names, size_t count, const char *source,
		    int64_t now_ns, size_t *added, struct vs_err *err)
{
	cleanup_(set_fini) struct name_set set = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 }, lines = { 0 };
	cleanup_(vs_freep) struct slice *sorted = vs_alloc_array(count + 1, sizeof(*sorted));
	size_t more = 0;
	int r;

	r = read_file(state_dirfd, &text, err);
	if (r < 0)
		return r;
	(void)each_line(buf_slice(&text), put, &set);
	set_settle(&set);
	/* A crash may have left the beginning of a line. */
	if (text.len > 0 && text.ptr[text.len - 1] != '\n')
		buf_append_byte(&lines, '\n');
	for (size_t i = 0; i < count; i++)
		sorted[i] = names[i];
	qsort(sorted, count, sizeof(*sorted), by_name);
	for (size_t i = 0; i < count; i++) {
		bool is_new = (i == 0 || !slice_eq(sorted[i], sorted[i - 1])) &&
			      sorted[i].len > 0 && sorted[i].len <= LOOKUP_NAME_MAX &&
			      !set_has(&set, sorted[i]);

		if (!is_new)
			continue;
		format_line(&lines, sorted[i], source, now_ns);
		more++;
	}
	if (added)
		*added = more;
	return more > 0 ? append(state_dirfd, buf_slice(&lines), err) : 0;
}
