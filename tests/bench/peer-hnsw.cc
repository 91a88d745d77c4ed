/* SPDX-License-Identifier: Apache-2.0 */

/* hnswlib, as Debian packages it. */

#include "peer-hnsw.h"

#include <hnswlib/hnswlib.h>

#include <atomic>
#include <thread>
#include <vector>

struct peer_hnsw {
	hnswlib::L2Space space;
	hnswlib::HierarchicalNSW<float> index;

	peer_hnsw(size_t count, size_t dim, size_t m, size_t ef)
		: space(dim), index(&space, count, m, ef)
	{
	}
};

extern "C" struct peer_hnsw *peer_hnsw_build(const float *vectors, size_t count, size_t dim,
					     size_t m, size_t ef_construction, unsigned threads,
					     const uint32_t *order)
try {
	peer_hnsw *p = new peer_hnsw(count, dim, m, ef_construction);
	std::atomic<size_t> next(0);
	auto add = [&](size_t i) {
		size_t id = order ? order[i] : i;

		p->index.addPoint(vectors + id * dim, id);
	};
	auto work = [&]() {
		for (size_t i; (i = next++) < count;)
			add(i);
	};
	std::vector<std::thread> others;

	/* The first makes the entry point, and no other may be under way. */
	if (count > 0)
		add(next++);
	for (unsigned i = 1; i < threads; i++)
		others.emplace_back(work);
	work();
	for (auto &t : others)
		t.join();
	return p;
} catch (const std::exception &) {
	return nullptr;
}

extern "C" size_t peer_hnsw_search(struct peer_hnsw *p, const float *query, size_t k, size_t ef,
				   uint32_t *out)
{
	size_t count = 0;

	p->index.setEf(ef);
	for (auto found = p->index.searchKnn(query, k); !found.empty(); found.pop())
		out[count++] = static_cast<uint32_t>(found.top().second);
	return count;
}

extern "C" void peer_hnsw_free(struct peer_hnsw *p)
{
	delete p;
}
