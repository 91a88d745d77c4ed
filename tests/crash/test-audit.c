/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Appending to the audit log, sealed and not, failed and killed at each of its disk calls: the log
 * then has no finding but what a crash may leave, and the next record goes into it.
 */

#include "audit/audit-private.h"
#include "fault.h"
#include "kit/auditlog.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

struct scene {
	char root[64];
	int state;
	bool is_sealed;
	uint64_t before; /* records */
};

static const unsigned char first_key[AUDIT_KEY_LEN] = "a first key for tests, 32 bytes";

static int remove_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct scene *s = ctx;

	(void)type;
	return unlinkat(s->state, name, 0) < 0 ? vs_fail_errno(err, "%s", name) : 0;
}

static void scene_end(struct scene *s)
{
	struct vs_err err = { 0 };

	if (s->root[0] == '\0')
		return;
	cr_assert_eq(file_list(s->state, remove_entry, s, &err), 0, "%s", err.text);
	close(s->state);
	cr_assert_eq(rmdir(s->root), 0);
	s->root[0] = '\0';
}

/* A log of @records, and behind them @rest. */
static void scene_make(struct scene *s, size_t records, const char *rest)
{
	struct kit_log log;

	const char *memory = "/dev/shm";

	scene_end(s);
	/* Hundreds of syncs, and no power is cut here: memory will do. */
	snprintf(s->root, sizeof(s->root), "%s/vsctl-audit-XXXXXX",
		 access(memory, W_OK) == 0 ? memory : "/tmp");
	cr_assert_not_null(mkdtemp(s->root));
	s->state = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(s->state, 0);
	s->before = records;
	kit_log_init(&log, s->is_sealed ? first_key : NULL);
	kit_log_fill(&log, records);
	buf_append_str(&log.text, rest);
	if (log.text.len > 0)
		kit_log_save(&log, s->state);
	kit_log_fini(&log);
}

static int append(void *ctx)
{
	const struct audit_record rec = { .phase = AUDIT_STARTED, .action = "repair" };
	struct scene *s = ctx;
	struct vs_err err = { 0 };

	return audit_append(s->state, &vs_clock_system, &rec, &err);
}

static int seal(void *ctx)
{
	const struct audit_record rec = { .phase = AUDIT_FINISHED, .action = "audit-log seal" };
	struct scene *s = ctx;
	struct vs_err err = { 0 };

	return audit_seal_init(s->state, &vs_clock_system, first_key, &rec, &err);
}

/*
 * What a crash leaves has one explanation at most: a line that was never finished, or one that the
 * head does not have yet. Behind the next append there is nothing left to explain.
 */
static void explained(const struct kit_findings *found, bool is_settled, unsigned n,
		      enum fault_mode mode)
{
	cr_assert_leq(found->count, is_settled ? 0 : 1, "call %u, %s: %zu notes, the first %s", n,
		      fault_mode_name(mode), found->count, audit_fault_name(found->items[0].fault));
	cr_assert(found->count == 0 || audit_fault_is_note(found->items[0].fault));
}

static uint64_t verify(struct scene *s, bool with_key, bool is_settled, unsigned n,
		       enum fault_mode mode)
{
	struct kit_findings found = { 0 };
	struct vs_err err = { 0 };
	uint64_t records = 0;
	int r;

	r = audit_verify(s->state, NULL, with_key ? first_key : NULL, kit_findings_add, &found,
			 &records, &err);
	cr_assert_eq(r, 0, "call %u, %s: %d findings, the first %s at line %" PRIu64 " %s", n,
		     fault_mode_name(mode), r, audit_fault_name(found.items[0].fault),
		     found.items[0].line, err.text);
	explained(&found, is_settled, n, mode);
	return records;
}

/* Nothing that was in a file beside the log may be lost either. */
static bool has_file(struct scene *s, const char *name)
{
	return faccessat(s->state, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void check(struct scene *s, enum fault_outcome outcome, unsigned n, enum fault_mode mode)
{
	bool has_key = has_file(s, AUDIT_KEY);
	uint64_t then = verify(s, false, false, n, mode);
	uint64_t after;

	cr_assert_geq(then, s->before, "call %u, %s: records are lost", n, fault_mode_name(mode));
	if (outcome == FAULT_SURVIVED)
		cr_assert_geq(then, s->before + 1, "call %u, %s: reported as written, and is not",
			      n, fault_mode_name(mode));
	cr_assert_eq(append(s), 0, "call %u, %s: the log takes no more", n, fault_mode_name(mode));
	after = verify(s, has_key, true, n, mode);
	cr_assert_geq(after, then + 1);
	cr_assert_leq(after, then + 2, "a record, and one that tells of the crash");
}

static unsigned walk(struct scene *s, size_t records, const char *rest, int (*operation)(void *),
		     void (*look)(struct scene *, enum fault_outcome, unsigned, enum fault_mode))
{
	unsigned points = 0;

	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES_; mode++) {
		for (unsigned n = 1;; n++) {
			enum fault_outcome outcome;

			scene_make(s, records, rest);
			outcome = fault_run(n, mode, operation, s);
			look(s, outcome, n, mode);
			if (outcome == FAULT_NOT_REACHED)
				break;
			points++;
		}
	}
	scene_end(s);
	return points;
}

Test(audit, first_append_at_every_fault)
{
	struct scene s = { 0 };

	cr_assert_gt(walk(&s, 0, "", append, check), 25);
}

Test(audit, append_at_every_fault)
{
	struct scene s = { 0 };

	cr_assert_gt(walk(&s, 3, "", append, check), 25);
}

Test(audit, sealed_append_at_every_fault)
{
	struct scene s = { .is_sealed = true };

	cr_assert_gt(walk(&s, 3, "", append, check), 45);
}

static bool file_has(struct scene *s, const char *name, const char *text)
{
	cleanup_(buf_fini) struct buf file = { 0 };
	struct vs_err err = { 0 };

	return file_read_at(s->state, name, FILE_NO_FOLLOW, 65536, &file, NULL, &err) == 0 &&
	       strstr(buf_cstr(&file), text) != NULL;
}

static void check_torn(struct scene *s, enum fault_outcome outcome, unsigned n,
		       enum fault_mode mode)
{
	check(s, outcome, n, mode);
	cr_assert(file_has(s, "audit.torn.4", "{\"action\":\"half a rec\n"),
		  "call %u, %s: the incomplete line is not kept", n, fault_mode_name(mode));
	cr_assert(file_has(s, AUDIT_LOG, "set aside as audit.torn.4"),
		  "call %u, %s: no record says what became of it", n, fault_mode_name(mode));
}

Test(audit, setting_aside_at_every_fault)
{
	struct scene s = { .is_sealed = true };

	cr_assert_gt(walk(&s, 3, "{\"action\":\"half a rec", append, check_torn), 80);
}

static void check_seal(struct scene *s, enum fault_outcome outcome, unsigned n,
		       enum fault_mode mode)
{
	bool has_key = has_file(s, AUDIT_KEY);
	struct vs_err err = { 0 };
	const struct audit_record rec = { .phase = AUDIT_FINISHED, .action = "audit-log seal" };
	int again;

	cr_assert(has_key || outcome == FAULT_FAILED || outcome == FAULT_KILLED,
		  "call %u, %s: sealed without a key", n, fault_mode_name(mode));
	check(s, outcome, n, mode);
	again = audit_seal_init(s->state, &vs_clock_system, first_key, &rec, &err);
	cr_assert_eq(again, has_key ? VS_EBUSY : 0, "call %u, %s: %s", n, fault_mode_name(mode),
		     err.text);
	cr_assert_eq(append(s), 0);
	verify(s, true, true, n, mode);
}

Test(audit, sealing_at_every_fault)
{
	struct scene s = { 0 };

	cr_assert_gt(walk(&s, 3, "", seal, check_seal), 50);
	cr_assert_gt(walk(&s, 0, "", seal, check_seal), 50);
}

/* Twice in a row: the process that ends what a crash left is killed over it. */
Test(audit, a_crash_over_a_crash)
{
	struct scene s = { .is_sealed = true };

	for (unsigned first = 1;; first++) {
		enum fault_outcome outcome = FAULT_KILLED;

		for (unsigned second = 1; outcome != FAULT_NOT_REACHED; second++) {
			scene_make(&s, 3, "{\"action\":\"half a rec");
			if (fault_run(first, FAULT_KILL_AFTER_HALF, append, &s) ==
			    FAULT_NOT_REACHED) {
				scene_end(&s);
				cr_assert_gt(first, 15);
				return;
			}
			outcome = fault_run(second, FAULT_KILL_AFTER_HALF, append, &s);
			verify(&s, true, false, second, FAULT_KILL_AFTER_HALF);
			cr_assert_eq(append(&s), 0);
			verify(&s, true, true, second, FAULT_KILL_AFTER_HALF);
			cr_assert(has_file(&s, "audit.torn.4"));
		}
	}
}

/* ---- the older tool's log ---- */

static int append_rollback(void *ctx)
{
	const struct audit_rollback_record rec = { .action = "rollback",
						   .snapshot_id = "snapshot_20260122_140309",
						   .status = "completed",
						   .trigger = "manual",
						   .rollback_type = "full",
						   .success = true };
	struct scene *s = ctx;
	struct vs_err err = { 0 };

	return audit_rollback(s->state, &vs_clock_system, &rec, &err);
}

/* Lines that its readers take, and of those cut short, which they drop, no more than one. */
static size_t count_rollbacks(struct scene *s, size_t *cut)
{
	cleanup_(buf_fini) struct buf file = { 0 };
	struct vs_err err = { 0 };
	size_t whole = 0;
	char *rest = NULL;

	*cut = 0;
	if (file_read_at(s->state, "rollback_audit.jsonl", FILE_NO_FOLLOW, 65536, &file, NULL,
			 &err) < 0)
		return 0;
	buf_append_byte(&file, '\0');
	for (char *line = strtok_r((char *)file.ptr, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		cleanup_(jr_freep) struct jr *record = NULL;

		if (jr_parse(&record, slice_str(line), &err) < 0)
			++*cut;
		else
			whole++;
	}
	return whole;
}

static void check_rollback(struct scene *s, enum fault_outcome outcome, unsigned n,
			   enum fault_mode mode)
{
	size_t cut, before, after;

	before = count_rollbacks(s, &cut);
	cr_assert_leq(cut, 1, "call %u, %s", n, fault_mode_name(mode));
	if (outcome == FAULT_NOT_REACHED || outcome == FAULT_SURVIVED)
		cr_assert_eq(before, 1, "call %u, %s: reported as written, and is not", n,
			     fault_mode_name(mode));
	cr_assert_eq(append_rollback(s), 0);
	after = count_rollbacks(s, &cut);
	cr_assert_eq(after, before + 1, "call %u, %s: the next one is spoilt as well", n,
		     fault_mode_name(mode));
	cr_assert_leq(cut, 1);
}

Test(audit, rollback_record_at_every_fault)
{
	struct scene s = { 0 };

	cr_assert_gt(walk(&s, 0, "", append_rollback, check_rollback), 10);
}
