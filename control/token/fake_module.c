/* fake_module.c: for tests, a PKCS#11 module with one token that does what FAKE_DOES says (words and commas), once the file FAKE_WHEN exists (or from the start, without one).
 * Each C_Login adds a byte to the file FAKE_LOGINS. FAKE_PEEK is a file that the module must not be able to open. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

static EVP_PKEY *key;
static uint8_t point[67] = { 0x04, 65 };
CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static bool does(const char *what)
{
	const char *does = getenv("FAKE_DOES"), *when = getenv("FAKE_WHEN");
	size_t len = strlen(what);

	for (; does && strncmp(does, what, len + 1) != 0 && !(strncmp(does, what, len) == 0 && does[len] == ','); does = strchr(does, ',') ? strchr(does, ',') + 1 : NULL)
		;
	return does && (!when || access(when, F_OK) == 0);
}

static void hang(void)
{
	for (;;)
		pause();
}

/* What a module that means harm would do first: true when one of it works. */
static bool peek(void)
{
	char *const argv[] = { (char *)"true", NULL };
	pid_t pid;

	if (open(getenv("FAKE_PEEK"), O_RDONLY) >= 0 || errno != EACCES)
		return true;
	pid = fork();
	if (pid == 0)
		_exit(0);
	return pid > 0 || execv("/bin/true", argv) == 0 || errno != EPERM || kill(getppid(), 0) == 0 || ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0 ||
	       socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static CK_RV initialize(void *args)
{
	uint8_t der[128], *at = der;

	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!key || i2d_PUBKEY(key, &at) != 91)
		return CKR_FUNCTION_FAILED;
	memcpy(point + 2, der + 26, 65);
	if (does("off-curve"))
		point[30] ^= 1;
	return does("peek") && peek() ? CKR_FUNCTION_FAILED : CKR_OK;
}

static CK_RV info(CK_INFO *out)
{
	*out = (CK_INFO){ .cryptokiVersion = { 2, 40 } };
	return CKR_OK;
}

static CK_RV slots(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *count)
{
	if (does("hang-open"))
		hang();
	*count = does("many-slots") ? 1ul << 40 : 1;
	list[0] = 7;
	return CKR_OK;
}

static CK_RV slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *out)
{
	memset(out, ' ', sizeof *out);
	return CKR_OK;
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *out)
{
	memset(out, ' ', sizeof *out);
	memcpy(out->label, "fake", 4);
	out->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | (does("final-try") ? CKF_USER_PIN_FINAL_TRY : 0) | (does("locked") ? CKF_USER_PIN_LOCKED : 0) |
		     (does("pin-pad") ? CKF_PROTECTED_AUTHENTICATION_PATH : 0) | (does("count-low") ? CKF_USER_PIN_COUNT_LOW : 0);
	return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *out)
{
	*out = 1;
	return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	const char *log = getenv("FAKE_LOGINS");
	int fd = log ? open(log, O_WRONLY | O_APPEND) : -1;

	if (fd >= 0) {
		if (write(fd, "x", 1) != 1)
			return CKR_FUNCTION_FAILED;
		close(fd);
	}
	if (does("hang-login"))
		hang();
	return does("wrong-pin") ? CKR_PIN_INCORRECT : does("login-fails") ? CKR_DEVICE_ERROR : CKR_OK;
}

static CK_RV find_begin(CK_SESSION_HANDLE session, CK_ATTRIBUTE *like, CK_ULONG count)
{
	return CKR_OK;
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *found)
{
	*found = does("no-object") ? 0 : 1;
	out[0] = 3;
	return CKR_OK;
}

static CK_RV find_end(CK_SESSION_HANDLE session)
{
	return CKR_OK;
}

static CK_RV attribute(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG count)
{
	static const uint8_t curve[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	static const CK_KEY_TYPE ec = CKK_EC;
	static const CK_BBOOL yes = CK_TRUE;
	const struct {
		CK_ATTRIBUTE_TYPE type;
		const void *value;
		size_t len;
	} known[] = { { CKA_KEY_TYPE, &ec, sizeof ec }, { CKA_EC_PARAMS, curve, sizeof curve }, { CKA_ID, "1", 1 },
		      { CKA_EC_POINT, does("bare-point") ? point + 2 : point, does("bare-point") ? 65 : does("short-point") ? 20 : sizeof point },
		      { CKA_ALWAYS_AUTHENTICATE, &yes, does("always-pin") ? 1 : 0 } };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (known[i].type != a->type || known[i].len == 0 || a->ulValueLen < known[i].len)
			continue;
		memcpy(a->pValue, known[i].value, known[i].len);
		a->ulValueLen = does("long-value") ? 1ul << 40 : known[i].len;
		return CKR_OK;
	}
	return CKR_ATTRIBUTE_TYPE_INVALID;
}

static CK_RV sign_begin(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
	if (does("hang-sign"))
		hang();
	return does("gone") ? CKR_DEVICE_REMOVED : mechanism->mechanism == CKM_ECDSA ? CKR_OK : CKR_MECHANISM_INVALID;
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t der[128];
	const uint8_t *at = der;
	size_t der_len = sizeof der;
	ECDSA_SIG *signature = NULL;

	if (ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &der_len, data, len) == 1)
		signature = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
	EVP_PKEY_CTX_free(ctx);
	if (!signature)
		return CKR_FUNCTION_FAILED;
	BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32);
	ECDSA_SIG_free(signature);
	*out_len = does("truncated") ? 63 : does("long") ? 200 : 64;
	if (does("garbage"))
		out[40] ^= 0x10;
	if (does("zeros"))
		memset(out, 0, 64);
	return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static CK_FUNCTION_LIST calls = { .version = { 2, 40 }, .C_Initialize = initialize, .C_GetInfo = info, .C_GetSlotList = slots,
					  .C_GetSlotInfo = slot_info, .C_GetTokenInfo = token_info, .C_OpenSession = open_session, .C_Login = login,
					  .C_FindObjectsInit = find_begin, .C_FindObjects = find, .C_FindObjectsFinal = find_end,
					  .C_GetAttributeValue = attribute, .C_SignInit = sign_begin, .C_Sign = sign };

	*list = &calls;
	return CKR_OK;
}
