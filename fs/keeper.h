/* SPDX-License-Identifier: Apache-2.0
 * keeper: the process that holds the mount, and starts the one that serves it.
 */
#ifndef FS_KEEPER_H
#define FS_KEEPER_H

/* keeper_main - the whole life of hushfs with this command line, from the options to the exit status. */
int keeper_main(int argc, char **argv);

#endif
