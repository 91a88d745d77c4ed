/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The protocol of sd_notify(3) without its library: one datagram of KEY=VALUE lines to the socket in
 * $NOTIFY_SOCKET, whose name begins with '@' where it is in the abstract namespace. A message that
 * cannot be delivered is lost: whoever waits for it has a limit of their own.
 */

#include "monitor.h"

#include <sys/socket.h>
#include <sys/un.h>

void sd_notify_send(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (const struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

int64_t sd_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t value, process;

	if (!usec || !parse_u64(usec, (uint64_t)INT64_MAX / 1000, &value))
		return 0;
	if (pid && (!parse_u64(pid, INT32_MAX, &process) || process != (uint64_t)getpid()))
		return 0;
	return (int64_t)value * 1000;
}
