/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * util: what every room may use
 *
 * Errors, bytes, bounded reads, digests, text encodings, a JSON writer, injected time and a worker
 * pool. Nothing in this room knows about stores, and nothing in it prints or exits, save for
 * vs_alloc(), which aborts when a small fixed allocation fails.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define cleanup_(fn) __attribute__((cleanup(fn)))
#define must_check_ __attribute__((warn_unused_result))
#define printf_(fmt, args) __attribute__((format(printf, fmt, args)))

/* Give away the value of the local owner @x: its cleanup then finds nothing to do. */
#define VS_TAKE(x)                                                                                 \
	__extension__({                                                                            \
		__typeof__(x) taken_ = (x);                                                        \
		(x) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define VS_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define VS_MAX(a, b) ((a) > (b) ? (a) : (b))

#include "util/err.h"

#include "util/bytes.h"

#include "util/cursor.h"

#include "util/text.h"

#include "util/digest.h"

#include "util/json-read.h"

#include "util/json-write.h"

#include "util/sys.h"

/* Unbounded, locale-bound or thread-unsafe: none of these has a place here. */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol
#pragma GCC poison gmtime localtime ctime asctime mktemp tmpnam
