/* frame.h: what goes between sluice-control and sluice-export, over the stream socket on the helper's descriptor 3.
 *
 * Up: SHIP_NEXT_BYTES each, the index of the record that is wanted next. The first says where to begin; each further one says that all
 * records before it were confirmed. It never goes back.
 * Down, one message a frame: index of its record (8 bytes), 1 when it is the record's last message else 0 (1), length (4), the RFC 5424
 * message without framing. Integers are big endian. Records come in the order of their indexes.
 */
#ifndef CONTROL_SHIP_FRAME_H
#define CONTROL_SHIP_FRAME_H

#define SHIP_NEXT_BYTES 8u
#define SHIP_HEADER_BYTES 13u
#define SHIP_MESSAGE_MAX 65536u

#endif
