"""Statements about shops, and about what goes out to their customers by itself."""

from typing import Final

from tests.integration.growth.figures import (
    CUSTOMERS,
    DAY,
    HOUR,
    JSON,
    LATER,
    LONG_AGO,
    MAPPINGS,
    NEW,
    NEW_CUSTOMERS,
    NOTHING,
    NOTICES_QUEUED,
    NUMBERS,
    ONES,
    QUEUED,
    SECOND,
    TEXTS,
    TIMES,
    WAMIDS,
    measured,
    row_id,
)

_CARTS: Final = "shared/commerce/carts/store.sql"
_ORDERS: Final = "shared/commerce/orders/store.sql"
_CATALOGUE: Final = "shared/commerce/catalogue/store.sql"
_TURNS: Final = "shared/commerce/shops/holding.sql"
_SHOP_JOINS: Final = "shared/commerce/joining.sql"
_SHOP_PROFILE: Final = "shared/messaging/customers/shop_profile.sql"
_PLANNING: Final = "shared/commerce/notices/planning.sql"
_DECIDING: Final = "shared/commerce/notices/claiming.sql"
_MOVING: Final = "shared/commerce/notices/moving.sql"
_RETURNING: Final = "shared/commerce/notices/returning.sql"
_NOTICES_DUE: Final = "shared/commerce/notices/due.sql"
_NOTICES_UPKEEP: Final = "shared/commerce/notices/upkeep.sql"
_NOTICE_JOINS: Final = "shared/commerce/notices/following.sql"
_CREDITING: Final = "shared/commerce/notices/crediting.sql"
_DUE_CARTS: Final = "shared/commerce/carts/due.sql"

SHOPS: Final = ["default"] * 10
#: Notices and carts that are due.
NOTICES: Final = [row_id(n) for n in range(199_901, 199_911)]
#: What a shop calls a cart, an order, a product, a customer.
SHOP_IDS: Final = [f"id {n}" for n in range(10_001, 10_011)]
_A_PROFILE: Final = ("25", None, None, "en", "Europe/Berlin", None, None, None, 0, LONG_AGO, b"0")

#: By the clock.
PERIODIC_OF_SHOPS: Final = (
    measured(_CARTS, "find_left", 72 * HOUR, 500, rows=2500),
    measured(_CARTS, "prune", 90 * DAY, 2000, rows=6000),
    measured(_CATALOGUE, "prune_views", 30 * DAY, 2000, rows=6000),
    measured(_NOTICES_UPKEEP, "prune", 90 * DAY, 2000, rows=6000),
    measured(_NOTICES_UPKEEP, "prune_reengagement", 365 * DAY, 2000, rows=6000),
    measured(_NOTICES_DUE, "count", 5000, rows=3100),
    measured(_NOTICES_DUE, "count_pending", 10_000, rows=30_010, pages=12_000),
    measured(_DUE_CARTS, "find_due", 500, rows=1600),
)

#: For a fact or a notice, or for a batch of ten.
PER_FACT: Final = (
    measured(_TURNS, "take_turns", SHOP_IDS, rows=0),
    measured(_TURNS, "time", rows=0),
    measured(_CARTS, "find_latest", SHOPS, SHOP_IDS, rows=40),
    measured(_CARTS, "find_of_customers", SHOPS, CUSTOMERS, rows=40),
    measured(_CARTS, "lock", MAPPINGS, rows=30),
    measured(_CARTS, "read", MAPPINGS, rows=30),
    measured(_CARTS, "write", [], rows=0),
    measured(_ORDERS, "find", SHOPS, SHOP_IDS, rows=40),
    measured(_ORDERS, "lock", SHOPS, SHOP_IDS, rows=40),
    measured(_ORDERS, "find_purchases", SHOPS, SHOP_IDS, ["processing", "completed"], rows=40),
    measured(_ORDERS, "find_ids_of", CUSTOMERS, rows=60),
    measured(_ORDERS, "write", [], rows=0),
    measured(_CATALOGUE, "find", SHOPS, SHOP_IDS, rows=40),
    measured(_CATALOGUE, "write", [], rows=0),
    measured(
        _CATALOGUE, "keep_views", SHOPS, CUSTOMERS, SHOP_IDS, TIMES, NOTHING, NOTHING, NOTHING, DAY, rows=0
    ),
    measured(_CATALOGUE, "move_views", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
    measured(_CATALOGUE, "erase_views", CUSTOMERS, rows=60),
    measured(_SHOP_JOINS, "find_shops", CUSTOMERS, rows=40),
    measured(_SHOP_PROFILE, "find_by_shop_ids", SHOPS, SHOP_IDS, rows=40),
    measured(_SHOP_PROFILE, "show_shop_profile", CUSTOMERS[0], "default", *_A_PROFILE, rows=6),
    measured(_SHOP_PROFILE, "shown_hash", CUSTOMERS[0], rows=2),
    measured(_SHOP_PROFILE, "make_profiles", CUSTOMERS, rows=30),
    measured(_SHOP_PROFILE, "lock_profiles", CUSTOMERS, rows=30),
    measured(_SHOP_PROFILE, "add_totals", CUSTOMERS[0], 1, 1, "EUR", rows=4),
    measured(_DUE_CARTS, "hold", NOTICES, rows=30),
    measured(_DUE_CARTS, "lock_due", NOTICES, rows=30),
    measured(_DUE_CARTS, "move_on", NOTICES, TIMES, rows=40),
    measured(_DUE_CARTS, "abandon", NOTICES, [False] * 10, rows=40),
    measured(_DUE_CARTS, "expire", NOTICES, rows=30),
    measured(_DUE_CARTS, "stop", NOTICES, "replied", rows=30),
    measured(_DUE_CARTS, "mark_reminded", NOTICES, ONES, ONES, TIMES, rows=40),
    measured(
        *(
            _PLANNING,
            "plan",
            SHOPS,
            ["cart"] * 10,
            TEXTS,
            NEW,
            ["marketing"] * 10,
            CUSTOMERS,
            NUMBERS,
            NOTHING,
        ),
        *(NOTICES, NOTHING, JSON, NOTHING, TIMES, NOTHING, NOTHING),
        rows=50,
    ),
    measured(_PLANNING, "lock_of_cart", NOTICES[0], rows=12),
    measured(_PLANNING, "lock_of_customer", "4915200199901", rows=12),
    measured(_PLANNING, "lock_of_order", "default", "id 199901", rows=12),
    measured(_PLANNING, "take_back", NOTICES, "converted", None, None, None, rows=40),
    measured(_DECIDING, "lease", 100, 30 * SECOND, rows=1400),
    measured(_DECIDING, "lock_due", NOTICES, rows=30),
    measured(_DECIDING, "read_facts", NOTICES, 30 * DAY, rows=250),
    measured(_DECIDING, "lock_numbers", NUMBERS, rows=0),
    # What waits for the sender: ten seconds of each number at most; here there are 1,000.
    measured(_DECIDING, "count_queued", NUMBERS, rows=2_100),
    measured(_DECIDING, "queue", NOTICES, NOTHING, NOTHING, JSON, rows=40),
    measured(_DECIDING, "credit", NOTICES, rows=40),
    measured(_DECIDING, "postpone", NOTICES, TIMES, JSON, rows=40),
    measured(_DECIDING, "skip", NOTICES, TEXTS, JSON, rows=40),
    measured(_MOVING, "find_carts", NOTICES_QUEUED, rows=40),
    measured(
        *(_MOVING, "move", NOTICES_QUEUED, ONES, ["sent"] * 10, WAMIDS, TIMES, NOTHING, NOTHING, NOTHING),
        *(NOTHING, NOTHING, 3, [False] * 10),
        rows=80,
    ),
    measured(_MOVING, "credit", NOTICES_QUEUED, TIMES, rows=40),
    measured(_RETURNING, "return", NOTICES_QUEUED, ["pending"] * 10, NOTHING, rows=80),
    measured(_RETURNING, "bind", NOTICES_QUEUED, QUEUED, rows=60),
    measured(_CREDITING, "follow", "default", "id 1", 10, rows=10),
    measured(_CREDITING, "find", "default", "4915200199901", "id 1", LATER, 30_000 * DAY, rows=20),
    measured(_CREDITING, "convert", NOTICES[0], "id 1", 10, "EUR", rows=4),
    measured(_NOTICE_JOINS, "rename", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
    measured(_NOTICE_JOINS, "rename_reengagement", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
)
