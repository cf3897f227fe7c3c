#include "control/token/token_config.h"

#include <ctype.h>
#include <p11-kit/uri.h>

static const char file_scheme[] = "file:";

/* RFC 7512 2.3 lists the attributes of an object; which ones name a key is ours. */
static const char *object_check(P11KitUri *uri)
{
	const CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(uri, CKA_CLASS);
	CK_OBJECT_CLASS private = CKO_PRIVATE_KEY;

	if (class && (class->ulValueLen != sizeof private || memcmp(class->pValue, &private, sizeof private) != 0))
		return "p256.uri: type= is another one than private";
	if (!p11_kit_uri_get_attribute(uri, CKA_LABEL) && !p11_kit_uri_get_attribute(uri, CKA_ID))
		return "p256.uri: names no key: object= or id= is missing";
	return NULL;
}

static const char *uri_read(struct token_config *c, const char *text)
{
	const char *pin;

	if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, c->uri) != P11_KIT_URI_OK)
		return "p256.uri: its first line is no PKCS#11 URI (RFC 7512)";
	if (p11_kit_uri_get_pin_value(c->uri))
		return "p256.uri: pin-value= is refused: this file is shown and copied, and a PIN is a secret: put the PIN into a file and name that in pin-source=";
	if (p11_kit_uri_any_unrecognized(c->uri))
		return "p256.uri: has an attribute that is unknown or not supported";
	c->module = p11_kit_uri_get_module_path(c->uri);
	if (!c->module || c->module[0] != '/')
		return "p256.uri: module-path= is missing, or not absolute";
	pin = p11_kit_uri_get_pin_source(c->uri);
	if (pin && !strncmp(pin, file_scheme, sizeof file_scheme - 1)) {
		pin += sizeof file_scheme - 1;
		/* RFC 8089: an authority that is empty. */
		if (!strncmp(pin, "///", 3))
			pin += 2;
	}
	if (pin && (pin[0] != '/' || pin[1] == '/'))
		return "p256.uri: pin-source= has to be file: and an absolute path";
	c->pin = pin;
	return object_check(c->uri);
}

static bool is_variable(const char *line)
{
	size_t name = 0;

	while (isalnum((unsigned char)line[name]) || line[name] == '_')
		name++;
	return name > 0 && !isdigit((unsigned char)line[0]) && line[name] == '=';
}

static const char *lines_read(struct token_config *c)
{
	const char *wrong = NULL;
	char *rest = c->text, *line;
	bool have_uri = false;

	while (!wrong && (line = strsep(&rest, "\n")) != NULL) {
		size_t len = strlen(line);

		while (len && isspace((unsigned char)line[len - 1]))
			line[--len] = 0;
		if (!len || line[0] == '#')
			continue;
		if (!have_uri) {
			wrong = uri_read(c, line);
			have_uri = true;
		} else if (!is_variable(line) || c->variables == sizeof c->variable / sizeof c->variable[0]) {
			wrong = "p256.uri: a line below the URI is no NAME=VALUE, or one too many";
		} else {
			c->variable[c->variables++] = line;
		}
	}
	return wrong || have_uri ? wrong : "p256.uri: is empty";
}

const char *token_config_read(struct token_config *c, struct bytes file)
{
	const char *wrong;

	*c = (struct token_config){ .uri = p11_kit_uri_new() };
	if (!c->uri)
		return "out of memory";
	if (file.len > TOKEN_FILE_BYTES_MAX || memchr(file.base, 0, file.len)) {
		wrong = "p256.uri: is too long, or no text";
	} else {
		memcpy(c->text, file.base, file.len);
		wrong = lines_read(c);
	}
	if (wrong)
		token_config_free(c);
	return wrong;
}

void token_config_free(struct token_config *c)
{
	p11_kit_uri_free(c->uri);
	*c = (struct token_config){ 0 };
}
