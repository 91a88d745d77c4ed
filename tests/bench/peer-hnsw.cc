/* SPDX-License-Identifier: Apache-2.0 */

/* hnswlib, as Debian packages it. */

#include "peer-hnsw.h"

#include <hnswlib/hnswlib.h>

struct peer_hnsw {
	hnswlib::L2Space space;
	hnswlib::HierarchicalNSW<float> index;

	peer_hnsw(size_t count, size_t dim, size_t m, size_t ef)
		: space(dim), index(&space, count, m, ef)
	{
	}
};

extern "C" struct peer_hnsw *peer_hnsw_build(const float *vectors, size_t count, size_t dim,
					     size_t m, size_t ef_construction)
try {
	peer_hnsw *p = new peer_hnsw(count, dim, m, ef_construction);

	for (size_t i = 0; i < count; i++)
		p->index.addPoint(vectors + i * dim, i);
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
