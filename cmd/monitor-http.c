/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The documents over HTTP, with libmicrohttpd. One thread of the library serves all connections out
 * of three answers, which are made once after each scan; what a client sends is never kept. Limits:
 * connections, the memory of each, and the time that one may be silent.
 */

#include "monitor.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 256
#define SILENCE_MAX_S 10
#define MEMORY_MAX 16384

enum document {
	DOCUMENT_HEALTH,
	DOCUMENT_DETAILS,
	DOCUMENT_METRICS,
	DOCUMENT_COUNT_,
};

static const struct page {
	const char *path;
	const char *type;
	bool has_status; /* 503 when not all is well */
} pages[DOCUMENT_COUNT_] = {
	[DOCUMENT_HEALTH] = { "/health", "application/json", true },
	[DOCUMENT_DETAILS] = { "/api/v1/health/metadata", "application/json", true },
	[DOCUMENT_METRICS] = { "/metrics", "text/plain; version=0.0.4; charset=utf-8", false },
};

struct monitor_http {
	struct MHD_Daemon *daemon;
	pthread_mutex_t mutex;
	bool is_well;
	/* NULL until the first publishing. The library counts who still sends one. */
	struct MHD_Response *documents[DOCUMENT_COUNT_];
};

/* ---- answers ---- */

static struct MHD_Response *response_of(const char *type, struct slice body)
{
	struct MHD_Response *response;

	/* Copied by the library, which does not write to it. */
	response = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
						   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return response;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
			      struct slice body)
{
	struct MHD_Response *response = response_of(type, body);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result answer_page(struct monitor_http *http, struct MHD_Connection *connection,
				   enum document which)
{
	static const char waiting[] = "{\"status\":\"degraded\",\"metadata\":{\"status\":"
				      "\"degraded\",\"healthy_count\":0,\"corrupt_count\":0,"
				      "\"empty_count\":0,\"total\":0,\"corrupt_hashes\":[]}}\n";
	const struct page *page = &pages[which];
	enum MHD_Result r = MHD_NO;
	bool is_published;

	pthread_mutex_lock(&http->mutex);
	is_published = http->documents[which] != NULL;
	if (is_published)
		r = MHD_queue_response(connection,
				       http->is_well || !page->has_status
					       ? MHD_HTTP_OK
					       : MHD_HTTP_SERVICE_UNAVAILABLE,
				       http->documents[which]);
	pthread_mutex_unlock(&http->mutex);
	if (is_published)
		return r;
	return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, page->type,
		      slice_str(page->has_status ? waiting : ""));
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_len, void **state)
{
	static int seen;
	struct monitor_http *http = ctx;

	(void)version;
	(void)upload;
	/* Called first with the headers alone; an answer then would end the connection. */
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_len > 0) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
			      slice_str("only GET and HEAD\n"));
	for (size_t i = 0; i < VS_COUNT(pages); i++) {
		if (strcmp(url, pages[i].path) == 0)
			return answer_page(http, connection, (enum document)i);
	}
	return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
		      slice_str("/health, /api/v1/health/metadata, /metrics\n"));
}

/* What the library has to say of rubbish that clients send is of no use to anybody. */
static void say_nothing(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	(void)fmt;
	(void)ap;
}

/* ---- where to listen ---- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
	bool is_v6;
	bool is_loopback;
};

static int parse_address(const char *text, struct address *out, struct vs_err *err)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	uint64_t port;
	size_t len;

	*out = (struct address){ 0 };
	len = colon ? (size_t)(colon - text) : 0;
	if (!colon || len == 0 || len >= sizeof(host) || !parse_u64(colon + 1, 65535, &port))
		return vs_fail(err, VS_EUSAGE,
			       "--listen takes an address and a port, such as 127.0.0.1:9090");
	memcpy(host, text, len);
	if (strcmp(host, "localhost") == 0)
		snprintf(host, sizeof(host), "127.0.0.1");
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		out->is_v6 = inet_pton(AF_INET6, host + 1, &out->to.v6.sin6_addr) == 1;
		out->to.v6.sin6_family = AF_INET6;
		out->to.v6.sin6_port = htons((uint16_t)port);
		out->is_loopback = out->is_v6 && IN6_IS_ADDR_LOOPBACK(&out->to.v6.sin6_addr);
		if (out->is_v6)
			return 0;
	} else if (inet_pton(AF_INET, host, &out->to.v4.sin_addr) == 1) {
		out->to.v4.sin_family = AF_INET;
		out->to.v4.sin_port = htons((uint16_t)port);
		out->is_loopback = ntohl(out->to.v4.sin_addr.s_addr) >> 24 == 127;
		return 0;
	}
	return vs_fail(err, VS_EUSAGE,
		       "--listen takes a numeric address and a port, such as [::1]:9090");
}

int monitor_http_start(struct monitor_http **out, const char *text, bool any, unsigned *port,
		       struct vs_err *err)
{
	unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;
	struct monitor_http *http;
	struct address address;
	int r;

	r = parse_address(text, &address, err);
	if (r < 0)
		return r;
	if (!address.is_loopback && !any)
		return vs_fail(
			err, VS_EUSAGE,
			"%s can be reached from other machines, and nobody is asked who they are; add --listen-any when that is meant",
			text);
	http = vs_alloc(sizeof(*http));
	pthread_mutex_init(&http->mutex, NULL);
	errno = 0;
	http->daemon = MHD_start_daemon(
		flags | (address.is_v6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL, handle, http,
		MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_SOCK_ADDR,
		&address.to.any, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_MAX_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_MAX, MHD_OPTION_END);
	if (!http->daemon) {
		r = vs_fail(err, VS_EIO, "%s: cannot listen: %s", text,
			    errno != 0 ? strerror(errno) : "the address is in use or not ours");
		monitor_http_stopp(&http);
		return r;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
	*port = info ? info->port : 0;
	*out = http;
	return 0;
}

void monitor_http_stopp(struct monitor_http **http)
{
	if (!*http)
		return;
	if ((*http)->daemon)
		MHD_stop_daemon((*http)->daemon);
	pthread_mutex_destroy(&(*http)->mutex);
	for (size_t i = 0; i < VS_COUNT((*http)->documents); i++) {
		if ((*http)->documents[i])
			MHD_destroy_response((*http)->documents[i]);
	}
	free(*http);
	*http = NULL;
}

void monitor_http_publish(struct monitor_http *http, bool is_well, struct slice health,
			  struct slice details, struct slice metrics)
{
	const struct slice documents[] = { health, details, metrics };

	for (size_t i = 0; i < VS_COUNT(documents); i++) {
		struct MHD_Response *fresh = response_of(pages[i].type, documents[i]);
		struct MHD_Response *old;

		pthread_mutex_lock(&http->mutex);
		old = http->documents[i];
		/* Without memory for a new one the last is better than none. */
		http->documents[i] = fresh ? fresh : old;
		http->is_well = is_well;
		pthread_mutex_unlock(&http->mutex);
		if (fresh && old)
			MHD_destroy_response(old);
	}
}
