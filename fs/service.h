/* SPDX-License-Identifier: Apache-2.0
 * service: the service manager that has started this process, if one has, which can hold descriptors while this process is gone.
 *
 * The protocol is systemd's, of sd_notify(3) and sd_listen_fds(3): lines in a datagram, and numbers in the environment. Its authors
 * advise to speak it without their library, which would bring five others into the process that has the key.
 */
#ifndef FS_SERVICE_H
#define FS_SERVICE_H

/* service_init - read what the manager has said in the environment, and remove it from there. Before there are threads. */
void service_init(void);

/* service_take - the descriptor that was kept as @name, which the caller owns from then on (the manager keeps a copy of it). -1: none. */
int service_take(const char *name);

/* service_say - as "READY=1". Not heard if there is no manager; so are the next two. */
void service_say(const char *text);

/* service_keep - hold a copy of @fd as @name, for who is started next. service_forget - hold it no more. */
void service_keep(const char *name, int fd);
void service_forget(const char *name);

#endif
