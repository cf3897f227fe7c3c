/* Any packet from control's side: a decision, never a fall. The keys and the state are those of no real log. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "control/signer/signer.h"
#include "control/signer/signer_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct signer s;
	uint8_t answer[SIGNER_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(answer, sizeof answer);
	struct signer_message m;

	if (!s.keys.ed25519) {
		s.keys.ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		memcpy(s.keys.public.name, "a", 2);
		s.keys.public.has_ed25519 = true;
		s.state.fd = memfd_create("state", MFD_CLOEXEC);
		s.state.root = merkle_empty();
	}
	s.state.size = 0;
	signer_handle(&s, bytes_of(data, size), &w);
	if (!w.ok || !signer_message_decode(writer_done(&w), &m))
		abort();
	return 0;
}
