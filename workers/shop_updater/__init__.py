"""The shop-updater: folds what shops say of carts, orders, products and customers, and keeps views."""
