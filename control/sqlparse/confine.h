/* confine.h: what is left to the parser's process: its socket, memory, and the time to die.
 *
 * confine_process before the parser's thread is made, confine_calls in it before it reads its first byte. Both final.
 * False: the process must end.
 */
#ifndef CONTROL_SQLPARSE_CONFINE_H
#define CONTROL_SQLPARSE_CONFINE_H

#include <stdbool.h>

/* No new privileges, no core, not traceable, no file of any size, bounded address space; every descriptor but
 * 0 to 3 closed. */
bool confine_process(void);

/* For all threads: reading, writing, memory that cannot be executed, locks, the alarm, and ending. Any other call
 * ends the process. */
bool confine_calls(void);

#endif
