// SPDX-License-Identifier: GPL-2.0
/*
 * i2c_node - one I2C client with firmware properties, as a device tree would
 * declare it.  sysfs's new_device can name a client but give it no properties,
 * and several drivers refuse to bind without (sense resistors).
 *
 *   insmod i2c_node.ko bus=0 address=0x68 type=ltc4162-l \
 *          properties="lltc,rsnsb-micro-ohms=10000;lltc,rsnsi-micro-ohms=10000"
 *
 * Every property is one u32. Unloading the module unregisters the client.
 */
#include <linux/i2c.h>
#include <linux/module.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MOST 8

static int bus;
static ushort address;
static char *type = "";
static char *properties = "";
module_param(bus, int, 0444);
module_param(address, ushort, 0444);
module_param(type, charp, 0444);
module_param(properties, charp, 0444);

static struct property_entry entries[MOST + 1];
static const struct software_node node = { .properties = entries };
static struct i2c_client *client;
static char *text;

static int __init i2c_node_init(void)
{
	struct i2c_board_info info = { .addr = address };
	struct i2c_adapter *adapter;
	char *rest, *key, *number;
	int count = 0;
	u32 value;

	text = rest = kstrdup(properties, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	while ((number = strsep(&rest, ";")) && *number) {
		key = strsep(&number, "=");
		if (count == MOST || !number || kstrtou32(number, 0, &value))
			goto invalid;
		entries[count++] = PROPERTY_ENTRY_U32(key, value);
	}
	if (count)
		info.swnode = &node;
	strscpy(info.type, type, sizeof(info.type));
	adapter = i2c_get_adapter(bus);
	if (!adapter)
		goto invalid;
	client = i2c_new_client_device(adapter, &info);
	i2c_put_adapter(adapter);
	if (IS_ERR(client)) {
		kfree(text);
		return PTR_ERR(client);
	}
	return 0;
invalid:
	kfree(text);
	return -EINVAL;
}

static void __exit i2c_node_exit(void)
{
	i2c_unregister_device(client);
	kfree(text);
}

module_init(i2c_node_init);
module_exit(i2c_node_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("One I2C client with firmware properties");
