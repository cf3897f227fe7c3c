/* scale.h: receive side scaling put into a device, and looked at. Private to this folder.
 *
 * A driver may take the key with its configuration and not use it, or take only a part of the table. So both are read back from the device
 * where it lets them be read; a key that is not there is given once more by itself. What is then not as asked is not relied on, nor shown:
 * frames are spread as the device likes, and the workers hand them over by the same rule (dataplane/flow/steer.h).
 */
#ifndef DATAPLANE_PORT_SCALE_H
#define DATAPLANE_PORT_SCALE_H

#include <rte_ethdev.h>

#include "dataplane/port/plan.h"

/* The configuration that the plan asks for; the key is this file's, and stays. */
void scale_configure(const struct port_plan *plan, struct rte_eth_conf *conf);

/* After the device has started. Where it does not do as it was asked, the plan is without scaling and says so. */
void scale_check(uint16_t id, unsigned workers, struct port_plan *plan);

#endif
