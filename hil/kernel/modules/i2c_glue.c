// SPDX-License-Identifier: GPL-2.0
/*
 * i2c_glue - I2C binding for in-tree drivers whose own binding matches device
 * trees only, which a PC kernel has none of.  Everything that is computed is
 * computed by the unchanged in-tree core modules.
 *
 * The IMU's core wants an interrupt; it gets one that never fires, because
 * single reads need none.
 */
#include <linux/i2c.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/module.h>
#include <linux/regmap.h>

#include "inv_icm42600.h"
#include "rm3100.h"

enum part { RM3100, ICM42605 };

static int silent_irq = -1;

static const struct regmap_config rm3100_regmap = {
	.reg_bits = 8,
	.val_bits = 8,
	.rd_table = &rm3100_readable_table,
	.wr_table = &rm3100_writable_table,
	.volatile_table = &rm3100_volatile_table,
	.cache_type = REGCACHE_RBTREE,
};

static int no_bus_setup(struct inv_icm42600_state *st)
{
	return 0;
}

static int glue_probe(struct i2c_client *client, const struct i2c_device_id *id)
{
	bool imu = id->driver_data == ICM42605;
	struct regmap *map;

	map = devm_regmap_init_i2c(client, imu ? &inv_icm42600_regmap_config : &rm3100_regmap);
	if (IS_ERR(map))
		return PTR_ERR(map);
	if (imu)
		return inv_icm42600_core_probe(map, INV_CHIP_ICM42605, silent_irq, no_bus_setup);
	return rm3100_common_probe(&client->dev, map, 0);
}

static const struct i2c_device_id glue_ids[] = {
	{ "rm3100", RM3100 },
	{ "icm42605", ICM42605 },
	{ }
};

static struct i2c_driver glue = {
	.driver = { .name = "i2c_glue" },
	.probe = glue_probe,
	.id_table = glue_ids,
};

static int __init glue_init(void)
{
	int ret;

	silent_irq = irq_alloc_desc(NUMA_NO_NODE);
	if (silent_irq < 0)
		return silent_irq;
	irq_set_chip_and_handler(silent_irq, &dummy_irq_chip, handle_simple_irq);
	irq_modify_status(silent_irq, IRQ_NOREQUEST | IRQ_NOPROBE, 0);
	ret = i2c_add_driver(&glue);
	if (ret)
		irq_free_desc(silent_irq);
	return ret;
}

static void __exit glue_exit(void)
{
	i2c_del_driver(&glue);
	irq_free_desc(silent_irq);
}

module_init(glue_init);
module_exit(glue_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("I2C binding by name for RM3100 and ICM-42605");
MODULE_IMPORT_NS(IIO_RM3100);
