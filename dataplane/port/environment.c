/* DPDK's environment. Its own messages name neither the file nor the remedy, so what usually goes wrong is looked up here
 * first: no huge pages, no such interface, a NIC that the kernel still drives.
 *
 * Memory: unless sluice.conf's `eal` says otherwise, huge pages are taken with --in-memory: no file is made for them, so they
 * are free again when the process ends, however it ends, and no hugetlbfs has to be mounted.
 * Buses: only the NICs that sluice.conf names are probed; a machine's other NICs are never touched. */
#include "dataplane/port/environment.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/port/port.h"

#define EAL_ARGS_MAX 48
#define PCI_NAME_BYTES 32
#define HUGE_PAGES "/sys/kernel/mm/hugepages"

struct words {
	char *argv[EAL_ARGS_MAX];
	char *kept[EAL_ARGS_MAX]; /* the EAL reorders argv and writes over one of it */
	int count;
	bool short_of_room;
};

static void word(struct words *w, const char *text)
{
	char *copy = w->count < EAL_ARGS_MAX - 1 ? strdup(text) : NULL;

	w->short_of_room |= !copy;
	if (!copy)
		return;
	w->kept[w->count] = copy;
	w->argv[w->count++] = copy;
}

/* Whether one of `args` is one of `options`, alone or with "=value". */
static bool given(const char *const *args, const char *const *options)
{
	for (; *args; args++) {
		for (const char *const *o = options; *o; o++) {
			size_t len = strlen(*o);

			if (strncmp(*args, *o, len) == 0 && ((*args)[len] == 0 || (*args)[len] == '='))
				return true;
		}
	}
	return false;
}

static bool hex_digits(const char *text, size_t count)
{
	return strspn(text, "0123456789abcdefABCDEF") >= count;
}

/* With its domain, without its arguments: DPDK's name of it. False when it is no PCI address. */
static bool pci_name(const char *device, char out[PCI_NAME_BYTES])
{
	size_t len = strcspn(device, ",");
	char name[PCI_NAME_BYTES];

	if (len != 7 && len != 12)
		return false;
	snprintf(name, sizeof name, "%s%.*s", len == 7 ? "0000:" : "", (int)len, device);
	if (!hex_digits(name, 4) || name[4] != ':' || !hex_digits(name + 5, 2) || name[7] != ':' || !hex_digits(name + 8, 2) || name[10] != '.' ||
	    name[11] < '0' || name[11] > '7')
		return false;
	for (size_t i = 0; name[i]; i++)
		name[i] = name[i] >= 'A' && name[i] <= 'F' ? (char)(name[i] + 32) : name[i];
	snprintf(out, PCI_NAME_BYTES, "%s", name);
	return true;
}

bool environment_is_pci(const char *device)
{
	char name[PCI_NAME_BYTES];

	return pci_name(device, name);
}

/* Huge pages that are not in use, of all sizes, in KiB. */
static unsigned long huge_free_kib(void)
{
	DIR *dir = opendir(HUGE_PAGES);
	unsigned long kib = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		unsigned long size = 0, pages = 0;
		char path[320];
		FILE *f;

		if (sscanf(entry->d_name, "hugepages-%lukB", &size) != 1)
			continue;
		snprintf(path, sizeof path, HUGE_PAGES "/%s/free_hugepages", entry->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%lu", &pages) == 1)
			kib += size * pages;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return kib;
}

static void words_fill(struct words *w, const char *program, const char *lcores, const char *const device[PORT_COUNT], const char *const *args)
{
	static const char *const memory[] = { "--no-huge", "--in-memory", "--huge-dir", "--huge-unlink", "--file-prefix", "--legacy-mem", NULL };
	static const char *const pci[] = { "--no-pci", "-a", "--allow", "-b", "--block", NULL };
	bool any = false;

	word(w, program);
	if (lcores) {
		word(w, strpbrk(lcores, "@(") ? "--lcores" : "-l"); /* "0@0,1@1,2@1": several on one core */
		word(w, lcores);
	}
	word(w, "--no-telemetry");
	word(w, "--log-level=lib.eal:error");
	if (!given(args, memory))
		word(w, "--in-memory");
	for (unsigned i = 0; i < PORT_COUNT && !given(args, pci); i++) {
		if (!environment_is_pci(device[i]))
			continue;
		word(w, "-a");
		word(w, device[i]);
		any = true;
	}
	if (!any && !given(args, pci))
		word(w, "--no-pci");
	while (*args)
		word(w, *args++);
}

bool port_start_environment(const char *program, const char *lcores, const char *const device[PORT_COUNT], const char *const *args, char *err, size_t err_len)
{
	static const char *const no_huge[] = { "--no-huge", NULL };
	static struct words w;

	words_fill(&w, program, lcores, device, args);
	if (w.short_of_room) {
		snprintf(err, err_len, "DPDK's environment: more than %d words: leave some of `eal` out", EAL_ARGS_MAX);
		return false;
	}
	if (!given(args, no_huge) && huge_free_kib() == 0) {
		snprintf(err, err_len, "DPDK's environment: no free huge page in " HUGE_PAGES
				       ": reserve some (sluice's prepare --hugepages 256), or set eal = [ \"--no-huge\", \"-m\", \"256\" ]");
		return false;
	}
	if (rte_eal_init(w.count, w.argv) >= 0)
		return true;
	snprintf(err, err_len, "DPDK's environment: %s: check `lcores` and `eal` in sluice.conf; its own message stands above", rte_strerror(rte_errno));
	return false;
}

/* Why a NIC could not be attached. */
static void pci_problem(const char *device, char *err, size_t err_len)
{
	char name[PCI_NAME_BYTES], path[128], driver[256] = "";
	ssize_t len;

	(void)pci_name(device, name);
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s", name);
	if (access(path, F_OK) != 0) {
		snprintf(err, err_len, "port %s: there is no PCI device %s: look it up with dpdk-devbind.py --status-dev net", device, name);
		return;
	}
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", name);
	len = readlink(path, driver, sizeof driver - 1);
	driver[len > 0 ? len : 0] = 0;
	if (strstr(driver, "vfio") || strstr(driver, "uio"))
		snprintf(err, err_len, "port %s: %s holds it, and no DPDK driver takes it: is it a NIC, is its whole IOMMU group bound, is `--no-pci` in eal?", device,
			 strrchr(driver, '/') ? strrchr(driver, '/') + 1 : driver);
	else
		snprintf(err, err_len, "port %s: the kernel's driver %s holds it: dpdk-devbind.py -b vfio-pci %s", device,
			 strrchr(driver, '/') ? strrchr(driver, '/') + 1 : "(none)", name);
}

/* The value of an argument of a virtual device, as "iface" in "net_af_packet0,iface=eth1". */
static bool argument(const char *device, const char *name, char *out, size_t cap)
{
	size_t len = strlen(name);

	for (const char *at = strchr(device, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, name, len) == 0 && at[len] == '=') {
			snprintf(out, cap, "%.*s", (int)strcspn(at + len + 1, ","), at + len + 1);
			return true;
		}
	}
	return false;
}

bool environment_same(const char *one, const char *other)
{
	char a[RTE_ETH_NAME_MAX_LEN], b[RTE_ETH_NAME_MAX_LEN];

	if (argument(one, "iface", a, sizeof a) && argument(other, "iface", b, sizeof b))
		return strcmp(a, b) == 0;
	if (pci_name(one, a) && pci_name(other, b))
		return strcmp(a, b) == 0;
	return strcspn(one, ",") == strcspn(other, ",") && strncmp(one, other, strcspn(one, ",")) == 0;
}

/* net_tap makes its interface; the other drivers are given one. */
static bool makes_interface(const char *device)
{
	return strncmp(device, "net_tap", 7) == 0 || strncmp(device, "net_virtio_user", 15) == 0 || strncmp(device, "net_vhost", 9) == 0;
}

static void virtual_problem(const char *device, int rc, char *err, size_t err_len)
{
	if (strncmp(device, "net_tap", 7) == 0 && access("/dev/net/tun", R_OK | W_OK) != 0)
		snprintf(err, err_len, "port %s: /dev/net/tun: %s: modprobe tun", device, strerror(errno));
	else if (rc == -ENODEV || rc == -EINVAL || rc == -ENOENT || rc == -EFAULT /* no bus knows the name */)
		snprintf(err, err_len, "port %s: cannot be attached: no driver takes it: give a PCI address, or a DPDK driver's name with its arguments, as net_af_xdp0,iface=eth1",
			 device);
	else
		snprintf(err, err_len, "port %s: cannot be attached: %s: the driver's own message stands above", device, rc < 0 ? strerror(-rc) : "no such device");
}

bool environment_attach(const char *device, uint16_t *id, char *err, size_t err_len)
{
	char name[RTE_ETH_NAME_MAX_LEN], interface[IF_NAMESIZE + 1];
	bool pci = pci_name(device, name);
	int rc;

	if (!pci)
		snprintf(name, sizeof name, "%.*s", (int)strcspn(device, ","), device);
	if (!pci && !makes_interface(device) && argument(device, "iface", interface, sizeof interface) && if_nametoindex(interface) == 0) {
		snprintf(err, err_len, "port %s: there is no network interface %s here: see ip link", device, interface);
		return false;
	}
	if (rte_eth_dev_get_port_by_name(name, id) == 0)
		return true;
	rc = rte_dev_probe(device);
	if (rc == 0 && rte_eth_dev_get_port_by_name(name, id) == 0)
		return true;
	if (pci)
		pci_problem(device, err, err_len);
	else
		virtual_problem(device, rc, err, err_len);
	return false;
}
