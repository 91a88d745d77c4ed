/* SPDX-License-Identifier: Apache-2.0 */

/* The error object: filled once where a failure happens, and given places on its way up. */

#include "util/util.h"

#ifdef __clang_analyzer__
#undef vs_fail
#undef vs_fail_errno
#undef vs_err_in
#endif

static enum vs_status status_of_errno(int sysno)
{
	switch (sysno) {
	case ENOENT:
	case ENOTDIR:
		return VS_ENOENT;
	case EACCES:
	case EPERM:
	case EROFS:
		return VS_EACCES;
	case ENOMEM:
		return VS_ENOMEM;
	case EBUSY:
	case EAGAIN:
		return VS_EBUSY;
	default:
		return VS_EIO;
	}
}

int vs_fail(struct vs_err *err, enum vs_status status, const char *fmt, ...)
{
	va_list ap;

	assert(status < 0);
	err->status = status;
	err->sysno = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return status;
}

int vs_fail_errno(struct vs_err *err, const char *fmt, ...)
{
	int sysno = errno;
	char what[64];
	size_t len;
	va_list ap;

	err->status = status_of_errno(sysno);
	err->sysno = sysno;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		 strerror_r(sysno, what, sizeof(what)));
	return err->status;
}

int vs_err_in(struct vs_err *err, const char *fmt, ...)
{
	char inner[sizeof(err->text)];
	size_t len;
	va_list ap;

	assert(err->status < 0);
	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
	return err->status;
}
