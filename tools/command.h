/* SPDX-License-Identifier: Apache-2.0
 * command: hushctl's commands, one file each.
 *
 * A command gets its own name as argv[0] and returns the exit status: COMMAND_DONE, COMMAND_FAILED after saying in one line
 * what failed, COMMAND_USAGE when the command line is wrong.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

enum { COMMAND_DONE = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

int command_apply(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_check(int argc, char **argv);
int command_delete(int argc, char **argv);
int command_export(int argc, char **argv);
int command_get(int argc, char **argv);
int command_init(int argc, char **argv);
int command_key(int argc, char **argv);
int command_lint(int argc, char **argv);
int command_lock(int argc, char **argv);
int command_rekey(int argc, char **argv);
int command_status(int argc, char **argv);
int command_unlock(int argc, char **argv);
int command_upgrade(int argc, char **argv);

#endif
