/* SPDX-License-Identifier: Apache-2.0
 * service: one socket to speak to, and the descriptors from 3 on that came with the start.
 */
#include "fs/service.h"

#include "fs/channel.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVICE_FIRST 3 /* SD_LISTEN_FDS_START */
#define SERVICE_MOST 16
#define SERVICE_NAME_BYTES 32

static int service_socket = -1;

static struct service_kept {
	char name[SERVICE_NAME_BYTES];
	int fd;
} service_kept[SERVICE_MOST];
static size_t service_n_kept;

/* @path: a file's, or that of an abstract socket with an @ in front. */
static int service_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || size >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, size);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) == 0)
		return fd;
	log_warning("%s: the service manager can't be reached, so this goes on without: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* LISTEN_FDS descriptors with the names of LISTEN_FDNAMES, if they are for this process. */
static void service_listen(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	int n = fds ? atoi(fds) : 0;

	if (!pid || atoi(pid) != getpid())
		return;
	for (int i = 0; i < n && names; i++) {
		size_t size = strcspn(names, ":");
		struct service_kept *kept = &service_kept[service_n_kept];

		fcntl(SERVICE_FIRST + i, F_SETFD, FD_CLOEXEC);
		if (service_n_kept < SERVICE_MOST && size < sizeof(kept->name)) {
			*kept = (struct service_kept){.fd = SERVICE_FIRST + i};
			memcpy(kept->name, names, size);
			service_n_kept++;
		}
		names = names[size] ? names + size + 1 : NULL;
	}
}

void service_init(void)
{
	static const char *const variables[] = {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
	const char *path = getenv(variables[0]);

	service_listen();
	if (path)
		service_socket = service_connect(path);
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

int service_take(const char *name)
{
	for (size_t i = 0; i < service_n_kept; i++) {
		int fd = service_kept[i].fd;

		if (fd >= 0 && strcmp(service_kept[i].name, name) == 0) {
			service_kept[i].fd = -1;
			return fd;
		}
	}
	return -1;
}

static void service_send(const char *text, int fd)
{
	ssize_t n = service_socket < 0 ? 0 : channel_send_bytes(service_socket, text, strlen(text), fd);

	if (n >= 0)
		return;
	log_warning("the service manager can't be told any more, so this goes on without: %s", strerror((int)-n));
	close(service_socket);
	service_socket = -1;
}

void service_say(const char *text)
{
	service_send(text, -1);
}

void service_keep(const char *name, int fd)
{
	char text[sizeof("FDSTORE=1\nFDNAME=") + SERVICE_NAME_BYTES];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	service_send(text, fd);
}

void service_forget(const char *name)
{
	char text[sizeof("FDSTOREREMOVE=1\nFDNAME=") + SERVICE_NAME_BYTES];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	service_send(text, -1);
}
