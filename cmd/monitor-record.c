/* SPDX-License-Identifier: Apache-2.0 */

/* monitor.json, written and read. Each field is a row of one table. */

#include "monitor-record.h"

#include "file/file.h"

#define RECORD_NAME "monitor.json"
#define RECORD_KIND "vsctl-monitor"

const double monitor_bucket_s[MONITOR_BUCKETS] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
						   0.5,   1,    2.5,   5,    10,  30 };

static const struct count_field {
	const char *key;
	size_t offset;
} counts[] = {
#define COUNT(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct monitor_record, name)                                       \
	}
	COUNT(collections), COUNT(healthy),    COUNT(corrupt),        COUNT(empty),
	COUNT(documents),   COUNT(bytes),      COUNT(errors),         COUNT(warnings),
	COUNT(duration_ns), COUNT(successes),  COUNT(failures),       COUNT(detected),
	COUNT(bucket_over), COUNT(scans_read), COUNT(documents_read),
#undef COUNT
};

static void format(const struct monitor_record *rec, struct buf *out)
{
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "kind", RECORD_KIND);
	jw_bool_field(&j, "scanned", rec->is_there);
	jw_key(&j, "time_ns");
	jw_int(&j, rec->time_ns);
	jw_key(&j, "tried_ns");
	jw_int(&j, rec->tried_ns);
	jw_bool_field(&j, "failed", rec->is_failed);
	jw_str_field(&j, "failure", rec->failure);
	jw_str_field(&j, "verdict", verdict_name((enum verdict)rec->verdict));
	jw_str_field(&j, "loadable", loadable_name((enum loadable)rec->loadable));
	for (size_t i = 0; i < VS_COUNT(counts); i++) {
		uint64_t value;

		memcpy(&value, (const char *)rec + counts[i].offset, sizeof(value));
		jw_uint_field(&j, counts[i].key, value);
	}
	jw_key(&j, "buckets");
	jw_array(&j);
	for (size_t i = 0; i < MONITOR_BUCKETS; i++)
		jw_uint(&j, rec->bucket[i]);
	jw_array_end(&j);
	jw_key(&j, "seconds_sum");
	jw_double(&j, rec->seconds_sum, 9);
	jw_bool_field(&j, "told_degraded", rec->is_told_degraded);
	jw_bool_field(&j, "told_failed", rec->is_told_failed);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

static bool parse_words(const struct jr *doc, struct monitor_record *rec)
{
	const char *verdict, *loadable, *failure;

	if (!jr_get_str(doc, "verdict", &verdict) || !jr_get_str(doc, "loadable", &loadable) ||
	    !jr_get_str(doc, "failure", &failure))
		return false;
	snprintf(rec->failure, sizeof(rec->failure), "%s", failure);
	for (rec->verdict = 0; rec->verdict <= VERDICT_UNVERIFIED; rec->verdict++) {
		if (strcmp(verdict, verdict_name((enum verdict)rec->verdict)) == 0)
			break;
	}
	for (rec->loadable = 0; rec->loadable <= LOADABLE_NO; rec->loadable++) {
		if (strcmp(loadable, loadable_name((enum loadable)rec->loadable)) == 0)
			break;
	}
	return rec->verdict <= VERDICT_UNVERIFIED && rec->loadable <= LOADABLE_NO;
}

static bool parse_counts(const struct jr *doc, struct monitor_record *rec)
{
	const struct jr *buckets = jr_get(doc, "buckets");
	const struct jr *sum = jr_get(doc, "seconds_sum");

	for (size_t i = 0; i < VS_COUNT(counts); i++) {
		uint64_t value = 0;

		/* The first records had not all of them. */
		if (jr_get(doc, counts[i].key) && !jr_get_uint(doc, counts[i].key, &value))
			return false;
		memcpy((char *)rec + counts[i].offset, &value, sizeof(value));
	}
	for (size_t i = 0; i < MONITOR_BUCKETS; i++) {
		const struct jr *one = jr_at(buckets, i);

		if (!one || !jr_as_uint(one, &rec->bucket[i]))
			return false;
	}
	return sum && jr_as_double(sum, &rec->seconds_sum);
}

static bool parse(const struct jr *doc, struct monitor_record *rec)
{
	return jr_get_bool(doc, "scanned", &rec->is_there) &&
	       jr_get_int(doc, "time_ns", &rec->time_ns) &&
	       jr_get_int(doc, "tried_ns", &rec->tried_ns) &&
	       jr_get_bool(doc, "failed", &rec->is_failed) &&
	       jr_get_bool(doc, "told_degraded", &rec->is_told_degraded) &&
	       jr_get_bool(doc, "told_failed", &rec->is_told_failed) && parse_words(doc, rec) &&
	       parse_counts(doc, rec);
}

int monitor_record_load(int state_dirfd, struct monitor_record *out, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct monitor_record rec = { 0 };
	int r;

	*out = (struct monitor_record){ 0 };
	r = file_read_record_at(state_dirfd, RECORD_NAME, RECORD_KIND, &doc, err);
	if (r != 0)
		return r;
	if (!parse(doc, &rec))
		return vs_fail(err, VS_EFORMAT, "%s is not a record of the monitor", RECORD_NAME);
	*out = rec;
	return 0;
}

int monitor_record_save(int state_dirfd, const struct monitor_record *rec, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	format(rec, &text);
	return file_replace_at(state_dirfd, RECORD_NAME, 0600, buf_slice(&text), err);
}
