/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Errors: why a job could not be done
 *
 * A function that can fail returns a negative enum vs_status and fills the struct vs_err that its
 * caller passed as the last argument, once, at the place where the failure happened. Outer layers
 * may put a place in front with vs_err_in(). Damage in a user's store is not an error but a finding
 * (check/check.h).
 *
 * Texts: lower case, no full stop, no newline, name the file and the offset where there is one.
 */

enum vs_status {
	VS_OK = 0,
	VS_EIO = -1,        /* the system refused: see sysno */
	VS_ENOMEM = -2,     /* a size that came from outside could not be allocated */
	VS_ENOENT = -3,     /* it is not there */
	VS_EACCES = -4,     /* it may not be read or written */
	VS_EFORMAT = -5,    /* the bytes are not what they should be */
	VS_ELIMIT = -6,     /* larger or deeper than a named limit allows */
	VS_EBUSY = -7,      /* somebody else is using it */
	VS_EUSAGE = -8,     /* the caller's request makes no sense */
	VS_ENOTSUP = -9,    /* known, and not supported here */
	VS_EVANISHED = -10, /* it was there a moment ago */
};

struct vs_err {
	enum vs_status status;
	int sysno; /* errno where the system refused, else 0 */
	char text[1024];
};

/* Fill @err and return @status, so that a failing function can end with `return vs_fail(...)`. */
int vs_fail(struct vs_err *err, enum vs_status status, const char *fmt, ...) printf_(3, 4);

/* The same for a failed system call: takes errno, appends its text, and maps it to a status. */
int vs_fail_errno(struct vs_err *err, const char *fmt, ...) printf_(2, 3);

/* Put a place in front of the text (`notes/3f2a.gob: ...`) and return the status already there. */
int vs_err_in(struct vs_err *err, const char *fmt, ...) printf_(2, 3);

#ifdef __clang_analyzer__
/* The analyser does not see from here that these are negative, and would follow callers into
 * successes that there are not. */
#define vs_fail(err, status, ...) (vs_fail(err, status, __VA_ARGS__), (int)(status))
#define vs_fail_errno(err, ...) (vs_fail_errno(err, __VA_ARGS__), (int)VS_EIO)
#define vs_err_in(err, ...) (vs_err_in(err, __VA_ARGS__), (int)VS_EIO)
#endif
