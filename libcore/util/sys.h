/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Time and threads
 */

/* Where time comes from: the system, or a fixed instant in tests. Nanoseconds since 1970, UTC. */
struct vs_clock {
	int64_t (*now_ns)(void *ctx);
	void *ctx;
};

extern const struct vs_clock vs_clock_system;

static inline int64_t clock_now_ns(const struct vs_clock *clock)
{
	return clock->now_ns(clock->ctx);
}

/* A clock that only rises, for durations. */
int64_t clock_elapsed_ns(void);

/* "2026-01-22T14:03:09Z", or with a fraction of nine digits when @with_ns. @out takes 32 bytes. */
void time_format(int64_t ns, bool with_ns, char out[32]);

/*
 * A time as people type it, into @out: "2026-01-22", "2026-01-22T14:03", with seconds, with a
 * fraction, with a space for the T and with or without the Z, always UTC; or a duration ("24h"),
 * which stands for so long before @now_ns. False for anything else, and for years outside of
 * 1970..2261.
 */
must_check_ bool time_parse(const char *text, int64_t now_ns, int64_t *out);

/* "20260122T140309Z", as used in file names. */
void time_format_compact(int64_t ns, char out[32]);

/*
 * How far a long job is: written by whoever does it, read at any time by whoever tells, a signal
 * handler included. A job has parts (collections), of which one is under way, and that one has
 * items (documents). Zeroed it says that nothing has begun.
 */
struct vs_progress {
	_Atomic uint64_t parts, parts_done;
	_Atomic uint64_t part_items, part_items_done; /* of the part that is under way */
	_Atomic uint64_t items;                       /* done in all parts */
};

/*
 * A pool of workers that lives as long as a run: @threads of them, the caller being one. Owned.
 * pool_new() lowers the number of threads when the system refuses some; pool_threads() says it.
 *
 * pool_run() calls @fn(ctx, worker, index) for every index below @count, from whichever worker is
 * free, and returns when all are done: one run at a time. @fn must not fail; it leaves its outcome
 * in @ctx. @worker is below pool_threads() and names the worker's own scratch space.
 */
struct pool;
struct pool *pool_new(unsigned threads);
void pool_freep(struct pool **pool);
unsigned pool_threads(const struct pool *pool);
void pool_run(struct pool *pool, size_t count, void (*fn)(void *ctx, unsigned worker, size_t index),
	      void *ctx);

/* Processors this process may run on; at least 1. */
unsigned cpu_count(void);
