/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker pool. Workers sleep between runs; within a run they take indices from one atomic
 * counter, so nothing is locked on the hot path.
 */

#include "util/util.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct pool {
	unsigned threads; /* workers including the caller */
	pthread_t *ids;   /* of the others */
	pthread_mutex_t lock;
	pthread_cond_t start;
	pthread_cond_t done;
	unsigned long run; /* number of the run under way; rises with each */
	unsigned busy;     /* other workers that have not finished it */
	bool stopping;
	void (*fn)(void *ctx, unsigned worker, size_t index);
	void *ctx;
	size_t count;
	atomic_size_t next;
};

struct worker {
	struct pool *pool;
	unsigned number;
};

static void work(struct pool *pool, unsigned worker)
{
	size_t index;

	while ((index = atomic_fetch_add(&pool->next, 1)) < pool->count)
		pool->fn(pool->ctx, worker, index);
}

static void *worker_main(void *arg)
{
	struct worker *self = arg;
	struct pool *pool = self->pool;
	unsigned number = self->number;
	unsigned long seen = 0;

	free(self);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->stopping && pool->run == seen)
			pthread_cond_wait(&pool->start, &pool->lock);
		if (pool->stopping)
			break;
		seen = pool->run;
		pthread_mutex_unlock(&pool->lock);
		work(pool, number);
		pthread_mutex_lock(&pool->lock);
		if (--pool->busy == 0)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *pool_new(unsigned threads)
{
	struct pool *pool = vs_alloc(sizeof(*pool));

	pool->threads = 1;
	pool->ids = vs_alloc_array(VS_MAX(threads, 1u), sizeof(*pool->ids));
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->start, NULL);
	pthread_cond_init(&pool->done, NULL);
	while (pool->threads < threads) {
		struct worker *worker = vs_alloc(sizeof(*worker));

		*worker = (struct worker){ pool, pool->threads };
		if (pthread_create(&pool->ids[pool->threads - 1], NULL, worker_main, worker) != 0) {
			free(worker);
			break;
		}
		pool->threads++;
	}
	return pool;
}

void pool_freep(struct pool **pool_)
{
	struct pool *pool = *pool_;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->start);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i + 1 < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->start);
	pthread_mutex_destroy(&pool->lock);
	free(pool->ids);
	free(pool);
	*pool_ = NULL;
}

unsigned pool_threads(const struct pool *pool)
{
	return pool->threads;
}

void pool_run(struct pool *pool, size_t count, void (*fn)(void *ctx, unsigned worker, size_t index),
	      void *ctx)
{
	bool share = pool->threads > 1 && count > 1;

	pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->ctx = ctx;
	pool->count = count;
	atomic_store(&pool->next, 0);
	if (share) {
		pool->busy = pool->threads - 1;
		pool->run++;
		pthread_cond_broadcast(&pool->start);
	}
	pthread_mutex_unlock(&pool->lock);
	work(pool, 0);
	pthread_mutex_lock(&pool->lock);
	while (pool->busy > 0)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

unsigned cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned)VS_MAX(CPU_COUNT(&set), 1);
}
