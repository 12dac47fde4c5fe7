/* Orthanc 1.10 listens on every address and has no setting for it. Loaded
 * before the C library, this bind narrows "every IPv4 address" to 127.0.0.1
 * and hands anything else on as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

typedef int (*bind_fn)(int, const struct sockaddr *, socklen_t);

int bind(int fd, const struct sockaddr *address, socklen_t length) {
	bind_fn next = (bind_fn)dlsym(RTLD_NEXT, "bind");
	struct sockaddr_in local;

	if (address == NULL || address->sa_family != AF_INET || length < sizeof local)
		return next(fd, address, length);
	memcpy(&local, address, sizeof local);
	if (local.sin_addr.s_addr == htonl(INADDR_ANY))
		local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return next(fd, (struct sockaddr *)&local, sizeof local);
}
