/* environment.h: DPDK's environment, and one device found in it: what can be wrong is looked at before DPDK is asked, so that
 * the operator reads what is missing, where, and what to do. Private to this folder. Start-up only, main thread.
 */
#ifndef DATAPLANE_PORT_ENVIRONMENT_H
#define DATAPLANE_PORT_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "0000:03:00.0" or "03:00.0", with or without arguments behind a comma. Anything else is the name of a virtual device. */
bool environment_is_pci(const char *device);

/* The number of the device, attached when it was not yet. False with a text in `err`. */
bool environment_attach(const char *device, uint16_t *id, char *err, size_t err_len);

/* Whether two devices are one: frames would go in circles. */
bool environment_same(const char *one, const char *other);

#endif
