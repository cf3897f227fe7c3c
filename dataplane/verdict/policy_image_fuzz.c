/* Any bytes as a policy image; and, when they begin otherwise, a good image made from their first byte and patched with
 * the rest (32-bit offset, value), the checksum put right: what opens is then used. */
#include <stdlib.h>

#include "dataplane/verdict/random_policy.h"
#include "platform/contract/policy_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct policy_image *p)
{
	static struct random_request request;
	struct rng r = rng_seeded(1);
	struct verdict v;

	for (unsigned i = 0; i < 8; i++) {
		random_request(&request, &r);
		verdict_evaluate(p, &request.request, &v);
		(void)policy_rule(p, v.rules[0]);
	}
	(void)policy_column_classes(p, bytes_str("db"), bytes_str("public"), bytes_str("a"), bytes_str("b"));
	(void)policy_column_classes(p, (struct bytes){ 0 }, (struct bytes){ 0 }, (struct bytes){ 0 }, (struct bytes){ 0 });
	(void)policy_service_find(p, 4, (const uint8_t[]){ 192, 0, 2, 1 }, 5432, POLICY_TCP, 0);
	(void)policy_target_guarded(p, 4, (const uint8_t[]){ 192, 0, 2, 7 });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct random_policy policy;
	struct reader r = reader_of(data, size);
	struct rng rng = rng_seeded(reader_u8(&r));
	struct policy_image *image;
	size_t len;

	void *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	if (size >= sizeof *image && ((struct policy_image *)copy)->size == size)
		((struct policy_image *)copy)->checksum = image_checksum(copy);
	if (policy_image_open(copy, size, NULL, 0))
		use(copy);
	free(copy);
	random_policy(&policy, &rng, (unsigned)rng_below(&rng, 12));
	image = random_policy_image(&policy);
	len = image->size;
	while (r.ok && r.left >= 5)
		((uint8_t *)image)[reader_be32(&r) % len] = reader_u8(&r);
	if (image->size == len)
		image->checksum = image_checksum(image);
	if (policy_image_open(image, len, NULL, 0))
		use(image);
	free(image);
	return 0;
}
