/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * auditlog: audit logs in memory, to be damaged
 *
 * Built by the functions that appending uses, so that thousands of records cost no disk.
 */

#include "audit/audit-private.h"

struct kit_log {
	struct buf text;
	size_t *starts; /* of each line, and behind the last the length of the text */
	size_t count, cap;
	struct audit_head head;
	struct seal_key key; /* of the next record */
	bool is_sealed;
};

/* An empty log; with a first key every record is sealed. */
void kit_log_init(struct kit_log *log, const unsigned char *first_key);
void kit_log_fini(struct kit_log *log);
void kit_log_add(struct kit_log *log, const struct audit_record *rec);

/* Add @count ordinary records: started and finished in turn. */
void kit_log_fill(struct kit_log *log, size_t count);

/* Line @number, from 1, with its newline. */
struct slice kit_log_line(const struct kit_log *log, size_t number);

/* Write log, head and key into a state directory. */
void kit_log_save(const struct kit_log *log, int state_dirfd);

/* Findings as they are reported, notes included. */
struct kit_findings {
	size_t count;
	struct {
		enum audit_fault fault;
		uint64_t line, seq;
	} items[16]; /* those behind are counted only */
};

void kit_findings_add(void *kit_findings, const struct audit_finding *f);
